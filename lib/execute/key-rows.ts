import { Fifo } from '../kernel/fifo.js';
import { getOrInsert } from '../kernel/get-or-insert.js';

/** Things of one key one after the other, in the order in which they come; those of other keys are not held up. */
export class KeyRows<T> {
  /** By each key that is busy, those that wait for it. */
  readonly #rows = new Map<string, Fifo<T>>();
  /** Those that wait. */
  waiting = 0;

  /** True: nothing of that key is busy, and it may begin. Else it waits. */
  enter(key: string, one: T): boolean {
    const isFree = !this.#rows.has(key);
    const row = getOrInsert(this.#rows, key, () => new Fifo<T>());
    if (isFree) return true;
    row.push(one);
    this.waiting += 1;
    return false;
  }

  /** What was busy under that key is over: the next that may begin. */
  leave(key: string): T | undefined {
    const next = this.#rows.get(key)?.shift();
    if (next === undefined) this.#rows.delete(key);
    else this.waiting -= 1;
    return next;
  }
}
