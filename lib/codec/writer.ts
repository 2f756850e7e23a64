import { bytesKind, isBytes, textOfBytes } from '../kernel/bytes.js';
import { isRecord } from '../kernel/plain.js';
import { Collection } from './collection.js';
import { classOf, fieldsOf } from './error-fields.js';
import type { Path, Step } from './plain-records.js';

/** Levels within levels; more could overflow the stack of those who read it. */
export const deepest = 500;

/** Characters that objects in several places may take: they double where each holds the next one twice. */
const mostRepeated = 8 * 1024 * 1024;

/** Why a value cannot be written, and where that is. */
export class Refusal extends Error {
  readonly what: string;
  readonly path: Path;
  readonly advice: string;

  constructor(what: string, path: Path, advice: string) {
    super(what);
    this.what = what;
    this.path = [...path];
    this.advice = advice;
  }
}

/** The whole is too long, found at a path. */
export class TooLong extends Refusal {
  constructor(longest: number, path: Path) {
    super(`longer than ${longest} characters as JSON`, path, 'store it elsewhere and return a reference');
  }
}

/** How {@link Writer} writes. */
export interface WriterOptions {
  /** More characters are refused, before they are made. */
  readonly longest: number;
  /** Fields of errors that cannot be written are left out. */
  readonly lossy: boolean;
  /** True for paths within a state, where some names and lists cannot be. */
  isState(path: Path): boolean;
}

/** What has been written already: an object that is met again is not walked again. */
interface Written {
  /** Undefined as long as it is being written. */
  node: unknown;
  size: number;
}

const plainAdvice = 'return plain data, Date, Map, Set, bigint, RegExp, URL, bytes or Error';
/** Where others have what they say about themselves, when people look at their names. */
const bases = [Map, Set, Array, Date, RegExp, Promise] as const;

/**
 * Makes of a value what JSON has words for: `{ "$": kind, "v": ... }` stands for what it has none for. One object in two
 * places is written twice, so its size counts twice.
 */
export class Writer {
  readonly #options: WriterOptions;
  readonly #path: Step[] = [];
  readonly #written = new Map<object, Written>();
  /** Characters so far, at least, and those of them that are there for what is in several places. */
  #size = 0;
  #repeated = 0;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  /** @throws Refusal */
  write(value: unknown): unknown {
    switch (typeof value) {
      case 'string':
        this.#grow(value.length + 2);
        return value;
      case 'boolean':
        this.#grow(4);
        return value;
      case 'number':
        this.#grow(1);
        if (Object.is(value, -0)) return { $: 'number', v: '-0' };
        return Number.isFinite(value) ? value : { $: 'number', v: String(value) };
      case 'undefined':
        this.#grow(4);
        return { $: 'undefined' };
      case 'bigint':
        return { $: 'bigint', v: this.write(String(value)) };
      case 'object':
        break;
      default:
        return this.#refuse(`a ${typeof value}`, typeof value === 'symbol' ? 'use a text' : 'leave it out');
    }
    if (value === null) {
      this.#grow(4);
      return null;
    }
    return this.#once(value);
  }

  #once(value: object): unknown {
    const known = this.#written.get(value);
    if (known !== undefined) {
      if (known.node === undefined) return this.#refuse('a circle', 'name what it points back to by an id');
      this.#grow(known.size);
      this.#repeated += known.size;
      if (this.#repeated > mostRepeated) throw new TooLong(mostRepeated, this.#path);
      return known.node;
    }
    if (this.#path.length >= deepest)
      return this.#refuse(`nested deeper than ${deepest} levels`, 'make it flat, such as a list with ids');
    const before = this.#size;
    const depth = this.#path.length;
    const written: Written = { node: undefined, size: 0 };
    this.#written.set(value, written);
    try {
      this.#grow(2);
      written.node = this.#object(value);
      written.size = this.#size - before;
      return written.node;
    } catch (error) {
      this.#written.delete(value);
      if (error instanceof Refusal) throw error;
      const why = String((error as Error | undefined)?.message ?? error).slice(0, 100);
      throw new Refusal(`something that cannot be read (${why})`, this.#path, plainAdvice);
    } finally {
      this.#path.length = depth;
    }
  }

  #object(value: object): unknown {
    if (Array.isArray(value)) return this.#array(value);
    if (isRecord(value)) return this.#record(value);
    if (value instanceof Error || Object.prototype.toString.call(value) === '[object Error]')
      return this.#error(value as Error);
    if (isBytes(value)) {
      const kind = bytesKind(value) ?? this.#foreign(value);
      this.#grow(value.byteLength);
      return { $: 'bytes', v: [kind, textOfBytes(value)] };
    }
    if (value instanceof Collection)
      return { $: 'collection', v: Array.from(value, ([get, one]) => [get, this.#step({ get }, one)]) };
    this.#bare(value);
    switch (Object.getPrototypeOf(value)) {
      case Date.prototype:
        return { $: 'date', v: (value as Date).getTime() };
      case Map.prototype:
        return { $: 'map', v: this.#map(value as Map<unknown, unknown>) };
      case Set.prototype:
        return {
          $: 'set',
          v: Array.from(value as Set<unknown>, (one, at) => this.#step({ the: 'entry', at }, one)),
        };
      case RegExp.prototype: {
        const { source, flags, lastIndex } = value as RegExp;
        this.#grow(source.length);
        return { $: 'regexp', v: [source, flags, lastIndex] };
      }
      case URL.prototype:
        return { $: 'url', v: this.write((value as URL).href) };
      default:
        return this.#foreign(value);
    }
  }

  #array(value: readonly unknown[]): unknown {
    if (Object.getPrototypeOf(value) !== Array.prototype) return this.#foreign(value);
    this.#unmarked(value);
    const names = Object.keys(value);
    // A hole is no `undefined`, and what match() of a text gives has names beside its places.
    const isList =
      names.length === value.length && (names.length === 0 || names.at(-1) === String(value.length - 1));
    if (isList) {
      // Loops, here and below: each call within a call is one less level that fits on the stack.
      const list: unknown[] = [];
      for (let i = 0; i < value.length; i++) list.push(this.#step(i, value[i]));
      return list;
    }
    const extra = names.find((name) => !isPlace(name));
    if (extra !== undefined && this.#inState)
      return this.#refuse(`a list with the name ${extra} beside its places`, 'use an object');
    const entries: unknown[] = [];
    for (const name of names)
      entries.push([name, this.#step(isPlace(name) ? Number(name) : name, value[name as never])]);
    return { $: 'array', v: [value.length, entries] };
  }

  #record(value: Record<string, unknown>): unknown {
    this.#unmarked(value);
    if (Object.prototype.toString.call(value) !== '[object Object]') return this.#foreign(value);
    const names = Object.keys(value);
    if (names.includes('__proto__') && this.#inState)
      return this.#refuse('an object with the reserved name __proto__', 'use another name');
    const entries: (readonly [string, unknown])[] = [];
    for (const name of names) {
      this.#grow(name.length + 3);
      entries.push([name, this.#step(name, value[name])]);
    }
    if (Object.getPrototypeOf(value) === null) return { $: 'bare', v: entries };
    const plain = Object.fromEntries(entries);
    return Object.hasOwn(plain, '$') ? { $: 'record', v: entries } : plain;
  }

  #map(value: Map<unknown, unknown>): unknown[] {
    return Array.from(value, ([key, one], i) => [
      this.#step({ the: 'key', at: i }, key),
      this.#step({ get: key }, one),
    ]);
  }

  /** Its class is kept where it is one of the language; another one comes back as the nearest of those, with its name. */
  #error(value: Error): unknown {
    const { lossy } = this.#options;
    const kind = classOf(value);
    if (kind.exact && !lossy) this.#unmarked(value);
    const fields: unknown[] = [];
    for (const [name, isListed] of fieldsOf(value, kind)) {
      const before = this.#size;
      const depth = this.#path.length;
      try {
        this.#grow(name.length + 6);
        fields.push([name, this.#step(name, value[name as keyof Error]), isListed ? 1 : 0]);
      } catch (error) {
        // A request or socket on an error must not keep the error out of the log.
        if (!lossy) throw error;
        this.#size = before;
        this.#path.length = depth;
      }
    }
    return { $: 'error', v: [kind.name, fields] };
  }

  #step(step: Step, value: unknown): unknown {
    this.#path.push(step);
    const written = this.write(value);
    this.#path.pop();
    return written;
  }

  get #inState(): boolean {
    return this.#options.isState(this.#path);
  }

  #grow(by: number): void {
    this.#size += by;
    const { longest } = this.#options;
    if (this.#size > longest) throw new TooLong(longest, this.#path);
  }

  /** Something beside what its class holds. */
  #bare(value: object): void {
    const [name] = Object.keys(value);
    if (name !== undefined)
      this.#refuse(`a ${nameOf(value)} with a property ${name} of its own`, plainAdvice);
    this.#unmarked(value);
  }

  #unmarked(value: object): void {
    for (const key of Object.getOwnPropertySymbols(value))
      if (Object.prototype.propertyIsEnumerable.call(value, key))
        this.#refuse(`an object with the key ${String(key)}`, 'use names that are texts');
  }

  #foreign(value: object): never {
    const name = nameOf(value);
    const base = bases.find((one) => value instanceof one);
    if (base === undefined) return this.#refuse(`a ${name}`, plainAdvice);
    if (base === Promise) return this.#refuse(`a ${name}`, 'await it first');
    const what = name === base.name ? `a ${name} of another realm` : `a ${name}, a subclass of ${base.name}`;
    return this.#refuse(what, `make a ${base.name} of it`);
  }

  #refuse(what: string, advice: string): never {
    throw new Refusal(what, this.#path, advice);
  }
}

function isPlace(name: string): boolean {
  return String(Number(name)) === name;
}

function nameOf(value: object): string {
  const name: unknown = value.constructor?.name;
  return typeof name === 'string' && name !== '' ? name.slice(0, 60) : 'class instance';
}
