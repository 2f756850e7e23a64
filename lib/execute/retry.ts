import { isRetryable } from '../kernel/provider-error.js';
import type { Random } from '../kernel/random.js';
import { exponential, type RetryOptions } from '../model/policy.js';

/** Retries the run may still make. */
export interface RetryBudget {
  left: number;
}

const plain = exponential();

/**
 * Whole ms after which attempt number `attempt` is followed by another; undefined: it was the last. `asked`: ms a
 * provider asked to wait.
 */
export function decideRetry(
  retry: number | RetryOptions | undefined,
  error: unknown,
  attempt: number,
  asked: number | undefined,
  random: Random,
  budget: RetryBudget,
): number | undefined {
  if (retry === undefined) return undefined;
  const policy = typeof retry === 'number' ? { count: retry } : retry;
  if (attempt > policy.count || budget.left <= 0) return undefined;
  const wanted = policy.retryIf === undefined ? isRetryable(error) : policy.retryIf(error, attempt);
  if (!wanted) return undefined;
  budget.left -= 1;
  if (asked !== undefined) return Math.ceil(asked);
  const { backoff } = policy;
  const delayOf =
    backoff === undefined ? plain : typeof backoff === 'function' ? backoff : exponential(backoff);
  const delay = delayOf(attempt, random);
  return Number.isFinite(delay) && delay > 0 ? Math.ceil(delay) : 0;
}
