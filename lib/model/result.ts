import type { RxhiveError } from '../kernel/errors.js';
import type { BudgetReport } from './budget.js';
import type { Task } from './dependency.js';
import type { OpenQuestion } from './question.js';
import type { RunStatus, TaskStatus } from './status.js';
import type { UsageReport } from './usage.js';

/** One try of a task. Times in ms since the run started. */
export interface AttemptReport {
  readonly startedAt: number;
  readonly endedAt: number;
  readonly error?: unknown;
  /** Ms a provider asked to wait (Retry-After). */
  readonly retryAfter?: number;
  /** It ran beside another one, and did not win. */
  readonly hedge?: true;
  /** Id of the worker that made it, where that is another process. */
  readonly worker?: string;
}

/** Where a task's time went while it was not running, in ms. */
export interface Waits {
  /** For its dependencies. */
  readonly dependencies: number;
  /** Ready, for a slot or resource. */
  readonly slot: number;
  /** For a limiter. */
  readonly permit: number;
  /** Between attempts. */
  readonly backoff: number;
  /** For tasks it joined, for shared things, and for answers. */
  readonly suspended: number;
}

/** The life of one task. `waits` and `runningMs` add up to its time in the run, exactly. */
export interface TaskReport {
  readonly id: string;
  readonly type: string;
  readonly status: TaskStatus;
  readonly attempts: readonly AttemptReport[];
  readonly error?: unknown;
  /** With `failed`: it may, see the option `tolerate`. */
  readonly tolerated?: true;
  /** With `skipped`: that was decided, by its own condition or that of a task it needs, or by a rule. It is no failure. */
  readonly decided?: true;
  /**
   * With `skipped`: ids of the tasks that are the root causes; or what else is: an option, such as `budget.cost`, or
   * `condition` where it was decided for the task itself.
   */
  readonly skippedBecause?: readonly string[];
  readonly waits: Waits;
  readonly runningMs: number;
  /** What it used in all processes of the run, all attempts together. */
  readonly usage: UsageReport;
}

/** What one task could save. */
export interface SpeedUp {
  readonly task: string;
  readonly runningMs: number;
  /** Ms by which the run would have been shorter, had the task taken half its time. */
  readonly savesMs: number;
}

/** The run in numbers. */
export interface RunReport {
  readonly runId: string;
  readonly workflow: string;
  readonly status: RunStatus;
  /** From start to end. */
  readonly wallMs: number;
  /** Sum of all tasks' running time: what one at a time would have taken at least. */
  readonly workMs: number;
  /** How many tasks ended how; in a run that is `suspended` also how many have not ended: `waiting` counts all that have not begun or were stopped. */
  readonly counts: {
    readonly [status in
      | 'succeeded'
      | 'failed'
      | 'skipped'
      | 'cancelled'
      | 'restored'
      | 'suspended'
      | 'waiting']: number;
  };
  /** Attempts after the first, all tasks together, but for those that followed lost ones. */
  readonly retries: number;
  /** Attempts that were lost with their workers. */
  readonly lost: number;
  /** What all tasks used, also by group and by model; `calls` of a model are reports of usage that named it. */
  readonly usage: UsageReport & {
    readonly groups: { readonly [name: string]: UsageReport };
    readonly models: { readonly [name: string]: UsageReport };
  };
  /** The caps of all budgets. */
  readonly budgets: readonly BudgetReport[];
  /** The chain of tasks that decided the wall time, first to last, and its running time. */
  readonly criticalPath: { readonly tasks: readonly string[]; readonly ms: number };
  /**
   * The three tasks of the critical path that would have saved most, had they taken half their time; most first.
   * Found by playing the run through again when this is read, with the times it took. Empty above 50,000 tasks.
   */
  readonly speedUps: readonly SpeedUp[];
  /** Seed of the run's random numbers: give it to `flow.run({ seed })` for the same jitter. */
  readonly seed: number;
  /** Errors thrown by subscribers and by late bodies; none of them harmed the run. */
  readonly subscriberErrors: readonly unknown[];
  /** Why the newest of what this process did may be missing in the store: it failed, or did not answer in time. */
  readonly storeError?: RxhiveError;
  /** The report as text: counts, failures with cause, skipped with root cause, critical path. */
  toString(): string;
}

/** Results by id; `get` with a handle is typed. */
export interface Results extends ReadonlyMap<string, unknown> {
  get<T>(task: Task<T>): T | undefined;
  get(id: string): unknown;
  has(task: Task | string): boolean;
}

/** Task reports by id or handle. */
export interface TaskReports extends ReadonlyMap<string, TaskReport> {
  get(task: Task | string): TaskReport | undefined;
  has(task: Task | string): boolean;
}

/** What a run came to. Failed tasks are facts in it, never a rejection. */
export interface WorkflowResult<S = unknown> {
  readonly status: RunStatus;
  /** Results of the tasks that succeeded. */
  readonly results: Results;
  readonly tasks: TaskReports;
  readonly report: RunReport;
  /** With status `suspended`: what people have to answer before the run can go on. */
  readonly questions: readonly OpenQuestion[];
  /** The last committed state. */
  readonly state: S;
  /** Why the run was cancelled, where it was. */
  readonly error?: RxhiveError;
  /** Returns itself when everything succeeded, else throws `PartialWorkflowError`. */
  orThrow(): WorkflowResult<S>;
}

/** State and statuses at one moment. */
export interface Snapshot<S = unknown> {
  /** Number of the last commit. */
  readonly seq: number;
  readonly state: S;
  /** Status of each task by id; built when read. */
  readonly tasks: ReadonlyMap<string, TaskStatus>;
}
