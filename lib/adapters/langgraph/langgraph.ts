import { peer } from '../../kernel/peer.js';
import type { TaskContext } from '../../model/context.js';
import { human, type Question } from '../../model/question.js';
import { typed } from '../../model/schema.js';
import { type AdaptedAgent, adaptAgent, dataOf, type PromptMapping, promptOf } from '../contract.js';
import { RunnableWatch } from './runnable-watch.js';

export type { OfferOptions } from '../offer.js';
export { asLangGraphNode, type LangGraphConfig, type LangGraphNodeOptions } from './as-langgraph-node.js';

/** The part of a LangChain `Runnable` that is used; models, chains and compiled graphs of LangGraph are some. */
export interface NativeRunnable {
  invoke(input: never, config?: never): PromiseLike<unknown>;
  stream?(input: never, config?: never): PromiseLike<unknown>;
}

/** How tasks meet a `Runnable`. */
export interface RunnableMapping<I = unknown, R = string> extends PromptMapping<I> {
  /**
   * What it is invoked with. Default: the prompt; for a graph with `messages` these with the prompt as that of a user; for any
   * other graph the input of the task, of an `AgentTask` its `data`.
   */
  readonly input?: (input: I) => unknown;
  /** More of its `RunnableConfig`: `recursionLimit`, `configurable`, `callbacks`, `tags`, ... */
  readonly config?: object | ((input: I) => object);
  /** The result of what it gives. Default: the text of the message, or last of the messages; what has none as it is. */
  readonly result?: (output: unknown) => R;
  /**
   * `true`: each value is the text so far of the model that speaks; not with `result`. `'states'`: the state of a graph after
   * each step (through `result`, else as it is). Default false.
   */
  readonly stream?: boolean | 'states';
  /** Nodes of a graph whose models are heard by `stream: true`. Default: all. */
  readonly nodes?: readonly string[];
  /**
   * The `thread_id` for graphs with a checkpointer, such as the id of a conversation. Default: a new one for each attempt, whose
   * checkpoints are deleted at its end.
   */
  readonly thread?: (input: I, ctx: TaskContext) => string;
  /**
   * A thread that did not come to its end goes on there instead of getting the input: for threads that belong to one task, such
   * as `thread: (_, ctx) => ctx.idempotencyKey`. Default false.
   */
  readonly resume?: boolean;
  /** The question for what a graph hands to `interrupt()`. Default: `human(typed<unknown>(), ...)` with it as prompt or context. */
  readonly question?: (value: unknown) => Question;
}

/**
 * Any `Runnable` of LangChain, compiled graphs of LangGraph included, as an agent of rxhive. Each attempt has its own thread.
 * Where a graph interrupts, the task asks people (`ctx.ask`) and the graph goes on with their answers. Nodes and tools are
 * `log` events, tokens are usage.
 *
 * ```ts
 * const research = fromRunnable(createReactAgent({ llm, tools }), { stream: true });
 * const chain = fromRunnable<{ topic: string }>(prompt.pipe(model), { input: ({ topic }) => ({ topic }) });
 * ```
 * Models of LangChain try again by themselves, holding the slot: give them `maxRetries: 0`.
 */
export function fromRunnable<I = unknown, R = string>(
  runnable: NativeRunnable,
  mapping: RunnableMapping<I, R> = {},
): AdaptedAgent<I, R> {
  const { result, stream = false, nodes, model } = mapping;
  const resultOf = result ?? (stream === 'states' ? same<R> : textOf<R>);
  return adaptAgent<I, R>(async (input, ctx, signal, tell) => {
    const graph = graphOf(runnable);
    const texts = stream === true && result === undefined ? (tell as TextProgress) : undefined;
    const watch = new RunnableWatch(ctx, signal, { model, texts, nodes });
    const own = mapping.thread === undefined ? crypto.randomUUID() : undefined;
    const thread = own ?? (mapping.thread as (input: I, ctx: TaskContext) => string)(input, ctx);
    const config = configOf(mapping.config, input, { watch, signal, thread });
    const run = async (given: unknown): Promise<unknown> => {
      if (stream !== 'states' || runnable.stream === undefined)
        return await runnable.invoke(given as never, config as never);
      return lastState(
        await runnable.stream(given as never, { ...config, streamMode: 'values' } as never),
        (state) => tell.value(resultOf(state)),
      );
    };
    try {
      const left = mapping.resume === true ? await graph?.getState?.(config) : undefined;
      const goesOn = left !== undefined && left.next.length > 0;
      let asked: readonly Interrupt[] = goesOn ? left.tasks.flatMap(({ interrupts }) => interrupts) : [];
      let output: unknown;
      if (asked.length === 0) {
        output = await run(goesOn ? null : (mapping.input ?? defaultInput(graph, mapping))(input));
        asked = interruptsOf(output);
      }
      while (asked.length > 0) {
        const { Command } = await peer<CommandModule>('@langchain/langgraph', 'rxhive/langgraph');
        const resume = await answersTo(asked, ctx, mapping.question ?? questionOf);
        output = await run(new Command({ resume }));
        asked = interruptsOf(output);
      }
      return resultOf(output);
    } finally {
      if (own !== undefined) await forget(graph, own);
    }
  });
}

type TextProgress = { value(text: string): void };

interface CommandModule {
  readonly Command: new (parts: { readonly resume: unknown }) => object;
}

interface Interrupt {
  readonly id?: string;
  readonly value?: unknown;
}

/** The part of a compiled graph that is used. */
interface Graph {
  readonly channels?: Readonly<Record<string, unknown>>;
  readonly checkpointer?: { deleteThread?(thread: string): PromiseLike<unknown> } | boolean;
  getState?(config: object): PromiseLike<{
    readonly next: readonly string[];
    readonly tasks: readonly { readonly interrupts: readonly Interrupt[] }[];
  }>;
}

/** The graph that a runnable is; agents of `langchain` hold theirs. */
function graphOf(runnable: object): Graph | undefined {
  if ('channels' in runnable) return runnable as Graph;
  const { graph } = runnable as { graph?: unknown };
  return typeof graph === 'object' && graph !== null && 'channels' in graph ? (graph as Graph) : undefined;
}

function defaultInput<I>(
  graph: Graph | undefined,
  { prompt = promptOf }: PromptMapping<I>,
): (input: I) => unknown {
  if (graph === undefined) return prompt;
  if (graph.channels !== undefined && 'messages' in graph.channels)
    return (input) => ({ messages: [{ role: 'user', content: prompt(input) }] });
  return dataOf;
}

function configOf<I>(
  given: RunnableMapping<I>['config'],
  input: I,
  { watch, signal, thread }: { watch: RunnableWatch; signal: AbortSignal; thread: string },
): object {
  const { callbacks, configurable, ...more } = (
    typeof given === 'function' ? given(input) : (given ?? {})
  ) as {
    callbacks?: unknown;
    configurable?: object;
  };
  const others = Array.isArray(callbacks) ? callbacks : [];
  return {
    ...more,
    configurable: { thread_id: thread, ...configurable },
    callbacks: [...others, watch],
    signal,
  };
}

const interruptKey = '__interrupt__';

async function lastState(states: unknown, told: (state: unknown) => void): Promise<unknown> {
  let last: unknown;
  // Nodes that run at the same time interrupt one by one.
  let asked: readonly Interrupt[] = [];
  for await (const state of states as AsyncIterable<object>) {
    if (interruptKey in state) asked = [...asked, ...interruptsOf(state)];
    else {
      last = state;
      asked = [];
      told(state);
    }
  }
  const once = asked.filter(({ id }, i) => id === undefined || asked.findIndex((one) => one.id === id) === i);
  return once.length === 0 ? last : { ...(last as object), [interruptKey]: once };
}

function interruptsOf(output: unknown): readonly Interrupt[] {
  const found = (output as Record<string, unknown> | null | undefined)?.[interruptKey];
  return Array.isArray(found) ? (found as Interrupt[]) : [];
}

function questionOf(value: unknown): Question {
  if (typeof value === 'string') return human(typed<unknown>(), value);
  return human(typed<unknown>(), { prompt: 'The graph asks.', context: value });
}

/** What a `Command` resumes with: the answer, or of several each under the id of its interrupt. */
async function answersTo(
  asked: readonly Interrupt[],
  ctx: TaskContext,
  questionFor: (value: unknown) => Question,
): Promise<unknown> {
  const answers = await Promise.all(asked.map(({ value }) => ctx.ask(questionFor(value))));
  if (answers.length === 1) return answers[0];
  return Object.fromEntries(asked.map(({ id }, i) => [id, answers[i]]));
}

async function forget(graph: Graph | undefined, thread: string): Promise<void> {
  const { checkpointer } = graph ?? {};
  if (typeof checkpointer !== 'object') return;
  // Of interest to nobody; that it stays harms less than a lost result.
  await Promise.resolve(checkpointer.deleteThread?.(thread)).catch(() => undefined);
}

function same<R>(output: unknown): R {
  return output as R;
}

/** Text of a message, or of the last of the messages of a state. */
function textOf<R>(output: unknown): R {
  const { messages } = (output ?? {}) as { messages?: unknown };
  const message = Array.isArray(messages) ? messages.at(-1) : output;
  const { content, text } = (message ?? {}) as { content?: unknown; text?: unknown };
  if (content === undefined) return output as R;
  if (typeof text === 'string') return text as R;
  return (typeof content === 'string' ? content : JSON.stringify(content)) as R;
}
