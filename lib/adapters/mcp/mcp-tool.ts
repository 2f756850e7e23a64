import { inspect, RxhiveError, truncate } from '../../kernel/errors.js';
import type { TaskContext } from '../../model/context.js';
import { type AdaptedAgent, adaptAgent, dataOf } from '../contract.js';
import type { McpClient } from './mcp-client.js';
import type { McpProgress } from './mcp-sdk.js';
import { isWord, type KnownTool, type McpSession, type McpToolInfo } from './mcp-session.js';

/** A part of what a tool gives, as the protocol has it: text, images, audio, resources. */
export interface McpContent {
  readonly type: string;
  readonly text?: string;
  readonly [more: string]: unknown;
}

/** What a tool gives, and before that how far it is. */
export interface McpOutput {
  /** Its texts, one under the other; of a progress its message. */
  readonly text: string;
  readonly content: readonly McpContent[];
  /** Structured result, checked by the schema of the tool where it has one. */
  readonly structured?: unknown;
  /** It is not the result yet. */
  readonly progress?: McpProgress;
}

/** How a task meets a tool. */
export interface McpToolMapping<I, R> {
  /** Its arguments. Default: the input; of an `AgentTask` its `data`. */
  readonly arguments?: (input: I) => Readonly<Record<string, unknown>>;
  /** The result, made of what the tool gives. Default: all of it. With it progress is no value, but for `progress`. */
  readonly result?: (output: McpOutput) => R;
  /** A value of the stream, made of a progress. */
  readonly progress?: (progress: McpProgress) => R;
  /**
   * It may ask people, and is called in parallel. Questions do not say to which call they belong (but over HTTP, where the
   * server sends them with the answer), so each such call has a connection for itself meanwhile, over a pipe a process.
   * Default false: of several calls at once none can ask.
   */
  readonly asks?: boolean;
}

/** A tool said that it failed (`isError`). */
export class McpToolError extends Error {
  readonly content: readonly McpContent[];
  /** False where the call itself was refused: an unknown tool, wrong arguments. */
  readonly isRetryable: boolean;

  constructor(content: readonly McpContent[]) {
    const text = textOf(content);
    super(text === '' ? 'The tool failed and did not say why.' : text);
    this.name = 'McpToolError';
    this.content = content;
    this.isRetryable = !/^MCP error -3260[0-2]\b/.test(text);
  }
}

interface ToolResult {
  readonly content?: readonly McpContent[];
  readonly structuredContent?: unknown;
  readonly isError?: boolean;
}

/**
 * A tool of an MCP server as an agent. Its progress is the stream, its answer the result; abort reaches the server; what
 * the server asks a person becomes `ctx.ask`. A tool that fails fails the attempt with an `AgentError`, whose `cause` is a
 * {@link McpToolError}.
 *
 * ```ts
 * const add = fromMcpTool(server, 'get-sum', { result: ({ text }) => text });
 * flow.task('sum', { run: (_, ctx) => add({ a: 1, b: 2 }, ctx) });
 * ```
 */
export function fromMcpTool<I = unknown, R = McpOutput>(
  client: McpClient,
  name: string,
  mapping: McpToolMapping<I, R> = {},
): AdaptedAgent<I, R> {
  const { asks = false, result, progress } = mapping;
  const argumentsOf = mapping.arguments ?? ((input: I) => record(name, dataOf(input)));
  return adaptAgent<I, R>(async (input, ctx, signal, tell) => {
    const args = argumentsOf(input);
    const tool = await known(name, await client.session());
    const call = client.call(name, args, {
      ctx,
      signal,
      asks,
      progress: (one) => {
        if (progress !== undefined) tell.value(progress(one));
        else if (result === undefined) tell.value(progressOf(one) as R);
      },
    });
    const output = await call.catch((error: unknown) => {
      throw isWord(error) ? new McpToolError([{ type: 'text', text: error.message }]) : error;
    });
    const given = await outputOf(tool, output as ToolResult, ctx);
    return result === undefined ? (given as R) : result(given);
  });
}

/** A tool, and what its server says of it. */
export type McpAgent = AdaptedAgent<unknown, McpOutput> & { readonly info: McpToolInfo };

/**
 * All tools of a server by name: agents of a `WorkflowOrchestrator`, or bodies of tasks. Opens the connection.
 * Rejects with RxhiveError INVALID_OPTION when the SDK is not installed; Error of the connection.
 */
export async function fromMcpTools(
  client: McpClient,
  mapping: McpToolMapping<unknown, McpOutput> = {},
): Promise<Readonly<Record<string, McpAgent>>> {
  const tools = await (await client.session()).tools();
  return Object.fromEntries(
    [...tools].map(([name, { info }]) => {
      const agent = fromMcpTool(client, name, mapping);
      return [name, Object.assign(agent, { info })];
    }),
  );
}

async function known(name: string, session: McpSession): Promise<KnownTool> {
  const tool = await session.tool(name);
  const problem =
    tool === undefined
      ? `has no tool ${inspect(name)}; it has ${truncate([...(await session.tools()).keys()].join(', '))}.`
      : tool.info.execution?.taskSupport === 'required'
        ? `runs ${inspect(name)} only as a task of the protocol, which is experimental there; use another tool.`
        : undefined;
  if (problem !== undefined) throw new RxhiveError('INVALID_OPTION', `The MCP server ${problem}`);
  return tool as KnownTool;
}

function record(tool: string, input: unknown): Readonly<Record<string, unknown>> {
  if (input === undefined) return {};
  if (typeof input === 'object' && input !== null && !Array.isArray(input))
    return input as Readonly<Record<string, unknown>>;
  const message = `The input for tool ${inspect(tool)} is ${inspect(input)}; give an object of its arguments, or map it with arguments.`;
  throw new RxhiveError('INVALID_OPTION', message);
}

async function outputOf(tool: KnownTool, result: ToolResult, ctx: TaskContext): Promise<McpOutput> {
  const { content = [], structuredContent, isError } = result;
  if (isError === true) throw new McpToolError(content);
  const { name, outputSchema } = tool.info;
  if (outputSchema !== undefined) {
    const check = await tool.check();
    if (check === undefined) ctx.log(`The result schema of tool "${truncate(name)}" cannot be used.`);
    const problem =
      structuredContent === undefined ? 'there is no structured result' : check?.(structuredContent);
    if (problem !== undefined)
      throw new Error(
        `The result of tool "${truncate(name)}" does not fit its own schema: ${truncate(problem)}`,
      );
  }
  const structured = structuredContent === undefined ? {} : { structured: structuredContent };
  return { text: textOf(content), content, ...structured };
}

function progressOf(progress: McpProgress): McpOutput {
  return { text: progress.message ?? '', content: [], progress };
}

function textOf(content: readonly McpContent[]): string {
  return content
    .flatMap(({ type, text }) => (type === 'text' && text !== undefined ? [text] : []))
    .join('\n');
}
