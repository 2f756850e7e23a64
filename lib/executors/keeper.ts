import { Worker as Thread } from 'node:worker_threads';
import type { QueueConnection } from './bullmq-connection.js';

/** What the thread is started with. */
export interface KeeperSettings {
  readonly file: string;
  readonly connection: QueueConnection;
  readonly queues: readonly string[];
  readonly lockDuration: number;
  readonly frozenAfter: number;
  /** Counted up by the main thread as long as its event loop turns. */
  readonly ticks: SharedArrayBuffer;
}

/** What the thread is told: a job of a queue has begun, with the token of its lock, or has ended. */
export interface KeptJob {
  readonly queue: string;
  readonly job: string;
  readonly token?: string;
}

/** Ms between two signs of life of the main thread. */
const tickEach = 250;

// Loaders such as tsx hook into require in threads, but not into import.
const start = `import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { workerData } from 'node:worker_threads';
const { file } = workerData;
if (file.endsWith('.ts')) createRequire(file)(fileURLToPath(file)); else await import(file);`;

/**
 * Renews the locks of a worker's jobs in a thread of its own, so that an agent that computes does not look dead. It stops when
 * the event loop of the main thread has stood still for `frozenAfter` ms: then the worker hangs.
 */
export class Keeper {
  /** Resolves when the thread does its work; rejects when it ends by itself. */
  readonly ready: Promise<void>;
  readonly #thread: Thread;
  readonly #timer: NodeJS.Timeout;

  /** `gone`: jobs of which this worker does not have the lock any more. */
  constructor(settings: Omit<KeeperSettings, 'ticks' | 'file'>, gone: (jobs: readonly string[]) => void) {
    const ticks = new SharedArrayBuffer(4);
    const count = new Int32Array(ticks);
    const name = import.meta.url.endsWith('.ts') ? './keeper-thread.ts' : './keeper-thread.js';
    const workerData: KeeperSettings = { ...settings, ticks, file: new URL(name, import.meta.url).href };
    this.#thread = new Thread(new URL(`data:text/javascript,${encodeURIComponent(start)}`), { workerData });
    this.#thread.unref();
    this.ready = new Promise((done, failed) => {
      this.#thread.on('message', (message: 'ready' | readonly string[]) => {
        if (message === 'ready') done();
        else gone(message);
      });
      this.#thread.once('error', failed);
    });
    this.ready.catch(() => undefined);
    this.#timer = setInterval(() => Atomics.add(count, 0, 1), tickEach);
    this.#timer.unref();
  }

  keep(queue: string, job: string, token: string): void {
    this.#thread.postMessage({ queue, job, token } satisfies KeptJob);
  }

  forget(queue: string, job: string): void {
    this.#thread.postMessage({ queue, job } satisfies KeptJob);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#thread.terminate();
  }
}
