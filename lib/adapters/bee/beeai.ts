import { onAbort } from '../../kernel/abort.js';
import type { TaskContext } from '../../model/context.js';
import {
  type AdaptedAgent,
  type AgentSource,
  adaptAgent,
  dataOf,
  type PromptMapping,
  promptOf,
  usageOf,
  withAgent,
} from '../contract.js';
import { apart, copyBeeAgent, withoutCache } from './bee-copy.js';
import { BeeValidators } from './bee-validators.js';

export type { FlowEvent, OfferOptions } from '../offer.js';
export {
  asBeeAgent,
  type BeeAgentOptions,
  type BeeCall,
  type FlowAgent,
  type FlowAgentEvents,
  type FlowAgentInput,
  type FlowAgentOutput,
} from './as-bee-agent.js';
export { asBeeTool, type BeeToolOptions } from './as-bee-tool.js';

/** The part of a BeeAI event that is looked at. */
export interface BeeEvent {
  readonly name: string;
  /** Dotted, such as `backend.openai.chat.success`. */
  readonly path: string;
  readonly creator: object;
}

/** The part of a BeeAI emitter that is used. */
export interface BeeEmitter {
  match(
    matcher: (event: BeeEvent) => boolean,
    callback: (data: never, event: BeeEvent) => unknown,
    options?: { readonly matchNested?: boolean; readonly isBlocking?: boolean },
  ): unknown;
}

/** What `agent.run()`, `workflow.run()` and `tool.run()` of BeeAI give: a lazy promise that can be observed. */
export interface BeeRun<R> extends PromiseLike<R> {
  observe(fn: (emitter: unknown) => unknown): BeeRun<R>;
}

/** The part of a BeeAI agent that is used; every `BaseAgent` has it. */
export interface BeeAgent<I = never, R = unknown> {
  run(input: I, options?: { readonly signal?: AbortSignal }): BeeRun<R>;
  clone?(): Promise<unknown>;
}

/** How tasks meet a BeeAI agent. */
export interface BeeAgentMapping<I = unknown, R = string> extends PromptMapping<I> {
  /** The input of the native agent. Default: `{ prompt }`. */
  readonly input?: (input: I) => unknown;
  /** More options for the run of the native agent, such as `{ execution: { maxIterations: 5 } }`. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** The result of what the agent gives. Default: the text of its last message. With it there is no stream of texts. */
  readonly result?: (output: unknown) => R;
  /** Asks the model for a stream, so that final answers come word by word. Default: as the agent's model is set. */
  readonly stream?: boolean;
  /**
   * Refusals, broken answers and lost connections come to rxhive at once, so that its retry, limiters and breakers see
   * them; true: BeeAI's model, and a ReActAgent its step, first tries again by itself, holding the slot. Default false.
   */
  readonly ownRetries?: boolean;
}

/**
 * A BeeAI agent (RequirementAgent, ReActAgent, ToolCallingAgent, any `BaseAgent`) as an agent of rxhive.
 *
 * An instance is a template: each attempt runs its own copy, with the memory that the template has at that moment, so
 * any number run at once. A function makes a new one for each attempt, `agentPool(make, size)` keeps some.
 * BeeAI's steps and tools are `log` events of the task, its tokens are usage.
 *
 * ```ts
 * const research = fromBeeAgent(new RequirementAgent({ llm, tools, memory: new UnconstrainedMemory() }));
 * flow.task('bees', { run: (_, ctx) => research('What do bees eat?', ctx), retry: 3 });
 * ```
 */
export function fromBeeAgent<I = unknown, R = string>(
  agent: AgentSource<BeeAgent>,
  mapping: BeeAgentMapping<I, R> = {},
): AdaptedAgent<I, R> {
  const { prompt = promptOf, result } = mapping;
  const inputOf = mapping.input ?? ((input: I): unknown => ({ prompt: prompt(input) }));
  return adaptAgent<I, R>((input, ctx, signal, tell) =>
    withAgent(agent, copyBeeAgent, signal, async (native) => {
      const validators = await BeeValidators.load();
      apart(native, validators);
      const told = (text: string): void => {
        if (result === undefined) tell.value(text as R);
      };
      const run = native.run(inputOf(input) as never, { ...mapping.options, signal });
      const output = await run.observe((emitter) => {
        watch(emitter as BeeEmitter, ctx, mapping, { told, validators });
      });
      return result === undefined ? (textOf(output) as R) : result(output);
    }),
  );
}

/** The part of a BeeAI `Workflow` that is used. */
export interface BeeWorkflow {
  run(state: never, options?: { readonly signal?: AbortSignal }): BeeRun<unknown>;
}

/** How a task meets a BeeAI workflow. */
export interface BeeWorkflowMapping<I, R> extends Pick<BeeAgentMapping, 'model' | 'ownRetries'> {
  /** Its first state. Default: the input of the task; of an `AgentTask` its `data`. */
  readonly state?: (input: I) => unknown;
  /** The result of its run. Default: `run.result`. */
  readonly result?: (run: { readonly result: unknown; readonly state: unknown }) => R;
}

/**
 * A whole BeeAI `Workflow` as one task. Its steps are `log` events. The agents within it are shared by all tasks that run
 * it: a workflow that holds agents wants a function that makes it.
 */
export function fromBeeWorkflow<I = unknown, R = unknown>(
  workflow: BeeWorkflow | (() => BeeWorkflow | PromiseLike<BeeWorkflow>),
  mapping: BeeWorkflowMapping<I, R> = {},
): AdaptedAgent<I, R> {
  const { state = dataOf, result = (run: { readonly result: unknown }): R => run.result as R } = mapping;
  return adaptAgent<I, R>(async (input, ctx, signal) => {
    const native = typeof workflow === 'function' ? await workflow() : workflow;
    const validators = await BeeValidators.load();
    const run = native.run(state(input) as never, { signal });
    const ended = await run.observe((emitter) => watch(emitter as BeeEmitter, ctx, mapping, { validators }));
    return result(ended as { readonly result: unknown; readonly state: unknown });
  });
}

/** The part of a BeeAI tool that is used. */
export interface BeeTool {
  readonly name: string;
  run(input: never, options?: { readonly signal?: AbortSignal }): BeeRun<unknown>;
}

/** A BeeAI tool as a task of its own; the result is its text, or what `result` makes of its output. */
export function fromBeeTool<I = unknown, R = string>(
  tool: BeeTool,
  mapping: { readonly input?: (input: I) => unknown; readonly result?: (output: unknown) => R } = {},
): AdaptedAgent<I, R> {
  const { input: inputOf = dataOf, result = (output: unknown): R => textOf(output) as R } = mapping;
  return adaptAgent<I, R>(async (input, ctx, signal) => {
    const validators = await BeeValidators.load();
    validators?.tool(tool);
    const run = tool.run(inputOf(input) as never, { signal });
    return result(await run.observe((emitter) => watch(emitter as BeeEmitter, ctx, {}, { validators })));
  });
}

/** The part of a BeeAI `RunContext` that a middleware gets. */
export interface BeeRunContext {
  readonly emitter: BeeEmitter;
  abort(reason?: Error): void;
}

/**
 * A BeeAI middleware for those who call an agent in the body of a task: usage, steps and tools go to rxhive, and the
 * native run ends with the attempt.
 *
 * ```ts
 * run: (_, ctx) => agent.run({ prompt }).middleware(beeMiddleware(ctx))
 * ```
 */
export function beeMiddleware(
  ctx: TaskContext,
  options: Pick<BeeAgentMapping, 'model' | 'stream' | 'ownRetries'> = {},
): (run: BeeRunContext) => Promise<void> {
  return async (run) => {
    onAbort(ctx.signal, (reason) => run.abort(reason as Error));
    watch(run.emitter, ctx, options, { validators: await BeeValidators.load() });
  };
}

/** Events of chat models: their input can still be changed at `start`, and `success` has the usage. */
interface ChatStart {
  readonly input: { maxRetries?: number; stream?: boolean };
}
interface ChatSuccess {
  readonly value?: {
    readonly usage?: { readonly promptTokens?: number; readonly completionTokens?: number };
  };
}
interface ReActUpdate {
  readonly update: { readonly key: string; readonly value: unknown };
}

const steps = new Set(['start', 'success', 'error', 'retry']);
const own = { isBlocking: true };

type Watched = Pick<BeeAgentMapping, 'model' | 'stream' | 'ownRetries'>;

interface Watching {
  /** Gets the text so far. */
  readonly told?: (text: string) => void;
  readonly validators?: BeeValidators | undefined;
}

function watch(
  emitter: BeeEmitter,
  ctx: TaskContext,
  mapping: Watched,
  { told, validators }: Watching,
): void {
  follow(emitter, ctx, mapping, validators);
  if (told === undefined) return;
  // The text so far: of a RequirementAgent as it comes, of a ReActAgent from its parser.
  let text = '';
  emitter.match(
    ({ name, path }) => name === 'finalAnswer' && path.startsWith('agent.'),
    ({ delta }: { readonly delta?: string }) => {
      if (typeof delta !== 'string' || delta === '') return;
      text += delta;
      told(text);
    },
  );
  emitter.match(
    ({ name, path }) => name === 'partialUpdate' && path.startsWith('agent.'),
    ({ update }: ReActUpdate) => {
      if (update.key !== 'final_answer' || typeof update.value !== 'string' || update.value === '') return;
      text += update.value;
      told(text);
    },
  );
}

/** Watches a run and those within it, however deep: BeeAI tells a run of those directly within only. */
function follow(
  emitter: BeeEmitter,
  ctx: TaskContext,
  mapping: Watched,
  validators: BeeValidators | undefined,
): void {
  emitter.match(
    ({ path, creator }) =>
      path.endsWith('.run.start') && (creator as Partial<BeeRunContext>).emitter !== emitter,
    (_: unknown, { creator }) => {
      const { instance, emitter: inner } = creator as BeeRunContext & { readonly instance?: unknown };
      validators?.tool(instance);
      withoutCache(instance);
      follow(inner, ctx, mapping, validators);
    },
    { matchNested: true, isBlocking: true },
  );
  // Its tool for final answers is also asked to check what has been streamed.
  emitter.match(
    ({ path }) => path === 'agent.requirement.start',
    ({ request }: { readonly request?: { readonly finalAnswer?: object } }) =>
      validators?.tool(request?.finalAnswer),
    own,
  );
  const chat = (name: string) => (event: BeeEvent) =>
    event.name === name && event.path.startsWith('backend.') && event.path.endsWith(`.chat.${name}`);
  emitter.match(
    chat('start'),
    ({ input }: ChatStart) => {
      if (mapping.ownRetries !== true) input.maxRetries = 0;
      if (mapping.stream !== undefined) input.stream = mapping.stream;
    },
    own,
  );
  // A ReActAgent tries a step again by itself; answers that it cannot read are its own business.
  emitter.match(
    ({ path }) => path === 'agent.react.error',
    ({ error }: { readonly error: { readonly name?: string } }) => {
      if (mapping.ownRetries !== true && error.name !== 'LinePrefixParserError') throw error;
    },
    own,
  );
  emitter.match(
    chat('success'),
    ({ value }: ChatSuccess, { creator }) => {
      const { promptTokens, completionTokens } = value?.usage ?? {};
      const model = mapping.model ?? (creator as { modelId?: string }).modelId;
      ctx.usage(usageOf(promptTokens, completionTokens, model));
    },
    own,
  );
  emitter.match(
    ({ name, path }) => steps.has(name) && !path.includes('.run.') && !path.startsWith('run.'),
    (data: unknown, { path, creator }) => {
      const { input } = (path.startsWith('tool.') ? data : {}) as { input?: unknown };
      const { name } = creator as { name?: unknown };
      const what = path.startsWith('tool.') && typeof name === 'string' ? `${path} (${name})` : path;
      ctx.log(what, input);
    },
  );
}

/** Text of what BeeAI's agents and tools give. */
function textOf(output: unknown): string {
  const bag = (output ?? {}) as {
    readonly result?: { readonly text?: unknown };
    getTextContent?(): string;
  };
  if (typeof bag.getTextContent === 'function') return bag.getTextContent();
  const text = bag.result?.text;
  return typeof text === 'string' ? text : String(bag.result ?? output);
}
