import { RxhiveError, truncate } from '../../kernel/errors.js';
import type { WorkflowEvent } from '../../model/event.js';
import type { WorkflowResult } from '../../model/result.js';
import type { StandardSchema } from '../../model/schema.js';
import { isEnd } from '../../model/status.js';
import {
  type AskedQuestion,
  callFlow,
  type FlowToolOptions,
  type JsonSchema,
  runnableOf,
  toolOf,
} from '../flow-tool.js';
import { inTurn, type Offer } from '../offer.js';
import { answerTool, askLater, Suspended, waiting } from './mcp-answer.js';
import { askForm } from './mcp-form.js';
import { failed, given, type McpToolResult } from './mcp-result.js';
import { mcpSdk, mcpTypes } from './mcp-sdk.js';
import type { McpCallExtra, McpTool } from './served-tool.js';

/** How a workflow is a tool of an MCP server. `C`: what it is called with. */
export interface McpToolOptions<C> extends FlowToolOptions<C> {
  /** Letters, digits, `_`, `-` and `.`, at most 128. Default: made of the name of the workflow. */
  readonly name?: string;
  /** Name for people. Default: none. */
  readonly title?: string;
  /** Hints for clients, such as `{ readOnlyHint: true }`. */
  readonly annotations?: Readonly<Record<string, unknown>>;
}

/**
 * A workflow or an orchestrator as a tool of an MCP server, for {@link mcpServer}, or for a server of yours. Each call is a
 * run: ended tasks are its progress, its abort cancels the run, open questions are asked through elicitation, and the
 * result of the task that no other depends on is its answer. An orchestrator runs one call after the other; a function gets
 * the arguments and makes one for each call.
 *
 * With a store, `run: { store: 'runs.db' }`, questions need no elicitation: the run is left waiting, the result says what is
 * asked, and the tool {@link McpTool.answer} goes on with it, by the model that has asked its user.
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
      `asMcpTool: the name "${truncate(name)}" is none of a tool; use letters, digits, _, - and ., at most 128.`,
    );
  const unnamed = `Runs the workflow "${truncate(name)}".`;
  const { description, schema: inputSchema, input } = toolOf(offer, options, unnamed, await zodConverter());
  const { output, run } = options;
  const kept = typeof offer === 'function' || typeof run === 'function' ? undefined : offer;
  const store = typeof run === 'function' ? undefined : run?.store;
  const left = { name: `${name.slice(0, 120)}_answer`, output };
  const parts = {
    ...options,
    offer,
    ...(kept !== undefined &&
      store !== undefined && {
        output: (result: WorkflowResult): unknown => Suspended.or(kept, output, result),
      }),
    input,
  };
  const { title, annotations } = options;
  const start = inTurn(offer);
  const work = async (args: unknown, extra: McpCallExtra): Promise<McpToolResult> => {
    const progress = progressOf(extra);
    const ask = (question: AskedQuestion, signal: AbortSignal): Promise<unknown> =>
      askForm(question, signal, (request, options) =>
        extra.sendRequest(request as never, types.ElicitResultSchema as never, options as never),
      );
    try {
      extra.signal.throwIfAborted();
      const suspends = kept !== undefined && store !== undefined && extra.canAsk === false;
      const how = suspends ? { ...parts, run: { ...(run as object), suspend: 'exit' as const } } : parts;
      const call = { signal: extra.signal, event: progress.event, ask: suspends ? askLater : ask };
      const answer = await callFlow(how, args as C, call);
      await progress.told();
      return answer instanceof Suspended ? waiting(answer.result, left.name) : given(answer);
    } catch (error) {
      return failed(error);
    }
  };
  return {
    info: { name, description, inputSchema, ...(title && { title }), ...(annotations && { annotations }) },
    call: (args, extra) => start(() => work(args, extra)),
    ...(kept !== undefined && store !== undefined && { answer: answerTool(kept, store, left) }),
  };
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
      if (event.type !== 'task' || !isEnd(event.reason)) return;
      progress += 1;
      message = `${truncate(event.taskId)} ${event.reason}`;
      tell();
    },
    told: async () => {
      while (telling !== undefined) await telling;
    },
  };
}
