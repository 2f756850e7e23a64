import { brief, RxhiveError, shown } from '../kernel/errors.js';
import { after, isLate, type Late } from '../kernel/late.js';
import { isRecord } from '../kernel/plain.js';
import type { OpenQuestion } from '../model/question.js';
import type { LogRecord } from '../model/record.js';
import type { CheckpointStore, LogEntry, RunLog } from '../model/store.js';
import { answerClosed, differenceFrom, unknownQuestion } from './answer.js';
import { shownAs } from './asked.js';
import { encode } from './codec.js';
import { readEntry } from './journal.js';
import { Ledger } from './ledger.js';
import { Past, touches } from './resume.js';
import type { Spill } from './spill.js';
import { State } from './state.js';

/** A run as it was after a record of its log. */
export interface PastSnapshot<S> {
  readonly seq: number;
  readonly state: S;
  /** Results of the tasks that had succeeded. */
  readonly results: ReadonlyMap<string, unknown>;
}

/** What two runs differ in. Only what differs is listed. */
export interface RunDifference {
  readonly state: readonly { readonly path: readonly string[]; readonly a: unknown; readonly b: unknown }[];
  readonly results: readonly { readonly taskId: string; readonly a: unknown; readonly b: unknown }[];
  /** Ms running and tokens of tasks, where both runs have them. */
  readonly tasks: readonly {
    readonly taskId: string;
    readonly ms: readonly [a: number, b: number];
    readonly tokens: readonly [a: number, b: number];
  }[];
}

/** What the log of a run tells: a value at any moment, who wrote what, what differs from another run. */
export class History<S = unknown> {
  readonly runId: string;
  /** All records, first to last; the number of a record is its place, from 1. */
  readonly records: readonly LogRecord[];
  readonly #initial: unknown;

  /** Made by `flow.history()`. @throws CheckpointCorruptError; RxhiveError INVALID_OPTION without such a run */
  constructor(entries: readonly LogEntry[], runId: string, workflow: string, initial: unknown, spill: Spill) {
    this.runId = runId;
    this.#initial = initial;
    this.records = entries.map((entry, i) => readEntry(runId, entry, i + 1, spill));
    const first = this.records[0];
    if (first?.kind === 'run' && first.workflow === workflow) return;
    const message =
      first?.kind === 'run'
        ? `Run "${brief(runId)}" is of workflow ${shown(first.workflow)}, not "${brief(workflow)}"; ask that one.`
        : `There is no run "${brief(runId)}" in the store; check the id.`;
    throw new RxhiveError('INVALID_OPTION', message);
  }

  /** State and results after record `seq`. @throws RxhiveError INVALID_OPTION */
  snapshotAt(seq: number): PastSnapshot<S> {
    if (!(Number.isInteger(seq) && seq >= 1 && seq <= this.records.length)) {
      const message = `seq is ${shown(seq)}; give a whole number from 1 to ${this.records.length}.`;
      throw new RxhiveError('INVALID_OPTION', message);
    }
    return this.#snapshot(new Past(this.records.slice(0, seq)), seq);
  }

  /** What waits for answers of people after the last record. */
  questions(): readonly OpenQuestion[] {
    const past = new Past(this.records);
    const open = [...past.questions.values()].filter(
      ({ record, answer }) => answer === undefined && !past.has(record.task),
    );
    return open.map(({ record }) => shownAs(record));
  }

  /**
   * Would an answer be taken, as far as the log can tell?
   * @throws RxhiveError QUESTION_UNKNOWN, ALREADY_ANSWERED, QUESTION_CLOSED
   */
  checkAnswer(questionId: string, value: unknown): void {
    const past = new Past(this.records);
    const known = past.questions.get(questionId);
    if (known === undefined) throw unknownQuestion(questionId);
    const { answer, record } = known;
    const wrong =
      answer !== undefined
        ? differenceFrom(questionId, { text: encode(answer.value), by: answer.by }, value)
        : past.commits.has(record.task)
          ? answerClosed(questionId, 'its task has ended')
          : undefined;
    if (wrong !== undefined) throw wrong;
  }

  #snapshot(past: Past, seq: number): PastSnapshot<S> {
    const state = new State(this.#initial);
    state.restore(past.patches());
    const results = new Map([...past.commits].map(([id, { value }]) => [id, value]));
    return { seq, state: state.current as S, results };
  }

  /** The task that wrote a part of the state last, and the number of its record; undefined: nobody did. */
  blame(...path: (string | number)[]): { readonly taskId: string; readonly seq: number } | undefined {
    const { commits } = new Past(this.records);
    for (let i = this.records.length - 1; i >= 0; i--) {
      const record = this.records[i];
      if (record?.kind !== 'commit' || commits.get(record.task) !== record) continue;
      if (record.patches?.some((patch) => touches(patch.path, path)))
        return { taskId: record.task, seq: i + 1 };
    }
    return undefined;
  }

  /** What differs at the end of this run (`a`) and of another (`b`). */
  diff(other: History<S>): RunDifference {
    const [mine, others] = [new Past(this.records), new Past(other.records)];
    const a = this.#snapshot(mine, this.records.length);
    const b = other.#snapshot(others, other.records.length);
    const [before, after] = [mine.commits, others.commits];
    const [spent, othersSpent] = [new Ledger(this.records), new Ledger(other.records)];
    const ids = [...new Set([...before.keys(), ...after.keys()])];
    const results = ids
      .filter((id) => a.results.has(id) !== b.results.has(id) || !same(a.results.get(id), b.results.get(id)))
      .map((taskId) => ({ taskId, a: a.results.get(taskId), b: b.results.get(taskId) }));
    const tasks = ids.flatMap((taskId) => {
      const [one, two] = [before.get(taskId), after.get(taskId)];
      if (one === undefined || two === undefined) return [];
      const ms = [one.at[1] - one.at[0], two.at[1] - two.at[0]] as const;
      const tokens = [spent.of(taskId)?.tokens ?? 0, othersSpent.of(taskId)?.tokens ?? 0] as const;
      return ms[0] === ms[1] && tokens[0] === tokens[1] ? [] : [{ taskId, ms, tokens }];
    });
    return { state: differences(a.state, b.state), results, tasks };
  }
}

/**
 * A store in which run `to` begins with the first `at` records of run `from`, copied when it is opened.
 * `open` throws RxhiveError INVALID_OPTION, RUN_LEASED; CheckpointCorruptError.
 */
export function forked(store: CheckpointStore, from: string, at: number, to: string): CheckpointStore {
  return {
    open: (runId) =>
      after(store.read(from), (entries) => {
        if (!(Number.isInteger(at) && at >= 1 && at <= entries.length)) {
          const message = `at is ${shown(at)}; run "${brief(from)}" has records 1 to ${entries.length}.`;
          throw new RxhiveError('INVALID_OPTION', message);
        }
        return after(store.open(runId), (log) => copied(log, entries.slice(0, at), to));
      }),
    read: (runId) => store.read(runId),
    get: (key) => store.get(key),
    put: (key, text) => store.put(key, text),
  };
}

/** The log with `entries` in it; given back when that cannot be. */
function copied(log: RunLog, entries: readonly LogEntry[], to: string): Late<RunLog> {
  const giveBack = (error: unknown): Late<never> =>
    after(log.close(), () => {
      throw error;
    });
  if (log.entries.length > 0) {
    const message = `There is a run "${brief(to)}" already; give the fork another id.`;
    return giveBack(new RxhiveError('INVALID_OPTION', message));
  }
  try {
    const answer = log.append(entries);
    const all: RunLog = { entries, append: (more) => log.append(more), close: () => log.close() };
    return isLate(answer) ? answer.then(() => all, giveBack) : all;
  } catch (error) {
    return giveBack(error);
  }
}

function same(a: unknown, b: unknown): boolean {
  return Object.is(a, b) || encode(a) === encode(b);
}

/** Looks into records; anything else is compared as one thing. */
function differences(a: unknown, b: unknown, path: readonly string[] = []): RunDifference['state'] {
  if (same(a, b)) return [];
  if (!isRecord(a) || !isRecord(b)) return [{ path, a, b }];
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  return keys.flatMap((key) => differences(a[key], b[key], [...path, key]));
}
