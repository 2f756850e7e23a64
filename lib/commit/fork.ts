import { encode } from '../codec/codec.js';
import { type Path, shownPart } from '../codec/plain-records.js';
import { RxhiveError, truncate } from '../kernel/errors.js';
import { isPromise, type MaybePromise, thenMaybe } from '../kernel/maybe-promise.js';
import type { Recipe } from '../model/context.js';
import type { CommitRecord, LogRecord, RunRecord, StateRecord } from '../model/record.js';
import type { ForkSource } from '../model/run-options.js';
import type { CheckpointStore, LogEntry, RunLog } from '../model/store.js';
import { RecordNumbers } from './compact.js';
import { readEntry } from './records.js';
import { stateOf } from './resume.js';
import { keyOfResult } from './spill.js';
import { State } from './state.js';

/**
 * Opens run `to` with the records of another in it, up to one, and what is given instead.
 * @throws RxhiveError INVALID_OPTION, RUN_LEASED; CheckpointCorruptError
 */
export function openFork(store: CheckpointStore, to: string, source: ForkSource): MaybePromise<RunLog> {
  return thenMaybe(store.read(source.from), (entries) => {
    const copy = copied(entries, to, source);
    return thenMaybe(store.open(to), (log) => filled(store, log, copy, to));
  });
}

interface Copy {
  readonly entries: readonly LogEntry[];
  /** Results that are kept by themselves, from which key to which: the other run may be removed, and they with it. */
  readonly results: readonly (readonly [from: string, to: string])[];
}

function copied(entries: readonly LogEntry[], to: string, source: ForkSource): Copy {
  const { from, at, initial, state, input } = source;
  const records = entries.map((entry, i) => readEntry(from, entry, i + 1));
  const [first] = records;
  if (first?.kind !== 'run')
    throw new RxhiveError(
      'INVALID_OPTION',
      `There is no run "${truncate(from)}" in the store; check the id.`,
    );
  const numbers = new RecordNumbers(records);
  const seq = at ?? numbers.last;
  const count = numbers.count('at', seq);
  const results: [string, string][] = [];
  const bodies = entries.slice(0, count).map(({ seq, body }, i) => {
    const record = records[i];
    if (record?.kind !== 'commit' || record.spilled === undefined) return body;
    const spilled = keyOfResult(to, record.task, 'fork', seq);
    results.push([record.spilled, spilled]);
    return encode({ ...record, spilled } satisfies CommitRecord);
  });
  const begin: RunRecord = { ...first, ...(input && { input: input.value }), from: { runId: from, seq } };
  const name = (path: Path): string => shownPart({ state: 'state', input: 'the input' }, path);
  bodies[0] = encode(begin, { name });
  if (state !== undefined)
    bodies.push(encode(given(from, records.slice(0, count), initial, state), { name }));
  return { entries: bodies.map((body, i) => ({ seq: i + 1, body })), results };
}

/** The record of a state that was given: whole, or by a recipe on the one that the records leave. */
function given(runId: string, records: readonly LogRecord[], initial: unknown, state: unknown): StateRecord {
  if (typeof state !== 'function') return { kind: 'state', state: new State(state).current, given: [[]] };
  const base = new State(stateOf(runId, records, initial));
  const { next, patches } = base.prepare([state as Recipe<never>], true);
  return { kind: 'state', state: next, given: (patches ?? []).map(({ path }) => path) };
}

/** The log with `entries` in it; given back when that cannot be. */
function filled(
  store: CheckpointStore,
  log: RunLog,
  { entries, results }: Copy,
  to: string,
): MaybePromise<RunLog> {
  const giveBack = (error: unknown): MaybePromise<never> =>
    thenMaybe(log.close(), () => {
      throw error;
    });
  if (log.entries.length > 0) {
    const message = `There is a run "${truncate(to)}" already; give the fork another id.`;
    return giveBack(new RxhiveError('INVALID_OPTION', message));
  }
  try {
    const kept = results.reduce<MaybePromise<void>>(
      (before, [key, own]) =>
        thenMaybe(before, () =>
          // One that is gone already is missed by who reads it, if anybody does.
          thenMaybe(store.get(key), (text) => (text === undefined ? undefined : store.put(own, text, to))),
        ),
      undefined,
    );
    const all: RunLog = { ...log, entries };
    const answer = thenMaybe(kept, () => thenMaybe(log.append(entries), () => all));
    return isPromise(answer) ? answer.then(undefined, giveBack) : answer;
  } catch (error) {
    return giveBack(error);
  }
}
