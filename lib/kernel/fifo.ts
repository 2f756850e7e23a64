/** Places of items that were taken out, before it is worth moving the others; so many are kept for those to come. */
const least = 32;

/** A row whose first is taken out as cheaply as the last is put in. */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;
  /** Its own, for a list that is made shorter and longer again is a new list each time. */
  #end = 0;

  get size(): number {
    return this.#end - this.#head;
  }

  push(item: T): void {
    this.#items[this.#end++] = item;
  }

  /** Puts an item before the first. */
  unshift(item: T): void {
    if (this.#head > 0) this.#items[--this.#head] = item;
    else {
      this.#items.unshift(item);
      this.#end += 1;
    }
  }

  /** The first, which stays. */
  peek(): T | undefined {
    return this.#items[this.#head];
  }

  shift(): T | undefined {
    if (this.#head === this.#end) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head += 1;
    if (this.#head === this.#end && this.#end <= least) this.#head = this.#end = 0;
    // What was taken out goes when it is half of the row: no item is moved more often than once, on average.
    else if (this.#head > least && this.#head * 2 >= this.#end) {
      this.#items = this.#items.slice(this.#head, this.#end);
      this.#end -= this.#head;
      this.#head = 0;
    }
    return item;
  }

  clear(): void {
    this.#items = [];
    this.#head = this.#end = 0;
  }
}
