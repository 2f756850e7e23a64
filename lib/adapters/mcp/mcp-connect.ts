import { inspect } from '../../kernel/errors.js';
import type { Elicitation, Elicited } from './mcp-elicit.js';
import { type McpAddress, type PendingCall, watchedFetch } from './mcp-http.js';
import { type McpCommand, McpProcess } from './mcp-process.js';
import {
  type McpSdkClient,
  type McpTransport,
  mcpSdk,
  mcpTypes,
  type OwnSdkClient,
  ownVersion,
} from './mcp-sdk.js';
import { McpSession } from './mcp-session.js';

/** How an {@link McpClient} reaches its server: one of a command, an address, a transport or a client of the SDK. */
export type McpClientOptions = McpClientSettings &
  (
    | McpCommand
    | McpAddress
    /** Any other transport of the SDK; a new one for each connection. */
    | { readonly transport: () => McpTransport }
    /** A connected `Client` of the SDK. It stays yours: it is not closed, and what servers ask is up to it. */
    | { readonly client: McpSdkClient }
  );

/** What every {@link McpClient} can be told. */
export interface McpClientSettings {
  /** How it presents itself. Default `rxhive`. */
  readonly name?: string;
  /** Longest message of the server, in bytes. Default 10 MiB. */
  readonly maxMessageBytes?: number;
  /** Ms for the connection. Default 60,000: `npx` may have to download. */
  readonly connectTimeout?: number;
  /**
   * Questions of the server during a call (elicitation) are asked through `ctx.ask`. Default true; false: servers are
   * told that there is nobody to ask.
   */
  readonly elicitation?: boolean;
}

/** What a connection tells its owner. */
export interface ConnectHooks {
  /** The call in whose name something goes on. */
  waiting(): PendingCall | undefined;
  /** The server asks a person. */
  elicit(asked: Elicitation, session: McpSession): Promise<Elicited>;
  closed(session: McpSession): void;
}

/** Opens a connection. Rejects with RxhiveError INVALID_OPTION without the SDK; Error that says why it failed. */
export async function connectMcp(options: McpClientOptions, hooks: ConnectHooks): Promise<McpSession> {
  const { name = 'rxhive', elicitation = true, connectTimeout = 60_000 } = options;
  const types = await mcpTypes();
  if ('client' in options) return new McpSession(options.client, types, { owned: false });
  const { Client } = await mcpSdk<{
    readonly Client: new (info: object, options: object) => OwnSdkClient;
  }>('client/index.js');
  const asks = elicitation ? { elicitation: { form: { applyDefaults: true } } } : {};
  const client = new Client({ name, version: ownVersion() }, { capabilities: asks });
  const transport = await transportOf(options, hooks);
  const session = new McpSession(client, types, { owned: true, transport });
  if (elicitation)
    client.setRequestHandler(
      types.ElicitRequestSchema,
      ({ params }: { readonly params: Elicitation }): Promise<Elicited> => hooks.elicit(params, session),
    );
  client.onerror = (error) => session.saw(error);
  client.onclose = () => hooks.closed(session);
  try {
    await client.connect(transport, { timeout: connectTimeout });
  } catch (error) {
    await session.close();
    throw session.explained(error);
  }
  session.hold();
  return session;
}

async function transportOf(
  options: Exclude<McpClientOptions, { readonly client: McpSdkClient }>,
  hooks: ConnectHooks,
): Promise<McpTransport> {
  const { maxMessageBytes = 10 * 1_024 * 1_024 } = options;
  if ('transport' in options) return options.transport();
  if ('command' in options) {
    if (process.platform !== 'win32') return new McpProcess(options, maxMessageBytes);
    // There `npx` and the like are scripts, which the SDK knows how to start.
    const { StdioClientTransport } = await mcpSdk<{
      readonly StdioClientTransport: new (options: object) => McpTransport;
    }>('client/stdio.js');
    return new StdioClientTransport({ ...options, maxBufferSize: maxMessageBytes, stderr: 'ignore' });
  }
  const { StreamableHTTPClientTransport } = await mcpSdk<{
    readonly StreamableHTTPClientTransport: new (url: URL, options: object) => McpTransport;
  }>('client/streamableHttp.js');
  return new StreamableHTTPClientTransport(new URL(options.url), {
    fetch: watchedFetch(options, maxMessageBytes, () => hooks.waiting()),
    ...(options.authProvider !== undefined && { authProvider: options.authProvider }),
  });
}

/** What is wrong with options, as a sentence. */
export function optionProblem(options: McpClientOptions): string | undefined {
  const ways = ['command', 'url', 'transport', 'client'].filter((one) => one in (options ?? {}));
  if (ways.length !== 1)
    return `${ways.length === 0 ? 'no way to the server' : `both ${ways.join(' and ')}`}; give one of command, url, transport, client.`;
  if ('url' in options && !(URL.canParse(String(options.url)) && /^https?:/.test(String(options.url))))
    return `url is ${inspect(String(options.url))}; give an http or https address.`;
  if ('command' in options && (typeof options.command !== 'string' || options.command === ''))
    return `command is ${inspect(options.command)}; give the name of a program, and its words in args.`;
  for (const name of ['maxMessageBytes', 'connectTimeout'] as const) {
    const value = options[name];
    if (value !== undefined && !(Number.isInteger(value) && value >= 1))
      return `${name} is ${inspect(value)}; give a whole number from 1.`;
  }
  return undefined;
}
