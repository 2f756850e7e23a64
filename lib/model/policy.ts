import type { Random } from '../kernel/random.js';

/** Delay before a retry, in ms. `retry` counts from 1; `random` is the run's seeded source. */
export type Backoff = (retry: number, random: Random) => number;

/** Numbers of an exponential backoff, all in ms but `factor`. */
export interface ExponentialOptions {
  /** Upper bound of the first delay. Default 500. */
  readonly initial?: number;
  /** No delay is longer than this. Default 30,000. */
  readonly max?: number;
  /** Growth per retry. Default 2. */
  readonly factor?: number;
  /** `full`: anywhere between 0 and the bound; `none`: the bound itself. Default `full`. */
  readonly jitter?: 'full' | 'none';
}

/**
 * Exponential backoff with full jitter.
 * Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
export function exponential(options: ExponentialOptions = {}): Backoff {
  const { initial = 500, max = 30_000, factor = 2, jitter = 'full' } = options;
  return (retry, random) => {
    const bound = Math.min(max, initial * factor ** (retry - 1));
    return jitter === 'full' ? Math.round(random() * bound) : bound;
  };
}

/** When and how often a failed attempt is repeated. */
export interface RetryOptions {
  /** Tries after the first. Whole number, 0 or more. */
  readonly count: number;
  /** Delay before each retry. Default `exponential()`. */
  readonly backoff?: Backoff | ExponentialOptions;
  /**
   * Decides whether an error is worth another try; wins over everything else. Default: `error.isRetryable`
   * where it is a boolean; else not for HTTP status 400-499 except 408, 409, 425, 429; else yes.
   */
  readonly retryIf?: (error: unknown, attempt: number) => boolean;
  /**
   * Processes, one after the other, that may die while the task is under way, and without anything getting done, before it
   * has failed with `ATTEMPT_LOST`: one that ends its process must not do so for ever. Whole number from 1. Default: one
   * more than `count`, at least 3.
   */
  readonly lost?: number;
}

/** The four clocks of a task, in ms. */
export interface TimeoutOptions {
  /** One attempt. May be retried. */
  readonly attempt?: number;
  /** All attempts with the pauses between them, from the first start. Final. */
  readonly total?: number;
  /** Between two values of a stream, or until the first. May be retried. */
  readonly idle?: number;
  /** From ready to started: waiting for a slot. Final. */
  readonly queue?: number;
}

/** The limits of a task: its own, else the workflow's. A number means one attempt. */
export function timeoutsOf(
  own: number | TimeoutOptions | undefined,
  inherited: number | TimeoutOptions | undefined,
): TimeoutOptions | undefined {
  const given = own ?? inherited;
  return typeof given === 'number' ? { attempt: given } : given;
}
