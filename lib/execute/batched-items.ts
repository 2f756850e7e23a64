import type { Clock, Timer } from '../kernel/clock.js';
import type { BatchOptions } from '../model/each.js';
import type { GivenItem, ItemSource } from './item-source.js';

/** A batch of an earlier process, which holds: the same items belong together again. */
interface Known {
  readonly keys: readonly string[];
  readonly items: Map<string, unknown>;
}

/** Items of another source, several at a time. */
export class BatchedItems implements ItemSource {
  readonly #source: ItemSource;
  readonly #options: BatchOptions;
  readonly #clock: Pick<Clock, 'after' | 'cancel'>;
  readonly #more: () => void;
  /** By the key of each of their items. */
  readonly #known = new Map<string, Known>();
  #batch: { readonly key: string; readonly item: unknown }[] = [];
  #timer: Timer | undefined;
  /** The batch has waited for long enough. */
  #due = false;
  #count = 0;

  /** `known`: keys of the items of batches that hold. */
  constructor(
    source: ItemSource,
    options: BatchOptions,
    known: Iterable<readonly string[]>,
    clock: Pick<Clock, 'after' | 'cancel'>,
    more: () => void,
  ) {
    this.#source = source;
    this.#options = options;
    this.#clock = clock;
    this.#more = more;
    for (const keys of known) {
      const one: Known = { keys, items: new Map() };
      for (const key of keys) this.#known.set(key, one);
    }
  }

  get done(): boolean {
    return this.#source.done && this.#batch.length === 0 && this.#isKnownEmpty();
  }

  get waitsFor(): string {
    const { length } = this.#batch;
    if (length === 0) return this.#source.waitsFor;
    return `its batch to be full: ${length} of ${this.#options.size} items are there`;
  }

  take(): GivenItem | undefined {
    while (this.#batch.length < this.#options.size) {
      const given = this.#source.take();
      if (given === undefined) break;
      const key = given.key ?? String(this.#count);
      this.#count += 1;
      const known = this.#known.get(key);
      if (known === undefined) this.#add(key, given.item);
      else if (this.#recall(known, key, given.item)) return whole(known);
    }
    if (this.#source.done) this.#splitKnown();
    const isWhole = this.#batch.length >= this.#options.size || this.#due || this.#source.done;
    if (this.#batch.length === 0 || !isWhole) return undefined;
    const rest = this.#batch.splice(0, this.#options.size);
    this.#due = false;
    this.#clock.cancel(this.#timer);
    this.#timer = undefined;
    const keys = rest.map(({ key }) => key);
    return { item: rest.map(({ item }) => item), key: keys[0], keys, count: keys.length };
  }

  begun(items: number): void {
    if (items > 0) this.#source.begun(items);
  }

  leave(): void {
    this.#clock.cancel(this.#timer);
    this.#source.leave();
  }

  #add(key: string, item: unknown): void {
    const { ms } = this.#options;
    if (this.#batch.push({ key, item }) > 1 || ms === undefined) return;
    this.#timer = this.#clock.after(ms, () => {
      this.#due = true;
      this.#more();
    });
  }

  /** True: the batch is whole again. Its items do not count as waiting: others may have to come first. */
  #recall(known: Known, key: string, item: unknown): boolean {
    this.#known.delete(key);
    known.items.set(key, item);
    this.#source.begun(1);
    return known.items.size === known.keys.length;
  }

  #isKnownEmpty(): boolean {
    for (const { items } of this.#known.values()) if (items.size > 0) return false;
    return true;
  }

  /** The source has ended: batches that did not become whole again were of other items. */
  #splitKnown(): void {
    for (const one of new Set(this.#known.values()))
      for (const [key, item] of one.items) this.#batch.push({ key, item });
    this.#known.clear();
  }
}

function whole({ keys, items }: Known): GivenItem {
  return { item: keys.map((key) => items.get(key)), key: keys[0], keys, count: 0 };
}
