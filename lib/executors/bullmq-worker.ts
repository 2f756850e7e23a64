import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { encode } from '../codec/codec.js';
import { inspect, RxhiveError } from '../kernel/errors.js';
import type { Command, Order } from '../model/wire.js';
import type { WorkerFacts } from '../model/worker.js';
import type { BullWorker } from './bullmq-classes.js';
import { type QueueConnection, QueueServer } from './bullmq-connection.js';
import { checkWhere, presenceName, queueName, workQueue } from './bullmq-queues.js';
import { mailbox, QueueWire } from './bullmq-wire.js';
import { Keeper } from './keeper.js';
import type { KeptLock } from './kept-jobs.js';
import { type PayloadStore, Payloads } from './payloads.js';
import { type WorkerAgent, WorkerAttempts } from './worker-attempts.js';
import { type Health, type HealthOptions, serveHealth } from './worker-health.js';

/** Seconds for which an ended job is kept, for a controller that takes the run over. */
const keptFor = 3_600;

/** How a worker is set up. */
export interface WorkerOptions {
  /** Functions, agents or task types by name: what controllers ask for with `remote.agent(name)`. */
  readonly agents: Readonly<Record<string, WorkerAgent>>;
  /** Where the queues are; the same as the controllers'. */
  readonly connection: QueueConnection;
  /** Prefix of all queues, the same as the controllers'. Default `rxhive`. */
  readonly name?: string;
  /** Where large values are kept, the same store as the controllers'. Default: they travel with their messages. */
  readonly store?: PayloadStore;
  /** Characters of a value that still travel with its message. A number from 0. Default 65,536. */
  readonly inline?: number;
  /** Attempts at once, for each set of labels. Whole number from 1. Default 16. */
  readonly concurrency?: number;
  /**
   * Sets of labels it serves, such as `gpu` or `gpu+region=eu`: it takes what was ordered with exactly one of these sets,
   * `''` for orders without labels. Default: orders without labels.
   */
  readonly labels?: readonly string[];
  /** Of the agents: it takes orders of this version alone. Default `1`. */
  readonly version?: string;
  /** Ms without a sign of life after which it is taken for dead. From 1,000. Default 5,000; the same as the controllers'. */
  readonly lostAfter?: number;
  /** Ms for which its event loop may stand still, computing, before it is taken for dead. Default 60,000. */
  readonly frozenAfter?: number;
  /** Ms that {@link RxWorker.drain} waits for attempts before it ends them. A number from 0. Default 30,000. */
  readonly drain?: number;
  /** Serves `/livez`, `/readyz` and `/metrics` over HTTP. Default: no. */
  readonly health?: HealthOptions;
  /** Told when the server cannot be reached, at most once a minute; it is tried again meanwhile. Default: one warning on stderr. */
  readonly onError?: (error: RxhiveError) => void;
}

/** A worker that takes orders. */
export interface RxWorker {
  readonly facts: WorkerFacts;
  /** Attempts at work now. */
  readonly active: number;
  /** Address of its health server, such as `http://127.0.0.1:9091`; undefined where it has none. */
  readonly health: string | undefined;
  /** Takes nothing new, waits for what is at work, ends what takes longer than `drain` ms, and closes. */
  drain(): Promise<void>;
  /** Ends what is at work at once, and closes. */
  close(): Promise<void>;
}

/**
 * Takes orders of controllers from the queues, and does what their agents do:
 *
 * ```ts
 * const worker = await createWorker({ agents, connection: { redis: 'redis://localhost:6379' } });
 * process.once('SIGTERM', () => worker.drain());
 * ```
 *
 * A thread renews the locks of its jobs, so agents may compute. Inputs and results travel as text: plain data, dates, maps,
 * sets, bigints and bytes.
 * @throws RxhiveError INVALID_OPTION; QUEUE_FAILED when the server cannot be used
 */
export async function createWorker(options: WorkerOptions): Promise<RxWorker> {
  const worker = new QueueWorker(options);
  await worker.start();
  return worker;
}

class QueueWorker implements RxWorker {
  readonly facts: WorkerFacts;
  readonly #options: WorkerOptions;
  readonly #server: QueueServer;
  readonly #wire: QueueWire;
  readonly #attempts: WorkerAttempts;
  readonly #queues: readonly string[];
  readonly #readers: BullWorker[] = [];
  readonly #lostAfter: number;
  readonly #counts = { done: 0, failed: 0 };
  #keeper: Keeper | undefined;
  #health: Health | undefined;
  #state: 'starting' | 'ready' | 'draining' | 'closed' = 'starting';
  #closing: Promise<void> | undefined;

  constructor(options: WorkerOptions) {
    const { agents, name = 'rxhive', labels = [''], version = '1', lostAfter = 5_000 } = options;
    if (typeof agents !== 'object' || agents === null || Object.keys(agents).length === 0)
      throw new RxhiveError('INVALID_OPTION', 'createWorker: agents is empty; give functions by name.');
    queueName(name);
    checkWhere(labels, version);
    number('concurrency', options.concurrency ?? 16, 1, true);
    number('lostAfter', lostAfter, 1_000);
    number('frozenAfter', options.frozenAfter ?? 60_000, lostAfter);
    number('drain', options.drain ?? 30_000, 0);
    number('inline', options.inline ?? 0, 0);
    this.#options = options;
    this.#lostAfter = lostAfter;
    this.#queues = labels.map((one) => workQueue(name, { labels: labelSet(one), version }));
    this.#server = new QueueServer(options.connection, options.onError, labels.length + 2);
    const id = `w${randomBytes(6).toString('hex').slice(0, 9)}`;
    this.facts = {
      id,
      host: hostname(),
      pid: process.pid,
      labels: labels.flatMap(labelSet),
      version,
    };
    this.#wire = new QueueWire(this.#server, name, id);
    this.#attempts = new WorkerAttempts({
      agents,
      worker: this.facts,
      wire: this.#wire,
      payloads: new Payloads(options.store, options.inline),
      tellsEnds: !this.#server.isPostgres,
    });
    this.#wire.mail$.subscribe((messages) => {
      for (const message of messages as readonly Command[]) this.#attempts.hear(message);
    });
  }

  get active(): number {
    return this.#attempts.active;
  }

  get health(): string | undefined {
    return this.#health?.address;
  }

  async start(): Promise<void> {
    const { connection, frozenAfter = 60_000, concurrency = 16, name = 'rxhive', health } = this.#options;
    try {
      await this.#server.ready();
      await this.#wire.ready();
      await this.#leaveCard(name);
      const lockDuration = this.#lostAfter;
      const settings = { connection, queues: this.#queues, lockDuration, frozenAfter };
      this.#keeper = new Keeper(settings, concurrency * this.#queues.length, (job) =>
        this.#attempts.lost(job),
      );
      await this.#keeper.ready;
      for (const [at, queue] of this.#queues.entries()) {
        const reader = this.#server.worker<Order>(
          queue,
          (job, token) => this.#do({ queue: at, job: job.id, token }, job.data),
          {
            name: presenceName(this.facts.id, concurrency),
            concurrency,
            lockDuration,
            stalledInterval: Math.round(lockDuration * 0.3),
            maxStalledCount: 0,
            skipLockRenewal: true,
            removeOnComplete: { age: keptFor },
            removeOnFail: { age: keptFor },
          },
        );
        this.#readers.push(reader);
        await reader.waitUntilReady();
      }
      if (health !== undefined) this.#health = await serveHealth(health, () => this.#vitals());
      this.#server.warn();
      this.#state = 'ready';
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  drain(): Promise<void> {
    this.#closing ??= this.#end(this.#options.drain ?? 30_000);
    return this.#closing;
  }

  close(): Promise<void> {
    this.#closing ??= this.#end(0);
    return this.#closing;
  }

  /** Says who it is, in its own mailbox: a job for nobody, in a hundred years. */
  async #leaveCard(name: string): Promise<void> {
    const own = this.#server.queue<WorkerFacts>(mailbox(name, this.facts.id));
    await own.add('card', this.facts, { jobId: 'card', delay: 100 * 365 * 86_400_000 });
    await this.#server.end(own);
  }

  async #do(lock: KeptLock, order: Order): Promise<unknown> {
    const keeper = this.#keeper as Keeper;
    const row = keeper.keep(lock);
    try {
      const last = await this.#attempts.start(lock.job, order);
      this.#counts[last.kind === 'failed' ? 'failed' : 'done'] += 1;
      // BullMQ writes JSON itself, which takes all but what errors hold.
      return last.kind === 'failed' ? encode(last) : last;
    } finally {
      keeper.forget(row);
    }
  }

  async #end(patience: number): Promise<void> {
    this.#state = 'draining';
    for (const reader of this.#readers) await reader.pause(true).catch(() => undefined);
    const until = performance.now() + patience;
    while (this.active > 0 && performance.now() < until) await new Promise((done) => setTimeout(done, 20));
    this.#attempts.abort('WORKER_DRAINED');
    // Bodies that hear the signal end now, and say so; others are lost with their locks.
    const last = performance.now() + 1_000;
    while (this.active > 0 && performance.now() < last) await new Promise((done) => setTimeout(done, 20));
    await Promise.all(this.#readers.map((reader) => this.#server.end(reader, this.active > 0)));
    this.#attempts.close();
    await this.#wire.close();
    await this.#keeper?.close();
    await this.#server.close();
    await this.#health?.close();
    this.#state = 'closed';
  }

  #vitals(): { readonly ready: boolean; readonly metrics: Readonly<Record<string, number>> } {
    return {
      ready: this.#state === 'ready',
      metrics: {
        rxhive_worker_active: this.active,
        rxhive_worker_slots: (this.#options.concurrency ?? 16) * this.#queues.length,
        rxhive_worker_done_total: this.#counts.done,
        rxhive_worker_failed_total: this.#counts.failed,
      },
    };
  }
}

/** `gpu+region=eu` as labels. */
function labelSet(text: string): readonly string[] {
  return text === '' ? [] : text.split('+');
}

function number(name: string, value: unknown, from: number, whole = false): void {
  const isRight = whole ? Number.isInteger(value) : typeof value === 'number' && Number.isFinite(value);
  if (isRight && (value as number) >= from) return;
  throw new RxhiveError(
    'INVALID_OPTION',
    `${name} is ${inspect(value)}; give a ${whole ? 'whole number' : 'number'} from ${from}.`,
  );
}
