import { from, type ObservableInput, Subject, takeUntil } from 'rxjs';
import { AskedValues } from '../kernel/asked-values.js';
import { Fifo } from '../kernel/fifo.js';
import { bag, checked } from '../kernel/option-rules.js';
import { goesWhenFull, usualCapacity, type WaitingOptions, waitingRules } from '../model/waiting.js';

const optionRules = bag('an object of options', waitingRules);

/**
 * The values of an Observable for `for await`. Each loop subscribes when it begins, and unsubscribes when it ends, also by
 * `break` or an error of its body. What can be asked, as `run.items(each)` can, is asked: nothing of it waits.
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
  if (isAsked(values$)) return values$;
  return { [Symbol.asyncIterator]: () => waitingValues(values$, options) };
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

/** One subscription to what cannot be slowed down. */
function waitingValues<T>(values$: ObservableInput<T>, options: WaitingOptions): AsyncIterator<T> {
  const { capacity = usualCapacity } = options;
  /** Values nobody has asked for. */
  const waiting = new Fifo<{ readonly value: T }>();
  const leave$ = new Subject<void>();
  const values = new AskedValues<T>(
    () => waiting.shift(),
    () => {
      waiting.clear();
      leave$.next();
    },
  );
  const take = (value: T): void => {
    if (values.over) return;
    if (waiting.size >= capacity && !values.wanted) {
      const goes = goesWhenFull('toAsyncIterable', options);
      if (goes instanceof Error) {
        values.finish({ error: goes });
        leave$.next();
      }
      if (goes !== 'oldest' || waiting.shift() === undefined) return;
    }
    waiting.push({ value });
    values.answer();
  };
  // A source that says all at once has to be left before `subscribe` has returned.
  from(values$)
    .pipe(takeUntil(leave$))
    .subscribe({
      next: take,
      error: (error: unknown) => values.finish({ error }),
      complete: () => values.finish({}),
    });
  return values;
}

function isAsked<T>(values: ObservableInput<T>): values is AsyncIterable<T> {
  return typeof values === 'object' && Symbol.asyncIterator in values;
}
