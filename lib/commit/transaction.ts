import { encode } from '../codec/codec.js';
import { shownPart } from '../codec/plain-records.js';
import type { AttemptHandle, Spawned, TaskNode } from '../graph/node.js';
import type { CommitOutcome, Recalled, TaskLog, Watch } from '../graph/ports.js';
import type { Clock } from '../kernel/clock.js';
import type { RxhiveError } from '../kernel/errors.js';
import { type MaybePromise, settleMaybe } from '../kernel/maybe-promise.js';
import type {
  AnswerRecord,
  AttemptRecord,
  DroppedRecord,
  LoggedUsage,
  LogRecord,
  QuestionRecord,
  ResumedRecord,
  RunRecord,
  StoppedRecord,
  UsageRecord,
} from '../model/record.js';
import type { RunEnd } from '../model/run-row.js';
import { addedText } from './added.js';
import { AttemptLog } from './attempt-log.js';
import { compacted, ProcessTimes } from './compact.js';
import { endsLog, Journal } from './journal.js';
import { logged, type UsageLedger, unlogged } from './ledger.js';
import type { LogPorts, RunFacts } from './log-options.js';
import { commitText, failureText, isNoted } from './log-records.js';
import { PendingCommits } from './pending.js';
import { Recovery, type RecoveryPorts } from './recovery.js';
import { type Resumed, versionOf } from './resume.js';
import type { State } from './state.js';

/** Runs of one task that may be lost to conflicts before it fails: a guard against running for ever. */
const mostReruns = 100;

/** What a commit does outside of state and log. */
export interface CommitPorts {
  /** Adds the tasks an attempt has added, `held` until it has ended. May throw; then nothing is committed. */
  addSpawned(parent: TaskNode, spawned: readonly Spawned[], held: boolean): void;
  readonly clock: Clock;
  readonly watch: Watch;
  /** A commit that was to come later is durable; with an error: it never will be. */
  durable(node: TaskNode, error?: RxhiveError): void;
  /** A commit that had to wait can be tried again: that of `attempt`, made in the call of this number. */
  again(node: TaskNode, attempt: AttemptHandle, value: unknown, calls: number): void;
  /** The store fails, and with it what the run relies on. */
  lost(error: RxhiveError): void;
  /** What bringing tasks back needs of the run. */
  readonly recovery: Omit<RecoveryPorts, 'watch' | 'time' | 'drop'>;
}

/** The commit stage: a task's result, its writes and the tasks it added become one record, or nothing happens. */
export class Transactions implements TaskLog {
  readonly #state: State;
  readonly #journal: Journal | undefined;
  readonly #log: LogPorts | undefined;
  readonly #ports: CommitPorts;
  /** What goes on of an earlier process; undefined: there was none. */
  recovery: Recovery | undefined;
  /** Written before the next record: a run that goes on and finds nothing to do writes nothing. */
  #resumed: ResumedRecord | undefined;
  readonly #attempts: AttemptLog | undefined;
  /** The process before has died: the first attempt of this one tells the log of it. */
  #mark = false;
  /** This process has written more than the first record. */
  #wrote = false;
  /** Tasks that have ended before the log was open. */
  #early: TaskNode[] | undefined = [];
  readonly #pending: PendingCommits;
  /** Tasks that the run has forgotten and the log has not. */
  readonly #forgotten = new Set<string>();

  /** Without `log` nothing is kept. */
  constructor(state: State, log: LogPorts | undefined, ports: CommitPorts) {
    this.#state = state;
    this.#pending = new PendingCommits(state, ports.durable);
    this.#ports = ports;
    this.#log = log;
    this.#attempts =
      log &&
      new AttemptLog({
        clock: log.clock,
        append: (body) => this.#append(body),
        flush: () => this.#journal?.flush(() => undefined),
      });
    this.#journal =
      log &&
      new Journal({
        ...log,
        compaction: log.compaction && {
          ...log.compaction,
          shorten: (records) =>
            compacted(records, log.compaction?.keep ?? 0, log.compaction?.initial, this.#forgotten),
        },
        written: (seq) => this.#pending.written(seq),
        failed: (error) => {
          if (!this.#pending.lost(error) || endsLog(error)) ports.lost(error);
        },
      });
  }

  /**
   * Reads the log of the run and restores the state; writes the first record of a new one. Calls `done` or `failed`,
   * neither when it was closed meanwhile. `failed` gets CheckpointCorruptError; RxhiveError RUN_LEASED,
   * INVALID_INPUT, INVALID_OPTION, NOT_SERIALIZABLE, STORE_FAILED.
   */
  open(
    facts: RunFacts,
    done: (resumed: Resumed | undefined) => void,
    failed: (error: unknown) => void,
  ): void {
    const journal = this.#journal;
    if (journal === undefined) {
      done(undefined);
      return;
    }
    journal.open((records) => {
      settleMaybe(
        () => this.#resume(journal, records, facts),
        (resumed) => {
          const early = this.#early ?? [];
          this.#early = undefined;
          for (const node of early) if (this.recovery?.past.has(node.id) !== true) this.ended(node, false);
          done(resumed);
        },
        (error) => journal.close(() => failed(error)),
      );
    }, failed);
  }

  /** How the run waits for its store. */
  get store(): Pick<Journal, 'waiting' | 'hurry'> | undefined {
    return this.#journal;
  }

  /**
   * Writes what is left, and in the row of the run how it has ended, and gives the lease back; `suspended`: what is left waits for
   * people. `done` gets an error when records are lost.
   */
  close(suspended: boolean, end: () => RunEnd, done: (error?: RxhiveError) => void): void {
    // What was under way was stopped; it was not what ended the process.
    if (this.#attempts?.close() || (suspended && this.#wrote))
      this.#append(encode({ kind: 'stopped' } satisfies StoppedRecord));
    if (this.#journal === undefined) done();
    else this.#journal.close(done, { ...end(), endedAt: this.#ports.clock.wall() });
  }

  #resume(
    journal: Journal,
    records: readonly LogRecord[],
    facts: RunFacts,
  ): MaybePromise<Resumed | undefined> {
    const { workflow, input } = facts;
    const at = this.#begun();
    if (records[0]?.kind !== 'run') {
      journal.append(
        encode({ kind: 'run', format: 1, workflow, input: input?.value, at } satisfies RunRecord, {
          name: (path) => shownPart({ input: 'the input' }, path),
        }),
      );
      return undefined;
    }
    this.#resumed = { kind: 'resumed', at, before: new ProcessTimes(records).total };
    this.recovery = new Recovery(records, {
      ...this.#ports.recovery,
      watch: this.#ports.watch,
      time: () => this.#ports.clock.wall(),
      drop: (tasks, stays) => this.#drop(tasks, stays),
    });
    const { died, deaths } = this.recovery.tries;
    if (this.#log?.fork !== true) this.#mark = died;
    if (this.#mark) this.#attempts?.afterDeaths(deaths);
    return this.recovery.begin(records, facts, this.#state);
  }

  replayed(node: TaskNode, goesOn: boolean, cause: unknown): void {
    this.recovery?.replayed(node, goesOn, cause);
  }

  /** Gives a task the end it had before; undefined when it has to run, if only to bring back what it had added. */
  recall(node: TaskNode): Recalled | undefined {
    const { recovery } = this;
    const end = recovery?.recall(node);
    const record = recovery?.past.commits.get(node.id);
    if (record !== undefined && !this.#spilled(node, recovery?.past.spilledOf(record)))
      node.value = recovery?.past.resultOf(record);
    return end;
  }

  cleaned(node: TaskNode): boolean {
    const record = this.recovery?.past.cleaned.get(node.id);
    if (record === undefined || versionOf(node) !== record.version) return false;
    if (!this.#spilled(node, record.spilled)) node.value = record.value;
    return true;
  }

  /**
   * Commits a success. What it throws fails the task; then nothing has happened. `later`: nobody sees it before
   * `durable` is called, and nothing has happened if that is with an error.
   */
  commit(node: TaskNode, attempt: AttemptHandle): CommitOutcome {
    const { recipes, spawned } = attempt;
    if (node.extra?.replay !== undefined) {
      this.used(node);
      return 'restored';
    }
    const conflict = this.#conflict(node, attempt);
    if (conflict !== undefined) return conflict;
    const change =
      recipes === undefined
        ? undefined
        : this.#state.prepare(recipes, this.#journal !== undefined || this.#ports.watch.active);
    const key = this.#spill(node);
    const body =
      this.#journal === undefined
        ? undefined
        : commitText(node, attempt, change, this.#ports.clock.elapsed(), this.#ports.recovery.owner, key);
    const journal = this.#journal;
    if (spawned !== undefined) this.#ports.addSpawned(node, spawned, journal?.holds === true);
    logged(node);
    this.#attempts?.ended(node.id);
    this.#spilled(node, key);
    if (body !== undefined && this.#put(body) === false && journal !== undefined) {
      if (change !== undefined) this.#state.reserve(node.id, change);
      this.#pending.add({ seq: journal.seq, changed: change !== undefined, node });
      return 'later';
    }
    if (change !== undefined) this.#state.accept(node.id, change);
    return 'done';
  }

  /** Keeps a large result elsewhere than in memory and log; its key, where it does. */
  #spill(node: TaskNode): string | undefined {
    if (node.extra?.watched === true || this.#log === undefined) return undefined;
    return this.#log.spill.keep(this.#log.runId, node, () => this.#begun());
  }

  /** The result can be read again once the task has forgotten it. */
  #spilled(node: TaskNode, key: string | undefined): boolean {
    if (key === undefined) return false;
    node.forgettable(() => this.#log?.spill.load(key));
    return true;
  }

  /** Writes a record at once, whatever the durability; `done` is called when it is durable, or with why it is not. */
  keep(record: QuestionRecord | AnswerRecord, done: (error?: RxhiveError) => void): void {
    const journal = this.#journal;
    if (journal === undefined) {
      done();
      return;
    }
    try {
      this.#put(encode(record));
    } catch (error) {
      done(error as RxhiveError);
      return;
    }
    journal.flush(done);
  }

  /**
   * Writes a record as the durability asks; `done` is called when others may rely on it: at once, or when it is durable
   * where successes wait for that too; or with the reason why it is lost.
   */
  note(body: string, done: (error?: RxhiveError) => void): void {
    try {
      if (this.#put(body) !== false) done();
      else this.#journal?.flush(done);
    } catch (error) {
      done(error as RxhiveError);
    }
  }

  /** Notes an end that is no success, so that it is known when the run goes on; `closing`: all of the run ends. */
  ended(node: TaskNode, closing: boolean): void {
    if (closing) this.#attempts?.stopped(node.id);
    else this.#attempts?.ended(node.id);
    if (this.#journal === undefined || closing) return;
    if (this.#early !== undefined) {
      this.#early.push(node);
      return;
    }
    if (!isNoted(node, this.#ports.recovery.owner) || this.recovery?.past.failures.has(node.id) === true)
      return;
    const body = failureText(node, this.#ports.clock.elapsed());
    logged(node);
    this.#append(body);
  }

  /** The run has forgotten a task that has ended: the log does so, too, when it is compacted. */
  forget(id: string): void {
    if (this.#log?.compaction !== undefined) this.#forgotten.add(id);
  }

  /** Notes that an attempt is under way: a task that ends its process must not do so for ever. */
  began({ id, attempt }: TaskNode): void {
    this.recovery?.past.cleaned.clear();
    if (this.#log?.durability === 'exit') return;
    if (this.#mark) {
      // The next process sees that this one was there, whatever becomes of it.
      this.#mark = false;
      this.#begin();
      this.#journal?.flush(() => undefined);
    }
    this.#attempts?.began(id, attempt);
  }

  /** Notes, where it was noted, that an attempt waits for others. */
  rests({ id }: TaskNode): void {
    this.#attempts?.rests(id);
  }

  /** Notes that an attempt has failed, and when the next one may begin. */
  retries({ id, attempt }: TaskNode, delay: number, isLost: boolean): void {
    this.#attempts?.ended(id);
    if (this.#journal === undefined) return;
    const until = this.#ports.clock.wall() + delay;
    const lost = isLost && { lost: true as const };
    this.#append(encode({ kind: 'attempt', task: id, attempt, until, ...lost } satisfies AttemptRecord));
  }

  /** Tasks of registered bodies, as a record; undefined: there are none, or no log. @throws RxhiveError NOT_SERIALIZABLE */
  addedText(tasks: readonly Spawned[]): string | undefined {
    if (this.#journal === undefined) return undefined;
    return addedText(tasks, this.recovery?.past.outside);
  }

  /** Writes what {@link Transactions.addedText} has made. */
  added(text: string): void {
    this.#append(text);
  }

  /** What tasks have used, in earlier processes, that this one has not had. */
  get spentElsewhere(): UsageLedger['unbilled'] {
    return this.recovery?.ledger.unbilled ?? [];
  }

  /** Notes what an attempt used that no other record will tell of; nothing where it used nothing. */
  used(node: TaskNode): void {
    if (this.#journal === undefined || node.extra?.unlogged === undefined) return;
    const usage = unlogged(node) as LoggedUsage;
    logged(node);
    this.#append(encode({ kind: 'usage', task: node.id, usage } satisfies UsageRecord));
  }

  /** A store that takes no records any more ends the run. */
  #append(body: string): void {
    try {
      this.#put(body);
    } catch (error) {
      this.#ports.lost(error as RxhiveError);
    }
  }

  #drop(tasks: readonly string[], stays: boolean): void {
    this.#put(encode({ kind: 'dropped', tasks, ...(stays && { stays }) } satisfies DroppedRecord));
  }

  #put(body: string): boolean | undefined {
    this.#begin();
    return this.#journal?.append(body);
  }

  /** Before anything else is written the log says that the run goes on. */
  #begin(): void {
    const resumed = this.#resumed;
    this.#resumed = undefined;
    this.#wrote = true;
    if (resumed !== undefined) this.#journal?.append(encode(resumed));
  }

  /** When this process began with the run, as its clock counts. */
  #begun(): number {
    return this.#ports.clock.wall() - this.#ports.clock.elapsed();
  }

  #conflict(node: TaskNode, attempt: AttemptHandle): 'rerun' | 'wait' | undefined {
    const { reads, recipes } = attempt;
    if (reads === undefined) return undefined;
    const { onConflict = 'rerun', writes } = node.definition;
    const conflict = onConflict === 'replay' ? undefined : this.#state.conflict(node.id, reads);
    // Run again now, the body would read what it has read before: nobody sees a commit before it is written.
    if (conflict !== undefined && conflict.seq > this.#state.seq) {
      const { value, calls } = node;
      this.#pending.behind(conflict.seq, () => this.#ports.again(node, attempt, value, calls));
      return 'wait';
    }
    const overwritten =
      conflict === undefined && writes === 'exclusive' && recipes !== undefined
        ? this.#state.overwritten(node.id, reads, recipes)
        : undefined;
    reads.close();
    if (overwritten !== undefined) throw overwritten;
    if (conflict === undefined) return undefined;
    const extra = node.more();
    extra.conflicts += 1;
    if (onConflict === 'fail' || extra.conflicts > mostReruns) throw conflict.error;
    return 'rerun';
  }
}
