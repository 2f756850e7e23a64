import { brief, RxhiveError } from '../kernel/errors.js';
import { after, isLate, type Late } from '../kernel/late.js';
import type { Recipe } from '../model/context.js';
import type { LogRecord, RunRecord, StateRecord } from '../model/record.js';
import type { ForkSource } from '../model/run-options.js';
import type { CheckpointStore, LogEntry, RunLog } from '../model/store.js';
import { encode } from './codec.js';
import { Numbers } from './compact.js';
import { readEntry } from './entry.js';
import { stateOf } from './resume.js';
import { State } from './state.js';

/**
 * Opens run `to` with the records of another in it, up to one, and what is given instead.
 * @throws RxhiveError INVALID_OPTION, RUN_LEASED; CheckpointCorruptError
 */
export function openFork(store: CheckpointStore, to: string, source: ForkSource): Late<RunLog> {
  return after(store.read(source.from), (entries) => {
    const copy = copied(entries, source);
    return after(store.open(to), (log) => filled(log, copy, to));
  });
}

function copied(entries: readonly LogEntry[], source: ForkSource): LogEntry[] {
  const { from, at, initial, state, input } = source;
  const records = entries.map((entry, i) => readEntry(from, entry, i + 1));
  const [first] = records;
  if (first?.kind !== 'run')
    throw new RxhiveError('INVALID_OPTION', `There is no run "${brief(from)}" in the store; check the id.`);
  const numbers = new Numbers(records);
  const seq = at ?? numbers.last;
  const count = numbers.count('at', seq);
  const bodies = entries.slice(0, count).map(({ body }) => body);
  const begin: RunRecord = { ...first, ...(input && { input: input.value }), from: { runId: from, seq } };
  bodies[0] = encode(begin);
  if (state !== undefined) bodies.push(encode(given(from, records.slice(0, count), initial, state)));
  return bodies.map((body, i) => ({ seq: i + 1, body }));
}

/** The record of a state that was given: whole, or by a recipe on the one that the records leave. */
function given(runId: string, records: readonly LogRecord[], initial: unknown, state: unknown): StateRecord {
  if (typeof state !== 'function') return { kind: 'state', state: new State(state).current, given: [[]] };
  const base = new State(stateOf(runId, records, initial));
  const { next, patches } = base.prepare([state as Recipe<never>], true);
  return { kind: 'state', state: next, given: (patches ?? []).map(({ path }) => path) };
}

/** The log with `entries` in it; given back when that cannot be. */
function filled(log: RunLog, entries: readonly LogEntry[], to: string): Late<RunLog> {
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
    const all: RunLog = {
      entries,
      append: (more) => log.append(more),
      replace: (other) => log.replace(other),
      close: () => log.close(),
    };
    return isLate(answer) ? answer.then(() => all, giveBack) : all;
  } catch (error) {
    return giveBack(error);
  }
}
