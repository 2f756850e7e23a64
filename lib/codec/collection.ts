import { immerable } from 'immer';
import { copying } from '../kernel/copy.js';
import { fnv1a } from '../kernel/hash.js';

type Leaf<T> = Record<string, T>;
type Twig<T> = Record<string, Leaf<T>>;
type Branch<T> = Record<string, Twig<T>>;

/** Children per level: copying three small records costs less than copying one with all keys. */
const width = 32;

/**
 * A large keyed set as part of the state. A commit copies what it changes; in a record or Map that is every key,
 * here it is one path of a tree four levels deep. Used like a Map, in recipes and in reads.
 */
export class Collection<T> {
  /** Of the class, not of each one: Immer would take any object for a draft that has a collection as `constructor`. */
  static readonly [immerable] = true;
  size = 0;
  /** Branches, twigs and leaves by hash of the key. Not a #private field: a draft of Immer is a proxy, and has none. */
  private root: Record<string, Branch<T>> = {};

  has(key: string): boolean {
    return Object.hasOwn(this.leaf(key) ?? {}, named(key));
  }

  get(key: string): T | undefined {
    return this.leaf(key)?.[named(key)];
  }

  set(key: string, value: T): this {
    const [first, second, third] = places(key);
    this.root[first] ??= {};
    const branch = this.root[first] as Branch<T>;
    branch[second] ??= {};
    const twig = branch[second] as Twig<T>;
    twig[third] ??= {};
    const leaf = twig[third] as Leaf<T>;
    if (!Object.hasOwn(leaf, named(key))) this.size += 1;
    leaf[named(key)] = value;
    return this;
  }

  /** False when the key was not there. */
  delete(key: string): boolean {
    if (!this.has(key)) return false;
    takeOut(this.root, [...places(key), named(key)]);
    this.size -= 1;
    return true;
  }

  /** Pairs of key and value, in no particular order. */
  entries(): Generator<[string, T]> {
    return below(this.root, 4);
  }

  [Symbol.iterator](): Generator<[string, T]> {
    return this.entries();
  }

  /** Its values as another one holds them. */
  [copying](inner: (value: unknown) => unknown): Collection<T> {
    const made = new Collection<T>();
    for (const [key, value] of this) made.set(key, inner(value) as T);
    return made;
  }

  private leaf(key: string): Leaf<T> | undefined {
    const [first, second, third] = places(key);
    return this.root[first]?.[second]?.[third];
  }
}

/** Makes a {@link Collection}, empty or with `entries`. */
export function collection<T>(entries: Iterable<readonly [string, T]> = []): Collection<T> {
  const made = new Collection<T>();
  for (const [key, value] of entries) made.set(key, value);
  return made;
}

/** Pairs of key and value in a part of the tree, so many levels above the values. */
export function* below<T>(part: unknown, levels: number): Generator<[string, T]> {
  if (levels === 0 || part === undefined) return;
  for (const [name, value] of Object.entries(part as object)) {
    if (levels > 1) yield* below<T>(value, levels - 1);
    else yield [name.slice(1), value as T];
  }
}

/** Removes what stands at a path, and what is empty then: the tree depends on what is in it alone. */
function takeOut(part: Record<string, unknown>, [first = '', ...rest]: readonly string[]): void {
  const below = part[first] as Record<string, unknown>;
  if (rest.length > 0) takeOut(below, rest);
  if (rest.length === 0 || Object.keys(below).length === 0) delete part[first];
}

/** A prefix keeps keys such as `__proto__` ordinary. */
function named(key: string): string {
  return `:${key}`;
}

/** Branch, twig and leaf of a key; the low bits of the hash alone are not mixed well enough. */
function places(key: string): [string, string, string] {
  const hash = fnv1a(key);
  const mixed = (hash ^ (hash >>> 15)) >>> 0;
  return [String(mixed % width), String((mixed >>> 5) % width), String((mixed >>> 10) % width)];
}
