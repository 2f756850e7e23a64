import type { MaybePromise } from '../kernel/maybe-promise.js';
import type { ListedRun, RunRow, RunsQuery } from './run-row.js';

/** One record of a run's log as text. `seq` counts from 1 without gaps. */
export interface LogEntry {
  readonly seq: number;
  readonly body: string;
}

/** The log of one run, opened for writing by one process at a time. */
export interface RunLog {
  /** What was there when it was opened, in order. */
  readonly entries: readonly LogEntry[];
  /**
   * Adds the next records, all or none; they survive a crash once this has answered. Not called again before that. `row`, if it is
   * given, is kept with them as the row of the run; one that is there already goes on to say when it began, and which tags the run
   * has where `row` has none. A store may do without rows.
   * @throws RxhiveError RUN_LEASED when another process has taken the run over; STORE_FAILED
   */
  append(entries: readonly LogEntry[], row?: RunRow): MaybePromise<void>;
  /**
   * Puts other records in place of all, and forgets the texts under `gone`, keys of texts that were kept for the run; or
   * changes nothing; a crash leaves either the old or the new ones. Not called while an append is unanswered.
   * @throws RxhiveError RUN_LEASED, STORE_FAILED
   */
  replace(entries: readonly LogEntry[], gone?: readonly string[]): MaybePromise<void>;
  /** Lets another process continue the run; `row` as with `append`. */
  close(row?: RunRow): MaybePromise<void>;
  /** Calls `listener`, once, when the store notices by itself that the run is not this process's any more: it stops then. */
  onLost?(listener: (error: unknown) => void): void;
}

/** One run of a store, and its row: what it has said of itself. */
export interface StoredRun extends ListedRun {
  readonly records: number;
  /** Who has it, or had it last: host and process id, as `host:4711`. */
  readonly owner?: string;
  /** Does a process have it now? False with status `running`: its process is gone. */
  readonly isLeased?: boolean;
  /** When its log was written last, in ms since 1970. */
  readonly updatedAt: number;
}

/**
 * Why a store failed, as `details.reason` of an RxhiveError STORE_FAILED: another one holds it (who asks again may
 * succeed), it was closed, nothing can be written to it, there is no room, it cannot be reached or is not there, or it did not answer
 * in time. Damage is none of them: that is a CheckpointCorruptError.
 */
export type StoreFailure = 'busy' | 'closed' | 'read-only' | 'full' | 'gone' | 'silent';

/**
 * Where logs of runs are kept. Each method may answer at once or with a promise; one that answers at once costs no
 * turn of the event loop. Errors may be thrown or be rejections. One that fails with STORE_FAILED and reason `busy` has done
 * nothing, and is asked again for up to 30 s.
 */
export interface CheckpointStore {
  /**
   * Opens the log of a run, a new one where there is none, and takes its lease.
   * @throws CheckpointCorruptError; RxhiveError RUN_LEASED while another process has it
   */
  open(runId: string): MaybePromise<RunLog>;
  /** The log of a run as it is now, without its lease; empty where there is none. @throws CheckpointCorruptError */
  read(runId: string): MaybePromise<readonly LogEntry[]>;
  /**
   * Runs there are, all or those asked for. A store may give all of them in any order: those asked for are picked out, and put in
   * order, by whoever asks.
   * @throws RxhiveError INVALID_OPTION for a query that makes no sense
   */
  runs(query?: RunsQuery): MaybePromise<readonly StoredRun[]>;
  /** Forgets a run, and what is kept for it; nothing where there is none. @throws RxhiveError RUN_LEASED while a process has it */
  remove(runId: string): MaybePromise<void>;
  /** A text kept under a key, for results that other runs may use; undefined where there is none. */
  get(key: string): MaybePromise<string | undefined>;
  /** Keeps a text under a key, in place of an older one; until a run is removed (`runId`), or for good. */
  put(key: string, text: string, runId?: string): MaybePromise<void>;
}

/** When a commit is written: before dependents start, many at a time soon after, or once at the end. */
export type Durability = 'sync' | 'group' | 'exit';
