/** An item that knows its place in the one heap it may be in; -1 when it is in none. */
export interface HeapItem {
  heapIndex: number;
}

/**
 * Binary heap with removal and re-keying of any item in O(log n).
 *
 * `before(a, b)` must be a strict total order (end with a sequence number): then the order of equal keys is
 * the order of arrival and the heap is stable. Source: J. W. J. Williams, Algorithm 232 (1964).
 */
export class Heap<T extends HeapItem> {
  protected readonly items: T[] = [];
  protected readonly goesBefore: (a: T, b: T) => boolean;

  constructor(before: (a: T, b: T) => boolean) {
    this.goesBefore = before;
  }

  get size(): number {
    return this.items.length;
  }

  /** The first item, left in place. */
  peek(): T | undefined {
    return this.items[0];
  }

  /** How many go before `item`, counted up to `most`: no others are looked at. */
  before(item: T, most: number): number {
    let count = 0;
    const open = [0];
    for (let at = open.pop(); at !== undefined && count < most; at = open.pop()) {
      const one = this.items[at];
      // Nothing below one that comes later comes sooner.
      if (one === undefined || !this.goesBefore(one, item)) continue;
      count += 1;
      open.push(2 * at + 1, 2 * at + 2);
    }
    return count;
  }

  push(item: T): void {
    item.heapIndex = this.items.length;
    this.items.push(item);
    this.#rise(item);
  }

  /** Takes the first item out. */
  pop(): T | undefined {
    const first = this.peek();
    if (first !== undefined) this.remove(first);
    return first;
  }

  /** Takes any item out; an item that is not in a heap is left alone. */
  remove(item: T): void {
    const hole = item.heapIndex;
    if (hole < 0) return;
    item.heapIndex = -1;
    const last = this.items.pop() as T;
    if (last === item) return;
    this.items[hole] = last;
    last.heapIndex = hole;
    this.#rise(last);
    this.#sink(last);
  }

  /** Restores the order after the key of `item` changed. */
  update(item: T): void {
    this.#rise(item);
    this.#sink(item);
  }

  #rise(item: T): void {
    const items = this.items;
    let at = item.heapIndex;
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = items[up] as T;
      if (!this.goesBefore(item, parent)) break;
      items[at] = parent;
      parent.heapIndex = at;
      at = up;
    }
    items[at] = item;
    item.heapIndex = at;
  }

  #sink(item: T): void {
    const items = this.items;
    const half = items.length >> 1;
    let at = item.heapIndex;
    while (at < half) {
      let down = 2 * at + 1;
      let child = items[down] as T;
      const right = items[down + 1];
      if (right !== undefined && this.goesBefore(right, child)) {
        child = right;
        down += 1;
      }
      if (!this.goesBefore(child, item)) break;
      items[at] = child;
      child.heapIndex = at;
      at = down;
    }
    items[at] = item;
    item.heapIndex = at;
  }
}
