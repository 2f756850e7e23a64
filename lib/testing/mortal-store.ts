import type { SimulationScheduler } from '../kernel/simulation-scheduler.js';
import type { LogRecord } from '../model/record.js';
import type { CheckpointStore, LogEntry, RunLog } from '../model/store.js';
import type { MemoryStore } from '../stores/memory.js';
import type { Crash } from './explore/perturbation.js';

/** What a {@link MortalStore} is made of. */
export interface MortalOptions {
  readonly runId: string;
  /** What outlives the process. */
  readonly store: MemoryStore;
  readonly crash: Crash | undefined;
  /** Ms it takes to write. */
  readonly latency: number;
  readonly scheduler: SimulationScheduler;
  /** Told when a shorter log does not tell of results that the long one told of. */
  lost(tasks: readonly string[]): void;
}

/** A store whose process dies at a given write, and which knows how tasks have ended according to the log. */
export class MortalStore implements CheckpointStore {
  /** Tasks whose success is in the log now. */
  readonly committed = new Set<string>();
  /** Tasks whose failure is. */
  readonly failed = new Set<string>();
  /** Writes so far. */
  writes = 0;
  crashed = false;
  readonly #options: MortalOptions;
  readonly #store: MemoryStore;
  /** Gives the log back for the next process. */
  #leave: () => void = () => undefined;

  constructor(options: MortalOptions) {
    this.#options = options;
    this.#store = options.store;
    for (const { body } of this.#store.read(options.runId)) this.#note(body);
  }

  open(runId: string): RunLog {
    const log = this.#store.open(runId);
    this.#leave = () => log.close();
    return {
      entries: log.entries,
      append: (entries) => this.#soon(() => this.#append(log, entries)),
      replace: (entries, gone) => this.#soon(() => this.#write(() => this.#replace(log, entries, gone))),
      close: () => {
        if (!this.crashed) this.#leave();
      },
    };
  }

  read(runId: string): readonly LogEntry[] {
    return this.#store.read(runId);
  }

  runs(): ReturnType<CheckpointStore['runs']> {
    return this.#store.runs();
  }

  remove(runId: string): void {
    this.#store.remove(runId);
  }

  get(key: string): string | undefined {
    return this.#store.get(key);
  }

  put(key: string, text: string, runId?: string): void {
    if (!this.crashed) this.#store.put(key, text, runId);
  }

  #soon(work: () => void): Promise<void> | undefined {
    const { latency, scheduler } = this.#options;
    if (latency === 0) return work() as undefined;
    return new Promise((done) => {
      scheduler.schedule(() => {
        work();
        if (!this.crashed) done();
      }, latency);
    });
  }

  /** One write, unless the process has died before; it may die without it, or behind it. */
  #write(change: () => void): void {
    if (this.crashed) return;
    this.writes += 1;
    const { crash } = this.#options;
    const dies = crash?.record === this.writes;
    if (!dies || crash.lost !== true) change();
    if (!dies) return;
    this.crashed = true;
    this.#leave();
  }

  #append(log: RunLog, entries: readonly LogEntry[]): void {
    for (const entry of entries)
      this.#write(() => {
        log.append([entry]);
        this.#note(entry.body);
      });
  }

  #replace(log: RunLog, entries: readonly LogEntry[], gone?: readonly string[]): void {
    const before = [...this.committed, ...this.failed];
    log.replace(entries, gone);
    this.committed.clear();
    this.failed.clear();
    for (const { body } of entries) this.#note(body);
    const lost = before.filter((id) => !this.committed.has(id) && !this.failed.has(id));
    if (lost.length > 0) this.#options.lost(lost);
  }

  #note(body: string): void {
    // Kind and ids are plain text in any encoding of values.
    const record = JSON.parse(body) as LogRecord;
    if (record.kind === 'commit') {
      this.committed.add(record.task);
      this.failed.delete(record.task);
    } else if (record.kind === 'failed') this.failed.add(record.task);
    else if (record.kind === 'dropped')
      for (const id of record.tasks) {
        this.committed.delete(id);
        this.failed.delete(id);
      }
  }
}
