import type { BreakerState } from './breaker.js';
import type { BudgetLimit } from './budget.js';
import type { DependencyMode } from './dependency.js';
import type { GroupLimits } from './limiter.js';
import type { StatePatch } from './record.js';
import type { RunStatus, TaskStatus } from './status.js';
import type { WorkerFacts } from './worker.js';
import type { FailurePolicy, SchedulingPolicy } from './workflow.js';

interface EventBase {
  /** Counts from 1 within the run, without gaps. */
  readonly seq: number;
  /** Ms since the run started. */
  readonly at: number;
  readonly runId: string;
}

/**
 * The run began, goes on from a log, or ended; its log was made shorter; it was paused, at a breakpoint or by hand, and
 * went on; nothing new begins in it until it is run again (`draining`); or it waits for things that do not come by themselves.
 */
export interface RunEvent extends EventBase {
  readonly type: 'run';
  readonly reason:
    | 'started'
    | 'resumed'
    | 'rerun'
    | 'compacted'
    | 'paused'
    | 'stepped'
    | 'continued'
    | 'draining'
    | 'priority'
    | 'resource'
    | 'stuck'
    | 'ended';
  /** With `started`: version of the events, for readers of stored ones. */
  readonly version?: 1;
  /** With `started`: name of the workflow. */
  readonly workflow?: string;
  /** With `started`: ms of the run's clock, in real time those since 1970. */
  readonly startedAt?: number;
  /** With `started` and `resumed`: the state, where the workflow has one. */
  readonly state?: unknown;
  /** With `ended`. */
  readonly status?: RunStatus;
  /** With `resumed`: how many results of an earlier process are used. */
  readonly restored?: number;
  /**
   * With `resumed`: finished tasks that run again, and why. With `rerun`: more of them; that a closure has changed is seen only
   * when it is added again.
   */
  readonly rerun?: readonly { readonly taskId: string; readonly because: string }[];
  /** With `resumed`: finished tasks that `run.task` had added; they are there again when they are added again. */
  readonly missing?: readonly string[];
  /** With `compacted`: records of the log before and after. */
  readonly before?: number;
  readonly after?: number;
  /** With `paused` at a breakpoint: the task that would have started. With `priority`: the task that was given another one. */
  readonly taskId?: string;
  /** With `paused` and `continued`: of that group alone. */
  readonly group?: string;
  /** With `priority`: it. */
  readonly priority?: number;
  /** With `resource`: of which there is another amount now, and how much. */
  readonly resource?: string;
  readonly capacity?: number;
  /** With `draining`: ms after which what still runs is stopped; undefined: it may take its time. */
  readonly deadline?: number;
  /** With `stuck`: a sentence for each thing that is waited for. */
  readonly waitsFor?: readonly string[];
  /** With `ended`: why the run was cancelled. With `compacted`: why the log could not be made shorter; it grows from now on. */
  readonly error?: unknown;
}

/** A task as it stands in the graph, before it runs. */
export interface PlannedTask {
  readonly id: string;
  /** Where it differs from the id. */
  readonly type?: string;
  readonly group?: string;
  /** Where it is not 0; its own, without what it inherits. */
  readonly priority?: number;
  readonly dependencies: readonly {
    readonly id: string;
    readonly mode: DependencyMode;
    /** With `race` and `quorum`: which choice of the task it is part of, from 0, and how many of it are needed. */
    readonly choice?: number;
    readonly need?: number;
  }[];
  readonly resources?: Readonly<Record<string, number>>;
  /** Declared as one that may fail. */
  readonly tolerate?: true;
  /** The task that is the nested workflow it is a part of, or that it ends. */
  readonly within?: string;
  /** Cleanup: it runs also when the run ends early. */
  readonly always?: true;
  /** It has a condition: see the option `when`. */
  readonly condition?: true;
  /** Its attempts are made somewhere else: each waits for a worker until its event `begun`. */
  readonly remote?: true;
  /** It is a loop: the most turns it may take; null: no limit. */
  readonly loop?: number | null;
  /** Ms it was expected to take. */
  readonly estimate?: number;
  /** Its limits that are not of one attempt, ms. */
  readonly timeout?: { readonly total?: number; readonly queue?: number };
  /** One of several its parent tries: the parent's end tells how that went. */
  readonly candidate?: true;
}

/** What is going to run: the graph at the start, then the tasks that are added. */
export interface PlanEvent extends EventBase {
  readonly type: 'plan';
  readonly reason: 'initial' | 'added';
  readonly tasks: readonly PlannedTask[];
  /** With `added`: the task that added them; undefined: they came from outside. */
  readonly parent?: string;
  /** With `initial`: tasks at once; null: no limit. */
  readonly concurrency?: number | null;
  /** With `initial`: groups and how many of their tasks may run at once; null: no limit of its own. */
  readonly groups?: readonly { readonly name: string; readonly concurrency: number | null }[];
  /** With `initial`: what else decides who runs when, where it is not the default. */
  readonly resources?: Readonly<Record<string, number>>;
  readonly aging?: number | false;
  readonly policy?: SchedulingPolicy;
  readonly failurePolicy?: FailurePolicy;
}

/** A task that streams gave a value. */
export interface ValueEvent extends EventBase {
  readonly type: 'value';
  readonly reason: 'emitted';
  readonly taskId: string;
  readonly value: unknown;
}

/** A task entered a status; `reason` is that status. */
export interface TaskEvent extends EventBase {
  readonly type: 'task';
  readonly reason: TaskStatus;
  readonly taskId: string;
  /** With `failed` and `cancelled`, and with `skipped` where it was skipped for more than its dependencies. */
  readonly error?: unknown;
  /** With `failed`: it may, see the option `tolerate`. */
  readonly tolerated?: true;
  /** With `skipped`: that was decided, by a condition or a rule; it is no failure. */
  readonly decided?: true;
  /** With `succeeded` and `restored`: the result, where there is one. */
  readonly value?: unknown;
  /** With `running`: ms it has waited for permits so far, where it has. */
  readonly permitMs?: number;
  /** With `backing-off`: ms until the next attempt. */
  readonly delay?: number;
}

/**
 * An attempt began or ended. `begun`: a worker somewhere else is at work on it; since `started` it had waited for one. One
 * that was lost with its worker has `failed` with a `WorkerLostError`.
 */
export interface AttemptEvent extends EventBase {
  readonly type: 'attempt';
  readonly reason: 'started' | 'begun' | 'succeeded' | 'failed' | 'stopped';
  readonly taskId: string;
  /** From 1. */
  readonly attempt: number;
  /** It runs beside the attempt of that number: see the option `hedge`. */
  readonly hedge?: true;
  /** The task had finished; its body or its handlers are called again to bring back tasks they had added. */
  readonly replay?: true;
  readonly error?: unknown;
  /** With `failed`: ms a provider asked to wait. */
  readonly retryAfter?: number;
  /** With `begun`: who. */
  readonly worker?: WorkerFacts;
}

/** A limit of a group changed, or the whole group waits because a provider said so. */
export interface GroupEvent extends EventBase {
  readonly type: 'group';
  readonly reason: 'limit' | 'gated';
  /** Name of the group; undefined for the whole run. */
  readonly group?: string;
  readonly concurrency?: number;
  /** With `gated`: ms until the group goes on. */
  readonly delay?: number;
}

/**
 * Memory passed a watermark: from `soft` on no task begins beside another, from `hard` on none goes on beside another and
 * results go to the store; `released`: as before.
 */
export interface MemoryEvent extends EventBase {
  readonly type: 'memory';
  readonly reason: 'soft' | 'hard' | 'released';
  /** Share of the memory limit that is taken, 0 to 1. */
  readonly share: number;
}

/** The state changed, or (`conflict`) a serializable task runs again because what it had read changed. */
export interface StateEvent extends EventBase {
  readonly type: 'state';
  readonly reason: 'committed' | 'conflict';
  readonly taskId: string;
  /** Number of the commit, from 1; with `conflict` that of the newest. */
  readonly commit: number;
  /** With `committed`: what changed. */
  readonly patches?: readonly StatePatch[];
}

/** A body reported what it used. */
export interface UsageEvent extends EventBase {
  readonly type: 'usage';
  readonly reason: 'reported';
  readonly taskId: string;
  readonly attempt: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly model?: string;
  /** Undefined: there is no price for it. */
  readonly cost?: number;
}

/** A budget is spent to four fifths, is spent (nothing new starts), or was passed so far that what ran was stopped. */
export interface BudgetEvent extends EventBase {
  readonly type: 'budget';
  readonly reason: 'warned' | 'exhausted' | 'aborted';
  /** Name of the group; undefined for the whole run. */
  readonly group?: string;
  readonly limit: BudgetLimit;
  readonly spent: number;
  readonly cap: number;
}

/**
 * How limits are used, where there is more to it than tasks at work: permits of windows, budgets, what an adaptive limit
 * aims at. When a task has ended, at most twice a second, and when the run has.
 */
export interface LimitsEvent extends EventBase {
  readonly type: 'limits';
  readonly reason: 'used';
  /** As `run.limits()` tells it, those alone that have any. */
  readonly groups: readonly GroupLimits[];
}

/** The circuit breaker of a group changed. */
export interface BreakerEvent extends EventBase {
  readonly type: 'breaker';
  readonly reason: BreakerState;
  readonly group: string;
  /** With `open`: ms until it lets a probe through. */
  readonly delay?: number;
  /** With `open`: what opened it. */
  readonly error?: unknown;
}

/** A task with `cache` found its result, or had to work; `because` says why. */
export interface CacheEvent extends EventBase {
  readonly type: 'cache';
  readonly reason: 'hit' | 'shared' | 'miss';
  readonly taskId: string;
  readonly because: string;
}

/** A question to a person was asked, answered, its answer refused, or its deadline has passed. */
export interface QuestionEvent extends EventBase {
  readonly type: 'question';
  readonly reason: 'asked' | 'answered' | 'refused' | 'expired';
  readonly taskId: string;
  readonly questionId: string;
  /** With `asked`: a program is to answer. */
  readonly callback?: true;
  /** With `asked`. */
  readonly prompt?: string;
  readonly context?: unknown;
  /** What may be answered, as JSON Schema, where that is known. */
  readonly schema?: Readonly<Record<string, unknown>>;
  /** Ms as the run's clock counts. */
  readonly deadline?: number;
  /** With `refused`: where the answer does not fit. */
  readonly because?: string;
}

/**
 * A task said something on a channel, got a message, missed one because it was too slow, asked another task, or answered
 * one. `repeated`: its body ran again and said what it had said already; nobody gets it twice.
 */
export interface MessageEvent extends EventBase {
  readonly type: 'message';
  readonly reason: 'sent' | 'received' | 'dropped' | 'asked' | 'replied' | 'repeated';
  /** The task that did so. */
  readonly taskId: string;
  readonly messageId: string;
  /** Name of the channel; `@TASK` for what that task was asked. */
  readonly channel: string;
  /** With `received` and `dropped`: who had sent it. */
  readonly from?: string;
  /** With `sent`, `asked` and `replied`. */
  readonly value?: unknown;
}

/** A task said something through `ctx.log`. */
export interface LogEvent extends EventBase {
  readonly type: 'log';
  readonly reason: 'message';
  readonly taskId: string;
  readonly message: string;
  readonly data?: unknown;
}

/** Everything `run.events$` can emit; decide by `type`, then by `reason`. */
export type WorkflowEvent =
  | RunEvent
  | PlanEvent
  | TaskEvent
  | ValueEvent
  | AttemptEvent
  | GroupEvent
  | MemoryEvent
  | StateEvent
  | CacheEvent
  | UsageEvent
  | BudgetEvent
  | LimitsEvent
  | BreakerEvent
  | QuestionEvent
  | MessageEvent
  | LogEvent;

/** An event before the run stamps it. */
export type EventBody = WorkflowEvent extends infer E
  ? E extends EventBase
    ? Omit<E, keyof EventBase>
    : never
  : never;

/**
 * An event that is put together field by field, the stamp with it: some come for every task, and one that is spread, or grows
 * when it is stamped, costs more than all else about it.
 */
export type OpenEvent<T extends WorkflowEvent['type']> = {
  -readonly [key in keyof Extract<WorkflowEvent, { type: T }>]: Extract<WorkflowEvent, { type: T }>[key];
};
