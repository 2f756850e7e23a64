import { encode } from '../codec/codec.js';
import type { StoreWait } from '../graph/ports.js';
import type { Clock, Timer } from '../kernel/clock.js';
import { isRxhiveError, messageOf, RxhiveError, truncate } from '../kernel/errors.js';
import { notify } from '../kernel/guard.js';
import { inSlices } from '../kernel/in-slices.js';
import { isPromise, type MaybePromise, thenMaybe } from '../kernel/maybe-promise.js';
import type { LogRecord } from '../model/record.js';
import type { RunRow } from '../model/run-row.js';
import type { Durability, LogEntry, RunLog } from '../model/store.js';
import { reasonOf } from '../model/store-failure.js';
import { readEntry } from './records.js';
import { keysGone, type Spill } from './spill.js';
import { StoreCalls } from './store-calls.js';

/** What a {@link Journal} needs to know, and whom it tells. */
export interface JournalPorts {
  readonly runId: string;
  readonly durability: Durability;
  /** Ms that the store has for an answer; undefined: as long as it takes. */
  readonly timeout: number | undefined;
  readonly clock: Clock;
  /** The row of the run as it begins. */
  readonly row: RunRow;
  open(): MaybePromise<RunLog>;
  readonly spill: Spill;
  /** Records up to number `seq` are durable, later than `append` returned. */
  written(seq: number): void;
  /** The store did not take records that `append` had taken, or another process has the run (RUN_LEASED). */
  failed(error: RxhiveError): void;
  /** How the log is kept short; undefined: it is not. */
  readonly compaction: Compaction | undefined;
}

/** Keeps a log short while it is written. */
export interface Compaction {
  /** Newest records that stay as they are. */
  readonly keep: number;
  /** The log as it is now. */
  read(): MaybePromise<readonly LogEntry[]>;
  /** A shorter log in its place; undefined where nothing would be gained. */
  shorten(records: readonly LogRecord[]): LogRecord[] | undefined;
  /** Told how many records there were and are, or why it could not be made shorter: then it is not tried again. */
  done(outcome: { readonly before: number; readonly after: number } | { readonly error: unknown }): void;
}

/** Writes the records of one run, in order, as its durability asks, with one append at a time. */
export class Journal {
  /** Number of the last record, written or not. */
  seq = 0;
  readonly #ports: JournalPorts;
  /** What the store is to keep of the run, with the next records or when the log is closed. */
  #row: RunRow | undefined;
  readonly #calls: StoreCalls;
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
  /** Records that compaction has removed: places in the log are numbers less these. */
  #removed = 0;
  /** Characters of the log after it was compacted, and records and characters since. */
  #short = 0;
  #since = { records: 0, size: 0 };
  #due = false;
  #compacting: Timer | undefined;

  constructor(ports: JournalPorts) {
    this.#ports = ports;
    this.#row = ports.row;
    this.#calls = new StoreCalls(ports.clock, ports.runId, ports.timeout);
  }

  /** For how long, and for what, the run waits; undefined while that is nothing to speak of. */
  get waiting(): StoreWait | undefined {
    return this.#calls.waiting;
  }

  /** The run is cancelled: it ends soon, whether the store answers or not. */
  hurry(): void {
    this.#calls.hurry();
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
    this.#calls.ask(
      'open',
      () => thenMaybe(this.#ports.open(), (log) => this.#read(log)),
      (records) => opened(() => done(records)),
      (error) => {
        if (this.#calls.silent !== undefined) this.#broken = this.#calls.silent;
        opened(() => failed(this.#named(error)));
      },
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

  /**
   * Writes what is left and, where `end` is given, the row of the run that has ended so; gives the lease back and calls `done`, with an
   * error when records are lost.
   */
  close(done: (error?: RxhiveError) => void, end?: Omit<RunRow, 'workflow' | 'tags' | 'startedAt'>): void {
    this.#row = end && { ...this.#ports.row, ...end };
    this.#ports.clock.cancel(this.#timer);
    this.#ports.clock.cancel(this.#compacting);
    this.#closing = done;
    if (!this.#busy) this.#shut();
  }

  #read(log: RunLog): MaybePromise<LogRecord[]> {
    // Too late: nobody wants it any more.
    if (this.#calls.silent !== undefined) {
      leave(log);
      return [];
    }
    this.#log = log;
    log.onLost?.((error) => this.#taken(error));
    const refused = (error: unknown): MaybePromise<never> => {
      this.#log = undefined;
      return thenMaybe(log.close(), () => {
        throw error;
      });
    };
    try {
      const records = inSlices(this.#ports.clock, this.#decoded(log.entries));
      return isPromise(records) ? records.then(undefined, refused) : records;
    } catch (error) {
      return refused(error);
    }
  }

  *#decoded(entries: readonly LogEntry[]): Generator<void, LogRecord[]> {
    this.seq = entries.length;
    const records: LogRecord[] = [];
    for (const entry of entries) {
      records.push(readEntry(this.#ports.runId, entry, records.length + 1, this.#ports.spill));
      yield;
    }
    if (this.#ports.compaction !== undefined) this.#measure(entries, records);
    return records;
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
    let answer: MaybePromise<void>;
    const row = this.#row;
    this.#row = undefined;
    try {
      const placed =
        this.#removed === 0 ? entries : entries.map(({ seq, body }) => ({ seq: seq - this.#removed, body }));
      // No record may tell of a result that is not kept.
      answer = thenMaybe(this.#ports.spill.kept(), () => this.#log?.append(placed, row));
    } catch (cause) {
      throw this.#lost(first.seq, cause);
    }
    if (this.#ports.compaction !== undefined) this.#grown(entries);
    if (!isPromise(answer)) return true;
    this.#busy = true;
    const last = first.seq + entries.length - 1;
    this.#calls.ask(
      'append',
      () => answer,
      () => this.#wrote(() => this.#durable(last)),
      (cause) => this.#wrote(() => this.#ports.failed(this.#lost(first.seq, cause))),
    );
    return false;
  }

  /** Records up to `seq` are durable. */
  #durable(seq: number): void {
    this.#ports.written(seq);
    this.#flushed(({ upTo }) => upTo <= seq);
  }

  /** What those who are told append is written after all have been told: commits count in their order. */
  #notify(work: () => void): void {
    this.#busy = true;
    work();
    this.#busy = false;
  }

  /** The store has answered later. */
  #wrote(tell: () => void): void {
    this.#notify(tell);
    this.#goOn();
  }

  /** What has gathered is next; compaction before that, or it might never be. */
  #goOn(): void {
    while (!this.#busy) {
      if (this.#closing !== undefined) {
        this.#shut();
        return;
      }
      if (this.#due) this.#compact();
      else if (
        this.#waiting.length === 0 ||
        (this.#ports.durability === 'exit' && this.#flushes.length === 0)
      )
        return;
      else this.#next();
    }
  }

  #next(): void {
    const { seq } = this;
    let written: boolean;
    try {
      written = this.#write();
    } catch (error) {
      this.#ports.failed(error as RxhiveError);
      return;
    }
    if (written) this.#notify(() => this.#durable(seq));
  }

  /** What of a log that was there is new since it was compacted. */
  #measure(entries: readonly LogEntry[], records: readonly LogRecord[]): void {
    const short = records.findLastIndex((one) => one.kind === 'state' && one.upTo !== undefined) + 1;
    this.#short = sizeOf(entries.slice(0, short));
    this.#since = { records: entries.length - short, size: sizeOf(entries) - this.#short };
  }

  /** Compacts soon, once more was written than stays, so that all compactions together cost as much as the writing. */
  #grown(entries: readonly LogEntry[]): void {
    this.#since.records += entries.length;
    this.#since.size += sizeOf(entries);
    const { keep = Number.POSITIVE_INFINITY } = this.#ports.compaction ?? {};
    if (this.#since.records <= 2 * keep || this.#since.size <= this.#short) return;
    this.#due = true;
    this.#compacting ??= this.#ports.clock.after(0, () => {
      this.#compacting = undefined;
      this.#goOn();
    });
  }

  #compact(): void {
    const { compaction } = this.#ports;
    this.#due = false;
    if (compaction === undefined) return;
    this.#busy = true;
    const goOn = (outcome: Parameters<Compaction['done']>[0]): void => {
      this.#busy = false;
      compaction.done(outcome);
      this.#goOn();
    };
    this.#calls.ask(
      'compact',
      () => thenMaybe(compaction.read(), (entries) => this.#shorten(entries, compaction)),
      goOn,
      (error) => {
        this.#short = Number.POSITIVE_INFINITY;
        if (endsLog(error)) this.#taken(error);
        goOn({ error });
      },
    );
  }

  #shorten(
    entries: readonly LogEntry[],
    compaction: Compaction,
  ): MaybePromise<{ readonly before: number; readonly after: number }> {
    const records = entries.map((entry, i) => readEntry(this.#ports.runId, entry, i + 1));
    const left = compaction.shorten(records) ?? [];
    const made = left.map((record, i) => ({ seq: i + 1, body: encode(record) }));
    const short = made.length > 0 && sizeOf(made) < sizeOf(entries) ? made : entries;
    const answer = short === entries ? undefined : this.#log?.replace(short, keysGone(records, left));
    return thenMaybe(answer, () => {
      this.#removed += entries.length - short.length;
      this.#short = sizeOf(short);
      this.#since = { records: 0, size: 0 };
      return { before: entries.length, after: short.length };
    });
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
    if (this.#calls.silent !== undefined) {
      if (log !== undefined) leave(log);
      done?.(this.#broken);
      return;
    }
    this.#calls.ask(
      'close',
      () => log?.close(this.#row),
      () => done?.(this.#broken),
      (error) => done?.(this.#broken ?? this.#named(error)),
    );
  }

  /** Forgets records from number `first` on: in `sync` nobody relies on them, else nothing can follow them. */
  #lost(first: number, cause: unknown): RxhiveError {
    const error = this.#named(cause);
    this.seq = first - 1;
    this.#waiting = [];
    if (!this.holds || this.#closing !== undefined || endsLog(error)) this.#broken ??= error;
    this.#flushed(({ upTo }) => upTo >= first, error);
    if (endsLog(error)) this.#ports.failed(error);
    return error;
  }

  /** Another process has the run: nothing more is written, and nothing more may be done. */
  #taken(error: unknown): void {
    if (this.#log !== undefined) this.#lost(this.#waiting[0]?.seq ?? this.seq + 1, error);
  }

  #flushed(which: (flush: { readonly upTo: number }) => boolean, error?: RxhiveError): void {
    const told = this.#flushes.filter(which);
    this.#flushes = this.#flushes.filter((one) => !which(one));
    for (const { done } of told) done(error);
  }

  #named(cause: unknown): RxhiveError {
    if (isRxhiveError(cause)) return cause;
    const message = `The store of run "${truncate(this.#ports.runId)}" failed: ${messageOf(cause)}`;
    return new RxhiveError('STORE_FAILED', message, { cause });
  }
}

/** Nothing can be written any more: another process has the run, or nobody knows what has been written. */
export function endsLog(error: unknown): boolean {
  return isRxhiveError(error) && (error.code === 'RUN_LEASED' || reasonOf(error) === 'silent');
}

/** Gives the lease back, whether the store says something to that or not. */
function leave(log: RunLog): void {
  notify(
    () => log.close(),
    () => undefined,
  );
}

function sizeOf(entries: readonly LogEntry[]): number {
  return entries.reduce((sum, { body }) => sum + body.length, 0);
}
