import { from, Observable, type ObservableInput, type OperatorFunction, type Subscription } from 'rxjs';
import { Fifo } from '../kernel/fifo.js';
import { checked, number } from '../kernel/option-rules.js';

/** How much may wait for a slow consumer. */
export interface BufferedOptions {
  /** Values kept while the consumer is busy; beyond that the oldest are dropped. Whole number from 1. Default 10,000. */
  readonly capacity?: number;
}

/**
 * `concatMap` for consumers that are slower than what they consume, in bounded memory: values wait while one is worked
 * on; when too many do, the oldest are dropped and the next call is told how many.
 *
 * ```ts
 * run.events$.pipe(buffered((event, dropped) => send({ event, dropped }), { capacity: 1_000 })).subscribe();
 * ```
 * @throws RxhiveError INVALID_OPTION
 */
export function buffered<T, R>(
  consume: (value: T, dropped: number) => ObservableInput<R>,
  { capacity = 10_000 }: BufferedOptions = {},
): OperatorFunction<T, R> {
  checked(capacity, 'buffered(): capacity', number(1, 'whole'));
  return (source) =>
    new Observable((subscriber) => {
      const waiting = new Fifo<T>();
      let dropped = 0;
      let ended = false;
      let busy = false;
      let pumping = false;
      let work: Subscription | undefined;
      const take = (): void => {
        const value = waiting.shift() as T;
        const lost = dropped;
        dropped = 0;
        busy = true;
        try {
          work = from(consume(value, lost)).subscribe({
            next: (result) => subscriber.next(result),
            error: (error: unknown) => subscriber.error(error),
            complete: () => {
              busy = false;
              pump();
            },
          });
        } catch (error) {
          subscriber.error(error);
        }
      };
      // A loop, not recursion: a consumer may be done at once.
      const pump = (): void => {
        if (pumping) return;
        pumping = true;
        while (!busy && waiting.size > 0 && !subscriber.closed) take();
        pumping = false;
        if (ended && !busy && waiting.size === 0) subscriber.complete();
      };
      const reading = source.subscribe({
        next: (value) => {
          if (waiting.size === capacity) {
            waiting.shift();
            dropped += 1;
          }
          waiting.push(value);
          pump();
        },
        error: (error: unknown) => subscriber.error(error),
        complete: () => {
          ended = true;
          pump();
        },
      });
      return () => {
        reading.unsubscribe();
        work?.unsubscribe();
      };
    });
}
