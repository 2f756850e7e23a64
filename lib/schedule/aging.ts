import { Heap, type HeapItem } from '../kernel/heap.js';

/** The tasks of one priority that wait; in the heap at least while there are any. */
interface Level extends HeapItem {
  readonly priority: number;
  waiting: number;
}

/** Empty levels nobody minds, beside as many as there are others. */
const fewLevels = 64;

/**
 * The time that counts as waiting. It passes only where tasks start before less important ones that wait: for half a step
 * after each such start, so that one of them alone changes nothing. Nothing starves behind more important tasks, and
 * among equals the longest path goes first however long the queue has waited. One number weighs a task for good, so any
 * heap can hold it; "equals by path, others by age" would go round in circles.
 */
export class Aging {
  readonly #now: () => number;
  /** Ms that weigh as much as one step of priority. */
  readonly #step: number;
  /**
   * By priority. Those that are empty stay for a while: a key that is deleted and set again and again while there are many
   * others leaves a gap in the Map each time, and each is looked at.
   */
  readonly #levels = new Map<number, Level>();
  /** The least priority first; those that are empty leave it when they come to the top. */
  readonly #waiting = new Heap<Level>((a, b) => a.priority < b.priority);
  /** Levels that are not empty. */
  #used = 0;
  /** Ms that had passed at the last start before a less important task, and when that was. */
  #passed = 0;
  #overtookAt: number | undefined;

  constructor(now: () => number, step: number) {
    this.#now = now;
    this.#step = step;
  }

  /** A task of this priority begins to wait; returns what it weighs. */
  add(priority: number): number {
    const level = this.#levels.get(priority) ?? { priority, waiting: 0, heapIndex: -1 };
    level.waiting += 1;
    if (level.waiting === 1) this.#used += 1;
    if (level.heapIndex < 0) {
      this.#levels.set(priority, level);
      this.#waiting.push(level);
    }
    return this.#overtookAt === undefined ? priority : priority - Math.floor(this.#time() / this.#step);
  }

  /** A task of this priority waits no longer. */
  remove(priority: number): void {
    const level = this.#levels.get(priority);
    if (level === undefined) return;
    level.waiting -= 1;
    if (level.waiting > 0) return;
    this.#used -= 1;
    if (this.#levels.size <= 2 * this.#used + fewLevels) return;
    for (const one of this.#levels.values()) {
      if (one.waiting > 0) continue;
      this.#waiting.remove(one);
      this.#levels.delete(one.priority);
    }
  }

  /** A task that waits has another priority from now on; what it has waited goes on to count. */
  change(from: number, to: number): void {
    this.add(to);
    this.remove(from);
  }

  /** A task of this priority starts; it has left before. */
  started(priority: number): void {
    let least = this.#waiting.peek();
    for (; least?.waiting === 0 && least.priority < priority; least = this.#waiting.peek())
      this.#waiting.remove(least);
    if (least === undefined || priority <= least.priority) return;
    this.#passed = this.#time();
    this.#overtookAt = this.#now();
  }

  #time(): number {
    if (this.#overtookAt === undefined) return 0;
    return this.#passed + Math.min(this.#step / 2, this.#now() - this.#overtookAt);
  }
}
