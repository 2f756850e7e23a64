import { encode } from '../codec/codec.js';
import { inspect, RxhiveError } from '../kernel/errors.js';
import { isPromise, type MaybePromise, thenMaybe } from '../kernel/maybe-promise.js';
import { checked, number } from '../kernel/option-rules.js';
import type { CommitRecord, FailedRecord, LogRecord, StateRecord } from '../model/record.js';
import type { CheckpointStore } from '../model/store.js';
import { summedUsage } from './ledger.js';
import { readEntry } from './records.js';
import { ReplayedLog, runOf } from './resume.js';
import { keysGone } from './spill.js';

/** Characters of `inverse` that a compacted commit keeps; longer ones cannot be taken back. */
const longestInverse = 256;

/** Which numbers the records of a log have: those they were written with, also after it was compacted. */
export class RecordNumbers {
  /** Number of the first record that can be gone back to. */
  readonly first: number;
  readonly last: number;
  readonly #records: readonly LogRecord[];
  readonly #shift: number;

  constructor(records: readonly LogRecord[]) {
    this.#records = records;
    const at = records.findIndex((record) => record.kind === 'state' && record.upTo !== undefined);
    const upTo = (records[at] as StateRecord | undefined)?.upTo;
    this.first = upTo ?? 1;
    this.#shift = upTo === undefined ? 0 : upTo - (at + 1);
    this.last = records.length + this.#shift;
  }

  /** How many records of the log there are up to number `seq`. @throws RxhiveError INVALID_OPTION */
  count(name: string, seq: number): number {
    if (Number.isInteger(seq) && seq >= this.first && seq <= this.last) return seq - this.#shift;
    const why = seq > 0 && seq < this.first ? ' The log was compacted: older ones are gone.' : '';
    const message = `${name} is ${inspect(seq)}; give a whole number from ${this.first} to ${this.last}.${why}`;
    throw new RxhiveError('INVALID_OPTION', message);
  }

  /** Number of the record at a place, from 0. */
  at(index: number): number {
    const record = this.#records[index];
    return record?.kind === 'commit' && record.seq !== undefined ? record.seq : index + 1 + this.#shift;
  }
}

/**
 * Makes everything before the `keep` newest records short: one record per finished task, without what it changed but
 * for what is needed to take it back where that is short, and the state. Undefined where nothing would be gained. Of tasks in
 * `forgotten` that nothing else depends on nothing stays but what they have used; they are taken out of it.
 */
export function compacted(
  records: readonly LogRecord[],
  keep: number,
  initial: unknown,
  forgotten: Set<string> = new Set(),
): LogRecord[] | undefined {
  const cut = records.length - keep;
  const [first] = records;
  const old = records.slice(0, cut);
  const base = records.findIndex((record) => record.kind === 'state' && record.upTo !== undefined);
  if (first?.kind !== 'run' || cut < Math.max(2, base + 2)) return undefined;
  const rest = records.slice(cut);
  const numbers = new RecordNumbers(records);
  const places = new Map(old.map((record, i) => [record, i]));
  const clock = new ProcessTimes(records);
  const past = new ReplayedLog(old);
  const gone = droppable(past, forgotten);
  // A record that is taken back by one that stays must be whole.
  const needed = new Set(
    rest.flatMap((one) => (one.kind === 'dropped' ? one.tasks : one.kind === 'commit' ? [one.task] : [])),
  );
  const short = (record: CommitRecord): CommitRecord => {
    const { patches: _, inverse: __, wrote, ...plain } = record;
    const paths = past.pathsOf(record);
    const inverse = past.inverseOf(record);
    const fits = needed.has(record.task) || encode(inverse).length <= longestInverse;
    return {
      ...plain,
      seq: numbers.at(places.get(record) ?? 0),
      at: clock.of(record, record.at),
      ...(paths.length > 0 && (wrote === undefined && fits ? { inverse } : { wrote: paths })),
    };
  };
  const stays = ({ task }: CommitRecord | FailedRecord): boolean => !gone.has(task);
  const commits = [...past.commits.values()].filter(stays).map(short);
  // Behind the record that the run goes on, where there is one: from there their times count, too.
  const cleaned = [...past.cleaned.values()].map((record) => ({ ...short(record), at: record.at }));
  const failures = [...past.failures.values()].filter(stays).map((record) => ({
    ...record,
    at: clock.of(record, record.at),
  }));
  const held = new Set<LogRecord>([
    ...[past.commits, past.cleaned, past.failures].flatMap((ends) => [...ends.values()]),
  ]);
  const used = summedUsage(
    old.filter((record) => !held.has(record) || ('task' in record && gone.has(record.task))),
    gone,
  );
  const others = old.flatMap((record) => kept(record, past, gone));
  const resumed = old.findLast((record) => record.kind === 'resumed');
  const state = { kind: 'state', state: past.state(initial), upTo: numbers.at(cut - 1) } as const;
  const before = [first, ...commits, ...failures, ...used, ...others, ...(resumed ? [resumed] : [])];
  return [...before, ...cleaned, state, ...rest];
}

/** The tasks of `forgotten` that have ended and that nothing else depends on; takes them out of it. */
function droppable(past: ReplayedLog, forgotten: Set<string>): ReadonlySet<string> {
  const gone = new Set([...forgotten].filter((id) => past.has(id)));
  if (gone.size === 0) return gone;
  const added = past.added();
  // What one that stays depends on is part of what that one is.
  for (let before = -1; before !== gone.size; ) {
    before = gone.size;
    for (const { id, dependencies = [] } of added.values())
      if (!gone.has(id)) for (const on of dependencies) gone.delete(on.id);
  }
  for (const id of gone) forgotten.delete(id);
  return gone;
}

/** What stays of a record that nothing else stands for. What tasks have tried counts until they have ended. */
function kept(record: LogRecord, past: ReplayedLog, gone: ReadonlySet<string>): LogRecord[] {
  switch (record.kind) {
    case 'question':
    case 'answer':
      return gone.has(past.questions.get(record.id)?.record.task ?? '') ? [] : [record];
    case 'message':
    case 'reply':
    case 'reader':
      return [record];
    case 'added': {
      if (gone.size === 0) return [record];
      const tasks = record.tasks.filter(({ id }) => !gone.has(id));
      return tasks.length === 0 ? [] : [{ ...record, tasks }];
    }
    case 'begun': {
      const tasks = record.tasks.filter(([task]) => !past.has(task));
      return tasks.length === 0 ? [] : [{ ...record, tasks }];
    }
    case 'attempt':
      return past.has(record.task) ? [] : [record];
    case 'dropped': {
      const tasks = record.tasks.filter((task) => past.again.has(task) && !past.has(task));
      return tasks.length === 0 ? [] : [{ ...record, tasks }];
    }
    default:
      return [];
  }
}

/** Newest records that compaction leaves as they are. @throws RxhiveError INVALID_OPTION */
export function checkKeep(keep: number = 100): number {
  return checked(keep, 'compact.keep', number(0, 'whole'));
}

/**
 * Compacts the log of a run that nobody has.
 * @throws CheckpointCorruptError; RxhiveError INVALID_OPTION, RUN_LEASED, NOT_SERIALIZABLE, STORE_FAILED
 */
export function compactLog(
  store: CheckpointStore,
  runId: string,
  { name, state, keep }: { readonly name: string; readonly state: unknown; readonly keep: number },
): MaybePromise<{ readonly before: number; readonly after: number }> {
  return thenMaybe(store.open(runId), (log) => {
    const close = <T>(next: () => T): MaybePromise<T> => thenMaybe(log.close(), next);
    const fail = (error: unknown): MaybePromise<never> =>
      close(() => {
        throw error;
      });
    try {
      const records = log.entries.map((entry, i) => readEntry(runId, entry, i + 1));
      runOf(records, runId, name);
      const short = compacted(records, keep, state);
      const entries = short?.map((one, i) => ({ seq: i + 1, body: encode(one) }));
      const outcome = { before: records.length, after: entries?.length ?? records.length };
      const answer = entries && log.replace(entries, keysGone(records, short ?? []));
      return isPromise(answer) ? answer.then(() => close(() => outcome), fail) : close(() => outcome);
    } catch (error) {
      return fail(error);
    }
  });
}

/** When what a log tells happened, in ms since the run began, without the time between its processes. */
export class ProcessTimes {
  /** From the beginning to the last end of a task. */
  readonly total: number;
  readonly #begun = new Map<LogRecord, number>();

  constructor(records: readonly LogRecord[]) {
    let begun = 0;
    let total = 0;
    for (const record of records) {
      if (record.kind === 'resumed') begun = record.before;
      else if (record.kind === 'commit' || record.kind === 'failed') {
        total = Math.max(total, begun + record.at[1]);
        if (begun > 0) this.#begun.set(record, begun);
      }
    }
    this.total = total;
  }

  of(record: LogRecord, [from, to]: readonly [number, number]): readonly [number, number] {
    const begun = this.#begun.get(record) ?? 0;
    return [from + begun, to + begun];
  }
}
