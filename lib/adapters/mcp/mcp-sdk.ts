import { createRequire } from 'node:module';
import { peer } from '../../kernel/peer.js';

/** One end of a connection, as the official SDK of MCP defines it. */
export interface McpTransport {
  start(): Promise<void>;
  send(message: never, options?: never): Promise<void>;
  close(): Promise<void>;
  onclose?: (() => void) | undefined;
  onerror?: ((error: Error) => void) | undefined;
  // biome-ignore lint/complexity/noBannedTypes: transports differ in what they hand over; only the SDK calls it
  onmessage?: Function | undefined;
  readonly sessionId?: string | undefined;
}

/** Part of a request that is used, of `RequestOptions` of the SDK. */
export interface McpRequestOptions {
  readonly signal?: AbortSignal;
  readonly timeout?: number;
  readonly onprogress?: (progress: McpProgress) => void;
}

/** How far a call is: what a server says while it works. */
export interface McpProgress {
  readonly progress: number;
  readonly total?: number;
  readonly message?: string;
}

/** The part of a `Client` of the official SDK that is used. */
export interface McpSdkClient {
  request(request: never, schema: never, options?: never): Promise<unknown>;
  close(): Promise<void>;
  getServerVersion(): { readonly name: string; readonly version: string } | undefined;
  /** Undefined: the connection is closed, or was never there. */
  readonly transport?: McpTransport | undefined;
}

/** A client of which this side is the owner. */
export interface OwnSdkClient extends McpSdkClient {
  connect(transport: McpTransport, options?: McpRequestOptions): Promise<void>;
  setRequestHandler(schema: unknown, handler: (request: never, extra: never) => unknown): void;
  setNotificationHandler(schema: unknown, handler: () => void): void;
  onclose?: (() => void) | undefined;
  onerror?: ((error: Error) => void) | undefined;
}

/** Names of `types.js` of the SDK that are used. */
export interface McpTypes {
  readonly CallToolRequestSchema: unknown;
  readonly CallToolResultSchema: unknown;
  readonly ElicitRequestSchema: unknown;
  readonly ElicitResultSchema: unknown;
  readonly ListToolsRequestSchema: unknown;
  readonly ListToolsResultSchema: unknown;
  readonly ToolListChangedNotificationSchema: unknown;
}

const sdk = '@modelcontextprotocol/sdk';

/** Loads a module of the official SDK. @throws RxhiveError INVALID_OPTION that says what to install */
export function mcpSdk<M>(path: string): Promise<M> {
  return peer<M>(`${sdk}/${path}`, 'rxhive/mcp', `${sdk} zod`);
}

/** Loads the schemas of the protocol's messages. */
export function mcpTypes(): Promise<McpTypes> {
  return mcpSdk<McpTypes>('types.js');
}

/** The version of rxhive, which both sides of a connection are told. */
export function ownVersion(): string {
  // By its name: where this code is in a package that was built is not said.
  return createRequire(import.meta.url)('rxhive/package.json').version as string;
}
