import { Heap, type HeapItem } from './heap.js';

/** Work put off to the end of a turn; `order` decides who goes first. */
export interface TurnEnd extends HeapItem {
  readonly order: number;
  run(): void;
}

/**
 * The run-to-completion loop: whatever is pushed while an item is handled waits until that item is done.
 *
 * This is what keeps a chain of 100,000 synchronous tasks off the stack: RxJS loses values silently when a
 * chain of emissions overflows it. One turn is: all queued items, then end-of-turn work in `order`
 * (each followed by the items it queued), then `idle`; a turn that queued more begins again.
 */
export class Drain<T> {
  #queue: T[] = [];
  #head = 0;
  #draining = false;
  readonly #turnEnds = new Heap<TurnEnd>((a, b) => a.order < b.order);
  readonly #step: (item: T) => void;
  readonly #idle: () => void;

  constructor(step: (item: T) => void, idle: () => void) {
    this.#step = step;
    this.#idle = idle;
  }

  /** More is to be done in this turn. */
  get pending(): boolean {
    return this.#head < this.#queue.length || this.#turnEnds.size > 0;
  }

  /** Queues an item, and handles it at once unless the loop is already running further down the stack. */
  push(item: T): void {
    this.#queue.push(item);
    if (!this.#draining) this.flush();
  }

  /** Puts `work` off until the queue is empty; work that is already waiting is not added twice. */
  atTurnEnd(work: TurnEnd): void {
    if (work.heapIndex < 0) this.#turnEnds.push(work);
  }

  /** Runs turns until nothing is left to do. */
  flush(): void {
    if (this.#draining) return;
    this.#draining = true;
    try {
      do {
        this.#empty();
        for (let work = this.#turnEnds.pop(); work !== undefined; work = this.#turnEnds.pop()) {
          work.run();
          this.#empty();
        }
        this.#idle();
      } while (this.pending);
    } finally {
      this.#draining = false;
    }
  }

  #empty(): void {
    while (this.#head < this.#queue.length) {
      const item = this.#queue[this.#head] as T;
      this.#queue[this.#head] = undefined as T;
      this.#head += 1;
      if (this.#head === this.#queue.length) {
        this.#queue.length = 0;
        this.#head = 0;
      }
      this.#step(item);
    }
  }
}
