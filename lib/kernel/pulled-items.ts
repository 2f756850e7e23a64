import { badReturn, disown } from './guard.js';
import { isPromise, settleMaybe } from './maybe-promise.js';

/** A source that gives an item when it is asked for one. */
export type Pulled<T> = AsyncIterable<T> | Iterable<T>;

/** Asks a source for its items: one at a time, and not before one is wanted. */
export class PulledItems<T> {
  /** No more will come. */
  done = false;
  readonly #iterator: AsyncIterator<T> | Iterator<T>;
  readonly #more: () => void;
  /** It has not answered yet. */
  #asked = false;
  /** Its answer, where that came later: returns it, or throws. */
  #late: (() => IteratorResult<T>) | undefined;

  /** `more` is called when an answer has come that was not there at once. @throws what the source throws */
  constructor(items: Pulled<T>, more: () => void) {
    this.#iterator =
      (items as Partial<AsyncIterable<T>>)[Symbol.asyncIterator]?.() ??
      (items as Iterable<T>)[Symbol.iterator]();
    this.#more = more;
  }

  /** The next item; undefined: there is none, or none yet. @throws what the source throws; RxhiveError CALLBACK_FAILED */
  take(): { readonly item: T } | undefined {
    if (this.done || this.#asked) return undefined;
    const late = this.#late;
    this.#late = undefined;
    try {
      if (late !== undefined) return this.#read(late());
      const answer = this.#iterator.next();
      if (!isPromise(answer)) return this.#read(answer);
      this.#wait(answer);
    } catch (error) {
      this.done = true;
      throw error;
    }
    // What is no true promise may have answered within the call.
    return this.take();
  }

  /** Nobody wants more of it: a generator runs its `finally`. */
  leave(): void {
    if (this.done) return;
    this.done = true;
    try {
      disown(this.#iterator.return?.());
    } catch {
      // A hand-written iterator may throw; nobody waits for it any more.
    }
  }

  #wait(answer: PromiseLike<IteratorResult<T>>): void {
    this.#asked = true;
    const came = (read: () => IteratorResult<T>): void => {
      this.#asked = false;
      this.#late = read;
      if (!this.done) this.#more();
    };
    settleMaybe(
      () => answer,
      (one) => came(() => one),
      (error) =>
        came(() => {
          throw error;
        }),
    );
  }

  #read(answer: IteratorResult<T>): { readonly item: T } | undefined {
    if (typeof answer !== 'object' || answer === null)
      throw badReturn('next() of the source', answer, '{ done, value }');
    if (answer.done !== true) return { item: answer.value };
    this.done = true;
    return undefined;
  }
}
