import type { WorkflowEvent } from '../model/event.js';
import { type AdaptedAgent, adaptAgent, type PromptMapping, promptOf, usageOf } from './contract.js';
import { type AskedQuestion, callFlow, type FlowToolOptions, toolOf } from './flow-tool.js';
import type { Offer } from './offer.js';

export type { AskedQuestion, FlowToolOptions, JsonSchema } from './flow-tool.js';
export type { OfferOptions } from './offer.js';

/** The part of an AI SDK result that is used. */
interface Generated {
  readonly text: string | PromiseLike<string>;
  readonly totalUsage: unknown;
  readonly response: unknown;
}

/** An agent of the AI SDK: a `ToolLoopAgent`, or `{ generate, stream }` of your own. It keeps no memory. */
export interface AiSdkAgent {
  generate(options: never): PromiseLike<unknown>;
  stream(options: never): unknown;
}

/** How tasks meet an agent of the AI SDK. */
export interface AiSdkMapping<I, R> extends PromptMapping<I> {
  /** What it is called with beside `abortSignal`. Default: `{ prompt }`. */
  readonly options?: (input: I) => object;
  /** The result, made of the native one. Default: its text. With it there is no stream of texts. */
  readonly result?: (native: unknown) => R | PromiseLike<R>;
  /** Calls `stream` instead of `generate`. Default false. */
  readonly stream?: boolean;
  /** Lets the AI SDK try again by itself first, holding the slot. Default false: rxhive's `retry` does it. */
  readonly ownRetries?: boolean;
}

/**
 * An agent of the AI SDK (6 or newer) as an agent of rxhive.
 *
 * ```ts
 * const ask = fromAiSdk(new ToolLoopAgent({ model: openai('gpt-5'), tools }), { stream: true });
 * const plain = fromAiSdk({ generate: (o) => generateText({ model, ...o }), stream: (o) => streamText({ model, ...o }) });
 * ```
 */
export function fromAiSdk<I = unknown, R = string>(
  agent: AiSdkAgent,
  mapping: AiSdkMapping<I, R> = {},
): AdaptedAgent<I, R> {
  const { prompt = promptOf, result, stream = false } = mapping;
  const optionsOf = mapping.options ?? ((input: I): object => ({ prompt: prompt(input) }));
  return adaptAgent<I, R>(async (input, ctx, abortSignal, tell) => {
    const retries = mapping.ownRetries === true ? {} : { maxRetries: 0 };
    const options = { ...retries, ...optionsOf(input), abortSignal } as never;
    const native = (await (stream
      ? agent.stream({ ...(options as object), onError: ignore } as never)
      : agent.generate(options))) as Generated;
    if (stream) {
      let text = '';
      for await (const part of (native as unknown as { fullStream: AsyncIterable<Part> }).fullStream) {
        if (part.type === 'error') throw part.error;
        if (part.type === 'start-step') text = '';
        if (part.type !== 'text-delta' || part.text === undefined || part.text === '') continue;
        text += part.text;
        if (result === undefined) tell.value(text as R);
      }
    }
    const [usage, response] = (await Promise.all([native.totalUsage, native.response])) as [
      { readonly inputTokens?: number; readonly outputTokens?: number } | undefined,
      { readonly modelId?: string } | undefined,
    ];
    ctx.usage(usageOf(usage?.inputTokens, usage?.outputTokens, mapping.model ?? response?.modelId));
    return result === undefined ? ((await native.text) as R) : await result(native);
  });
}

interface Part {
  readonly type: string;
  readonly text?: string;
  readonly error?: unknown;
}

/** Errors of a stream are thrown where it is read; the SDK would print them too. */
function ignore(): void {}

/** How a workflow is a tool of the AI SDK. `C`: what the model calls it with. */
export interface AiToolOptions<C> extends FlowToolOptions<C> {
  /**
   * Asks a person what the workflow wants to know; `signal` is aborted when there is nothing to answer any more. Default: a
   * question without a deadline fails the call.
   */
  readonly ask?: (question: AskedQuestion, signal: AbortSignal) => PromiseLike<unknown>;
  /** Each event of a run. */
  readonly event?: (event: WorkflowEvent) => void;
}

/** A tool as the AI SDK takes it. */
export interface AiTool<C> {
  readonly description: string;
  /** A Standard Schema that tells its JSON schema. */
  readonly inputSchema: {
    readonly '~standard': {
      readonly version: 1;
      readonly vendor: string;
      readonly validate: (value: unknown) => { readonly value: C };
      readonly jsonSchema: { input(): Record<string, unknown>; output(): Record<string, unknown> };
    };
  };
  readonly execute: (
    call: C,
    options: { readonly abortSignal?: AbortSignal | undefined },
  ) => Promise<unknown>;
}

/**
 * A workflow or an orchestrator as a tool of the AI SDK (6 or newer): each call of the model is a run, an abort cancels
 * it, its answer is that of the task that no other depends on. A run that fails is a failed call: the model reads why.
 *
 * ```ts
 * const agent = new ToolLoopAgent({ model, tools: { research: asTool(flow, { description: 'Looks at many sources' }) } });
 * ```
 */
export function asTool<C = Readonly<Record<string, unknown>>>(
  offer: Offer<C>,
  options: AiToolOptions<C> = {},
): AiTool<C> {
  const { ask, event } = options;
  const { description, schema, input } = toolOf(offer, options, 'Runs a workflow.');
  const jsonSchema = (): Record<string, unknown> => ({ ...schema });
  return {
    description,
    inputSchema: {
      '~standard': {
        version: 1,
        vendor: 'rxhive',
        // The run checks it: what does not fit is a failed call, and the model tries again.
        validate: (value) => ({ value: value as C }),
        jsonSchema: { input: jsonSchema, output: jsonSchema },
      },
    },
    execute: (call, { abortSignal = new AbortController().signal }) =>
      callFlow({ ...options, offer, input }, call, {
        signal: abortSignal,
        ask,
        ...(event !== undefined && { event }),
      }),
  };
}
