import { type AdaptedAgent, adaptAgent, type PromptMapping, promptOf } from './contract.js';

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
    const model = mapping.model ?? response?.modelId;
    const tokens = { inputTokens: usage?.inputTokens ?? 0, outputTokens: usage?.outputTokens ?? 0 };
    ctx.usage(model === undefined ? tokens : { ...tokens, model });
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
