import { isDeepStrictEqual } from 'node:util';
import { codeOf } from '../../replay/recording.js';
import type { Moment } from '../marbles/marble-text.js';

/** What `#` of a fake agent fails with when nothing else is given: an error of code `error`. */
export class MarbleError extends Error {
  readonly code: string;

  constructor(code = 'error') {
    super(code);
    this.name = 'MarbleError';
    this.code = code;
  }
}

/** The error a text, an Error or anything else stands for. */
export function errorFrom(given: unknown): unknown {
  return typeof given === 'string' ? new MarbleError(given) : (given ?? new MarbleError());
}

/** Sums of parts of a ms differ in their last digits. */
const sameTime = 1e-6;

/** Same kind of thing at the same time; errors by code, values deeply. */
export function sameMoment(a: Moment | undefined, b: Moment | undefined): boolean {
  if (a === undefined || b === undefined || Math.abs(a.at - b.at) > sameTime || a.kind !== b.kind)
    return false;
  if (a.kind === 'error') return codeOf(a.error) === codeOf(b.error);
  return a.kind !== 'next' || isDeepStrictEqual(a.value, b.value);
}

/** True when `value` has everything `pattern` has; more is fine in records. Errors are compared by code. */
export function matches(value: unknown, pattern: unknown): boolean {
  if (pattern instanceof Error) return codeOf(value) === codeOf(pattern);
  if (typeof pattern !== 'object' || pattern === null || Array.isArray(pattern))
    return isDeepStrictEqual(value, pattern);
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(pattern).every(([key, part]) =>
    matches((value as Record<string, unknown>)[key], part),
  );
}
