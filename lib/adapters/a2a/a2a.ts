import type { TaskContext, Usage } from '../../model/context.js';
import { human, type Question } from '../../model/question.js';
import { typed } from '../../model/schema.js';
import { type AdaptedAgent, adaptAgent, type PromptMapping, promptOf } from '../contract.js';
import { type A2ACall, type A2AClient, type A2AReply, converse } from './a2a-call.js';
import { connectA2A } from './a2a-connect.js';
import type { A2APart } from './a2a-task.js';

export type { OfferOptions } from '../offer.js';
export type { A2AClient, A2AReply } from './a2a-call.js';
export type { A2AArtifact, A2AMessage, A2APart, A2AStatus, A2ATask } from './a2a-task.js';
export {
  type A2AAsked,
  type A2AExecutor,
  type A2AExecutorOptions,
  asA2AExecutor,
} from './as-a2a-executor.js';

/** How tasks meet a remote agent. The name of its model (`model`) is not known otherwise. */
export interface A2AMapping<I = unknown, R = string> extends PromptMapping<I> {
  /** The parts of the message. Default: the prompt as one text. */
  readonly parts?: (input: I) => readonly A2APart[];
  /** The `contextId`, for agents that remember conversations. Default: none, the agent begins a new one. */
  readonly context?: (input: I, ctx: TaskContext) => string | undefined;
  /** The result of the task, or message, that the agent has answered with. Default: the text of its artifacts, else of its message. */
  readonly result?: (reply: A2AReply) => R;
  /**
   * What the agent says it has used: the protocol has no place for that. Default: `metadata.usage` of the task or its message, where it
   * has `inputTokens` and `outputTokens`, as tasks of {@link asA2AExecutor} have.
   */
  readonly usage?: (reply: A2AReply) => Usage | undefined;
  /** Asks for a stream (`message/stream`) where the agent has one; else it waits for the answer (`message/send`). Default true. */
  readonly stream?: boolean;
  /** The question for a task in state `input-required`; the answer goes to the agent. Default: asks for a text. */
  readonly question?: (said: string) => Question;
  /** Ms between looks at a task that goes on without a stream; ten times that in a stream that was taken up again. Default 1,000. */
  readonly poll?: number;
  /** Headers of all requests, such as `authorization`. */
  readonly headers?: Readonly<Record<string, string>> | (() => HeadersLike | PromiseLike<HeadersLike>);
  /** Where its card is, beside its address. Default `.well-known/agent-card.json`. */
  readonly card?: string;
}

type HeadersLike = Readonly<Record<string, string>>;

/**
 * A remote agent that speaks A2A (protocol 0.3) as an agent of rxhive: by its address, or a client of `@a2a-js/sdk` of yours.
 * Values are the text so far. A task of the agent is cancelled when the attempt ends early, taken up again when its
 * stream breaks, and asks people when it needs input.
 *
 * ```ts
 * const travel = fromA2A('https://agents.example.com/travel', { headers: { authorization: `Bearer ${token}` } });
 * flow.task('trip', { timeout: 600_000, retry: 2, run: (_, ctx) => travel('Three days in Ljubljana', ctx) });
 * ```
 */
export function fromA2A<I = unknown, R = string>(
  agent: string | URL | A2AClient,
  mapping: A2AMapping<I, R> = {},
): AdaptedAgent<I, R> {
  const { prompt = promptOf, result = textOf<R>, usage = toldUsage, stream = true, poll = 1_000 } = mapping;
  const partsOf = mapping.parts ?? ((input: I): A2APart[] => [{ kind: 'text', text: prompt(input) }]);
  let connected: Promise<A2AClient> | undefined;
  const connect = (): Promise<A2AClient> => {
    if (!(typeof agent === 'string' || agent instanceof URL)) return Promise.resolve(agent);
    if (connected === undefined) {
      const mine = connectA2A(String(agent), mapping);
      connected = mine;
      mine.catch(() => {
        connected = undefined; // the next attempt asks for the card again
      });
    }
    return connected;
  };
  return adaptAgent<I, R>(async (input, ctx, signal, tell) => {
    const context = mapping.context?.(input, ctx);
    const call: A2ACall = { ctx, signal, stream, poll, question: mapping.question ?? ask, context };
    const told = (text: string): void => {
      if (mapping.result === undefined) tell.value(text as R);
    };
    const reply = await converse(await connect(), partsOf(input), call, told);
    const used = usage(reply);
    const named = mapping.model === undefined ? used : { model: mapping.model, ...used };
    if (used !== undefined && named !== undefined) ctx.usage(named);
    return result(reply);
  });
}

function textOf<R>({ text }: A2AReply): R {
  return text as R;
}

function toldUsage({ task }: A2AReply): Usage | undefined {
  const told = task?.metadata?.usage ?? task?.status.message?.metadata?.usage;
  const { inputTokens, outputTokens, cost } = (told ?? {}) as Record<string, unknown>;
  if (!isAmount(inputTokens) || !isAmount(outputTokens)) return undefined;
  return { inputTokens, outputTokens, ...(isAmount(cost) && cost > 0 && { cost }) };
}

function isAmount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

function ask(said: string): Question {
  return human(typed<string>(), said);
}
