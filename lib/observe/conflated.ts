import { Observable } from 'rxjs';
import type { Clock } from '../kernel/clock.js';

/**
 * The newest of something that changes often: at once on subscribing, then at most once per turn of the event
 * loop, and last when `done$` says that nothing will change any more; who comes then has seen that at once. Nothing is kept for a slow subscriber.
 */
export function conflated<T>(
  changes$: Observable<unknown>,
  done$: Observable<unknown>,
  clock: Clock,
  read: () => T,
): Observable<T> {
  return new Observable((subscriber) => {
    let timer: ReturnType<Clock['after']> | undefined;
    const show = (): void => {
      timer = undefined;
      subscriber.next(read());
    };
    subscriber.next(read());
    subscriber.add(
      changes$.subscribe(() => {
        timer ??= clock.after(0, show);
      }),
    );
    let late = true;
    subscriber.add(
      done$.subscribe({
        next: () => {
          if (!late) show();
          subscriber.complete();
        },
        error: (error: unknown) => subscriber.error(error),
      }),
    );
    late = false;
    subscriber.add(() => clock.cancel(timer));
  });
}
