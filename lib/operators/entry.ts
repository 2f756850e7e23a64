import type { ItemWatch, TaskNode } from '../graph/node.js';

/** Who is told how it goes with a value. */
interface EntryWatch<T> {
  started(entry: Entry<T>): void;
  said(entry: Entry<T>, value: unknown): void;
  ended(entry: Entry<T>, node: TaskNode): void;
}

/** One value that has a task. */
export class Entry<T> implements ItemWatch {
  readonly item: T;
  readonly index: number;
  readonly #watch: EntryWatch<T>;
  node: TaskNode | undefined;
  /** Its results are wanted, and not all told. */
  open = true;
  /** Its task has not started. */
  waits = true;
  /** Its task has ended. */
  over = false;
  /** Its attempt gave a stream: what that says are the results. */
  isStream = false;
  /** Results that have to wait for those of values before. */
  held: unknown[] | undefined;

  constructor(watch: EntryWatch<T>, item: T, index: number) {
    this.#watch = watch;
    this.item = item;
    this.index = index;
  }

  started(): void {
    this.isStream = false;
    this.#watch.started(this);
  }

  streams(): void {
    this.isStream = true;
  }

  value(one: unknown): void {
    this.#watch.said(this, one);
  }

  ended(node: TaskNode): void {
    this.#watch.ended(this, node);
  }
}
