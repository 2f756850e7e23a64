import type { JsonSchema } from '../flow-tool.js';
import type { McpToolResult } from './mcp-result.js';

/** What a tool knows of the call: the second argument of the SDK's handlers. */
export interface McpCallExtra {
  readonly signal: AbortSignal;
  readonly _meta?: { readonly progressToken?: string | number | undefined } | undefined;
  /** False: the client has no elicitation. Default: it is tried. */
  readonly canAsk?: boolean;
  sendNotification(notification: never): Promise<void>;
  sendRequest(request: never, schema: never, options?: never): Promise<unknown>;
}

/** A workflow as a tool; made by {@link asMcpTool}. */
export interface McpTool {
  /** As `tools/list` shows it. */
  readonly info: {
    readonly name: string;
    readonly title?: string;
    readonly description: string;
    readonly inputSchema: JsonSchema;
    readonly annotations?: Readonly<Record<string, unknown>>;
  };
  /** Runs the workflow once; never rejects for a failed one: the result says `isError`. */
  call(args: unknown, extra: McpCallExtra): Promise<McpToolResult>;
  /** Of a workflow with a store: answers a question of a run that waits for people, for clients that cannot ask. */
  readonly answer?: McpTool;
}
