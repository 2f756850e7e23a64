import { from, type ObservableInput, Subject, takeUntil } from 'rxjs';
import { LimitExceededError } from '../kernel/errors.js';
import { bag, checked, number, oneOf } from '../kernel/option-rules.js';

/** What becomes of values for which nobody has asked yet: an Observable cannot be slowed down. */
export interface WaitingOptions {
  /** Values that may wait. Whole number from 0, or Infinity. Default 10,000. */
  readonly capacity?: number;
  /** One value more: ends the stream with LIMIT_EXCEEDED after those that wait, or drops the oldest of them, or itself. Default `error`. */
  readonly onFull?: 'error' | 'drop-oldest' | 'drop-newest';
}

const waitingRules = bag<WaitingOptions>('an object of options', {
  capacity: number(0, 'whole', 'infinite'),
  onFull: oneOf(['error', 'drop-oldest', 'drop-newest'], 'give "error", "drop-oldest" or "drop-newest"'),
});

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
  checked(options, 'options', waitingRules);
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
  readonly #capacity: number;
  readonly #onFull: WaitingOptions['onFull'];
  /** Values nobody has asked for, from `#first` on. */
  #values: T[] = [];
  #first = 0;
  /** Those who have asked for values that are not there. */
  readonly #asking: Asking<T>[] = [];
  /** Nothing comes any more. */
  #end: { readonly error?: unknown } | undefined;
  readonly #leave$ = new Subject<void>();

  constructor(values$: ObservableInput<T>, { capacity = 10_000, onFull = 'error' }: WaitingOptions) {
    this.#capacity = capacity;
    this.#onFull = onFull;
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
      if (this.#first < this.#values.length) answer({ done: false, value: this.#shift() });
      else if (this.#end === undefined) this.#asking.push({ answer, fail });
      else this.#tellEnd({ answer, fail });
    });
  }

  return(): Promise<IteratorResult<T>> {
    this.#values = [];
    this.#first = 0;
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
    if (this.#values.length - this.#first < this.#capacity) {
      this.#values.push(value);
      return;
    }
    if (this.#onFull === 'error') {
      const message = `More than ${this.#capacity} values wait to be read; read faster, raise capacity, or set onFull.`;
      this.#finish({ error: new LimitExceededError('capacity', this.#capacity, message) });
      this.#leave$.next();
    } else if (this.#onFull === 'drop-oldest' && this.#capacity > 0) {
      this.#shift();
      this.#values.push(value);
    }
  }

  #shift(): T {
    const value = this.#values[this.#first] as T;
    this.#values[this.#first] = undefined as T;
    this.#first += 1;
    // In pieces: moving all for each value would cost more than the value.
    if (this.#first > 1_000 && this.#first * 2 > this.#values.length) {
      this.#values.splice(0, this.#first);
      this.#first = 0;
    }
    return value;
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
