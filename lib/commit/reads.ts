import { Collection } from '../codec/collection.js';
import { placeOf } from '../codec/collection-patches.js';
import { isRecord } from '../kernel/plain.js';
import type { Reads } from '../model/context.js';

type Path = readonly PropertyKey[];

/** Notes which parts of a state a serializable attempt looks at. */
export class TrackedReads implements Reads {
  readonly base: number;
  readonly snapshot: unknown;
  readonly #paths = new Map<string, Path>();
  readonly #views = new WeakMap<object, { readonly value: unknown; readonly path: Path }>();
  readonly #closed: () => void;
  #open = true;

  constructor(base: number, snapshot: unknown, closed: () => void) {
    this.base = base;
    this.snapshot = snapshot;
    this.#closed = closed;
  }

  get paths(): readonly Path[] {
    return [...this.#paths.values()];
  }

  read<T>(current: unknown, select: ((state: never) => T) | undefined): T {
    if (select === undefined) {
      this.#note([]);
      return current as T;
    }
    return this.#plain(select(this.#view(current, []) as never)) as T;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#closed();
  }

  #note(path: Path): void {
    this.#paths.set(JSON.stringify(path.map(String)), path);
  }

  /** Records and collections are looked into key by key; arrays, maps and class instances count as one thing. */
  #view(value: unknown, path: Path): unknown {
    if (value instanceof Collection) return this.#keep(this.#keyed(value, path), value, path);
    if (!isRecord(value)) {
      this.#note(path);
      return value;
    }
    // The state is frozen, and a proxy must not answer differently from a frozen target: hence an empty one.
    const view = new Proxy(
      {},
      {
        get: (_, key) => {
          if (Object.hasOwn(value, key)) return this.#view(Reflect.get(value, key), [...path, key]);
          this.#note([...path, key]);
          return Reflect.get(value, key);
        },
        has: (_, key) => {
          this.#note([...path, key]);
          return Reflect.has(value, key);
        },
        ownKeys: () => {
          this.#note(path);
          return Reflect.ownKeys(value);
        },
        getOwnPropertyDescriptor: (_, key) => {
          if (!Object.hasOwn(value, key)) return undefined;
          return {
            value: this.#view(Reflect.get(value, key), [...path, key]),
            enumerable: true,
            configurable: true,
          };
        },
        set: () => false,
        defineProperty: () => false,
        deleteProperty: () => false,
      },
    );
    return this.#keep(view, value, path);
  }

  /** A collection of which each key is noted alone; its size, and all of its entries, as one thing. */
  #keyed(value: Collection<unknown>, path: Path): object {
    const at = (key: string): Path => [...path, placeOf(key)];
    const noted = <R>(where: Path, result: R): R => {
      this.#note(where);
      return result;
    };
    return {
      get: (key: string) => this.#view(value.get(key), at(key)),
      has: (key: string) => noted(at(key), value.has(key)),
      get size() {
        return noted(path, value.size);
      },
      entries: () => noted(path, value.entries()),
      [Symbol.iterator]: () => noted(path, value.entries()),
    };
  }

  #keep(view: object, value: unknown, path: Path): object {
    this.#views.set(view, { value, path });
    return view;
  }

  /** What a selector returned, with the real parts of the state in place of the views. */
  #plain(result: unknown): unknown {
    if (typeof result !== 'object' || result === null) return result;
    const seen = this.#views.get(result);
    if (seen !== undefined) {
      this.#note(seen.path);
      return seen.value;
    }
    // Parts of the state are frozen; only what the selector has made itself can hold views.
    if (Object.isFrozen(result)) return result;
    if (Array.isArray(result)) return result.map((one) => this.#plain(one));
    if (!isRecord(result)) return result;
    return Object.fromEntries(Object.entries(result).map(([key, one]) => [key, this.#plain(one)]));
  }
}
