/** Places of items that were taken out, before it is worth moving the others; so many are kept for those to come. */
const least = 32;

/** A row whose first is taken out as cheaply as the last is put in. */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;
  /** How many there are. The list behind is not made shorter: one that is made longer again is a new list each time. */
  size = 0;

  push(item: T): void {
    this.#items[this.#head + this.size++] = item;
  }

  /** Puts an item before the first. */
  unshift(item: T): void {
    if (this.#head > 0) this.#items[--this.#head] = item;
    else this.#items.unshift(item);
    this.size += 1;
  }

  /** The first, which stays. */
  peek(): T | undefined {
    return this.#items[this.#head];
  }

  shift(): T | undefined {
    if (this.size === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head += 1;
    this.size -= 1;
    if (this.size === 0 && this.#head <= least) this.#head = 0;
    // What was taken out goes when it is half of the row: no item is moved more often than once, on average.
    else if (this.#head > least && this.#head >= this.size) {
      this.#items = this.#items.slice(this.#head, this.#head + this.size);
      this.#head = 0;
    }
    return item;
  }

  clear(): void {
    this.#items = [];
    this.#head = this.size = 0;
  }
}
