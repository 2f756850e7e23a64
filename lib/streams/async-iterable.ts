import { from, type ObservableInput, Subject, takeUntil } from 'rxjs';
import { Fifo } from '../kernel/fifo.js';
import { bag, checked } from '../kernel/option-rules.js';
import { goesWhenFull, usualCapacity, type WaitingOptions, waitingRules } from '../model/waiting.js';

const optionRules = bag('an object of options', waitingRules);

/**
 * The values of an Observable for `for await`. Each loop subscribes when it begins, and unsubscribes when it ends, also by
 * `break` or an error of its body.
 *
 * ```ts
 * for await (const value of toAsyncIterable(run.values$(task))) console.log(value);
 * ```
 * @throws RxhiveError INVALID_OPTION
 */
export function toAsyncIterable<T>(
  values$: ObservableInput<T>,
  options: WaitingOptions = {},
): AsyncIterable<T> {
  checked(options, 'options', optionRules);
  return { [Symbol.asyncIterator]: () => new ValueIterator(values$, options) };
}

/**
 * The values of an Observable as a stream of the Web, that is asked for one after the other. It subscribes at once, and
 * unsubscribes when the stream is cancelled. For one of Node: `Readable.from(toAsyncIterable(values$))`.
 * @throws RxhiveError INVALID_OPTION
 */
export function toReadableStream<T>(
  values$: ObservableInput<T>,
  options: WaitingOptions = {},
): ReadableStream<T> {
  const iterator = toAsyncIterable(values$, options)[Symbol.asyncIterator]();
  return new ReadableStream<T>(
    {
      pull: async (controller) => {
        const { done, value } = await iterator.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
      cancel: async () => {
        await iterator.return?.();
      },
    },
    // What waits is in one place, with one limit.
    { highWaterMark: 0 },
  );
}

interface Asking<T> {
  readonly answer: (result: IteratorResult<T>) => void;
  readonly fail: (error: unknown) => void;
}

/** One subscription. */
class ValueIterator<T> implements AsyncIterator<T> {
  readonly #options: WaitingOptions;
  /** Values nobody has asked for. */
  readonly #values = new Fifo<{ readonly value: T }>();
  /** Those who have asked for values that are not there. */
  readonly #asking: Asking<T>[] = [];
  /** Nothing comes any more. */
  #end: { readonly error?: unknown } | undefined;
  readonly #leave$ = new Subject<void>();

  constructor(values$: ObservableInput<T>, options: WaitingOptions) {
    this.#options = options;
    // A source that says all at once has to be left before `subscribe` has returned.
    from(values$)
      .pipe(takeUntil(this.#leave$))
      .subscribe({
        next: (value) => this.#take(value),
        error: (error: unknown) => this.#finish({ error }),
        complete: () => this.#finish({}),
      });
  }

  next(): Promise<IteratorResult<T>> {
    return new Promise((answer, fail) => {
      const first = this.#values.shift();
      if (first !== undefined) answer({ done: false, value: first.value });
      else if (this.#end === undefined) this.#asking.push({ answer, fail });
      else this.#tellEnd({ answer, fail });
    });
  }

  return(): Promise<IteratorResult<T>> {
    this.#values.clear();
    this.#end = {};
    this.#leave$.next();
    for (const asking of this.#asking.splice(0)) this.#tellEnd(asking);
    return Promise.resolve({ done: true, value: undefined });
  }

  #take(value: T): void {
    if (this.#end !== undefined) return;
    const asking = this.#asking.shift();
    if (asking !== undefined) {
      asking.answer({ done: false, value });
      return;
    }
    const { capacity = usualCapacity } = this.#options;
    if (this.#values.size < capacity) {
      this.#values.push({ value });
      return;
    }
    const goes = goesWhenFull('toAsyncIterable', this.#options);
    if (goes instanceof Error) {
      this.#finish({ error: goes });
      this.#leave$.next();
    } else if (goes === 'oldest' && capacity > 0) {
      this.#values.shift();
      this.#values.push({ value });
    }
  }

  #finish(end: { readonly error?: unknown }): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    for (const asking of this.#asking.splice(0)) this.#tellEnd(asking);
  }

  /** An error is told once. */
  #tellEnd({ answer, fail }: Asking<T>): void {
    const end = this.#end ?? {};
    this.#end = {};
    if ('error' in end) fail(end.error);
    else answer({ done: true, value: undefined });
  }
}
