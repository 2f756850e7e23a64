import { setTimeout as pause } from 'node:timers/promises';
import { RxhiveError } from '../../kernel/errors.js';
import { McpProcess } from './mcp-process.js';
import { type Check, checkOf } from './mcp-schema.js';
import type { McpRequestOptions, McpSdkClient, McpTransport, McpTypes, OwnSdkClient } from './mcp-sdk.js';

/** A tool as its server describes it. All of it is the server's word. */
export interface McpToolInfo {
  readonly name: string;
  readonly title?: string;
  readonly description?: string;
  /** JSON schemas of arguments and of structured results. */
  readonly inputSchema: Readonly<Record<string, unknown>>;
  readonly outputSchema?: Readonly<Record<string, unknown>>;
  readonly annotations?: Readonly<Record<string, unknown>>;
  readonly execution?: { readonly taskSupport?: string };
}

/** A tool of a connection. */
export interface KnownTool {
  readonly info: McpToolInfo;
  /** Checks structured results; undefined: there is no schema, or none that can be used. */
  check(): Promise<Check | undefined>;
}

interface ToolPage {
  readonly tools: readonly McpToolInfo[];
  readonly nextCursor?: string;
}

const mostTools = 1_000;
const mostPages = 100;
const listTimeout = 60_000;

/** The connection was lost, or was never there. */
export class McpConnectionError extends Error {
  readonly code = 'ECONNRESET';
}

/** A client that is connected, and what is known of its server. */
export class McpSession {
  /** Calls whose stream broke and that may be taken up again. */
  readonly resuming = new Set<(error: Error) => void>();
  readonly process: McpProcess | undefined;
  readonly #client: McpSdkClient;
  readonly #types: McpTypes;
  readonly #owned: boolean;
  readonly #transport: McpTransport | undefined;
  #tools: Promise<ReadonlyMap<string, KnownTool>> | undefined;
  #waiting = 0;
  #left = false;
  #closing: Promise<void> | undefined;
  /** What was wrong with the connection last. */
  #why: Error | undefined;

  constructor(
    client: McpSdkClient,
    types: McpTypes,
    { owned, transport }: { readonly owned: boolean; readonly transport?: McpTransport },
  ) {
    this.#client = client;
    this.#types = types;
    this.#owned = owned;
    this.#transport = transport;
    this.process = transport instanceof McpProcess ? transport : undefined;
    if (owned)
      (client as OwnSdkClient).setNotificationHandler(types.ToolListChangedNotificationSchema, () => {
        this.#tools = undefined;
      });
  }

  /** Name of the server, as it says. */
  get name(): string {
    return this.#client.getServerVersion()?.name ?? 'server';
  }

  /** Asks the server; while it does, this process waits for the one of the server. */
  async request(
    request: { readonly method: string; readonly params?: object },
    schema: keyof McpTypes,
    options: McpRequestOptions,
  ): Promise<unknown> {
    this.#waiting += 1;
    if (this.#waiting === 1) this.hold();
    try {
      return await this.#client.request(request as never, this.#types[schema] as never, options as never);
    } finally {
      this.#waiting -= 1;
      if (this.#waiting === 0) {
        this.hold();
        if (this.#left) void this.close();
      }
    }
  }

  /** A tool; servers that add tools once they know the client may be late with them. */
  async tool(name: string): Promise<KnownTool | undefined> {
    const found = (await this.tools()).get(name);
    if (found !== undefined) return found;
    this.#tools = undefined;
    return (await this.tools()).get(name);
  }

  /** Its tools by name: asked for once, and again after it has said that they changed. */
  tools(): Promise<ReadonlyMap<string, KnownTool>> {
    const known = this.#tools ?? this.#list();
    this.#tools = known;
    known.catch(() => {
      if (this.#tools === known) this.#tools = undefined;
    });
    return known;
  }

  /** The SDK tells of something that went wrong beside all calls. */
  saw(error: Error): void {
    this.#why = error;
    if (!/Maximum reconnection attempts/.test(error.message)) return;
    for (const reject of this.resuming) reject(new McpConnectionError(error.message));
  }

  /** Does this error mean that another connection is needed? */
  lostBy(error: unknown): boolean {
    if (error instanceof RxhiveError || !this.#owned) return false;
    // `fetch` fails with a TypeError.
    return this.#isClosed(error) || isExpired(error) || error instanceof TypeError;
  }

  /** Does it mean that the server does not know this session any more? */
  expiredBy(error: unknown): boolean {
    return this.#owned && isExpired(error);
  }

  /** An error that says why, where the SDK only says that the connection is closed. */
  explained(error: unknown): unknown {
    const { code, name, message } = (error ?? {}) as Partial<Record<'code' | 'name' | 'message', unknown>>;
    // Without the SDK's own error as cause: it says less.
    if (this.#isClosed(error))
      return new McpConnectionError(this.#why?.message ?? 'The connection to the server is lost.');
    if (isExpired(error)) return new McpConnectionError('The server has forgotten the session.');
    if (typeof code === 'number' && code >= 400 && code < 600 && !isWord(error))
      return Object.assign(new Error(String(message), { cause: error }), { status: code });
    if (name === 'UnauthorizedError')
      return Object.assign(new Error(String(message), { cause: error }), { status: 401 });
    return error;
  }

  /** Servers use the code of the SDK for errors of their own, with a connection that goes on. */
  #isClosed(error: unknown): boolean {
    const { code } = (error ?? {}) as { readonly code?: unknown };
    return code === closed && this.#client.transport === undefined;
  }

  /** No new calls come; it closes when the last one has ended. */
  leave(): void {
    this.#left = true;
    if (this.#waiting === 0) void this.close();
  }

  /** An idle server does not keep this process alive. */
  hold(): void {
    this.process?.hold(this.#waiting > 0);
  }

  /** Ends the connection; a session of a server over HTTP too. */
  close(): Promise<void> {
    if (!this.#owned) return Promise.resolve();
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { terminateSession } = (this.#transport ?? {}) as { terminateSession?: () => Promise<void> };
    if (terminateSession !== undefined) {
      const ended = terminateSession.call(this.#transport).catch(() => undefined);
      await Promise.race([ended, pause(1_000, undefined, { ref: false })]);
    }
    await this.#client.close().catch(() => undefined);
    // What is not connected yet, or not any more, the client does not close.
    await this.#transport?.close().catch(() => undefined);
  }

  async #list(): Promise<ReadonlyMap<string, KnownTool>> {
    const all = new Map<string, KnownTool>();
    let cursor: string | undefined;
    for (let page = 1; page === 1 || cursor !== undefined; page += 1) {
      const params = cursor === undefined ? {} : { cursor };
      const request = { method: 'tools/list', params };
      const found = (await this.request(request, 'ListToolsResultSchema', {
        timeout: listTimeout,
      })) as ToolPage;
      for (const info of found.tools) all.set(info.name, knownTool(info));
      if (all.size > mostTools || page > mostPages)
        throw new Error(`The server offers more than ${mostTools} tools, or does not come to an end.`);
      cursor = found.nextCursor;
    }
    return all;
  }
}

/** Error code of the SDK: the connection was closed. */
const closed = -32_000;

/** A JSON-RPC error, which is the server's word: its code is no status of HTTP. What takes too long the SDK says itself. */
export function isWord(error: unknown): error is Error {
  const { name, message } = (error ?? {}) as Partial<Record<'name' | 'message', unknown>>;
  return name === 'McpError' && !/: Request timed out$/.test(String(message));
}

/** The server does not know the session. The protocol wants 404; servers made after examples of the SDK say 400. */
function isExpired(error: unknown): boolean {
  if (isWord(error)) return false;
  const { code, message } = (error ?? {}) as Partial<Record<'code' | 'message', unknown>>;
  return code === 404 || (code === 400 && /session/i.test(String(message)));
}

function knownTool(info: McpToolInfo): KnownTool {
  let check: Promise<Check | undefined> | undefined;
  return {
    info,
    check: () => {
      check ??=
        info.outputSchema === undefined
          ? Promise.resolve(undefined)
          : checkOf(info.outputSchema).catch(() => undefined);
      return check;
    },
  };
}
