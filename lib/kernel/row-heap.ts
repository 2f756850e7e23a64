import { Heap, type HeapItem } from './heap.js';

/** Places from here on are in the row. */
const rowStart = 2 ** 30;
/** Gaps nobody minds. */
const leastGaps = 64;

/**
 * A {@link Heap} with a row before it: items that come in order, as most tasks and timers do, wait in the row, where coming
 * and going cost nothing. It compares when it is asked for the first: keys may change only together with `update`.
 */
export class RowHeap<T extends HeapItem> extends Heap<T> {
  /** In order, with gaps where items were taken out, but none at `#head` and at the end. */
  #row: (T | undefined)[] = [];
  #head = 0;
  #inRow = 0;

  override get size(): number {
    return this.items.length + this.#inRow;
  }

  override peek(): T | undefined {
    const first = this.#row[this.#head];
    const top = this.items[0];
    if (first === undefined || (top !== undefined && this.goesBefore(top, first))) return top;
    return first;
  }

  override before(item: T, most: number): number {
    let count = 0;
    for (let at = this.#head; at < this.#row.length && count < most; at++) {
      const one = this.#row[at];
      if (one === undefined) continue;
      if (!this.goesBefore(one, item)) break;
      count += 1;
    }
    return count + super.before(item, most - count);
  }

  override push(item: T): void {
    const row = this.#row;
    const last = row[row.length - 1];
    if (last !== undefined && !this.goesBefore(last, item)) {
      super.push(item);
      return;
    }
    item.heapIndex = rowStart + row.length;
    row.push(item);
    this.#inRow += 1;
  }

  override remove(item: T): void {
    const at = item.heapIndex - rowStart;
    if (at < 0) {
      super.remove(item);
      return;
    }
    item.heapIndex = -1;
    const row = this.#row;
    row[at] = undefined;
    this.#inRow -= 1;
    if (this.#inRow === 0) {
      if (row.length === 1) row.pop();
      else row.length = 0;
      this.#head = 0;
      return;
    }
    while (row[this.#head] === undefined) this.#head += 1;
    while (row[row.length - 1] === undefined) row.pop();
    if (row.length > 4 * this.#inRow + leastGaps) this.#closeGaps();
  }

  override update(item: T): void {
    if (item.heapIndex < rowStart) super.update(item);
    else if (this.#inRow > 1) {
      this.remove(item);
      this.push(item);
    }
  }

  #closeGaps(): void {
    this.#row = this.#row.filter((one) => one !== undefined);
    this.#head = 0;
    this.#row.forEach((one, at) => {
      (one as T).heapIndex = rowStart + at;
    });
  }
}
