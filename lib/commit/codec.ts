import { RxhiveError } from '../kernel/errors.js';
import { isRecord } from '../kernel/plain.js';
import { Collection } from './collection.js';

/** Marks what JSON has no word for: `{ "$": kind, "v": ... }`. */
type Tagged = { readonly $: string; readonly v?: unknown };

/** Longest record in characters. */
export const longestRecord = 8 * 1024 * 1024;

/**
 * Writes a value as JSON text that {@link decode} reads back: plain data, `undefined`, dates, maps, sets, bigints,
 * bytes, collections, errors, and numbers JSON cannot hold.
 * @throws RxhiveError NOT_SERIALIZABLE with the place of what cannot be written, or of a text too long
 */
export function encode(value: unknown, longest = longestRecord): string {
  const text = JSON.stringify(write(value, [], new Set()));
  if (text.length > longest) {
    throw new RxhiveError(
      'NOT_SERIALIZABLE',
      `A value has ${text.length} characters as JSON, more than ${longest}; store it elsewhere and return a reference.`,
    );
  }
  return text;
}

/** Reads what {@link encode} wrote. @throws SyntaxError, TypeError for anything else */
export function decode(text: string): unknown {
  return read(JSON.parse(text));
}

function refuse(what: string, path: readonly string[]): never {
  const where = path.length === 0 ? 'the value' : `the value at ${path.join('.').slice(0, 200)}`;
  throw new RxhiveError(
    'NOT_SERIALIZABLE',
    `${where} is ${what}, which a store cannot keep; return plain data, Date, Map, Set, bigint, bytes or Error.`,
  );
}

function write(value: unknown, path: string[], above: Set<object>): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') {
    return Number.isFinite(value) && !Object.is(value, -0)
      ? value
      : { $: 'number', v: Object.is(value, -0) ? '-0' : String(value) };
  }
  if (value === undefined) return { $: 'undefined' };
  if (typeof value === 'bigint') return { $: 'bigint', v: String(value) };
  if (typeof value !== 'object') return refuse(`a ${typeof value}`, path);
  if (above.has(value)) return refuse('a circle', path);
  above.add(value);
  const written = writeObject(value, path, above);
  above.delete(value);
  return written;
}

function writeObject(value: object, path: string[], above: Set<object>): unknown {
  const inner = (key: string, one: unknown): unknown => {
    path.push(key);
    const written = write(one, path, above);
    path.pop();
    return written;
  };
  if (Array.isArray(value)) return Array.from(value, (one, i) => inner(String(i), one));
  if (value instanceof Date) return { $: 'date', v: value.getTime() };
  if (value instanceof Map)
    return { $: 'map', v: [...value].map(([key, one]) => [inner('key', key), inner(String(key), one)]) };
  if (value instanceof Set) return { $: 'set', v: [...value].map((one, i) => inner(String(i), one)) };
  if (value instanceof Collection)
    return { $: 'collection', v: [...value].map(([key, one]) => [key, inner(key, one)]) };
  if (value instanceof Uint8Array) {
    const parts: string[] = [];
    // In pieces: one character after the other takes thirty times the memory.
    for (let i = 0; i < value.length; i += 8_192)
      parts.push(String.fromCharCode(...value.subarray(i, i + 8_192)));
    return { $: 'bytes', v: btoa(parts.join('')) };
  }
  if (value instanceof Error) {
    const { name, message, cause } = value;
    const facts = Object.entries(value).filter(([key]) => key !== 'cause' && key !== 'name');
    const kept = facts.flatMap(([key, one]) => {
      try {
        return [[key, inner(key, one)]];
      } catch {
        return []; // A request or socket on an error must not keep the error out of the log.
      }
    });
    return { $: 'error', v: [name, message, kept, cause instanceof Error ? inner('cause', cause) : null] };
  }
  if (!isRecord(value)) return refuse(`a ${(value as object).constructor?.name ?? 'class instance'}`, path);
  const entries = Object.entries(value).map(([key, one]) => [key, inner(key, one)] as const);
  const plain = Object.fromEntries(entries);
  return Object.hasOwn(plain, '$') ? { $: 'record', v: entries } : plain;
}

function read(json: unknown): unknown {
  if (typeof json !== 'object' || json === null) return json;
  if (Array.isArray(json)) return json.map(read);
  if (!Object.hasOwn(json, '$'))
    return Object.fromEntries(Object.entries(json).map(([key, one]) => [key, read(one)]));
  const { $, v } = json as Tagged;
  const pairs = (): [string, unknown][] => (v as [string, unknown][]).map(([key, one]) => [key, read(one)]);
  switch ($) {
    case 'undefined':
      return undefined;
    case 'number':
      return Number(v);
    case 'bigint':
      return BigInt(v as string);
    case 'date':
      return new Date(v === null ? Number.NaN : (v as number));
    case 'map':
      return new Map((v as [unknown, unknown][]).map(([key, one]) => [read(key), read(one)]));
    case 'set':
      return new Set((v as unknown[]).map(read));
    case 'collection': {
      const made = new Collection<unknown>();
      for (const [key, one] of pairs()) made.set(key, one);
      return made;
    }
    case 'bytes':
      return Uint8Array.from(atob(v as string), (char) => char.charCodeAt(0));
    case 'record':
      return Object.fromEntries(pairs());
    case 'error': {
      const [name, message, facts, cause] = v as [string, string, [string, unknown][], unknown];
      const error = cause === null ? new Error(message) : new Error(message, { cause: read(cause) });
      for (const [key, one] of [['name', name], ...facts] as [string, unknown][])
        Object.defineProperty(error, key, {
          value: key === 'name' ? one : read(one),
          configurable: true,
          writable: true,
          enumerable: key !== 'name',
        });
      return error;
    }
    default:
      throw new TypeError(`unknown kind ${String($).slice(0, 40)}`);
  }
}
