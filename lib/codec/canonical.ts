import { decode, type EncodeOptions, longestRecord, refused, written } from './codec.js';
import { Refusal, TooLong } from './writer.js';

/** What the codec writes for what JSON has no word for. */
type Tagged = { readonly $: string; readonly v?: unknown };

/** Kinds whose entries have no order that counts. */
const unordered: ReadonlySet<unknown> = new Set(['map', 'set', 'collection', 'record', 'bare']);
/** The same, behind what they are entries of. */
const partly: ReadonlySet<unknown> = new Set(['array', 'error']);

/**
 * One text for all values that are equal: the order in which an object has its names, and a Map, Set or collection its
 * entries, means nothing, as it means nothing to `deepStrictEqual` of `node:assert`. Inputs, answers, questions, messages
 * and cache keys are compared by it. It is not to be decoded. Fields of errors that a log cannot hold are left out.
 * @param name what the value is called when it is refused
 * @throws RxhiveError NOT_SERIALIZABLE for what a log cannot hold
 */
export function canonical(value: unknown, name?: EncodeOptions['name']): string {
  const texts = new Map<object, string>();
  try {
    return ordered(written(value, { lossy: true }), texts);
  } catch (error) {
    throw error instanceof Refusal ? refused(error, { ...(name !== undefined && { name }) }) : error;
  }
}

/** What stands for content to notice that it changed: its canonical text, else what JSON makes of it, else nothing. */
export function contentText(value: unknown): string {
  for (const write of [canonical, JSON.stringify] as ((value: unknown) => string | undefined)[]) {
    try {
      return write(value) ?? '';
    } catch {
      // A log cannot hold it, or JSON does not know it either: what cannot be written counts as unchanged.
    }
  }
  return '';
}

/** Whether two texts of the codec stand for equal values. */
export function sameText(a: string, b: string): boolean {
  return a === b || canonical(decode(a)) === canonical(decode(b));
}

/** `texts`: of what is in several places, which the writer writes once. */
function ordered(json: unknown, texts: Map<object, string>): string {
  if (typeof json !== 'object' || json === null) return JSON.stringify(json);
  const known = texts.get(json);
  if (known !== undefined) return known;
  const text = textOf(json, (one) => ordered(one, texts));
  if (text.length > 2 * longestRecord) throw new TooLong(longestRecord, []);
  texts.set(json, text);
  return text;
}

function textOf(json: object, inner: (one: unknown) => string): string {
  if (Array.isArray(json)) return `[${json.map(inner).join()}]`;
  const { $, v } = json as Tagged;
  if (Array.isArray(v) && unordered.has($)) return `{"$":"${$}","v":[${v.map(inner).sort().join()}]}`;
  if (Array.isArray(v) && partly.has($))
    return `{"$":"${$}","v":[${inner(v[0])},[${(v[1] as unknown[]).map(inner).sort().join()}]]}`;
  const names = Object.keys(json).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${inner(json[name as never])}`).join()}}`;
}
