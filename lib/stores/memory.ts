import { brief, CheckpointCorruptError, RxhiveError } from '../kernel/errors.js';
import type { CheckpointStore, LogEntry, RunLog } from '../model/store.js';
import { outOfOrder } from './order.js';

/** Logs by run, as {@link MemoryStore.dump} returns them. */
export type MemoryDump = Readonly<Record<string, readonly string[]>>;

/** A store for tests and for runs that need no crash safety: it lives as long as the object does. */
export class MemoryStore implements CheckpointStore {
  readonly #logs = new Map<string, string[]>();
  readonly #kept = new Map<string, string>();
  readonly #open = new Set<string>();

  constructor(from: MemoryDump = {}) {
    for (const [runId, bodies] of Object.entries(from)) this.#logs.set(runId, [...bodies]);
  }

  open(runId: string): RunLog {
    if (this.#open.has(runId)) {
      throw new RxhiveError(
        'RUN_LEASED',
        `Run "${brief(runId)}" goes on elsewhere; wait for its end, or use another id.`,
      );
    }
    const bodies = this.#logs.get(runId) ?? [];
    if (!bodies.every((body) => typeof body === 'string'))
      throw new CheckpointCorruptError(
        runId,
        bodies.findIndex((body) => typeof body !== 'string') + 1,
        'it is no text',
      );
    this.#logs.set(runId, bodies);
    this.#open.add(runId);
    return {
      entries: this.read(runId),
      append: (entries: readonly LogEntry[]) => {
        for (const [i, { seq }] of entries.entries())
          if (seq !== bodies.length + i + 1) throw outOfOrder(runId, seq, bodies.length + i + 1);
        for (const { body } of entries) bodies.push(body);
      },
      close: () => {
        this.#open.delete(runId);
      },
    };
  }

  read(runId: string): readonly LogEntry[] {
    return (this.#logs.get(runId) ?? []).map((body, i) => ({ seq: i + 1, body }));
  }

  get(key: string): string | undefined {
    return this.#kept.get(key);
  }

  put(key: string, text: string): void {
    this.#kept.set(key, text);
  }

  /** All logs as written so far: what a crash at this moment would leave. */
  dump(): MemoryDump {
    return Object.fromEntries([...this.#logs].map(([runId, bodies]) => [runId, [...bodies]]));
  }
}

/** Makes a {@link MemoryStore}, empty or from a dump. */
export function memory(from?: MemoryDump): MemoryStore {
  return new MemoryStore(from);
}
