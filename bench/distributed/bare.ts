import type { QueueConnection } from '../../dist/executors/bullmq.js';
import type { BullQueue } from '../../lib/executors/bullmq-classes.js';
import { QueueServer } from '../../lib/executors/bullmq-connection.js';

/** Ms between two looks at jobs whose end was not heard: events are lost, on PostgreSQL many. */
const sweepEach = 2_000;

/** BullMQ without rxhive: adds jobs and waits for their ends. */
export class Bare {
  readonly #server: QueueServer;
  readonly #queue: BullQueue<{ readonly n: number }>;
  readonly #open = new Map<string, { readonly at: number; readonly done: () => void }>();
  readonly #timer: NodeJS.Timeout;
  /** Jobs whose event never came. */
  found = 0;
  #n = 0;

  private constructor(server: QueueServer, name: string) {
    this.#server = server;
    this.#queue = server.queue(name);
    this.#timer = setInterval(() => void this.#sweep(), sweepEach);
  }

  static async connect(connection: QueueConnection, name: string): Promise<Bare> {
    const server = new QueueServer(connection);
    await server.ready();
    const bare = new Bare(server, name);
    const events = server.events(name);
    events.on('completed', ({ jobId }: { jobId: string }) => bare.#end(jobId));
    await events.waitUntilReady();
    return bare;
  }

  /** One job, from `add` to its end. */
  call(): Promise<void> {
    const n = this.#n++;
    const id = `j${n}`;
    return new Promise((done, failed) => {
      this.#open.set(id, { at: performance.now(), done });
      this.#queue.add('nothing', { n }, { jobId: id }).catch(failed);
    });
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#server.close();
  }

  #end(id: string): void {
    const one = this.#open.get(id);
    this.#open.delete(id);
    one?.done();
  }

  async #sweep(): Promise<void> {
    const before = performance.now() - sweepEach;
    const silent = [...this.#open].filter(([, { at }]) => at < before);
    await Promise.all(
      silent.map(async ([id]) => {
        if ((await this.#queue.getJob(id))?.finishedOn === undefined || !this.#open.has(id)) return;
        this.found += 1;
        this.#end(id);
      }),
    );
  }
}
