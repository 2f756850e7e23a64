/** One record of a run's log as text. `seq` counts from 1 without gaps. */
export interface LogEntry {
  readonly seq: number;
  readonly body: string;
}

/** The log of one run, opened for writing by one process at a time. */
export interface RunLog {
  /** What is there already, in order. */
  readonly entries: readonly LogEntry[];
  /** Adds records, all or none; they survive a crash once this returns. @throws RxhiveError RUN_LEASED, STORE_FAILED */
  append(entries: readonly LogEntry[]): void;
  /** Lets another process continue the run. */
  close(): void;
}

/** Where logs of runs are kept. */
export interface CheckpointStore {
  /**
   * Opens the log of a run, a new one where there is none, and takes its lease.
   * @throws CheckpointCorruptError; RxhiveError RUN_LEASED while another process has it
   */
  open(runId: string): RunLog;
  /** The log of a run as it is now, without its lease; empty where there is none. @throws CheckpointCorruptError */
  read(runId: string): readonly LogEntry[];
  /** A text kept under a key, for results that other runs may use; undefined where there is none. */
  get(key: string): string | undefined;
  /** Keeps a text under a key, in place of an older one. */
  put(key: string, text: string): void;
}

/** When a commit is written: before dependents start, many at a time soon after, or once at the end. */
export type Durability = 'sync' | 'group' | 'exit';
