import type { Clock } from '../kernel/clock.js';
import { brief, RxhiveError, shown } from '../kernel/errors.js';
import { after, type Late, settle } from '../kernel/late.js';
import type { AttemptHandle, Spawned, TaskNode } from '../model/node.js';
import type { CommitDone, CommitOutcome } from '../model/ports.js';
import type {
  AnswerRecord,
  DroppedRecord,
  LoggedUsage,
  LogRecord,
  QuestionRecord,
  ResumedRecord,
  RunRecord,
  UsageRecord,
} from '../model/record.js';
import { canonical } from './canonical.js';
import { encode } from './codec.js';
import { compacted, ProcessTimes } from './compact.js';
import { Journal } from './journal.js';
import { Ledger, logged, unlogged } from './ledger.js';
import type { LogPorts, RunFacts } from './log.js';
import { commitText, failureText } from './log-records.js';
import { PendingCommits } from './pending.js';
import { shownPart } from './places.js';
import { Past, type Resumed, stateOf } from './resume.js';
import type { State } from './state.js';

/** Runs of one task that may be lost to conflicts before it fails: a guard against running for ever. */
const mostReruns = 100;

/** What a commit does outside of state and log. */
export interface CommitPorts {
  /** Adds the tasks an attempt has added, `held` until it has ended. May throw; then nothing is committed. */
  addSpawned(parent: TaskNode, spawned: readonly Spawned[], held: boolean): void;
  /** Ms since the run started. */
  now(): number;
  /** Somebody wants to know what a commit changed. */
  watched(): boolean;
  /** True for a task that `run.task` has added. */
  outside(node: TaskNode): boolean;
  /** The store fails, and with it what the run relies on. */
  lost(error: RxhiveError): void;
}

/** The commit stage: a task's result, its writes and the tasks it added become one record, or nothing happens. */
export class Transactions {
  readonly #state: State;
  readonly #journal: Journal | undefined;
  readonly #log: LogPorts | undefined;
  readonly #ports: CommitPorts;
  readonly #clock: Clock | undefined;
  #past: Past | undefined;
  #ledger: Ledger | undefined;
  /** Tasks that were compared with the log already, or whose definition is gone. */
  #known = new Set<string>();
  /** Written before the next record: a run that goes on and finds nothing to do writes nothing. */
  #resumed: ResumedRecord | undefined;
  /** Tasks restored by running their completion handlers again. */
  readonly #replayed = new Set<TaskNode>();
  readonly #pending: PendingCommits;

  /** Without `log` nothing is kept. */
  constructor(state: State, log: LogPorts | undefined, ports: CommitPorts) {
    this.#state = state;
    this.#pending = new PendingCommits(state);
    this.#ports = ports;
    this.#log = log;
    this.#clock = log?.clock;
    this.#journal =
      log &&
      new Journal({
        ...log,
        compaction: log.compaction && {
          ...log.compaction,
          shorten: (records) => compacted(records, log.compaction?.keep ?? 0, log.compaction?.initial),
        },
        written: (seq) => this.#pending.written(seq),
        failed: (error) => this.#pending.lost(error) || ports.lost(error),
      });
  }

  /**
   * Reads the log of the run and restores the state; writes the first record of a new one. Calls `done` or `failed`,
   * neither when it was closed meanwhile. `failed` gets CheckpointCorruptError; RxhiveError RUN_LEASED,
   * INVALID_INPUT, INVALID_OPTION, NOT_SERIALIZABLE, STORE_FAILED.
   */
  open(
    nodes: ReadonlyMap<string, TaskNode>,
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
      settle(
        () => this.#resume(journal, records, nodes, facts),
        done,
        (error) => journal.close(() => failed(error)),
      );
    }, failed);
  }

  /** Writes what is left and gives the lease back; `done` gets an error when records are lost. */
  close(done: (error?: RxhiveError) => void): void {
    if (this.#journal === undefined) done();
    else this.#journal.close(done);
  }

  #resume(
    journal: Journal,
    records: readonly LogRecord[],
    nodes: ReadonlyMap<string, TaskNode>,
    facts: RunFacts,
  ): Late<Resumed | undefined> {
    const { workflow, input } = facts;
    const first = records[0];
    if (first?.kind !== 'run') {
      const at = this.#begun();
      journal.append(
        encode({ kind: 'run', format: 1, workflow, input: input?.value, at } satisfies RunRecord, {
          name: (path) => shownPart({ input: 'the input' }, path),
        }),
      );
      return undefined;
    }
    if (first.workflow !== workflow) {
      const message = `The log is of workflow ${shown(first.workflow)}, this is "${brief(workflow)}"; use another runId.`;
      throw new RxhiveError('INVALID_OPTION', message);
    }
    if (input !== undefined && canonical(first.input) !== canonical(input.value)) {
      throw new RxhiveError(
        'INVALID_INPUT',
        'The run began with another input; give the same, or another runId.',
      );
    }
    const unknown = facts.rerun.find(
      (id) => !nodes.has(id) && !records.some((one) => one.kind === 'commit' && one.task === id),
    );
    if (unknown !== undefined)
      throw new RxhiveError(
        'INVALID_OPTION',
        `rerun names ${shown(unknown)}, which is no task; check the id.`,
      );
    const past = new Past(records);
    return after(past.check(nodes), () => this.#compared(past, records, nodes, facts));
  }

  #compared(
    past: Past,
    records: readonly LogRecord[],
    nodes: ReadonlyMap<string, TaskNode>,
    { runId, state, retryFailed, rerun }: RunFacts,
  ): Resumed {
    past.compare(nodes, rerun);
    this.#resumed = { kind: 'resumed', at: this.#begun(), before: new ProcessTimes(records).total };
    // Noted before anything runs: a crash before they have all run again must not bring old results back.
    if (past.stale.size > 0) this.#drop([...past.stale.keys()], false);
    const retried = new Set(retryFailed ? past.failures.keys() : []);
    // Noted too: who suspends or crashes while it runs again has not failed.
    if (retried.size > 0) this.#drop([...retried], false);
    for (const id of retried) past.failures.delete(id);
    this.#state.restore(stateOf(runId, records, state, past));
    this.#past = past;
    this.#ledger = new Ledger(records);
    const parents = [...past.commits.values(), ...past.failures.values()];
    const orphans = parents
      .flatMap(({ spawned = [] }) => spawned)
      .filter((id) => !nodes.has(id) && past.has(id));
    const missing = [...past.commits.values()].filter(
      (record) => record.outside === true && !nodes.has(record.task),
    );
    this.#known = new Set([...nodes.keys(), ...orphans]);
    return {
      restored: past.commits.size,
      rerun: [...past.stale].map(([taskId, because]) => ({ taskId, because })),
      orphans,
      spent: this.#ledger.groups,
      questions: past.questions,
      messages: records.filter(
        (one) => one.kind === 'message' || one.kind === 'reply' || one.kind === 'reader',
      ),
      retried,
      missing: missing.map(({ task }) => task),
      input: (records[0] as RunRecord).input,
    };
  }

  /** The log says what tasks have done in an earlier process. */
  get resumed(): boolean {
    return this.#past !== undefined;
  }

  /**
   * Gives a task the result, or the error, it had before; undefined when it has to run, if only (`handled`) for
   * its completion handlers.
   */
  recall(node: TaskNode, handled: (node: TaskNode) => boolean): 'restored' | 'failed' | undefined {
    this.#ledger?.bill(node);
    const ended = this.#recall(node, handled);
    if (ended === undefined && node.calls > 0) node.more().loggedCalls = node.calls;
    return ended;
  }

  #recall(node: TaskNode, handled: (node: TaskNode) => boolean): 'restored' | 'failed' | undefined {
    const past = this.#past;
    if (past === undefined || !past.has(node.id)) return undefined;
    const above = node.inEdges.find((edge) => past.stale.has(edge.from.id));
    const why =
      above !== undefined
        ? `"${above.from.id}" runs again`
        : this.#known.has(node.id)
          ? undefined
          : past.recheck(node);
    if (why !== undefined) {
      // What it had written is in the state already, and others may have built on it.
      this.#drop([node.id], true);
      past.stale.set(node.id, why);
      return undefined;
    }
    const record = past.commits.get(node.id) ?? past.failures.get(node.id);
    if (record === undefined) return undefined;
    if (record.kind === 'failed') {
      node.error = record.error;
      return 'failed';
    }
    if (!this.#spilled(node, past.spilledOf(record))) node.value = past.resultOf(record);
    if (!handled(node)) return 'restored';
    this.#replayed.add(node);
    return undefined;
  }

  /** The result a task had before, where only its handlers are to be called again. */
  replayed(node: TaskNode): { readonly value: unknown } | undefined {
    return this.#replayed.has(node) ? { value: node.value } : undefined;
  }

  /**
   * Commits a success. What it throws fails the task; then nothing has happened. `later`: nobody sees it before
   * `done` is called, and nothing has happened if that is with an error.
   */
  commit(node: TaskNode, attempt: AttemptHandle, done: CommitDone): CommitOutcome {
    const { recipes, spawned } = attempt;
    if (this.#replayed.has(node)) {
      if (spawned !== undefined) this.#ports.addSpawned(node, spawned, false);
      return 'restored';
    }
    const conflict = this.#conflict(node, attempt, done);
    if (conflict !== undefined) return conflict;
    const change =
      recipes === undefined
        ? undefined
        : this.#state.prepare(recipes, this.#journal !== undefined || this.#ports.watched());
    const key = this.#spill(node);
    const body =
      this.#journal === undefined
        ? undefined
        : commitText(node, attempt, change, this.#ports.now(), this.#ports.outside(node), key);
    const journal = this.#journal;
    if (spawned !== undefined) this.#ports.addSpawned(node, spawned, journal?.holds === true);
    logged(node);
    this.#spilled(node, key);
    if (body !== undefined && this.#put(body) === false && journal !== undefined) {
      if (change !== undefined) this.#state.reserve(node.id, change);
      this.#pending.add({ seq: journal.seq, changed: change !== undefined, done });
      return 'later';
    }
    if (change !== undefined) this.#state.accept(node.id, change);
    return 'done';
  }

  /** Keeps a large result elsewhere than in memory and log; its key, where it does. */
  #spill(node: TaskNode): string | undefined {
    if (node.watched || this.#log === undefined) return undefined;
    return this.#log.spill.keep(this.#log.runId, node.id, this.#begun(), node.value);
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

  /** Notes a failure, so that it is known when the run goes on. */
  failed(node: TaskNode): void {
    const journal = this.#journal;
    if (journal === undefined || this.#past?.failures.has(node.id) === true) return;
    const body = failureText(node, this.#ports.now());
    logged(node);
    this.#append(body);
  }

  /** What tasks have used, in earlier processes, that this one has not had. */
  get spentElsewhere(): Ledger['unbilled'] {
    return this.#ledger?.unbilled ?? [];
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
    const resumed = this.#resumed;
    this.#resumed = undefined;
    if (resumed !== undefined) this.#journal?.append(encode(resumed));
    return this.#journal?.append(body);
  }

  /** When this process began with the run, as its clock counts. */
  #begun(): number {
    return (this.#clock?.now() ?? 0) - this.#ports.now();
  }

  #conflict(node: TaskNode, { reads }: AttemptHandle, done: CommitDone): 'rerun' | 'wait' | undefined {
    if (reads === undefined) return undefined;
    const { onConflict = 'rerun' } = node.definition;
    const conflict = onConflict === 'replay' ? undefined : this.#state.conflict(node.id, reads);
    // Run again now, the body would read what it has read before: nobody sees a commit before it is written.
    if (conflict !== undefined && conflict.seq > this.#state.seq) {
      this.#pending.behind(conflict.seq, done);
      return 'wait';
    }
    reads.close();
    if (conflict === undefined) return undefined;
    const extra = node.more();
    extra.conflicts += 1;
    if (onConflict === 'fail' || extra.conflicts > mostReruns) throw conflict.error;
    return 'rerun';
  }
}
