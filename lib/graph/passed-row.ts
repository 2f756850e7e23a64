import { Fifo } from '../kernel/fifo.js';

/** An item as the stage before has ended it. */
export interface PassedItem {
  readonly item: unknown;
  readonly key: string;
}

/** Items that a `flow.each` has ended and that nobody has begun to work on, or to read. */
export class PassedRow {
  /** Items that may be on their way to it; undefined: what the stages say. */
  readonly buffer: number | undefined;
  readonly #waiting = new Fifo<PassedItem>();
  /** Items that were passed on and have not begun. */
  count = 0;
  #completed = false;
  #closed = false;
  /** Told that there is an item, or that no more will come. */
  onItem: (() => void) | undefined;
  /** Told that there is room again. */
  onRoom: (() => void) | undefined;

  constructor(buffer?: number) {
    this.buffer = buffer;
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
