import { peer } from '../kernel/peer.js';
import type { TaskContext } from '../model/context.js';
import { human, type Question } from '../model/question.js';
import { typed } from '../model/schema.js';
import { type AgentErrorKind, finalError } from './agent-error.js';
import { type AdaptedAgent, adaptAgent, type PromptMapping, promptOf } from './contract.js';

/** The part of an `Agent` of @openai/agents that is looked at. */
export interface OpenAIAgent {
  readonly name: string;
  readonly model?: unknown;
}

/** A call of a tool with `needsApproval`. */
export interface ToolApproval {
  readonly name?: string;
  /** Arguments as JSON. */
  readonly arguments?: string;
  readonly agent: OpenAIAgent;
}

/** How tasks meet an agent of @openai/agents. */
export interface OpenAIAgentMapping<I = unknown, R = string> extends PromptMapping<I> {
  /** What it is run with: a text, or items. Default: the prompt. */
  readonly input?: (input: I) => unknown;
  /** More options of its run: `maxTurns`, `session`, `context`, `conversationId`, ... Default: none, so that it remembers nothing. */
  readonly options?: (input: I, ctx: TaskContext) => object;
  /** What the `Runner` of each attempt is made with: `modelProvider`, `modelSettings`, `tracingDisabled`, ... */
  readonly runner?: object;
  /** The result of the native one. Default: its `finalOutput`. With it there is no stream of texts. */
  readonly result?: (native: unknown) => R | PromiseLike<R>;
  /** Asks models for streams. Default false. */
  readonly stream?: boolean;
  /** The question for a tool with `needsApproval`; the answer true approves. Default: asks by name, with the arguments. */
  readonly question?: (call: ToolApproval) => Question<boolean>;
}

/**
 * An agent of the OpenAI Agents SDK (`@openai/agents`) as an agent of rxhive, handoffs included. Tools and handoffs are `log`
 * events. A tool that needs approval asks people (`ctx.ask`). A guardrail that trips is an error of kind `content-filter`.
 *
 * ```ts
 * const triage = fromOpenAIAgent(new Agent({ name: 'Triage', model: 'gpt-5', tools, handoffs }), { stream: true });
 * ```
 * The OpenAI client tries again by itself, holding the slot: `setDefaultOpenAIClient(new OpenAI({ maxRetries: 0 }))`.
 */
export function fromOpenAIAgent<I = unknown, R = string>(
  agent: OpenAIAgent,
  mapping: OpenAIAgentMapping<I, R> = {},
): AdaptedAgent<I, R> {
  const { prompt = promptOf, result, stream = false, question = mayCall } = mapping;
  const inputOf = mapping.input ?? prompt;
  return adaptAgent<I, R>(async (input, ctx, signal, tell) => {
    const { Runner, RunContext } = await peer<AgentsModule>(
      '@openai/agents',
      'rxhive/openai-agents',
      '@openai/agents zod',
    );
    const { context: given, ...more } = (mapping.options?.(input, ctx) ?? {}) as { context?: unknown };
    const context = given instanceof RunContext ? given : new RunContext(given);
    const used = new AgentUsage(ctx, signal, context, mapping.model);
    const runner = new Runner(mapping.runner);
    runner.on('agent_tool_start', (_, speaker, tool) => {
      used.settle(speaker);
      if (!signal.aborted) ctx.log(`tool ${tool.name}`);
    });
    runner.on('agent_handoff', (_, speaker, next) => {
      used.settle(speaker);
      if (!signal.aborted) ctx.log(`handoff to ${next.name}`);
    });
    const run = async (from: unknown): Promise<NativeResult> => {
      const native = await runner.run(agent, from, { ...more, context, signal, stream });
      if (stream)
        await follow(native, used, result === undefined ? (text) => tell.value(text as R) : undefined);
      for (const { providerData } of native.rawResponses) used.model = providerData?.model;
      return native;
    };
    try {
      let native = await run(inputOf(input));
      while (native.interruptions.length > 0) {
        const { interruptions, state } = native;
        const answers = await Promise.all(interruptions.map((call) => ctx.ask(question(call))));
        for (const [i, call] of interruptions.entries())
          if (answers[i] === true) state.approve(call);
          else state.reject(call);
        native = await run(state);
      }
      return result === undefined ? (native.finalOutput as R) : await result(native);
    } catch (error) {
      throw understood(ctx.taskId, error);
    } finally {
      used.settle(agent, true);
    }
  });
}

interface AgentsModule {
  readonly Runner: new (config?: object) => NativeRunner;
  readonly RunContext: new (context: unknown) => NativeContext;
}

interface NativeRunner {
  run(agent: OpenAIAgent, input: unknown, options: object): Promise<NativeResult>;
  on(
    event: 'agent_tool_start' | 'agent_handoff',
    listener: (context: unknown, agent: OpenAIAgent, other: { readonly name: string }) => void,
  ): unknown;
}

interface NativeContext {
  readonly usage: { readonly inputTokens: number; readonly outputTokens: number };
}

interface NativeResult {
  readonly finalOutput: unknown;
  readonly interruptions: readonly ToolApproval[];
  readonly state: { approve(call: ToolApproval): void; reject(call: ToolApproval): void };
  readonly rawResponses: readonly { readonly providerData?: { readonly model?: unknown } }[];
}

interface StreamEvent {
  readonly type: string;
  readonly data?: {
    readonly type: string;
    readonly delta?: string;
    readonly providerData?: { readonly model?: unknown; readonly response?: { readonly model?: unknown } };
  };
}

/** Tells the text so far of each answer of a model. */
async function follow(
  native: NativeResult,
  used: AgentUsage,
  told: ((text: string) => void) | undefined,
): Promise<void> {
  let text = '';
  for await (const { type, data } of native as unknown as AsyncIterable<StreamEvent>) {
    if (type !== 'raw_model_stream_event' || data === undefined) continue;
    if (data.type === 'response_started') {
      text = '';
      used.model = data.providerData?.model ?? data.providerData?.response?.model;
    }
    if (data.type !== 'output_text_delta' || data.delta === undefined || data.delta === '') continue;
    text += data.delta;
    told?.(text);
  }
  await (native as unknown as { readonly completed: Promise<void> }).completed;
}

/** Reports what a run has used beyond what was reported before. */
class AgentUsage {
  readonly #ctx: TaskContext;
  readonly #signal: AbortSignal;
  readonly #context: NativeContext;
  readonly #named: string | undefined;
  #model: string | undefined;
  #input: number;
  #output: number;

  constructor(ctx: TaskContext, signal: AbortSignal, context: NativeContext, named: string | undefined) {
    this.#ctx = ctx;
    this.#signal = signal;
    this.#context = context;
    this.#named = named;
    this.#input = context.usage.inputTokens;
    this.#output = context.usage.outputTokens;
  }

  /** What an answer says of the model that made it. */
  set model(name: unknown) {
    if (typeof name === 'string') this.#model = name;
  }

  /** While the run goes on, what no model is known for waits: answers tell it at the end. */
  settle({ model: asked }: OpenAIAgent, atEnd = false): void {
    const { inputTokens, outputTokens } = this.#context.usage;
    const used = { inputTokens: inputTokens - this.#input, outputTokens: outputTokens - this.#output };
    if (this.#signal.aborted || used.inputTokens + used.outputTokens <= 0) return;
    const model =
      this.#named ?? this.#model ?? (typeof asked === 'string' && asked !== '' ? asked : undefined);
    if (model === undefined && !atEnd) return;
    this.#input = inputTokens;
    this.#output = outputTokens;
    this.#ctx.usage(model === undefined ? used : { ...used, model });
  }
}

function mayCall({ agent, name, arguments: given }: ToolApproval): Question<boolean> {
  return human(typed<boolean>(), { prompt: `May "${agent.name}" call ${name ?? 'a tool'}?`, context: given });
}

/** By name, as the classes of several copies of the SDK differ. */
const kinds: Readonly<Record<string, AgentErrorKind>> = {
  InputGuardrailTripwireTriggered: 'content-filter',
  OutputGuardrailTripwireTriggered: 'content-filter',
  ToolInputGuardrailTripwireTriggered: 'content-filter',
  ToolOutputGuardrailTripwireTriggered: 'content-filter',
  ModelRefusalError: 'content-filter',
  UserError: 'other',
};

function understood(taskId: string, error: unknown): unknown {
  const kind = error instanceof Error ? kinds[error.constructor.name] : undefined;
  if (kind === undefined) return error;
  return finalError(taskId, kind, error);
}
