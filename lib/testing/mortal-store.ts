import type { SimulationScheduler } from '../kernel/simulation-scheduler.js';
import type { LogRecord } from '../model/record.js';
import type { CheckpointStore, LogEntry, RunLog } from '../model/store.js';
import { type MemoryDump, memory } from '../stores/memory.js';
import type { Crash } from './explore/perturbation.js';

/** What is left of a store when its process has died. */
export interface Remains {
  dump: MemoryDump;
  /** Texts kept under keys, and for which run. */
  readonly kept: Map<string, { readonly text: string; readonly runId: string | undefined }>;
}

/** What a {@link MortalStore} is made of. */
export interface MortalOptions {
  readonly runId: string;
  readonly remains: Remains;
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
  readonly #store;

  constructor(options: MortalOptions) {
    this.#options = options;
    this.#store = memory(options.remains.dump);
    for (const { body } of this.#store.read(options.runId)) this.#note(body);
  }

  /** What a crash at this moment would leave. */
  get dump(): MemoryDump {
    return this.#store.dump();
  }

  open(runId: string): RunLog {
    const log = this.#store.open(runId);
    return {
      entries: log.entries,
      append: (entries) => this.#soon(() => this.#append(log, entries)),
      replace: (entries, gone) => this.#soon(() => this.#write(() => this.#replace(log, entries, gone))),
      close: () => log.close(),
    };
  }

  read(runId: string): readonly LogEntry[] {
    return this.#store.read(runId);
  }

  runs(): ReturnType<CheckpointStore['runs']> {
    return this.#store.runs();
  }

  remove(runId: string): void {
    const { kept } = this.#options.remains;
    this.#store.remove(runId);
    for (const [key, one] of kept) if (one.runId === runId) kept.delete(key);
  }

  get(key: string): string | undefined {
    return this.#options.remains.kept.get(key)?.text;
  }

  put(key: string, text: string, runId?: string): void {
    if (!this.crashed) this.#options.remains.kept.set(key, { text, runId });
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
    if (dies) this.crashed = true;
  }

  #append(log: RunLog, entries: readonly LogEntry[]): void {
    for (const entry of entries)
      this.#write(() => {
        log.append([entry]);
        this.#note(entry.body);
      });
  }

  #replace(log: RunLog, entries: readonly LogEntry[], keys: readonly string[] = []): void {
    const { kept } = this.#options.remains;
    const before = [...this.committed, ...this.failed];
    log.replace(entries);
    for (const key of keys) if (kept.get(key)?.runId === this.#options.runId) kept.delete(key);
    this.committed.clear();
    this.failed.clear();
    for (const { body } of entries) this.#note(body);
    const gone = before.filter((id) => !this.committed.has(id) && !this.failed.has(id));
    if (gone.length > 0) this.#options.lost(gone);
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
