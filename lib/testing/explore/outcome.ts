import { isDeepStrictEqual } from 'node:util';
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

/** What tells one error from another: its `code`, else its HTTP `status`, else its name or itself as text. */
export function codeOfError(error: unknown): string {
  if (typeof error !== 'object' || error === null) return String(error);
  const { code, status, name } = error as { code?: unknown; status?: unknown; name?: unknown };
  if (code !== undefined) return String(code);
  return String(status ?? name ?? 'error');
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
  if (a.kind === 'error') return codeOfError(a.error) === codeOfError(b.error);
  return a.kind !== 'next' || isDeepStrictEqual(a.value, b.value);
}

/** True when `value` has everything `pattern` has; more is fine in records. Errors are compared by code. */
export function matches(value: unknown, pattern: unknown): boolean {
  if (pattern instanceof Error) return codeOfError(value) === codeOfError(pattern);
  if (typeof pattern !== 'object' || pattern === null || Array.isArray(pattern))
    return isDeepStrictEqual(value, pattern);
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(pattern).every(([key, part]) =>
    matches((value as Record<string, unknown>)[key], part),
  );
}
