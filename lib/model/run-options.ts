import type { Observable, SchedulerLike } from 'rxjs';
import type { Below } from '../kernel/read-once.js';
import type { Breakpoint } from './breakpoint.js';
import type { Recipe } from './context.js';
import type { Task } from './dependency.js';
import type { LoadSample } from './load.js';
import type { Middleware } from './middleware.js';
import type { RunController } from './run-controller.js';
import type { CheckpointStore, Durability } from './store.js';
import type { GroupOptions } from './workflow.js';

/** How many tasks may wait in a run that is kept open. */
export interface QueueOptions {
  /** Tasks added with `run.task` or `run.offer` that have not begun: so many at most. Whole number from 1. */
  readonly limit: number;
  /**
   * What becomes of one too many. `reject`: adding it throws `QUEUE_FULL`. `wait`: `run.task` throws too, `run.offer` waits for
   * room, in order. `drop-lowest`: of those that wait and the new one, the one of the lowest priority ends `skipped`, the newest
   * among equals; `drop-oldest`: the one that has waited longest does. Its error is a `LimitExceededError` with `limitName` "queue".
   * Default `reject`.
   */
  readonly onFull?: 'reject' | 'wait' | 'drop-lowest' | 'drop-oldest';
}

/** How one run is to go. */
export interface RunOptions<I = unknown> {
  /** Input of the workflow, checked by its schema before anything starts. */
  readonly input?: I;
  /** What the run shares with others; see `controller()`. Default: that of the workflow, else none. */
  readonly controller?: RunController;
  /** Added to the priority of each of its tasks, among all runs of its controller. Default 0. */
  readonly priority?: number;
  /**
   * What the option `fair` of its controller may go by, and what `runs({ tag })` of its store finds it by, such as
   * `{ tenant: 'acme' }`. Default: none.
   */
  readonly tags?: Readonly<Record<string, string>>;
  /** Code around the run, its tasks and attempts, outside of the workflow's own. Default: none. */
  readonly middleware?: readonly Middleware[];
  /** Pauses the run before these tasks, as `run.pauseBefore` does. Default: none. */
  readonly pauseBefore?: readonly Breakpoint[];
  /**
   * What a breakpoint does: `wait` pauses the run until it is told to go on; `exit` drains it, as `run.drain` does, and it
   * ends `suspended` (needs a store to go on). Who runs it again leaves out that breakpoint. Default `wait`.
   */
  readonly atBreakpoint?: 'wait' | 'exit';
  /** Cancels the run when aborted. */
  readonly signal?: AbortSignal;
  /**
   * How busy the machine is: `systemLoad()` of `rxhive/load`, or anything else, such as a marble. Subscribed while the run
   * goes on. Busy samples make it run fewer tasks at once, at least one, calm ones more again; the smallest of all limits
   * counts. When it ends or fails, that limit is lifted; an error is in `result.report.subscriberErrors`. Default: that of
   * the workflow.
   */
  readonly load$?: Observable<LoadSample>;
  /** Source of time. Default: rxjs `asyncScheduler`, virtual inside `TestScheduler.run`. */
  readonly scheduler?: SchedulerLike;
  /** Seed of jitter and ids: the same seed, the same choices. Default: random. */
  readonly seed?: number;
  /** Name of the run in events, reports and idempotency keys, not empty. Default: workflow name and a random part. */
  readonly runId?: string;
  /**
   * Learn how long tasks take, for ranks and ETA of later runs of this workflow. Default true; false with a
   * `scheduler`, whose time need not be that of the world.
   */
  readonly learn?: boolean;
  /** Do not end when no task is left; wait for `run.task()` until `run.close()`. Default false. */
  readonly keepOpen?: boolean;
  /** With `keepOpen`: how many tasks that were added may wait, and what becomes of one too many. Default: any number waits. */
  readonly queue?: QueueOptions;
  /**
   * With `keepOpen`: so many tasks added with `run.task` stay known when they have ended, with all they have added; older ones are
   * counted and forgotten, so that the run takes constant memory. Nobody can depend on those; watch `result$` before they end. The
   * log forgets them when it is compacted, as with `compact: {}` where nothing else is said. Failed ones are kept, 100 at most.
   * Whole number from 0. Default: all stay.
   */
  readonly keep?: number;
  /**
   * Keeps a log of the run; with the `runId` of one that is there, continues it. A text is the path of a SQLite file
   * or a `postgres://` address, opened while it is used. Default: none.
   */
  readonly store?: CheckpointStore | string;
  /** When commits are written to the store. Default `group`. */
  readonly durability?: Durability;
  /**
   * Ms that the store may take for one answer (open, append, close), above 0. One that takes longer has failed: the run ends with
   * STORE_FAILED, reason `silent`. Once the run is cancelled it has 5 s at most. Default: as long as it takes;
   * `run.stuck()` says that the run waits for it.
   */
  readonly storeTimeout?: number;
  /**
   * When all that is left waits for answers of people: `wait` goes on waiting; `exit` ends the run with status
   * `suspended`, log written and lease given back, so that any process can continue it later (needs a store); `end` ends
   * it like that without a store, where nobody can go on, once no question has a deadline that may still answer it.
   * Default `wait`.
   */
  readonly suspend?: 'wait' | 'exit' | 'end';
  /** When continuing: `failed` runs failed tasks, and what they blocked, again. Default: they stay failed. */
  readonly retry?: 'failed';
  /** When continuing: finished tasks that run again, with what is behind them. Default: none. */
  readonly rerun?: readonly (Task | string)[];
  /**
   * Keeps the log short: as soon as more than twice `keep` records, and more than is left of those before, were
   * written, what lies before the `keep` newest (default 100) is summed up. Default: the log is kept whole.
   */
  readonly compact?: { readonly keep?: number };
}

/** Options of a run that consist of options. */
export const belowRun: Below = { middleware: {}, pauseBefore: {}, compact: {}, tags: {}, queue: {} };

/** How a fork is to go: like a run, with what is to be different. */
export interface ForkOptions<S = unknown, I = unknown, G extends string = string>
  extends Omit<RunOptions<I>, 'store' | 'runId'> {
  /** Name of the fork; there must be no such run. */
  readonly runId: string;
  /** Number of the record it begins after. Default: the newest. */
  readonly at?: number;
  /**
   * The state in place of the one at that record, or a recipe that changes it. It stands: what finished tasks had
   * written there is not taken back when they run again. Default: as it was.
   */
  readonly state?: S | Recipe<S>;
  /** Another input. Tasks that have finished keep their results; name in `rerun` those that must see it. */
  readonly input?: I;
  /** Slots in place of the workflow's. Not kept in the log: give them again when the fork goes on. */
  readonly concurrency?: number;
  /** Limits of groups in place of the workflow's; like `concurrency`. */
  readonly groups?: { readonly [name in G]?: GroupOptions };
}

/** {@link RunOptions} with the store that a path stands for. */
export interface ResolvedRunOptions<I = unknown> extends Omit<RunOptions<I>, 'store'> {
  readonly store?: CheckpointStore;
  /** Where it begins, if not at the beginning. */
  readonly fork?: ForkSource;
  /** The input is the one in the log, which its schema has seen. */
  readonly inputOfLog?: boolean;
}

/** What a fork takes over, and what it is given instead. */
export interface ForkSource {
  readonly from: string;
  /** Number of the record it begins after; undefined: the newest. */
  readonly at: number | undefined;
  /** The initial state of the workflow. */
  readonly initial: unknown;
  /** The state in place of the one at that record, or a recipe for it; undefined: as it was. */
  readonly state: unknown;
  /** Another input. */
  readonly input: { readonly value: unknown } | undefined;
}

/** Arguments of `flow.run`: an input is required where the workflow declares one. */
export type RunArguments<I> = undefined extends I
  ? [options?: RunOptions<I>]
  : [options: RunOptions<I> & { readonly input: I }];
