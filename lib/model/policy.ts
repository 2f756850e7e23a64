import { inspect } from '../kernel/errors.js';
import {
  all,
  bag,
  checked,
  either,
  isBag,
  isFunction,
  number,
  type Rule,
  rule,
} from '../kernel/option-rules.js';
import type { Random } from '../kernel/random.js';

/**
 * Delay before a retry, in ms. `retry` counts from 1; `random` is the run's seeded source; `error` is what the attempt failed
 * with, undefined where a limiter asks.
 */
export type Backoff = (retry: number, random: Random, error?: unknown) => number;

/** Numbers of an exponential backoff, all in ms but `factor`. */
export interface ExponentialOptions {
  /** Upper bound of the first delay. Default 500. */
  readonly initial?: number;
  /** No delay is longer than this; from `initial` on. Default 30,000, or a day where `initial` is longer than that. */
  readonly max?: number;
  /** Growth per retry. Default 2. */
  readonly factor?: number;
  /** `full`: anywhere between 0 and the bound; `none`: the bound itself. Default `full`. */
  readonly jitter?: 'full' | 'none';
}

const usualMax = 30_000;
const day = 86_400_000;
const hour = 3_600_000;

/**
 * Exponential backoff with full jitter.
 * Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 * @throws RxhiveError INVALID_OPTION where `initial` is above `max`
 */
export function exponential(options: ExponentialOptions = {}): Backoff {
  const { initial = 500, factor = 2, jitter = 'full' } = options;
  const { max = initial > usualMax ? day : usualMax } = options;
  checked(options, 'backoff', inOrder);
  return (retry, random) => {
    const bound = Math.min(max, initial * factor ** (retry - 1));
    return jitter === 'full' ? Math.round(random() * bound) : bound;
  };
}

/** The first delay must not be above the longest one. */
const inOrder: Rule = (backoff, where, fault) => {
  const { initial, max } = backoff as ExponentialOptions;
  if (initial === undefined || max === undefined || !(initial > max)) return;
  fault(
    'bad-number',
    `${where}.initial is ${inspect(initial)}, above max ${inspect(max)}; raise max or lower initial.`,
  );
};

/** What a backoff may be. */
export const backoffRule: Rule = either(
  isBag,
  all(
    bag<ExponentialOptions>('', { initial: number(0), max: number(0, 'infinite'), factor: number(1) }, false),
    inOrder,
  ),
  rule(isFunction, 'give exponential(...) or { initial, max, factor }'),
);

/** When and how often a failed attempt is repeated. */
export interface RetryOptions {
  /** Tries after the first. Whole number, 0 or more. */
  readonly count: number;
  /** Delay before each retry. Default `exponential()`. */
  readonly backoff?: Backoff | ExponentialOptions;
  /**
   * Decides whether an error is worth another try; wins over everything else. Default: not for a used-up quota; else
   * `error.isRetryable` where it is a boolean; else the header `x-should-retry`; else not for HTTP status 400-499 except
   * 408, 409, 425, 429 and refusals told otherwise, nor for a prompt too long, a filter of contents or a wrong key;
   * else yes. The status is read wherever SDKs put it, also in causes.
   */
  readonly retryIf?: (error: unknown, attempt: number) => boolean;
  /**
   * Attempts that may be lost before the task has failed: with the worker they ran on (`WORKER_LOST`), or, one after the
   * other, with a process that died while the task was under way and without getting anything done (`ATTEMPT_LOST`). A task
   * that ends workers or processes must not do so for ever. Lost attempts are not counted in `count`, and another one
   * follows at once. Whole number from 1. Default: one more than `count`, at least 3.
   */
  readonly lost?: number;
  /**
   * Ms a provider can make the task and its group wait at most by `Retry-After`, whatever it asks for. Default 3,600,000,
   * an hour.
   */
  readonly maxRetryAfter?: number;
}

const leastLost = 3;

/** Attempts of a task that may be lost before it has failed; see {@link RetryOptions.lost}. */
export function mostLostOf(retry: number | RetryOptions | undefined): number {
  const { count = 0, lost } = typeof retry === 'number' ? { count: retry } : (retry ?? {});
  return lost ?? Math.max(count + 1, leastLost);
}

/** Ms a provider can make a task wait: its own policy says so, else that of the workflow. */
export function longestRetryAfter(
  own: number | RetryOptions | undefined,
  inherited: number | RetryOptions | undefined,
): number {
  for (const retry of [own, inherited])
    if (typeof retry === 'object' && retry.maxRetryAfter !== undefined) return retry.maxRetryAfter;
  return hour;
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
