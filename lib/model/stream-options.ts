import type { RetryOptions, TimeoutOptions } from './policy.js';
import type { CheckpointStore } from './store.js';
import type { WaitingOptions } from './waiting.js';

/** How work stands among all that a controller runs, and where its results are kept. */
interface WorkOptions<G extends string, X extends string> {
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
  /** What the option `fair` of the controller may go by, such as `{ tenant: 'acme' }`. Default: none. */
  readonly tags?: Readonly<Record<string, string>>;
  /**
   * Keeps results in the log `RUNID/NAME` of this store: what has succeeded there is not worked on again. A text is a path
   * or an address, as with a run. Default: none.
   */
  readonly store?: CheckpointStore | string;
  /** With `store`: the first part of the name of its log. Default: the name of the controller. */
  readonly runId?: string;
  /** With `store`: change it and stored results are not used again. Default: the source text of the work. */
  readonly version?: string;
}

/** How one piece of work stands among all that a controller runs. */
export interface ScheduleOptions<G extends string = string, X extends string = string>
  extends WorkOptions<G, X> {
  /** Its type in events, reports and for `fair`. Default `task`. */
  readonly name?: string;
  /** With `store`, which needs it: what tells it from other work of that name. A text that is not empty, or a number. */
  readonly key?: string | number;
  /** Cancels it when aborted, waiting or running; the promise rejects with the reason of the signal. */
  readonly signal?: AbortSignal;
}

/** How an operator of a controller treats its source, its results and their errors. */
export interface StreamOptions<G extends string = string, X extends string = string, T = never>
  extends WorkOptions<G, X>,
    WaitingOptions {
  /**
   * With `store`: what tells a value from the others of the stream, also when the stream comes again. A text that is not
   * empty, or a number. Default: its place in the source, where values that were left out count too.
   */
  readonly key?: (value: T, index: number) => string | number;
  /** Results in the order of the source instead of that in which they come. Default false. */
  readonly ordered?: boolean;
  /**
   * What a failed value does, after its retries: fails the stream (`error`), is left out (`skip`), or is told as
   * `{ kind: 'E', error }` among results that are `{ kind: 'N', value }` (`materialize`). Default `error`.
   */
  readonly onError?: 'error' | 'skip' | 'materialize';
  /**
   * Values that may wait for their start; of a source that is asked for values, results that may wait for those before, where
   * `ordered`. Whole number from 0, or Infinity. Default 10,000.
   */
  readonly capacity?: number;
}
