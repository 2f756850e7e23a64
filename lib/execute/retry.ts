import type { Failure } from '../graph/gate.js';
import type { AttemptHandle, TaskNode } from '../graph/node.js';
import type { Signal } from '../graph/signal.js';
import type { Clock } from '../kernel/clock.js';
import { RxhiveError } from '../kernel/errors.js';
import { callForBoolean, callForNumber, faultOf } from '../kernel/guard.js';
import { readProviderError } from '../kernel/provider-error.js';
import type { Random } from '../kernel/random.js';
import { exponential, longestRetryAfter, mostLostOf, type RetryOptions } from '../model/policy.js';
import { WorkerLostError } from '../model/worker.js';
import type { WorkflowSettings } from '../model/workflow.js';

/** Retries the run may still make. */
export interface RetryBudget {
  left: number;
}

/** What it is decided with. */
interface RetryPorts {
  readonly clock: Clock;
  readonly settings: WorkflowSettings;
  readonly budget: RetryBudget;
}

const plain = exponential();

/**
 * Whole ms after which attempt number `attempt` is followed by another; undefined: it was the last. `again`: it may be, where
 * nobody says otherwise. `retryAfter`: ms a provider asked to wait.
 */
function decideRetry(
  retry: number | RetryOptions | undefined,
  error: unknown,
  again: boolean,
  attempt: number,
  retryAfter: number | undefined,
  random: Random,
  budget: RetryBudget,
): number | undefined {
  if (retry === undefined) return undefined;
  const policy = typeof retry === 'number' ? { count: retry } : retry;
  if (attempt > policy.count || budget.left <= 0) return undefined;
  const { retryIf } = policy;
  const wanted =
    retryIf === undefined ? again : callForBoolean('retry.retryIf', () => retryIf(error, attempt));
  if (!wanted) return undefined;
  budget.left -= 1;
  if (retryAfter !== undefined) return Math.ceil(retryAfter);
  const { backoff } = policy;
  const delayOf =
    backoff === undefined ? plain : typeof backoff === 'function' ? backoff : exponential(backoff);
  return Math.ceil(callForNumber('retry.backoff', () => delayOf(attempt, random, error)));
}

/** What follows when attempt `source` has failed with `error`: another one, or the end of the task. Never throws. */
export function afterFailure(
  source: AttemptHandle & { readonly node: TaskNode },
  error: unknown,
  { clock, settings, budget }: RetryPorts,
): Signal {
  const { node } = source;
  const retry = node.definition.retry ?? settings.retry;
  if (error instanceof WorkerLostError) {
    const failure: Failure = { kind: 'stopped', error };
    const lost = (node.principal.extra?.lost ?? 0) + 1;
    node.principal.more().lost = lost;
    return { kind: 'failed', node, source, failure, ...(lost < mostLostOf(retry) && { delay: 0 }) };
  }
  try {
    const read = readProviderError(error, clock.wall());
    const { isRetryable, retryAfter: asked } = read;
    const retryAfter =
      asked === undefined
        ? undefined
        : Math.min(asked, longestRetryAfter(node.definition.retry, settings.retry));
    const failure: Failure = { kind: 'failed', error, retryAfter, read };
    const tried = node.attempt - (node.principal.extra?.lost ?? 0);
    const delay = decideRetry(retry, error, isRetryable, tried, retryAfter, clock.random, budget);
    return { kind: 'failed', node, source, failure, ...(delay !== undefined && { delay }) };
  } catch (cause) {
    // The failure to show is that of the user's function, with what it was asked about as its cause.
    const { message, code, details } = faultOf(cause, 'An error that was thrown');
    const fault = new RxhiveError(code, message, { cause: error, details });
    const failure: Failure = { kind: 'failed', error: fault, read: readProviderError(fault, 0) };
    return { kind: 'failed', node, source, failure };
  }
}
