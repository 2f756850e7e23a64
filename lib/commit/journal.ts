import type { Clock, Timer } from '../kernel/clock.js';
import { brief, CheckpointCorruptError, RxhiveError } from '../kernel/errors.js';
import type { LogRecord } from '../model/record.js';
import type { CheckpointStore, Durability, LogEntry, RunLog } from '../model/store.js';
import { decode } from './codec.js';

/** Writes the records of one run, in order, as its durability asks. */
export class Journal {
  readonly #runId: string;
  readonly #store: CheckpointStore;
  readonly #durability: Durability;
  readonly #clock: Clock;
  readonly #failed: (error: RxhiveError) => void;
  #log: RunLog | undefined;
  #seq = 0;
  #waiting: LogEntry[] = [];
  #timer: Timer | undefined;

  /** `failed` is told when the store does not take records any more. */
  constructor(
    runId: string,
    store: CheckpointStore,
    durability: Durability,
    clock: Clock,
    failed: (error: RxhiveError) => void,
  ) {
    this.#runId = runId;
    this.#store = store;
    this.#durability = durability;
    this.#clock = clock;
    this.#failed = failed;
  }

  /** Takes the run's lease and reads what is there. @throws CheckpointCorruptError, RxhiveError RUN_LEASED */
  open(): LogRecord[] {
    const log = this.#store.open(this.#runId);
    this.#log = log;
    try {
      this.#seq = log.entries.length;
      return log.entries.map((entry, i) => readEntry(this.#runId, entry, i + 1));
    } catch (error) {
      this.#log = undefined;
      log.close();
      throw error;
    }
  }

  /** Writes an encoded record now, soon or at the end. @throws RxhiveError in `sync` mode, when the store fails */
  append(body: string): void {
    this.#seq += 1;
    this.#waiting.push({ seq: this.#seq, body });
    if (this.#durability === 'sync') this.#write();
    else if (this.#durability === 'group') {
      this.#timer ??= this.#clock.after(0, () => {
        this.#timer = undefined;
        try {
          this.#write();
        } catch (error) {
          this.#failed(error as RxhiveError);
        }
      });
    }
  }

  /** Writes what is left and gives the lease back. @throws RxhiveError when the store fails */
  close(): void {
    this.#clock.cancel(this.#timer);
    const log = this.#log;
    if (log === undefined) return;
    try {
      this.#write();
    } finally {
      this.#log = undefined;
      log.close();
    }
  }

  #write(): void {
    const entries = this.#waiting;
    if (entries.length === 0) return;
    this.#waiting = [];
    try {
      this.#log?.append(entries);
    } catch (cause) {
      if (cause instanceof RxhiveError) throw cause;
      const message = `The store of run "${brief(this.#runId)}" failed: ${String((cause as Error)?.message ?? cause)}`;
      throw new RxhiveError('STORE_FAILED', message, { cause });
    }
  }
}

/** A record from its text, which must be number `seq` of the run. @throws CheckpointCorruptError */
export function readEntry(runId: string, entry: LogEntry, seq: number): LogRecord {
  if (entry.seq !== seq) throw new CheckpointCorruptError(runId, seq, `record ${entry.seq} is in its place`);
  let record: LogRecord;
  try {
    record = decode(entry.body) as LogRecord;
  } catch (error) {
    throw new CheckpointCorruptError(runId, seq, `it cannot be read: ${(error as Error).message}`);
  }
  const problem = (seq === 1) === (record?.kind === 'run') ? problemOf(record) : 'it is out of place';
  if (problem !== undefined) throw new CheckpointCorruptError(runId, seq, problem);
  return record;
}

/** Says what is wrong with a record that could be read. */
function problemOf(record: LogRecord): string | undefined {
  switch (record.kind) {
    case 'run':
      return record.format === 1 ? undefined : `its format is ${String(record.format)}, not 1`;
    case 'commit':
    case 'failed':
      return typeof record.task === 'string' ? undefined : 'it names no task';
    case 'dropped':
      return Array.isArray(record.tasks) ? undefined : 'it names no tasks';
    default:
      return 'it is of no known kind';
  }
}
