import { canonical } from './codec/canonical.js';
import { encode } from './codec/codec.js';
import { Collection } from './codec/collection.js';
import { placeOf } from './codec/collection-patches.js';
import { ProcessTimes, RecordNumbers } from './commit/compact.js';
import { UsageLedger } from './commit/ledger.js';
import { readEntry } from './commit/records.js';
import { pathsOf, ReplayedLog, runOf, stateOf, touches } from './commit/resume.js';
import type { Spill } from './commit/spill.js';
import { isRecord } from './kernel/plain.js';
import { answerClosed, differenceFrom, unknownQuestion } from './messaging/answers.js';
import { openQuestionOf } from './messaging/question-table.js';
import type { OpenQuestion } from './model/question.js';
import type { LogRecord, StatePath } from './model/record.js';
import type { Waits } from './model/result.js';
import type { LogEntry } from './model/store.js';
import { Spending, type UsageReport } from './model/usage.js';

/** A run as it was after a record of its log. */
export interface PastSnapshot<S> {
  readonly seq: number;
  readonly state: S;
  /** Results of the tasks that had succeeded. */
  readonly results: ReadonlyMap<string, unknown>;
}

/** A task that ended, as a log tells it. Times in ms since the run began, over all its processes. */
export interface PastTask {
  readonly taskId: string;
  readonly status: 'succeeded' | 'failed';
  /** Number of its record. */
  readonly seq: number;
  /** When its last attempt began, and when it ended. */
  readonly startedAt: number;
  readonly endedAt: number;
  readonly attempts: number;
  readonly waits: Waits;
  /** All attempts together. */
  readonly usage: UsageReport;
}

/** What two runs differ in. Only what differs is listed. */
export interface RunDifference {
  readonly state: readonly { readonly path: readonly string[]; readonly a: unknown; readonly b: unknown }[];
  readonly results: readonly { readonly taskId: string; readonly a: unknown; readonly b: unknown }[];
  /** Tasks whose course differs; undefined in the run where a task has not ended. */
  readonly tasks: readonly {
    readonly taskId: string;
    readonly a: PastTask | undefined;
    readonly b: PastTask | undefined;
  }[];
  /** From the beginning of each run to its last record, in ms. */
  readonly ms: readonly [a: number, b: number];
  /** What all attempts together used, those included whose results are not used any more. */
  readonly usage: readonly [a: UsageReport, b: UsageReport];
}

/** What the log of a run tells: a value at any moment, who wrote what, what differs from another run. */
export class History<S = unknown> {
  readonly runId: string;
  /** All records that are there, in order. In a compacted log the older ones are summed up. */
  readonly records: readonly LogRecord[];
  /** Number of the first record that can be gone back to: 1, or more in a compacted log. */
  readonly first: number;
  /** Number of the newest record. */
  readonly last: number;
  /** Where a fork comes from. */
  readonly from: { readonly runId: string; readonly seq: number } | undefined;
  readonly #numbers: RecordNumbers;
  readonly #initial: unknown;

  /** Made by `flow.history()`. @throws CheckpointCorruptError; RxhiveError INVALID_OPTION without such a run */
  constructor(entries: readonly LogEntry[], runId: string, workflow: string, initial: unknown, spill: Spill) {
    this.runId = runId;
    this.#initial = initial;
    this.records = entries.map((entry, i) => readEntry(runId, entry, i + 1, spill));
    this.#numbers = new RecordNumbers(this.records);
    this.first = this.#numbers.first;
    this.last = this.#numbers.last;
    this.from = runOf(this.records, runId, workflow).from;
  }

  /** State and results after record `seq`. @throws RxhiveError INVALID_OPTION */
  snapshotAt(seq: number): PastSnapshot<S> {
    const records = this.records.slice(0, this.#numbers.count('seq', seq));
    const past = new ReplayedLog(records);
    const state = stateOf(this.runId, records, this.#initial, past) as S;
    return { seq, state, results: new Map([...past.commits].map(([id, { value }]) => [id, value])) };
  }

  /** What waits for answers of people after the last record. */
  questions(): readonly OpenQuestion[] {
    const past = new ReplayedLog(this.records);
    const open = [...past.questions.values()].filter(
      ({ record, answer }) => answer === undefined && !past.has(record.task),
    );
    return open.map(({ record }) => openQuestionOf(record));
  }

  /**
   * Would an answer be taken, as far as the log can tell?
   * @throws RxhiveError QUESTION_UNKNOWN, ALREADY_ANSWERED, QUESTION_CLOSED
   */
  checkAnswer(questionId: string, value: unknown): void {
    const past = new ReplayedLog(this.records);
    const named = [...past.questions.values()].find(({ record: { token } }) => token === questionId);
    const known = past.questions.get(questionId) ?? named;
    if (known === undefined) throw unknownQuestion(questionId);
    const { answer, record } = known;
    const wrong =
      answer !== undefined
        ? differenceFrom(record.id, { text: encode(answer.value), by: answer.by }, value)
        : past.commits.has(record.task)
          ? answerClosed(record.id, 'its task has ended')
          : undefined;
    if (wrong !== undefined) throw wrong;
  }

  /**
   * The task that wrote a part of the state last, and the number of its record. Undefined: nobody did; a `taskId`
   * that is undefined: the fork was given it.
   */
  blame(
    ...path: (string | number)[]
  ): { readonly taskId: string | undefined; readonly seq: number } | undefined {
    const { commits } = new ReplayedLog(this.records);
    const inCollection = path.map((key) => (typeof key === 'string' ? placeOf(key) : key));
    const covers = (one: StatePath): boolean => touches(one, path) || touches(one, inCollection);
    for (let i = this.records.length - 1; i >= 0; i--) {
      const record = this.records[i];
      if (record?.kind === 'state' && record.given?.some(covers) === true)
        return { taskId: undefined, seq: this.#numbers.at(i) };
      if (record?.kind !== 'commit' || commits.get(record.task) !== record) continue;
      if (pathsOf(record).some(covers)) return { taskId: record.task, seq: this.#numbers.at(i) };
    }
    return undefined;
  }

  /** The tasks that have ended and whose end holds, in the order in which they did. */
  timeline(): PastTask[] {
    const past = new ReplayedLog(this.records);
    const times = new ProcessTimes(this.records);
    const ledger = new UsageLedger(this.records);
    return this.records.flatMap((record, i): PastTask[] => {
      if (record.kind !== 'commit' && record.kind !== 'failed') return [];
      const held: LogRecord | undefined =
        record.kind === 'commit' ? past.commits.get(record.task) : past.failures.get(record.task);
      if (held !== record) return [];
      const [startedAt, endedAt] = times.of(record, record.at);
      const [dependencies, slot, permit, backoff, suspended] = record.waits ?? [0, 0, 0, 0, 0];
      return [
        {
          taskId: record.task,
          status: record.kind === 'commit' ? 'succeeded' : 'failed',
          seq: this.#numbers.at(i),
          startedAt,
          endedAt,
          attempts: record.attempt,
          waits: { dependencies, slot, permit, backoff, suspended },
          usage: (ledger.of(record.task) ?? new Spending()).report,
        },
      ];
    });
  }

  /** What differs at the end of this run (`a`) and of another (`b`). */
  diff(other: History<S>): RunDifference {
    const [a, b] = [this.snapshotAt(this.last), other.snapshotAt(other.last)];
    const [mine, others] = [this.timeline(), other.timeline()];
    const ended = [mine, others].map((tasks) => new Map(tasks.map((task) => [task.taskId, task])));
    const [before, after] = ended as [Map<string, PastTask>, Map<string, PastTask>];
    const ids = [...new Set([...before.keys(), ...after.keys()])];
    const results = ids
      .filter((id) => a.results.has(id) !== b.results.has(id) || !same(a.results.get(id), b.results.get(id)))
      .map((taskId) => ({ taskId, a: a.results.get(taskId), b: b.results.get(taskId) }));
    const tasks = ids
      .map((taskId) => ({ taskId, a: before.get(taskId), b: after.get(taskId) }))
      .filter((task) => !same(courseOf(task.a), courseOf(task.b)));
    return {
      state: differences(a.state, b.state),
      results,
      tasks,
      ms: [lengthOf(mine), lengthOf(others)],
      usage: [usageOf(this.records), usageOf(other.records)],
    };
  }
}

function courseOf(task: PastTask | undefined): unknown {
  return task && { ...task, seq: 0 };
}

function lengthOf(tasks: readonly PastTask[]): number {
  return tasks.reduce((most, { endedAt }) => Math.max(most, endedAt), 0);
}

function usageOf(records: readonly LogRecord[]): UsageReport {
  const sum = new Spending();
  for (const used of new UsageLedger(records).groups.values()) sum.add(used);
  return sum.report;
}

function same(a: unknown, b: unknown): boolean {
  return Object.is(a, b) || canonical(a) === canonical(b);
}

/** Looks into records, collections and maps with names; anything else is compared as one thing. */
function differences(a: unknown, b: unknown, path: readonly string[] = []): RunDifference['state'] {
  if (same(a, b)) return [];
  const [one, two] = [partsOf(a), partsOf(b)];
  if (one === undefined || two === undefined) return [{ path, a, b }];
  const keys = [...new Set([...one.keys(), ...two.keys()])];
  return keys.flatMap((key) => differences(one.get(key), two.get(key), [...path, key]));
}

function partsOf(value: unknown): ReadonlyMap<string, unknown> | undefined {
  if (value instanceof Collection) return new Map(value);
  if (value instanceof Map)
    return [...value.keys()].every((key) => typeof key === 'string') ? value : undefined;
  return isRecord(value) ? new Map(Object.entries(value)) : undefined;
}
