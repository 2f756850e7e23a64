import { Fifo } from '../kernel/fifo.js';
import { Edge, type TaskNode } from './node.js';

/** An item as the stage before has ended it. */
export interface PassedItem {
  readonly item: unknown;
  readonly key: string;
}

/** The way of items from one `flow.each` to the next: what has ended in the one and has not begun in the other. */
export class ItemsEdge extends Edge {
  readonly #waiting = new Fifo<PassedItem>();
  /** Items that were passed on and have not begun. */
  count = 0;
  #completed = false;
  #closed = false;
  /** Told that there is an item, or that no more will come. */
  onItem: (() => void) | undefined;
  /** Told that there is room again. */
  onRoom: (() => void) | undefined;

  constructor(from: TaskNode, to: TaskNode, key: string | undefined) {
    super(from, to, 'items', key, undefined);
  }

  /** The stage before has ended, and all it gave was taken. */
  get done(): boolean {
    return this.#completed && this.#waiting.size === 0;
  }

  /** Nobody takes items from it: it holds nobody back. */
  get closed(): boolean {
    return this.#closed;
  }

  pass(item: PassedItem): void {
    if (this.#closed) return;
    this.count += 1;
    this.#waiting.push(item);
    this.onItem?.();
  }

  /** The first that waits. It still counts, until work on it begins. */
  take(): PassedItem | undefined {
    return this.#waiting.shift();
  }

  /** Work on so many has begun, or will never begin. */
  begun(items: number): void {
    this.count -= items;
    this.onRoom?.();
  }

  complete(): void {
    this.#completed = true;
    this.onItem?.();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#waiting.clear();
    this.onRoom?.();
  }
}
