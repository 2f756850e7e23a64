import { Worker as Thread } from 'node:worker_threads';
import type { QueueConnection } from './bullmq-connection.js';
import { KeptJobs, type KeptLock } from './kept-jobs.js';

/** What the thread is started with. */
export interface KeeperSettings {
  readonly file: string;
  readonly connection: QueueConnection;
  readonly queues: readonly string[];
  readonly lockDuration: number;
  readonly frozenAfter: number;
  /** Counted up by the main thread as long as its event loop turns. */
  readonly ticks: SharedArrayBuffer;
  /** Memory of {@link KeptJobs}, with queues by their place in `queues`. */
  readonly kept: SharedArrayBuffer;
}

/** What the thread says: it does its work, or that these locks are lost. */
export type KeeperNews = 'ready' | readonly (KeptLock & { readonly row: number })[];

/** Ms between two signs of life of the main thread. */
const tickEach = 250;

// Some loaders, such as tsx, hook into require in threads, but not into import.
const start = `import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { workerData } from 'node:worker_threads';
const { file } = workerData;
await import(file).catch((error) => {
  if (error.code !== 'ERR_UNKNOWN_FILE_EXTENSION') throw error;
  createRequire(file)(fileURLToPath(file));
});`;

/**
 * Renews the locks of a worker's jobs in a thread of its own, so that an agent that computes does not look dead. It stops when
 * the event loop of the main thread has stood still for `frozenAfter` ms: then the worker hangs.
 */
export class Keeper {
  /** Resolves when the thread does its work; rejects when it ends by itself. */
  readonly ready: Promise<void>;
  readonly #thread: Thread;
  readonly #timer: NodeJS.Timeout;
  readonly #kept: KeptJobs;

  /** `slots`: locks at once. `gone`: called for a job of which this worker does not have the lock any more. */
  constructor(
    settings: Omit<KeeperSettings, 'ticks' | 'kept' | 'file'>,
    slots: number,
    gone: (job: string) => void,
  ) {
    this.#kept = KeptJobs.withRows(slots);
    const ticks = new SharedArrayBuffer(4);
    const count = new Int32Array(ticks);
    const name = import.meta.url.endsWith('.ts') ? './keeper-thread.ts' : './keeper-thread.js';
    const kept = this.#kept.memory;
    const workerData: KeeperSettings = {
      ...settings,
      ticks,
      kept,
      file: new URL(name, import.meta.url).href,
    };
    this.#thread = new Thread(new URL(`data:text/javascript,${encodeURIComponent(start)}`), { workerData });
    this.#thread.unref();
    this.ready = new Promise((done, failed) => {
      this.#thread.on('message', (news: KeeperNews) => {
        if (news === 'ready') done();
        // One that has ended meanwhile has given its lock back itself.
        else for (const lock of news) if (this.#kept.has(lock.row, lock)) gone(lock.job);
      });
      this.#thread.once('error', failed);
    });
    this.ready.catch(() => undefined);
    this.#timer = setInterval(() => Atomics.add(count, 0, 1), tickEach);
    this.#timer.unref();
  }

  /** Renews the lock from now on; to be ended with {@link forget}, by the number it answers with. */
  keep(lock: KeptLock): number {
    return this.#kept.keep(lock);
  }

  forget(row: number): void {
    this.#kept.forget(row);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#thread.terminate();
  }
}
