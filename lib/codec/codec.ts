import { RxhiveError } from '../kernel/errors.js';
import { type Path, shownPath } from './plain-records.js';
import { isPlainTree } from './plain-tree.js';
import { read } from './reader.js';
import { Refusal, TooLong, Writer } from './writer.js';

/** Longest record in characters. */
export const longestRecord = 8 * 1024 * 1024;

/** How {@link encode} goes about it. */
export interface EncodeOptions {
  /** More characters are refused. */
  readonly longest?: number;
  /** What the value is called when it is refused, such as `the result`, or what a place in it is. */
  readonly name?: string | ((path: Path) => string);
  /** Fields of errors that cannot be written are left out. */
  readonly lossy?: boolean;
  /** True for paths within a state: it has no reserved names, and no lists with names beside their places. */
  isState?(path: Path): boolean;
}

/**
 * Writes a value as JSON text that {@link decode} reads back as its equal: plain data, `undefined`, holes, dates, maps, sets,
 * bigints, bytes, regular expressions, addresses, collections, errors, and numbers JSON cannot hold. One object in several places
 * comes back as several.
 * @throws RxhiveError NOT_SERIALIZABLE with the place of what cannot be written: class instances, functions, symbols, circles,
 *   more than 500 levels, too long a text
 */
export function encode(value: unknown, options: EncodeOptions = {}): string {
  const { longest = longestRecord } = options;
  try {
    if (isPlainTree(value)) {
      const text = textOf(value, longest);
      if (text !== undefined) return text;
    }
    const text = textOf(written(value, options), longest);
    if (text !== undefined) return text;
    throw new TooLong(longest, []);
  } catch (error) {
    throw error instanceof Refusal ? refused(error, options) : error;
  }
}

/** What is written of a value, for {@link encode} and for who compares. @throws Refusal */
export function written(
  value: unknown,
  { longest = longestRecord, lossy = false, isState }: EncodeOptions = {},
): unknown {
  return new Writer({ longest, lossy, isState: isState ?? (() => false) }).write(value);
}

/** Reads what {@link encode} wrote. @throws SyntaxError, TypeError, RangeError for anything else */
export function decode(text: string): unknown {
  const json: unknown = JSON.parse(text);
  return text.includes('"$"') ? read(json) : json;
}

/** Undefined: it is too long, if not for JSON itself. */
function textOf(json: unknown, longest: number): string | undefined {
  try {
    const text = JSON.stringify(json);
    return text.length > longest ? undefined : text;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Says what is refused, and where. */
export function refused(refusal: Refusal, { name = 'the value' }: EncodeOptions): RxhiveError {
  const { what, advice, path } = refusal;
  // What is too long is so by all of it, not by where it was found to be.
  const steps = refusal instanceof TooLong ? path.slice(0, typeof name === 'string' ? 0 : 1) : path;
  const place = typeof name === 'string' ? shownPath(name, steps) : name(steps);
  const message = `${place} is ${what}, which a store cannot keep; ${advice}.`;
  return new RxhiveError('NOT_SERIALIZABLE', message, { details: { place } });
}
