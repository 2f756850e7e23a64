import { defer, firstValueFrom, from, of } from 'rxjs';

/** An answer that is there at once, or comes later. */
export type MaybePromise<T> = T | PromiseLike<T>;

/** True for an answer that comes later; false for one that cannot even be asked. */
export function isPromise<T>(answer: MaybePromise<T>): answer is PromiseLike<T> {
  try {
    return typeof (answer as PromiseLike<T> | null | undefined)?.then === 'function';
  } catch {
    return false;
  }
}

/** Goes on with an answer; at once where it is there, so that who answers at once costs no turn of the event loop. */
export function thenMaybe<T, R>(
  answer: MaybePromise<T>,
  next: (value: T) => MaybePromise<R>,
): MaybePromise<R> {
  return isPromise(answer) ? answer.then(next) : next(answer);
}

/**
 * Calls `done` with the answer, or `failed` with what was thrown instead; at once where it is there. Calls one of them once: what
 * is no true promise may say both, and twice.
 */
export function settleMaybe<T>(
  make: () => MaybePromise<T>,
  done: (value: T) => void,
  failed: (error: unknown) => void,
): void {
  let answer: MaybePromise<T>;
  try {
    answer = make();
  } catch (error) {
    failed(error);
    return;
  }
  if (!isPromise(answer)) {
    done(answer);
    return;
  }
  let told = false;
  const once =
    <A>(tell: (what: A) => void) =>
    (what: A) => {
      if (!told) {
        told = true;
        tell(what);
      }
    };
  try {
    answer.then(once(done), once(failed));
  } catch (error) {
    once(failed)(error);
  }
}

/** An answer as a promise, which also carries what `make` throws. */
export function toPromise<T>(make: () => MaybePromise<T>): Promise<T> {
  return firstValueFrom(
    defer(() => {
      const answer = make();
      return isPromise(answer) ? from(answer) : of(answer);
    }),
  );
}
