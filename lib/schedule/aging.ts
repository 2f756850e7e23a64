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
  /** How many wait, by priority. */
  readonly #waiting = new Map<number, number>();
  /** The least priority that waits; undefined: not known. */
  #least: number | undefined;
  /** Ms that had passed at the last start before a less important task, and when that was. */
  #passed = 0;
  #overtookAt: number | undefined;

  constructor(now: () => number, step: number) {
    this.#now = now;
    this.#step = step;
  }

  /** A task of this priority begins to wait; returns what it weighs. */
  add(priority: number): number {
    this.#count(priority);
    return this.#overtookAt === undefined ? priority : priority - Math.floor(this.#time() / this.#step);
  }

  /** A task of this priority waits no longer. */
  remove(priority: number): void {
    const others = (this.#waiting.get(priority) ?? 0) - 1;
    if (others > 0) {
      this.#waiting.set(priority, others);
      return;
    }
    this.#waiting.delete(priority);
    if (priority === this.#least) this.#least = undefined;
  }

  /** A task that waits has another priority from now on; what it has waited goes on to count. */
  change(from: number, to: number): void {
    this.#count(to);
    this.remove(from);
  }

  /** A task of this priority starts; it has left before. */
  started(priority: number): void {
    if (this.#least === undefined)
      for (const other of this.#waiting.keys())
        if (this.#least === undefined || other < this.#least) this.#least = other;
    if (this.#least === undefined || priority <= this.#least) return;
    this.#passed = this.#time();
    this.#overtookAt = this.#now();
  }

  #count(priority: number): void {
    this.#waiting.set(priority, (this.#waiting.get(priority) ?? 0) + 1);
    if (this.#least !== undefined && priority < this.#least) this.#least = priority;
  }

  #time(): number {
    if (this.#overtookAt === undefined) return 0;
    return this.#passed + Math.min(this.#step / 2, this.#now() - this.#overtookAt);
  }
}
