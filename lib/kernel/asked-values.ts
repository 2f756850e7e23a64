import { firstValueFrom, Observable, of, type Subscriber } from 'rxjs';
import { Fifo } from './fifo.js';

/** Values of a source that says when there is one, as an async iterator gives them to those who ask, in their order. */
export class AskedValues<T> implements AsyncIterator<T> {
  readonly #take: () => { readonly value: T } | undefined;
  readonly #leave: () => void;
  /** Those who have asked for values that are not there. */
  readonly #asking = new Fifo<Subscriber<IteratorResult<T>>>();
  /** To take a value may bring the next: it is not to overtake. */
  #answering = false;
  /** Nothing comes any more. */
  #end: { readonly error?: unknown } | undefined;

  /** `take`: the next value, undefined where there is none; `leave`: nobody asks any more. */
  constructor(take: () => { readonly value: T } | undefined, leave: () => void) {
    this.#take = take;
    this.#leave = leave;
  }

  /** Somebody waits for a value. */
  get wanted(): boolean {
    return this.#asking.size > 0;
  }

  /** Nothing comes any more but what is there. */
  get over(): boolean {
    return this.#end !== undefined;
  }

  next(): Promise<IteratorResult<T>> {
    return firstValueFrom(
      new Observable<IteratorResult<T>>((subscriber) => {
        this.#asking.push(subscriber);
        this.answer();
      }),
    );
  }

  return(): Promise<IteratorResult<T>> {
    this.#end = {};
    this.#leave();
    this.answer();
    return firstValueFrom(of({ done: true, value: undefined }));
  }

  /** There may be a value, or an end: those who wait are answered. */
  answer(): void {
    if (this.#answering) return;
    this.#answering = true;
    while (this.#asking.size > 0) {
      const first = this.#take();
      if (first === undefined && this.#end === undefined) break;
      const asking = this.#asking.shift();
      if (first !== undefined) asking?.next({ done: false, value: first.value });
      else this.#tellEnd(asking);
    }
    this.#answering = false;
  }

  /** After what is there nothing comes any more. */
  finish(end: { readonly error?: unknown }): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.answer();
  }

  /** An error is told once. */
  #tellEnd(asking: Subscriber<IteratorResult<T>> | undefined): void {
    const end = this.#end ?? {};
    this.#end = {};
    if ('error' in end) asking?.error(end.error);
    else asking?.next({ done: true, value: undefined });
  }
}
