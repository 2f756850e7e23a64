import { decode, encode } from './codec.js';

/** What the codec writes for what JSON has no word for. */
type Tagged = { readonly $: string; readonly v?: unknown };

/** Kinds whose entries have no order that counts. */
const unordered: ReadonlySet<unknown> = new Set(['map', 'set', 'collection', 'record']);

/**
 * One text for all values that are equal: the order in which an object has its names, and a Map, Set or collection its
 * entries, means nothing, as it means nothing to `deepStrictEqual` of `node:assert`. Inputs, answers, questions, messages
 * and cache keys are compared by it. It is not to be decoded.
 * @throws RxhiveError NOT_SERIALIZABLE for what a log cannot hold
 */
export function canonical(value: unknown): string {
  return ordered(JSON.parse(encode(value)));
}

/** Whether two texts of the codec stand for equal values. */
export function sameText(a: string, b: string): boolean {
  return a === b || canonical(decode(a)) === canonical(decode(b));
}

function ordered(json: unknown): string {
  if (typeof json !== 'object' || json === null) return JSON.stringify(json);
  if (Array.isArray(json)) return `[${json.map(ordered).join()}]`;
  const { $, v } = json as Tagged;
  if (Array.isArray(v) && unordered.has($)) return `{"$":"${$}","v":[${v.map(ordered).sort().join()}]}`;
  const names = Object.keys(json).sort();
  const entries = names.map(
    (name) => `${JSON.stringify(name)}:${ordered((json as Record<string, unknown>)[name])}`,
  );
  return `{${entries.join()}}`;
}
