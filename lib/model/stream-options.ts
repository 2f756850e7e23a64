import type { RetryOptions, TimeoutOptions } from './policy.js';

/** How one piece of work stands among all that a controller runs. */
export interface ScheduleOptions<G extends string = string, X extends string = string> {
  /** Its type in events, reports and for `fair`. Default `task`. */
  readonly name?: string;
  /** Concurrency group of the controller. Default: none. */
  readonly group?: G;
  /** Amounts of the controller's `resources` it holds while running. */
  readonly resources?: { readonly [name in X]?: number };
  /** A higher one goes first. Default 0. */
  readonly priority?: number;
  /** Tries after the first. Default 0. */
  readonly retry?: number | RetryOptions;
  /** Ms for one attempt, or limits by kind. Default: none. */
  readonly timeout?: number | TimeoutOptions;
  /** Tokens it needs, for limiters that count them. Default: learnt. */
  readonly tokens?: number;
}

/** How an operator of a controller treats its source, its results and their errors. */
export interface StreamOptions<G extends string = string, X extends string = string>
  extends Omit<ScheduleOptions<G, X>, 'name'> {
  /** Results in the order of the source instead of that in which they come. Default false. */
  readonly ordered?: boolean;
  /**
   * What a failed value does, after its retries: fails the stream (`error`), is left out (`skip`), or is told as
   * `{ kind: 'E', error }` among results that are `{ kind: 'N', value }` (`materialize`). Default `error`.
   */
  readonly onError?: 'error' | 'skip' | 'materialize';
  /** Values that may wait for their start. Whole number from 0, or Infinity. Default 10,000. */
  readonly capacity?: number;
  /** One value more: fails the stream with LIMIT_EXCEEDED, or drops the oldest that waits, or itself. Default `error`. */
  readonly onFull?: 'error' | 'drop-oldest' | 'drop-newest';
}
