import { Observable, type Observer, Subscriber, type Subscription, type TeardownLogic } from 'rxjs';
import { disown, notify } from './guard.js';

type Lifted = { source?: unknown; operator?: unknown };

/**
 * An Observable whose subscribers cannot harm anybody: what one throws goes to `onFailure` instead of
 * bringing the process down, and the others get their values. Holds for everything piped from it too.
 */
export class GuardedStream<T> extends Observable<T> {
  readonly #onFailure: (error: unknown) => void;

  constructor(onFailure: (error: unknown) => void, subscribe?: (subscriber: Subscriber<T>) => TeardownLogic) {
    super(subscribe as (this: Observable<T>, subscriber: Subscriber<T>) => TeardownLogic);
    this.#onFailure = onFailure;
    // rxjs calls lift for every operator of a pipe; the result has to be guarded as well.
    (this as unknown as { lift: unknown }).lift = (operator: unknown): GuardedStream<unknown> => {
      const lifted = new GuardedStream<unknown>(onFailure);
      (lifted as unknown as Lifted).source = this;
      (lifted as unknown as Lifted).operator = operator;
      return lifted;
    };
  }

  override subscribe(observerOrNext?: Partial<Observer<T>> | ((value: T) => void) | null): Subscription;
  override subscribe(
    next?: ((value: T) => void) | null,
    error?: ((error: unknown) => void) | null,
    complete?: (() => void) | null,
  ): Subscription;
  override subscribe(
    observerOrNext?: Partial<Observer<T>> | ((value: T) => void) | null,
    error?: ((error: unknown) => void) | null,
    complete?: (() => void) | null,
  ): Subscription {
    // An operator inside a pipe: it turns errors into notifications itself.
    if (observerOrNext instanceof Subscriber) return super.subscribe(observerOrNext);
    const own: Partial<Observer<T>> =
      typeof observerOrNext === 'function' || observerOrNext === null || observerOrNext === undefined
        ? {
            ...(observerOrNext && { next: observerOrNext }),
            ...(error && { error }),
            ...(complete && { complete }),
          }
        : observerOrNext;
    const failed = this.#onFailure;
    return super.subscribe({
      next: (value) => {
        try {
          const answer: unknown = own.next?.(value);
          if (answer !== undefined) disown(answer, failed);
        } catch (error) {
          failed(error);
        }
      },
      error: (failure) =>
        notify(() => (own.error === undefined ? failed(failure) : own.error(failure)), failed),
      complete: () => notify(() => own.complete?.(), failed),
    });
  }
}
