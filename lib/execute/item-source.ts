import { from, isObservable, type ObservableInput } from 'rxjs';
import type { PassedRow } from '../graph/passed-row.js';
import { Fifo } from '../kernel/fifo.js';
import { Follower } from '../kernel/follower.js';
import { PulledItems } from '../kernel/pulled-items.js';
import type { Items } from '../model/each.js';
import { goesWhenFull, usualCapacity, type WaitingOptions } from '../model/waiting.js';

/** An item as its source gives it. */
export interface GivenItem {
  readonly item: unknown;
  /** The one it had in the stage before; of a batch, that of its first item. */
  readonly key?: string | undefined;
  /** With a batch: the keys of all its items. */
  readonly keys?: readonly string[];
  /** With a batch: how many items begin with it. Default 1. */
  readonly count?: number;
}

/** Where items come from, asked for one at a time. */
export interface ItemSource {
  /** No more will come. */
  readonly done: boolean;
  /** What it waits for, as the end of a sentence. */
  readonly waitsFor: string;
  /** The next item; undefined: there is none yet, and `more` is called when that changes. @throws what the source throws */
  take(): GivenItem | undefined;
  /** Work on so many has begun, or will never begin. */
  begun(items: number): void;
  /** Nobody takes items any more. */
  leave(): void;
}

export function isItems(value: unknown): value is Items<unknown> {
  if (typeof value === 'string') return true;
  if (typeof value !== 'object' || value === null) return false;
  return Symbol.iterator in value || Symbol.asyncIterator in value;
}

/** An iterable or an async iterable: it is asked for an item when one is wanted. */
export class IteratedItems extends PulledItems<unknown> implements ItemSource {
  readonly waitsFor = 'its source to give an item, or for those it has given to end';

  begun(): void {
    // It gives only what is taken.
  }
}

export function isStream(value: unknown): value is ObservableInput<unknown> {
  if (isObservable(value)) return true;
  return (
    typeof value === 'object' && value !== null && typeof Reflect.get(value, Symbol.observable) === 'function'
  );
}

/** An Observable. It cannot be slowed down: what comes while nobody can work on it waits, and the row is bounded. */
export class ObservedItems implements ItemSource {
  readonly waitsFor = 'its source to give an item, or for those it has given to end';
  readonly #source: ObservableInput<unknown>;
  readonly #name: string;
  readonly #options: WaitingOptions;
  readonly #failed: (error: unknown) => void;
  readonly #more: () => void;
  readonly #row = new Fifo<{ readonly item: unknown }>();
  #follower: Follower | undefined;
  /** The next value need not wait: it was asked for. */
  #wanted = false;
  #over = false;
  #broken: { readonly error: unknown } | undefined;

  /** `failed` is told of a source that refuses to be left. */
  constructor(
    source: ObservableInput<unknown>,
    name: string,
    options: WaitingOptions,
    failed: (error: unknown) => void,
    more: () => void,
  ) {
    this.#source = source;
    this.#name = name;
    this.#options = options;
    this.#failed = failed;
    this.#more = more;
  }

  get done(): boolean {
    return this.#over && this.#row.size === 0 && this.#broken === undefined;
  }

  take(): GivenItem | undefined {
    this.#wanted = true;
    if (this.#follower === undefined) this.#follow();
    if (this.#broken !== undefined) throw this.#broken.error;
    const first = this.#row.shift();
    if (first === undefined) return undefined;
    this.#wanted = false;
    return first;
  }

  begun(): void {
    // Its row alone is bounded.
  }

  leave(): void {
    this.#row.clear();
    this.#follower?.unsubscribe();
  }

  #follow(): void {
    this.#follower = new Follower(
      {
        next: (item) => this.#next(item),
        error: (error) => this.#end({ error }),
        complete: () => this.#end(undefined),
      },
      this.#failed,
    );
    from(this.#source).subscribe(this.#follower);
  }

  #next(item: unknown): void {
    const { capacity = usualCapacity } = this.#options;
    if (this.#row.size >= capacity + (this.#wanted ? 1 : 0)) {
      const goes = goesWhenFull(this.#name, this.#options);
      if (goes === 'newest') return;
      if (goes !== 'oldest') {
        this.#end({ error: goes });
        this.leave();
        return;
      }
      // Where nothing may wait, the one that waits is a task by now: the newest is the only one to go.
      if (this.#row.shift() === undefined) return;
    }
    this.#row.push({ item });
    this.#more();
  }

  #end(broken: { readonly error: unknown } | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#broken = broken;
    this.#more();
  }
}

/** What the stage before has ended. */
export class PassedItems implements ItemSource {
  readonly #row: PassedRow;
  readonly waitsFor: string;

  constructor(row: PassedRow, name: string, more: () => void) {
    this.#row = row;
    this.waitsFor = `"${name}" to give it an item, or for those it was given to end`;
    row.onItem = more;
  }

  get done(): boolean {
    return this.#row.done;
  }

  take(): GivenItem | undefined {
    return this.#row.take();
  }

  begun(items: number): void {
    this.#row.begun(items);
  }

  leave(): void {
    this.#row.close();
  }
}
