import { firstValueFrom, Observable } from 'rxjs';
import type { Clock } from './clock.js';
import { isPromise, type MaybePromise } from './maybe-promise.js';

/** Ms before the second try, at most; each wait is twice the one before, up to the longest. */
const shortest = 2;
const longest = 500;
/** Ms after which a failure counts. */
const patience = 30_000;

/**
 * Calls `work`, and again for up to 30 s as long as it fails with what `mayPass`. Nothing stands still meanwhile. What comes at
 * once, an answer or a failure that counts, is handed on at once.
 */
export function patient<T>(
  clock: Clock,
  work: () => MaybePromise<T>,
  mayPass: (error: unknown) => boolean,
): MaybePromise<T> {
  const until = clock.now() + patience;
  const again = (error: unknown, wait: number): PromiseLike<T> => {
    if (!mayPass(error) || clock.now() + wait > until) throw error;
    const waited = new Observable<void>((subscriber) => {
      // Not all at once who wait for the same.
      const timer = clock.after(wait * (0.5 + 0.5 * clock.random()), () => subscriber.next());
      return () => clock.cancel(timer);
    });
    return firstValueFrom(waited).then(() => attempt(Math.min(2 * wait, longest)));
  };
  const attempt = (wait: number): MaybePromise<T> => {
    let answer: MaybePromise<T>;
    try {
      answer = work();
    } catch (error) {
      return again(error, wait);
    }
    return isPromise(answer) ? answer.then(undefined, (error: unknown) => again(error, wait)) : answer;
  };
  return attempt(shortest);
}
