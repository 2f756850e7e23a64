import type { TaskContext } from './context.js';
import type { RetryOptions, TimeoutOptions } from './policy.js';

/** One way to do the work of a `fallback`: a model, a key, a provider. It runs as a task of its own. */
export interface Candidate<I = never, R = unknown, S = unknown, W = unknown> {
  /** Ends the id of its task, `TASK/NAME`, and is its type. */
  readonly name: string;
  /** Group whose limits, budget and breaker it has. Default: none. */
  readonly group?: string;
  readonly run: (inputs: I, ctx: TaskContext<S, W>) => R;
  /** Tries before the next candidate's turn, as of a task. Default: the workflow's. */
  readonly retry?: number | RetryOptions;
  readonly timeout?: number | TimeoutOptions;
  readonly resources?: { readonly [name: string]: number };
}

/** How a `fallback` chooses. */
export interface FallbackOptions {
  /**
   * `given`: the first one first. `spread`: where most is left of budget, limits and places, so that several keys are
   * used evenly. Default `given`.
   */
  readonly order?: 'given' | 'spread';
  /**
   * Is an error a reason to try the next one? Default: all but bugs of the body (TypeError, ReferenceError, RangeError,
   * SyntaxError; not the TypeError of a fetch that failed).
   */
  readonly when?: (error: unknown, name: string) => boolean;
}

const known = Symbol('candidates');

/** Remembers what a body chooses among, so that a definition can be checked before anything starts. */
export function withCandidates<F extends object>(body: F, candidates: readonly Candidate[]): F {
  return Object.defineProperty(body, known, { value: candidates });
}

/** What a body chooses among; undefined: it is no fallback. */
export function candidatesOf(body: unknown): readonly Candidate[] | undefined {
  return typeof body === 'function' ? (body as { [known]?: readonly Candidate[] })[known] : undefined;
}
