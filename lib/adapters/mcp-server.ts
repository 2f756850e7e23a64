import { AnswerRefusedError, brief, RxhiveError } from '../kernel/errors.js';
import type { WorkflowEvent } from '../model/event.js';
import type { StandardSchema } from '../model/schema.js';
import {
  type AskedQuestion,
  callFlow,
  descriptionOf,
  type FlowToolOptions,
  type JsonSchema,
  runnableOf,
  toolInputOf,
} from './flow-tool.js';
import { askForm } from './mcp-form.js';
import { type McpTransport, mcpSdk, mcpTypes, ownVersion } from './mcp-sdk.js';
import type { McpContent } from './mcp-tool.js';
import type { Offer } from './offer.js';

/** How a workflow is a tool of an MCP server. `C`: what it is called with. */
export interface McpToolOptions<C> extends FlowToolOptions<C> {
  /** Letters, digits, `_`, `-` and `.`, at most 128. Default: made of the name of the workflow. */
  readonly name?: string;
  /** Name for people. Default: none. */
  readonly title?: string;
  /** Hints for clients, such as `{ readOnlyHint: true }`. */
  readonly annotations?: Readonly<Record<string, unknown>>;
}

/** What a tool knows of the call: the second argument of the SDK's handlers. */
export interface McpCallExtra {
  readonly signal: AbortSignal;
  readonly _meta?: { readonly progressToken?: string | number | undefined } | undefined;
  sendNotification(notification: never): Promise<void>;
  sendRequest(request: never, schema: never, options?: never): Promise<unknown>;
}

/** What a tool gives, as the protocol has it. */
export interface McpToolResult {
  readonly content: readonly McpContent[];
  readonly structuredContent?: Readonly<Record<string, unknown>>;
  readonly isError?: boolean;
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
}

/**
 * A workflow or an orchestrator as a tool of an MCP server, for {@link mcpServer}, or for a server of yours. Each call is a
 * run: ended tasks are its progress, its abort cancels the run, open questions are asked through elicitation, and the
 * result of the task that no other depends on is its answer. An orchestrator runs one call after the other; a function gets
 * the arguments and makes one for each call.
 *
 * ```ts
 * const server = await mcpServer([await asMcpTool(flow)], { name: 'research' });
 * await server.connect(new StdioServerTransport());
 * ```
 * Rejects with RxhiveError INVALID_OPTION when the SDK is not installed, or for a name that no tool can have.
 */
export async function asMcpTool<C = Readonly<Record<string, unknown>>>(
  offer: Offer<C>,
  options: McpToolOptions<C> = {},
): Promise<McpTool> {
  const types = await mcpTypes();
  const definition = runnableOf(offer)?.definition();
  const name = options.name ?? toolName(definition?.settings.name ?? 'workflow');
  if (!/^[\w.-]{1,128}$/.test(name))
    throw new RxhiveError(
      'INVALID_OPTION',
      `asMcpTool: the name "${brief(name)}" is none of a tool; use letters, digits, _, - and ., at most 128.`,
    );
  const known = toolInputOf(definition?.settings.input, await zodConverter());
  const parts = {
    ...options,
    offer,
    input: options.input ?? (typeof offer === 'function' ? () => undefined : (call: C) => known.input(call)),
  };
  const { title, annotations } = options;
  const inputSchema = options.schema ?? (definition === undefined ? { type: 'object' } : known.schema);
  const description =
    options.description ??
    (definition === undefined ? `Runs the workflow "${brief(name)}".` : descriptionOf(definition));
  const oneAtATime = !(typeof offer === 'function' || 'run' in offer);
  let turn: Promise<unknown> = Promise.resolve();
  const work = async (args: unknown, extra: McpCallExtra): Promise<McpToolResult> => {
    const progress = progressOf(extra);
    const ask = (question: AskedQuestion, signal: AbortSignal): Promise<unknown> =>
      askForm(question, signal, (request, options) =>
        extra.sendRequest(request as never, types.ElicitResultSchema as never, options as never),
      );
    try {
      extra.signal.throwIfAborted();
      const answer = await callFlow(parts, args as C, { signal: extra.signal, event: progress.event, ask });
      await progress.told();
      return given(answer);
    } catch (error) {
      return failed(error);
    }
  };
  return {
    info: { name, description, inputSchema, ...(title && { title }), ...(annotations && { annotations }) },
    call: (args, extra) => {
      if (!oneAtATime) return work(args, extra);
      const result = turn.then(() => work(args, extra));
      turn = result;
      return result;
    },
  };
}

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
  const byName = new Map(tools.map((tool) => [tool.info.name, tool]));
  if (byName.size < tools.length)
    throw new RxhiveError('INVALID_OPTION', 'mcpServer: two tools have the same name; give each its own.');
  const [{ Server }, types] = await Promise.all([
    mcpSdk<{ readonly Server: new (info: object, options: object) => OwnServer }>('server/index.js'),
    mcpTypes(),
  ]);
  const more = instructions === undefined ? {} : { instructions };
  const server = new Server({ name, version }, { capabilities: { tools: {} }, ...more });
  server.setRequestHandler(types.ListToolsRequestSchema, () => ({ tools: tools.map(({ info }) => info) }));
  server.setRequestHandler(
    types.CallToolRequestSchema,
    ({ params }: { readonly params: CallParams }, extra: McpCallExtra) => {
      const tool = byName.get(params.name);
      if (tool === undefined)
        return failed(new Error(`MCP error -32602: There is no tool "${brief(params.name)}".`));
      return tool.call(params.arguments ?? {}, extra);
    },
  );
  return server;
}

interface CallParams {
  readonly name: string;
  readonly arguments?: unknown;
}

/** A tool's name made of any other. */
export function toolName(name: string): string {
  const words = name.normalize('NFKD').replaceAll(/[^\w.-]+/g, '_');
  return words.replaceAll(/^_+|_+$/g, '').slice(0, 128) || 'workflow';
}

/** Converts schemas of zod that know no standard for that yet. */
async function zodConverter(): Promise<(schema: StandardSchema) => JsonSchema | undefined> {
  const { toJsonSchemaCompat } = await mcpSdk<{ toJsonSchemaCompat(schema: StandardSchema): JsonSchema }>(
    'server/zod-json-schema-compat.js',
  );
  return (schema) => {
    if (schema['~standard'].vendor !== 'zod') return undefined;
    try {
      return toJsonSchemaCompat(schema);
    } catch {
      return undefined;
    }
  };
}

const ends: ReadonlySet<string> = new Set(['succeeded', 'restored', 'failed', 'skipped', 'cancelled']);

/** Tells how many tasks have ended, the newest state as fast as the client takes it. */
function progressOf({ _meta, sendNotification }: McpCallExtra): {
  event(event: WorkflowEvent): void;
  /** All of it has gone out. */
  told(): Promise<void>;
} {
  const progressToken = _meta?.progressToken;
  let total = 0;
  let progress = 0;
  let message = '';
  let sent = 0;
  let telling: Promise<void> | undefined;
  const send = async (): Promise<void> => {
    sent = progress;
    const params = { progressToken, progress, total, message };
    await sendNotification({ method: 'notifications/progress', params } as never);
  };
  const tell = (): void => {
    if (telling !== undefined || sent === progress) return;
    telling = send()
      .catch(() => undefined) // the client has gone
      .finally(() => {
        telling = undefined;
        tell();
      });
  };
  return {
    event: (event) => {
      if (progressToken === undefined) return;
      if (event.type === 'plan') total += event.tasks.length;
      if (event.type !== 'task' || !ends.has(event.reason)) return;
      progress += 1;
      message = `${brief(event.taskId)} ${event.reason}`;
      tell();
    },
    told: async () => {
      while (telling !== undefined) await telling;
    },
  };
}

function given(answer: unknown): McpToolResult {
  const text = typeof answer === 'string' ? answer : (JSON.stringify(answer) ?? '');
  const isRecord = typeof answer === 'object' && answer !== null && !Array.isArray(answer);
  const content = [{ type: 'text', text }];
  if (!isRecord) return { content };
  return { content, structuredContent: JSON.parse(text) as Readonly<Record<string, unknown>> };
}

function failed(error: unknown): McpToolResult {
  const text = error instanceof Error ? error.message : String(error);
  const refused =
    error instanceof AnswerRefusedError ? `: ${error.issues.map(({ message }) => message).join(', ')}` : '';
  return { content: [{ type: 'text', text: `${text}${refused}` }], isError: true };
}
