import { RxhiveError } from '../kernel/errors.js';
import { statusOf } from '../kernel/http-status.js';
import type { Random } from '../kernel/random.js';
import { exponential, type RetryOptions } from '../model/policy.js';

/** Retries the run may still make. */
export interface RetryBudget {
  left: number;
}

const plain = exponential();
const retryableStatus = new Set([408, 409, 425, 429]);

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

/** Is an error worth another try, where the task does not say? */
function isRetryable(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return true;
  const facts = error as Record<string, unknown>;
  if (typeof facts.isRetryable === 'boolean') return facts.isRetryable;
  if (error instanceof RxhiveError) {
    // The deadline of a question that has passed once stays passed.
    if (error.code === 'TASK_TIMEOUT') return error.details.kind !== 'answer';
    return error.code === 'INVALID_RESULT';
  }
  const status = statusOf(error);
  if (status === undefined) return true;
  return status < 400 || status >= 500 || retryableStatus.has(status);
}
