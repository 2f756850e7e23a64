import type { SchedulerLike } from 'rxjs';
import type { CheckpointStore, Durability } from './store.js';

/** How one run is to go. */
export interface RunOptions<I = unknown> {
  /** Input of the workflow, checked by its schema before anything starts. */
  readonly input?: I;
  /** Cancels the run when aborted. */
  readonly signal?: AbortSignal;
  /** Source of time. Default: rxjs `asyncScheduler`, virtual inside `TestScheduler.run`. */
  readonly scheduler?: SchedulerLike;
  /** Seed of jitter and ids: the same seed, the same choices. Default: random. */
  readonly seed?: number;
  /** Name of the run in events, reports and idempotency keys. Default: workflow name and a random part. */
  readonly runId?: string;
  /**
   * Learn how long tasks take, for ranks and ETA of later runs of this workflow. Default true; false with a
   * `scheduler`, whose time need not be that of the world.
   */
  readonly learn?: boolean;
  /** Do not end when no task is left; wait for `run.task()` until `run.close()`. Default false. */
  readonly keepOpen?: boolean;
  /**
   * Keeps a log of the run; with the `runId` of one that is there, continues it. A text is the path of a SQLite file
   * or a `postgres://` address, opened while it is used. Default: none.
   */
  readonly store?: CheckpointStore | string;
  /** When commits are written to the store. Default `group`. */
  readonly durability?: Durability;
  /**
   * When all that is left waits for answers of people: `wait` goes on waiting; `exit` ends the run with status
   * `suspended`, log written and lease given back, so that any process can continue it later (needs a store).
   * Default `wait`.
   */
  readonly suspend?: 'wait' | 'exit';
  /** When continuing: `failed` runs failed tasks, and what they blocked, again. Default: they stay failed. */
  readonly retry?: 'failed';
}

/** {@link RunOptions} with the store that a path stands for. */
export interface ResolvedRunOptions<I = unknown> extends Omit<RunOptions<I>, 'store'> {
  readonly store?: CheckpointStore;
}
