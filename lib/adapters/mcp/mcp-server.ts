import { onAbort } from '../../kernel/abort.js';
import { RxhiveError, truncate } from '../../kernel/errors.js';
import { failed } from './mcp-result.js';
import { type McpTransport, mcpSdk, mcpTypes, ownVersion } from './mcp-sdk.js';
import type { McpCallExtra, McpTool } from './served-tool.js';

/** How an {@link mcpServer} presents itself. */
export interface McpServerOptions {
  /** Default `rxhive`. */
  readonly name?: string;
  /** Default: that of rxhive. */
  readonly version?: string;
  /** What models should know of all its tools. */
  readonly instructions?: string;
}

/** The part of a `Server` of the official SDK that is used. */
export interface McpSdkServer {
  connect(transport: McpTransport): Promise<void>;
  close(): Promise<void>;
  onclose?: (() => void) | undefined;
}

interface OwnServer extends McpSdkServer {
  getClientCapabilities():
    | { readonly elicitation?: { readonly form?: object; readonly url?: object } }
    | undefined;
  setRequestHandler(schema: unknown, handler: (request: never, extra: never) => unknown): void;
}

/**
 * A server of the official SDK with these tools, not connected yet; one for each connection.
 * Rejects with RxhiveError INVALID_OPTION when the SDK is not installed, or two tools have one name.
 */
export async function mcpServer(
  tools: readonly McpTool[],
  options: McpServerOptions = {},
): Promise<McpSdkServer> {
  const { name = 'rxhive', version = ownVersion(), instructions } = options;
  const all = tools.flatMap((tool) => (tool.answer === undefined ? [tool] : [tool, tool.answer]));
  const byName = new Map(all.map((tool) => [tool.info.name, tool]));
  if (byName.size < all.length)
    throw new RxhiveError('INVALID_OPTION', 'mcpServer: two tools have the same name; give each its own.');
  const [{ Server }, types] = await Promise.all([
    mcpSdk<{ readonly Server: new (info: object, options: object) => OwnServer }>('server/index.js'),
    mcpTypes(),
  ]);
  const more = instructions === undefined ? {} : { instructions };
  const server = new Server({ name, version }, { capabilities: { tools: {} }, ...more });
  const canAsk = (): boolean => {
    const { elicitation } = server.getClientCapabilities() ?? {};
    return elicitation !== undefined && (elicitation.form !== undefined || elicitation.url === undefined);
  };
  const connection = new AbortController();
  server.setRequestHandler(types.ListToolsRequestSchema, () => ({
    tools: (canAsk() ? tools : all).map(({ info }) => info),
  }));
  server.setRequestHandler(
    types.CallToolRequestSchema,
    ({ params }: { readonly params: CallParams }, extra: McpCallExtra) => {
      const tool = byName.get(params.name);
      if (tool === undefined)
        return failed(new Error(`MCP error -32602: There is no tool "${truncate(params.name)}".`));
      const call = new AbortController();
      const leave = [extra.signal, connection.signal].map((signal) =>
        onAbort(signal, (reason) => call.abort(reason)),
      );
      return tool
        .call(params.arguments ?? {}, { ...extra, signal: call.signal, canAsk: canAsk() })
        .finally(() => {
          for (const stop of leave) stop();
        });
    },
  );
  // What nobody waits for any more is cancelled: not every SDK does.
  const connect = server.connect.bind(server);
  server.connect = async (transport) => {
    await connect(transport);
    const { onclose } = transport;
    transport.onclose = () => {
      connection.abort(new Error('The connection to the client is closed.'));
      onclose?.();
    };
  };
  return server;
}

interface CallParams {
  readonly name: string;
  readonly arguments?: unknown;
}
