import { firstValueFrom, Observable } from 'rxjs';
import type { Clock } from './clock.js';
import type { MaybePromise } from './maybe-promise.js';

/** Steps between two looks at the event loop. */
const steps = 16;

/**
 * Does work in steps. At once, unless it keeps the event loop for a slice in real time: then the rest has turns of its own, and
 * the result comes later. What a step throws is thrown, or rejects.
 */
export function inSlices<T>(
  clock: Pick<Clock, 'overdue' | 'nextTurn'>,
  work: Iterator<unknown, T>,
): MaybePromise<T> {
  for (let n = 1; ; n++) {
    const step = work.next();
    if (step.done === true) return step.value;
    if (n % steps === 0 && clock.overdue) {
      const turn = new Observable<void>((subscriber) => clock.nextTurn(() => subscriber.next()));
      return firstValueFrom(turn).then(() => inSlices(clock, work));
    }
  }
}
