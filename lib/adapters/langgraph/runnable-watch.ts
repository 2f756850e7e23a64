import type { TaskContext, Usage } from '../../model/context.js';
import { type Progress, usageOf } from '../contract.js';

/** What a {@link RunnableWatch} is to do. */
export interface RunnableWatchOptions {
  /** Name of the model, for `prices`. Default: what the model says. */
  readonly model: string | undefined;
  /** Where texts of models go; undefined: models need not stream. */
  readonly texts: Progress<string> | undefined;
  /** Nodes whose models are heard. Default: all. */
  readonly nodes: readonly string[] | undefined;
}

type Metadata = Readonly<Record<string, unknown>> | undefined;
type Extra = { readonly invocation_params?: { readonly model?: unknown } } | undefined;

/** The part of an answer of a model that is read. */
interface Generations {
  readonly generations?: readonly (readonly {
    readonly message?: {
      readonly usage_metadata?: { readonly input_tokens?: number; readonly output_tokens?: number };
      readonly response_metadata?: Readonly<Record<string, unknown>>;
    };
  }[])[];
  readonly llmOutput?: {
    readonly tokenUsage?: { readonly promptTokens?: number; readonly completionTokens?: number };
  };
}

/** A model that runs now. */
interface Speaker {
  readonly model: string | undefined;
  /** Its texts are told. */
  readonly heard: boolean;
  text: string;
}

/** Tags of LangGraph for models that are not to be streamed. */
const silent: ReadonlySet<string> = new Set(['nostream', 'langsmith:nostream']);

/** A callback handler of LangChain for one attempt: texts as values, tokens as usage, nodes and tools as `log` events. */
export class RunnableWatch {
  readonly name = 'rxhive';
  /** Is called in order, and before the run goes on. */
  readonly awaitHandlers = true;
  /** Lets models stream also where nobody iterates. */
  readonly lc_prefer_streaming: boolean;
  readonly #ctx: TaskContext;
  readonly #signal: AbortSignal;
  readonly #options: RunnableWatchOptions;
  readonly #speakers = new Map<string, Speaker>();

  constructor(ctx: TaskContext, signal: AbortSignal, options: RunnableWatchOptions) {
    this.#ctx = ctx;
    this.#signal = signal;
    this.#options = options;
    this.lc_prefer_streaming = options.texts !== undefined;
  }

  /** LangChain copies handlers for the runs within a run: all of them are this one. */
  copy(): this {
    return this;
  }

  handleChatModelStart(
    _model: unknown,
    _messages: unknown,
    runId: string,
    _parent?: string,
    extra?: Extra,
    tags: readonly string[] = [],
    metadata?: Metadata,
  ): void {
    const { nodes } = this.#options;
    const model = extra?.invocation_params?.model ?? metadata?.ls_model_name;
    const heard =
      !tags.some((tag) => silent.has(tag)) &&
      (nodes === undefined || nodes.includes(String(metadata?.langgraph_node)));
    this.#speakers.set(runId, { model: typeof model === 'string' ? model : undefined, heard, text: '' });
  }

  /** A model of texts, not of messages. */
  handleLLMStart(
    model: unknown,
    prompts: unknown,
    runId: string,
    parent?: string,
    extra?: Extra,
    tags?: readonly string[],
    metadata?: Metadata,
  ): void {
    this.handleChatModelStart(model, prompts, runId, parent, extra, tags, metadata);
  }

  handleLLMNewToken(token: unknown, _at: unknown, runId: string): void {
    const speaker = this.#speakers.get(runId);
    if (this.#signal.aborted || speaker?.heard !== true || typeof token !== 'string' || token === '') return;
    speaker.text += token;
    this.#options.texts?.value(speaker.text);
  }

  handleLLMEnd(output: Generations, runId: string): void {
    const speaker = this.#speakers.get(runId);
    this.#speakers.delete(runId);
    if (this.#signal.aborted) return;
    this.#ctx.usage(usageIn(output, this.#options.model, speaker?.model));
  }

  handleLLMError(_error: unknown, runId: string): void {
    this.#speakers.delete(runId);
  }

  handleToolStart(
    _tool: unknown,
    input: unknown,
    _runId: string,
    _parent?: string,
    _tags?: unknown,
    _metadata?: Metadata,
    name?: string,
  ): void {
    if (!this.#signal.aborted) this.#ctx.log(`tool ${name ?? ''}`.trimEnd(), input);
  }

  handleChainStart(
    _chain: unknown,
    _inputs: unknown,
    _runId: string,
    _parent?: string,
    tags: readonly string[] = [],
    metadata?: Metadata,
    _type?: unknown,
    name?: string,
  ): void {
    const node = metadata?.langgraph_node;
    // Of all that runs within a node only the node itself has a step.
    const isNode =
      typeof node === 'string' && node === name && tags.some((tag) => tag.startsWith('graph:step:'));
    if (isNode && node !== '__start__' && !this.#signal.aborted) this.#ctx.log(`node ${node}`);
  }
}

function usageIn(
  { generations, llmOutput }: Generations,
  named: string | undefined,
  asked: string | undefined,
): Usage {
  let inputTokens = 0;
  let outputTokens = 0;
  let said: unknown;
  for (const { message } of generations?.flat() ?? []) {
    inputTokens += message?.usage_metadata?.input_tokens ?? 0;
    outputTokens += message?.usage_metadata?.output_tokens ?? 0;
    const facts = message?.response_metadata;
    said ??= facts?.model_name ?? facts?.model;
  }
  const model = named ?? (typeof said === 'string' ? said : asked);
  if (inputTokens + outputTokens > 0) return usageOf(inputTokens, outputTokens, model);
  return usageOf(llmOutput?.tokenUsage?.promptTokens, llmOutput?.tokenUsage?.completionTokens, model);
}
