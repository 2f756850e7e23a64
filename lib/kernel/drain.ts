import type { Clock } from './clock.js';
import { Fifo } from './fifo.js';
import { Heap, type HeapItem } from './heap.js';

/** Work put off to the end of a turn; `order` decides who goes first. */
export interface TurnEnd extends HeapItem {
  readonly order: number;
  run(): void;
}

/** Decides when a loop may run, where several share something. */
export interface Outside {
  /** Calls `turns`, or, where they are not to be now, sees to it that `flush` is called later. */
  enter(turns: () => void): void;
  /** The loop is over, or was not let in. */
  left(): void;
}

/** Items between two looks at the event loop. */
const steps = 16;
/** Looks before the first rest: a small run goes from start to end in one go, however slow the machine is. */
const leastLooks = 32;

/**
 * The run-to-completion loop: whatever is pushed while an item is handled waits until that item is done.
 *
 * This is what keeps a chain of 100,000 synchronous tasks off the stack: RxJS loses values silently when a
 * chain of emissions overflows it. One turn is: all queued items, then end-of-turn work in `order`
 * (each followed by the items it queued), then `idle`; a turn that queued more begins again.
 *
 * In real time it gives the event loop back when that has been kept for a slice, and goes on in a turn of its own;
 * what is pushed until then waits in the queue. It runs in the context of its clock, whoever pushes.
 */
export class Drain<T> {
  readonly #queue = new Fifo<T>();
  #draining = false;
  /** It goes on in the next turn of the event loop. */
  #parked = false;
  #steps = 0;
  #looks = 0;
  readonly #clock: Pick<Clock, 'overdue' | 'nextTurn' | 'context'>;
  readonly #turnEnds = new Heap<TurnEnd>((a, b) => a.order < b.order);
  readonly #step: (item: T) => void;
  readonly #idle: () => void;
  readonly #item: (work: () => void) => T;
  readonly #outside: Outside | undefined;

  /** `outside`: who lets it in; default: it comes in whenever something is pushed. */
  constructor(
    clock: Pick<Clock, 'overdue' | 'nextTurn' | 'context'>,
    step: (item: T) => void,
    idle: () => void,
    item: (work: () => void) => T,
    outside?: Outside,
  ) {
    this.#outside = outside;
    this.#clock = clock;
    this.#step = step;
    this.#idle = idle;
    this.#item = item;
  }

  /** It is further down the stack, or goes on in the next turn of the event loop: it sees by itself what there is. */
  get busy(): boolean {
    return this.#draining || this.#parked;
  }

  /** More is to be done in this turn. */
  get pending(): boolean {
    return this.#queue.size > 0 || this.#turnEnds.size > 0;
  }

  /** Queues an item, and handles it at once unless the loop is already running further down the stack. */
  readonly push = (item: T): void => {
    this.#queue.push(item);
    if (!this.#draining) this.flush();
  };

  /** Puts `work` off until the queue is empty; work that is already waiting is not added twice. */
  atTurnEnd(work: TurnEnd): void {
    if (work.heapIndex < 0) this.#turnEnds.push(work);
  }

  /**
   * Work in steps, within an item: where the event loop has to be given back, the rest is handled first in the next turn,
   * before all that is queued.
   */
  readonly slice = (work: Iterator<unknown>): void => {
    for (let n = 1; work.next().done !== true; n++)
      if (n % steps === 0 && this.rest()) {
        this.#queue.unshift(this.#item(() => this.slice(work)));
        return;
      }
  };

  /** Runs turns until nothing is left to do, or the event loop has to be given back. */
  flush(): void {
    if (this.#draining || this.#parked) return;
    this.#draining = true;
    try {
      if (this.#outside === undefined) this.#enter();
      else this.#outside.enter(this.#enter);
    } finally {
      this.#draining = false;
      this.#outside?.left();
    }
  }

  /** Puts what is left off to the next turn of the event loop, if that has been kept for long. True: it did. */
  rest(): boolean {
    this.#looks += 1;
    if (this.#parked || this.#looks < leastLooks || !this.#clock.overdue) return this.#parked;
    this.#parked = true;
    this.#clock.nextTurn(() => {
      this.#parked = false;
      this.flush();
    });
    return true;
  }

  readonly #enter = (): void => this.#clock.context.runInAsyncScope(this.#turns);

  readonly #turns = (): void => {
    do {
      if (!this.#empty()) return;
      for (let work = this.#turnEnds.pop(); work !== undefined; work = this.#turnEnds.pop()) {
        work.run();
        if (!this.#empty()) return;
      }
      this.#idle();
    } while (this.pending && !this.#parked);
  };

  /** False: the rest has been put off. */
  #empty(): boolean {
    while (this.#queue.size > 0) {
      this.#steps += 1;
      if (this.#parked) return false;
      if (this.#steps % steps === 0 && this.rest()) return false;
      this.#step(this.#queue.shift() as T);
    }
    return true;
  }
}
