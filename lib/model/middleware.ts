import type { TaskContext, Usage } from './context.js';
import type { WorkflowResult } from './result.js';
import type { TaskStatus } from './status.js';

/** The run that middleware stands around. */
export interface RunCall {
  readonly runId: string;
  readonly workflow: string;
}

/** The task that middleware stands around. */
export interface TaskCall extends RunCall {
  readonly taskId: string;
  /** Kind of work; the id where the task does not say. */
  readonly type: string;
  readonly group: string | undefined;
  /** The task that added this one. */
  readonly parentId: string | undefined;
  /** Ids of the tasks it depends on. */
  readonly dependencies: readonly string[];
}

/** The attempt that middleware stands around. */
export interface AttemptCall extends TaskCall {
  /** From 1. */
  readonly attempt: number;
  /** What the body gets; for a streaming task an Observable. */
  readonly inputs: unknown;
  readonly ctx: TaskContext;
  /**
   * Calls `stopped` with the reason when the attempt is ended from outside (timeout, cancellation, a lost race): what
   * `ctx.signal` says, without making a signal for it. What `stopped` throws is a subscriber's error.
   */
  readonly onStop: (stopped: (reason: unknown) => void) => void;
  /** Calls `listener` with what the body reports with `ctx.usage`, while the attempt goes on. What it throws is a subscriber's error. */
  readonly onUsage: (listener: (usage: Usage) => void) => void;
}

/** How a task ended. */
export interface TaskEnd {
  readonly status: TaskStatus;
  readonly value?: unknown;
  readonly error?: unknown;
}

/**
 * Code around runs, tasks and attempts: logs, guardrails, tracing, redaction. Of several the first is the outermost: it
 * begins first and ends last; those given to a run stand outside of those of its workflow.
 */
export interface Middleware {
  /**
   * The run begins; what is returned is called with its result. One that throws ends the run with `CALLBACK_FAILED`. What
   * is thrown at the end comes too late to change anything: it is a subscriber's error.
   */
  run?(call: RunCall): ((result: WorkflowResult) => void) | undefined;
  /**
   * The task begins its first attempt; what is returned is called at its end. Not called for restored results. One that
   * throws fails the task with `CALLBACK_FAILED`; what is thrown at its end is a subscriber's error.
   */
  task?(call: TaskCall): ((end: TaskEnd) => void) | undefined;
  /**
   * Around the body: `next()` calls it, with other inputs where some are given, and returns what it returned: a value, a
   * promise, an async iterable or an Observable. What this returns takes its place; what it throws fails the attempt.
   * Not calling `next` skips the body.
   */
  attempt?(call: AttemptCall, next: (inputs?: unknown) => unknown): unknown;
}
