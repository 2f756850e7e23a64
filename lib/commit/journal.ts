import type { Clock, Timer } from '../kernel/clock.js';
import { brief, CheckpointCorruptError, RxhiveError } from '../kernel/errors.js';
import { after, isLate, type Late, settle } from '../kernel/late.js';
import { isRecord } from '../kernel/plain.js';
import { defaultSpillAbove } from '../model/memory.js';
import type { LogRecord } from '../model/record.js';
import type { CheckpointStore, Durability, LogEntry, RunLog } from '../model/store.js';
import type { WorkflowSettings } from '../model/workflow.js';
import { decode } from './codec.js';
import { Spill } from './spill.js';

/** What a {@link Journal} needs to know, and whom it tells. */
export interface JournalPorts {
  readonly runId: string;
  readonly durability: Durability;
  readonly clock: Clock;
  open(): Late<RunLog>;
  readonly spill: Spill;
  /** Records up to number `seq` are durable, later than `append` returned. */
  written(seq: number): void;
  /** The store did not take records that `append` had taken. */
  failed(error: RxhiveError): void;
}

/** Writes the records of one run, in order, as its durability asks, with one append at a time. */
export class Journal {
  /** Number of the last record, written or not. */
  seq = 0;
  readonly #ports: JournalPorts;
  #log: RunLog | undefined;
  #waiting: LogEntry[] = [];
  #timer: Timer | undefined;
  /** The store is opening the log, or writing to it. */
  #busy = false;
  /** Records that the run relies on are lost: nothing may be written behind them. */
  #broken: RxhiveError | undefined;
  #closing: ((error?: RxhiveError) => void) | undefined;
  /** Who waits for records up to a number. */
  #flushes: { readonly upTo: number; readonly done: (error?: RxhiveError) => void }[] = [];

  constructor(ports: JournalPorts) {
    this.#ports = ports;
  }

  /** A success counts only once its record is durable. */
  get holds(): boolean {
    return this.#ports.durability === 'sync';
  }

  /**
   * Takes the run's lease and reads what is there. Calls neither when it was closed meanwhile.
   * `failed` gets CheckpointCorruptError, RxhiveError RUN_LEASED or STORE_FAILED.
   */
  open(done: (records: LogRecord[]) => void, failed: (error: unknown) => void): void {
    this.#busy = true;
    const opened = (next: () => void): void => {
      this.#busy = false;
      if (this.#closing === undefined) next();
      else this.#shut();
    };
    settle(
      () => after(this.#ports.open(), (log) => this.#read(log)),
      (records) => opened(() => done(records)),
      (error) => opened(() => failed(this.#named(error))),
    );
  }

  /**
   * Writes an encoded record now, soon or at the end, as the durability asks. False: it counts when `written` says
   * so. @throws RxhiveError when the store fails at once
   */
  append(body: string): boolean {
    if (this.#broken !== undefined) throw this.#broken;
    this.seq += 1;
    this.#waiting.push({ seq: this.seq, body });
    if (this.#ports.durability === 'sync') return this.#write();
    if (this.#ports.durability === 'group' && !this.#busy)
      this.#timer ??= this.#ports.clock.after(0, () => {
        this.#timer = undefined;
        this.#goOn();
      });
    return true;
  }

  /** Writes what is left, gives the lease back and calls `done`, with an error when records are lost. */
  close(done: (error?: RxhiveError) => void): void {
    this.#ports.clock.cancel(this.#timer);
    this.#closing = done;
    if (!this.#busy) this.#shut();
  }

  #read(log: RunLog): Late<LogRecord[]> {
    this.#log = log;
    try {
      this.seq = log.entries.length;
      return log.entries.map((entry, i) => readEntry(this.#ports.runId, entry, i + 1, this.#ports.spill));
    } catch (error) {
      this.#log = undefined;
      return after(log.close(), () => {
        throw error;
      });
    }
  }

  /**
   * Writes what waits now, whatever the durability. `done` is called once all of it is durable, or with the reason why
   * it is lost.
   */
  flush(done: (error?: RxhiveError) => void): void {
    const upTo = this.seq;
    let written: boolean;
    try {
      written = this.#write();
    } catch (error) {
      done(error as RxhiveError);
      if (!this.holds) this.#ports.failed(error as RxhiveError);
      return;
    }
    if (written) done();
    else this.#flushes.push({ upTo, done });
  }

  /** Gives the store what waits; true when all is durable on return. */
  #write(): boolean {
    if (this.#busy) return false;
    const entries = this.#waiting;
    const first = entries[0];
    if (first === undefined) return true;
    this.#waiting = [];
    let answer: Late<void>;
    try {
      answer = this.#log?.append(entries);
    } catch (cause) {
      throw this.#lost(first.seq, cause);
    }
    if (!isLate(answer)) return true;
    this.#busy = true;
    const last = first.seq + entries.length - 1;
    answer.then(
      () =>
        this.#wrote(() => {
          this.#ports.written(last);
          this.#flushed(({ upTo }) => upTo <= last);
        }),
      (cause: unknown) => this.#wrote(() => this.#ports.failed(this.#lost(first.seq, cause))),
    );
    return false;
  }

  /** The store has answered: what has gathered meanwhile is next. */
  #wrote(tell: () => void): void {
    this.#busy = false;
    tell();
    this.#goOn();
  }

  #goOn(): void {
    if (this.#busy) return;
    if (this.#closing !== undefined) this.#shut();
    else if (this.#ports.durability !== 'exit' || this.#flushes.length > 0) {
      try {
        this.#write();
      } catch (error) {
        this.#ports.failed(error as RxhiveError);
      }
    }
  }

  #shut(): void {
    try {
      if (!this.#write()) return;
    } catch (error) {
      this.#broken ??= error as RxhiveError;
    }
    const log = this.#log;
    const done = this.#closing;
    this.#log = this.#closing = undefined;
    settle(
      () => log?.close(),
      () => done?.(this.#broken),
      (error) => done?.(this.#broken ?? this.#named(error)),
    );
  }

  /** Forgets records from number `first` on: in `sync` nobody relies on them, else nothing can follow them. */
  #lost(first: number, cause: unknown): RxhiveError {
    const error = this.#named(cause);
    this.seq = first - 1;
    this.#waiting = [];
    if (!this.holds || this.#closing !== undefined) this.#broken ??= error;
    this.#flushed(({ upTo }) => upTo >= first, error);
    return error;
  }

  #flushed(which: (flush: { readonly upTo: number }) => boolean, error?: RxhiveError): void {
    const told = this.#flushes.filter(which);
    this.#flushes = this.#flushes.filter((one) => !which(one));
    for (const { done } of told) done(error);
  }

  #named(cause: unknown): RxhiveError {
    if (cause instanceof RxhiveError) return cause;
    const message = `The store of run "${brief(this.#ports.runId)}" failed: ${String((cause as Error)?.message ?? cause)}`;
    return new RxhiveError('STORE_FAILED', message, { cause });
  }
}

/** A record from its text, which must be number `seq` of the run. @throws CheckpointCorruptError */
export function readEntry(runId: string, entry: LogEntry, seq: number, spill?: Spill): LogRecord {
  if (entry.seq !== seq) throw new CheckpointCorruptError(runId, seq, `record ${entry.seq} is in its place`);
  let found: unknown;
  try {
    found = decode(entry.body);
  } catch (error) {
    throw new CheckpointCorruptError(runId, seq, `it cannot be read: ${(error as Error).message}`);
  }
  if (!isRecord(found)) throw new CheckpointCorruptError(runId, seq, 'it is no record');
  const record = found as unknown as LogRecord;
  const problem = (seq === 1) === (record.kind === 'run') ? problemOf(record) : 'it is out of place';
  if (problem !== undefined) throw new CheckpointCorruptError(runId, seq, problem);
  return spill?.attach(record) ?? record;
}

/** Says what is wrong with a record that could be read. */
function problemOf(record: LogRecord): string | undefined {
  switch (record.kind) {
    case 'run':
      return record.format === 1 ? undefined : `its format is ${String(record.format)}, not 1`;
    case 'commit':
      if (!Array.isArray(record.at)) return 'it has no times';
      if (record.patches?.some(({ op, path }) => typeof op !== 'string' || !Array.isArray(path)) === true)
        return 'it holds a change without a place';
      return typeof record.task === 'string' ? undefined : 'it names no task';
    case 'failed':
    case 'usage':
      return typeof record.task === 'string' ? undefined : 'it names no task';
    case 'dropped':
      return Array.isArray(record.tasks) ? undefined : 'it names no tasks';
    case 'question':
      return typeof record.id === 'string' && typeof record.task === 'string' && Number.isFinite(record.at)
        ? undefined
        : 'it names no question, task or time';
    case 'answer':
      return typeof record.id === 'string' ? undefined : 'it names no question';
    default:
      return 'it is of no known kind';
  }
}

/** The log of a run in a store. */
export function logIn(
  store: CheckpointStore,
  { memory }: WorkflowSettings,
  facts: Pick<JournalPorts, 'runId' | 'durability' | 'clock'>,
): Omit<JournalPorts, 'written' | 'failed'> {
  const spill = new Spill(store, memory?.spillAbove ?? defaultSpillAbove);
  return { ...facts, spill, open: () => store.open(facts.runId) };
}
