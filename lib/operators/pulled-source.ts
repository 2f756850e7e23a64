import { badReturn, disown } from '../kernel/guard.js';
import { isPromise, settleMaybe } from '../kernel/maybe-promise.js';

/** Where the values of a source go. */
export interface PullSink<T> {
  /** Nothing more is wanted now; {@link PulledSource.pull} says when it is. */
  readonly full: boolean;
  next(value: T): void;
  fail(error: unknown): void;
  complete(): void;
}

/** A source that gives a value when it is asked for one. */
export type Pulled<T> = AsyncIterable<T> | Iterable<T>;

/** Asks a source for values as long as there is room for them. */
export class PulledSource<T> {
  readonly #iterator: AsyncIterator<T> | Iterator<T>;
  readonly #sink: PullSink<T>;
  /** It is being asked. */
  #busy = false;
  #over = false;

  constructor(items: Pulled<T>, sink: PullSink<T>) {
    this.#sink = sink;
    this.#iterator =
      (items as Partial<AsyncIterable<T>>)[Symbol.asyncIterator]?.() ??
      (items as Iterable<T>)[Symbol.iterator]();
  }

  /** Takes values while there is room. A loop: a source that answers at once must not recurse. */
  pull(): void {
    if (this.#busy) return;
    this.#busy = true;
    try {
      while (!this.#over && !this.#sink.full) {
        const answer = this.#iterator.next();
        if (isPromise(answer)) {
          settleMaybe(
            () => answer,
            (one) => this.#resume(() => this.#take(one)),
            (error) => this.#resume(() => this.#broke(error)),
          );
          return;
        }
        this.#take(answer);
      }
    } catch (error) {
      this.#broke(error);
    }
    this.#busy = false;
  }

  /** Nobody wants more of it: a generator runs its `finally`. */
  leave(): void {
    if (this.#over) return;
    this.#over = true;
    try {
      disown(this.#iterator.return?.());
    } catch {
      // A hand-written iterator may throw; nobody waits for it any more.
    }
  }

  #resume(work: () => void): void {
    if (this.#over) return;
    try {
      work();
    } catch (error) {
      this.#broke(error);
    }
    this.#busy = false;
    this.pull();
  }

  #take(answer: IteratorResult<T>): void {
    if (typeof answer !== 'object' || answer === null)
      throw badReturn('next() of the source', answer, '{ done, value }');
    if (answer.done === true) {
      this.#over = true;
      this.#sink.complete();
    } else this.#sink.next(answer.value);
  }

  /** It threw: there is nothing to leave any more. */
  #broke(error: unknown): void {
    this.#over = true;
    this.#sink.fail(error);
  }
}
