import { getOrInsert } from './get-or-insert.js';
import { Heap, type HeapItem } from './heap.js';

/** One among whom turns are shared: a tenant, a user, a queue. The same object for all that belongs to it. */
export interface Share {
  readonly key: string;
  /** Who has twice as much gets twice as many turns. Above 0. */
  readonly weight: number;
}

/** What belongs to somebody. */
export interface Shared {
  readonly share: Share | undefined;
}

/** Rows without items that nobody minds. */
const leastIdle = 64;

/** Items of one share. */
class Row<T extends HeapItem> implements HeapItem {
  heapIndex = -1;
  readonly items: Heap<T>;
  /** Virtual time at which its next turn begins. */
  start = 0;

  constructor(before: (a: T, b: T) => boolean) {
    this.items = new Heap(before);
  }
}

/**
 * A heap in which shares take turns: among firsts of the same level goes the one whose share had the fewest turns for its
 * weight, and `before` decides within a share. A share that had nothing to do comes back at the turn that is on now: it
 * saves nothing up and owes nothing.
 * Source: P. Goyal, H. Vin, H. Cheng, "Start-time Fair Queueing", IEEE/ACM ToN 5(5), 1997.
 */
export class FairHeap<T extends HeapItem & K, K extends Shared = T> {
  readonly #before: (a: K, b: K) => boolean;
  readonly #levelOf: (item: K) => number;
  readonly #rows = new Map<Share | undefined, Row<T>>();
  readonly #order: Heap<Row<T>>;
  /** Virtual time of the turn that began last. */
  #now = 0;
  #size = 0;

  /** `levelOf`: a higher one goes first, whoever had its turn. `before`: a strict total order. */
  constructor(before: (a: K, b: K) => boolean, levelOf: (item: K) => number) {
    this.#before = before;
    this.#levelOf = levelOf;
    this.#order = new Heap((a, b) =>
      this.#goesFirst(a.items.peek() as T, a.start, b.items.peek() as T, b.start),
    );
  }

  get size(): number {
    return this.#size;
  }

  /** The first item, left in place. */
  peek(): T | undefined {
    return this.#order.peek()?.items.peek();
  }

  push(item: T): void {
    const row = this.#rowOf(item.share);
    if (row.items.size === 0) row.start = Math.max(row.start, this.#now);
    row.items.push(item);
    this.#size += 1;
    this.#place(row);
  }

  /** Takes any item out; an item that is not in it is left alone. */
  remove(item: T): void {
    if (item.heapIndex < 0) return;
    const row = this.#rowOf(item.share);
    row.items.remove(item);
    this.#size -= 1;
    this.#place(row);
  }

  /** Restores the order after the key of `item` changed. */
  update(item: T): void {
    const row = this.#rowOf(item.share);
    row.items.update(item);
    this.#place(row);
  }

  /** Would `one` go before `other`, of which neither need be in it? */
  precedes(one: K, other: K): boolean {
    return one.share === other.share
      ? this.#goesFirst(one, 0, other, 0)
      : this.#goesFirst(one, this.#startOf(one), other, this.#startOf(other));
  }

  /** Somebody of this share has had a turn. */
  took(share: Share | undefined): void {
    const row = this.#rowOf(share);
    this.#now = Math.max(this.#now, row.start);
    row.start = this.#now + 1 / (share?.weight ?? 1);
    this.#place(row);
  }

  #goesFirst(a: K, start: number, b: K, other: number): boolean {
    const more = this.#levelOf(a) - this.#levelOf(b);
    if (more !== 0) return more > 0;
    return start === other ? this.#before(a, b) : start < other;
  }

  /** When the next turn of its share begins. */
  #startOf({ share }: K): number {
    const row = this.#rows.get(share);
    if (row === undefined) return this.#now;
    return row.items.size === 0 ? Math.max(row.start, this.#now) : row.start;
  }

  #rowOf(share: Share | undefined): Row<T> {
    return getOrInsert(this.#rows, share, () => {
      if (this.#rows.size > 2 * this.#order.size + leastIdle) this.#forgetIdle();
      return new Row<T>(this.#before);
    });
  }

  #place(row: Row<T>): void {
    if (row.items.size === 0) this.#order.remove(row);
    else if (row.heapIndex < 0) this.#order.push(row);
    else this.#order.update(row);
  }

  /** Shares that would begin now anyway need no row. */
  #forgetIdle(): void {
    for (const [share, row] of this.#rows)
      if (row.items.size === 0 && row.start <= this.#now) this.#rows.delete(share);
  }
}
