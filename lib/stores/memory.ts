import { CheckpointCorruptError, RxhiveError, truncate } from '../kernel/errors.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import { fnv1a } from '../kernel/hash.js';
import { goingOn, type RunRow, type RunsQuery, rowOfText, selectRuns, textOfRow } from '../model/run-row.js';
import type { CheckpointStore, LogEntry, RunLog, StoredRun } from '../model/store.js';
import { inOrder } from './order.js';

/**
 * Logs by run, as {@link MemoryStore.dump} returns them: each record a checksum that covers the one before, a blank,
 * and its text. That of the last record says that it is the last.
 */
export type MemoryDump = Readonly<Record<string, readonly string[]>>;

/** A log, and the sums of as many of its records as were asked for. */
interface Log {
  readonly bodies: string[];
  readonly sums: string[];
}

/** A store for tests and for runs that need no crash safety: it lives as long as the object does. */
export class MemoryStore implements CheckpointStore {
  readonly #logs = new Map<string, Log>();
  /** Logs of a dump that nobody has asked for. */
  readonly #dumped: Map<string, readonly string[]>;
  readonly #kept = new Map<string, { readonly text: string; readonly runId: string | undefined }>();
  /** Keys of what is kept for a run. */
  readonly #keys = new Map<string, Set<string>>();
  readonly #open = new Set<string>();
  readonly #updated = new Map<string, number>();
  readonly #rows = new Map<string, RunRow>();

  constructor(from: MemoryDump = {}) {
    this.#dumped = new Map(Object.entries(from).map(([runId, lines]) => [runId, [...lines]]));
    for (const runId of this.#dumped.keys()) this.#updated.set(runId, Date.now());
  }

  open(runId: string): RunLog {
    this.#free(runId);
    const log = this.#find(runId) ?? { bodies: [], sums: [] };
    const { bodies } = log;
    this.#logs.set(runId, log);
    this.#open.add(runId);
    return {
      entries: this.read(runId),
      append: (entries: readonly LogEntry[], row?: RunRow) => {
        inOrder(runId, entries, bodies.length);
        this.#keep(runId, row);
        for (const { body } of entries) bodies.push(body);
        this.#updated.set(runId, Date.now());
      },
      replace: (entries: readonly LogEntry[], gone: readonly string[] = []) => {
        inOrder(runId, entries, 0);
        for (const key of gone) if (this.#kept.get(key)?.runId === runId) this.#forget(key);
        bodies.length = log.sums.length = 0;
        for (const { body } of entries) bodies.push(body);
        this.#updated.set(runId, Date.now());
      },
      close: (row?: RunRow) => {
        this.#keep(runId, row);
        this.#open.delete(runId);
      },
    };
  }

  read(runId: string): readonly LogEntry[] {
    return (this.#find(runId)?.bodies ?? []).map((body, i) => ({ seq: i + 1, body }));
  }

  runs(query: RunsQuery = {}): readonly StoredRun[] {
    const counts = [
      ...[...this.#dumped].map(([runId, lines]) => [runId, lines.length] as const),
      ...[...this.#logs].map(([runId, { bodies }]) => [runId, bodies.length] as const),
    ];
    const runs = counts
      .filter(([, records]) => records > 0)
      .map(([runId, records]): StoredRun => {
        const updatedAt = this.#updated.get(runId) ?? 0;
        return { ...this.#rows.get(runId), runId, records, updatedAt, isLeased: this.#open.has(runId) };
      });
    return selectRuns(runs, query);
  }

  remove(runId: string): void {
    this.#free(runId);
    this.#logs.delete(runId);
    this.#dumped.delete(runId);
    this.#updated.delete(runId);
    this.#rows.delete(runId);
    for (const key of this.#keys.get(runId) ?? []) this.#forget(key);
  }

  get(key: string): string | undefined {
    return this.#kept.get(key)?.text;
  }

  put(key: string, text: string, runId?: string): void {
    this.#forget(key);
    this.#kept.set(key, { text, runId });
    if (runId === undefined) return;
    getOrInsert(this.#keys, runId, () => new Set()).add(key);
  }

  #keep(runId: string, row: RunRow | undefined): void {
    if (row === undefined) return;
    // A copy, of what other stores would keep.
    const kept = rowOfText(textOfRow(goingOn(this.#rows.get(runId), row)));
    if (kept !== undefined) this.#rows.set(runId, kept);
  }

  #forget(key: string): void {
    const { runId } = this.#kept.get(key) ?? {};
    this.#kept.delete(key);
    const keys = runId === undefined ? undefined : this.#keys.get(runId);
    keys?.delete(key);
    if (keys?.size === 0) this.#keys.delete(runId as string);
  }

  #free(runId: string): void {
    if (!this.#open.has(runId)) return;
    throw new RxhiveError(
      'RUN_LEASED',
      `Run "${truncate(runId)}" goes on elsewhere; wait for its end, or use another id.`,
    );
  }

  /** All logs as written so far: what a crash at this moment would leave. */
  dump(): MemoryDump {
    const logs = [...this.#logs].map(([runId, log]) => [runId, linesOf(runId, log)] as const);
    return Object.fromEntries([...this.#dumped, ...logs]);
  }

  /** The log of a run; one of a dump is checked first. @throws CheckpointCorruptError */
  #find(runId: string): Log | undefined {
    const lines = this.#dumped.get(runId);
    if (lines === undefined) return this.#logs.get(runId);
    const log = readLines(runId, lines);
    this.#dumped.delete(runId);
    this.#logs.set(runId, log);
    return log;
  }
}

/** Makes a {@link MemoryStore}, empty or from a dump. */
export function memory(from?: MemoryDump): MemoryStore {
  return new MemoryStore(from);
}

function sumOf(before: string, body: string): string {
  return fnv1a(`${before} ${body}`).toString(36);
}

function endOf(sum: string): string {
  return sumOf(sum, 'end');
}

function linesOf(runId: string, { bodies, sums }: Log): string[] {
  for (let i = sums.length; i < bodies.length; i++)
    sums.push(sumOf(sums[i - 1] ?? `run ${runId}`, bodies[i] as string));
  return bodies.map((body, i) => {
    const sum = sums[i] as string;
    return `${i === bodies.length - 1 ? endOf(sum) : sum} ${body}`;
  });
}

function readLines(runId: string, lines: readonly string[]): Log {
  const log: Log = { bodies: [], sums: [] };
  for (const [i, line] of lines.entries()) {
    const fail = (why: string): never => {
      throw new CheckpointCorruptError(runId, i + 1, why);
    };
    if (typeof line !== 'string') return fail('it is no text');
    const blank = line.indexOf(' ');
    const body = line.slice(blank + 1);
    const sum = sumOf(log.sums[i - 1] ?? `run ${runId}`, body);
    const last = i === lines.length - 1;
    if (line.slice(0, blank) !== (last ? endOf(sum) : sum))
      fail(last && line.slice(0, blank) === sum ? 'it is not the last one' : 'its checksum does not fit');
    log.bodies.push(body);
    log.sums.push(sum);
  }
  return log;
}
