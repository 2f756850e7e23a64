import { bytesOf, bytesOfText } from '../kernel/bytes.js';
import { Collection } from './collection.js';
import { errorOf } from './error-fields.js';

/** What {@link read} does not know by its kind is damaged. */
type Tagged = { readonly $: unknown; readonly v?: unknown };
type Entries = readonly (readonly [string, unknown])[];

/** Makes of what a {@link Writer} wrote the value that it was. @throws TypeError, RangeError, SyntaxError for anything else */
export function read(json: unknown): unknown {
  if (typeof json !== 'object' || json === null) return json;
  if (Array.isArray(json)) return json.map(read);
  if (!Object.hasOwn(json, '$')) return recordOf(Object.entries(json));
  const { $, v } = json as Tagged;
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
      return new Map(
        (v as readonly (readonly [unknown, unknown])[]).map(([key, one]) => [read(key), read(one)]),
      );
    case 'set':
      return new Set((v as readonly unknown[]).map(read));
    case 'collection': {
      const made = new Collection<unknown>();
      for (const [key, one] of v as Entries) made.set(key, read(one));
      return made;
    }
    case 'array':
      return arrayOf(v as readonly [number, Entries]);
    case 'bytes': {
      const [kind, text] = v as readonly [string, string];
      return bytesOf(kind, bytesOfText(text));
    }
    case 'regexp': {
      const [source, flags, lastIndex] = v as readonly [string, string, number];
      return Object.assign(new RegExp(source, flags), { lastIndex });
    }
    case 'url':
      return new URL(v as string);
    case 'record':
      return recordOf(v as Entries);
    case 'bare':
      return Object.setPrototypeOf(recordOf(v as Entries), null);
    case 'error': {
      const [name, fields] = v as readonly [string, readonly (readonly [string, unknown, unknown])[]];
      return errorOf(
        name,
        fields.map(([key, one, listed]) => [key, read(one), listed] as const),
      );
    }
    default:
      throw new TypeError(`unknown kind ${String($).slice(0, 40)}`);
  }
}

function recordOf(entries: Entries): Record<string, unknown> {
  return Object.fromEntries(entries.map(([key, one]) => [key, read(one)]));
}

/** A list with holes, or with names beside its places. */
function arrayOf([length, entries]: readonly [number, Entries]): unknown[] {
  const made: unknown[] = [];
  made.length = length;
  for (const [key, one] of entries)
    Object.defineProperty(made, key, {
      value: read(one),
      configurable: true,
      enumerable: true,
      writable: true,
    });
  return made;
}
