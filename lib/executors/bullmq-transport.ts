import { randomBytes } from 'node:crypto';
import { Observable, Subject } from 'rxjs';
import { decode } from '../codec/codec.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import { Preparation } from '../kernel/preparation.js';
import type { Order, Word } from '../model/wire.js';
import type { WorkerFacts } from '../model/worker.js';
import type { BullEvents, BullJob, BullQueue, BullWorker } from './bullmq-classes.js';
import type { QueueServer } from './bullmq-connection.js';
import { readPresence, workQueue } from './bullmq-queues.js';
import { mailbox, QueueWire } from './bullmq-wire.js';
import type { JobState, PresentWorker, RemoteTransport, TransportNews, Where } from './transport.js';

/** Priority of BullMQ, where lower goes first, of an order of priority 0. */
const middle = 1_048_576;
const steps = 16;
/** Ms between two looks at who is there. */
const lookEach = 1_000;
/** Looks in which a worker must be missing before it is told as gone: its connection may have been made anew. */
const missedLooks = 2;
/** Ms between two looks for mailboxes nobody reads: one found twice is removed. */
const sweepEach = 60_000;
/** Ms after trouble with the server in which nobody is told as gone. */
const settleAfter = 6_000;

/** Orders as jobs of BullMQ. */
export class BullmqTransport implements RemoteTransport {
  readonly wire: QueueWire;
  readonly news$: Observable<TransportNews>;
  readonly #server: QueueServer;
  readonly #name: string;
  readonly #lostAfter: number;
  readonly #news = new Subject<TransportNews>();
  readonly #places = new Map<string, QueuePlace>();
  readonly #ready: Preparation;
  readonly #sweeper: NodeJS.Timeout;
  #unread: ReadonlySet<string> = new Set();
  #closed = false;

  constructor(server: QueueServer, name: string, lostAfter: number) {
    this.#server = server;
    this.#name = name;
    this.#lostAfter = lostAfter;
    this.news$ = new Observable((subscriber) => this.#news.subscribe(subscriber));
    this.wire = new QueueWire(server, name, `c${randomBytes(6).toString('hex').slice(0, 9)}`);
    server.warn();
    server.onAway((away) => this.#news.next({ kind: 'server', away }));
    this.#ready = new Preparation(() => this.#start());
    this.#ready.done().catch(() => undefined);
    this.#sweeper = setInterval(() => void this.sweep().catch(() => undefined), sweepEach);
    this.#sweeper.unref();
  }

  async #start(): Promise<void> {
    try {
      await this.#server.ready();
      await this.wire.ready();
    } catch (error) {
      // Without workers nobody adds, and hears of it.
      if (!this.#closed) this.#server.trouble(error);
      throw error;
    }
  }

  /** Removes the mailboxes of processes that ended without a goodbye: those nobody reads in two looks. */
  async sweep(): Promise<void> {
    if (this.#server.upFor < sweepEach / 2) return;
    const unread = new Set<string>();
    for (const name of await this.#server.names(mailbox(this.#name, ''))) {
      const box = this.#server.queue(name);
      try {
        if ((await box.getWorkers()).length > 0) continue;
        if (this.#unread.has(name)) await box.obliterate({ force: true });
        else unread.add(name);
      } finally {
        await this.#server.end(box);
      }
    }
    this.#unread = unread;
  }

  watch(where: Where): void {
    this.#place(where);
  }

  async add(
    job: string,
    order: Order,
    how: Where & { readonly priority: number; readonly again: boolean },
  ): Promise<Order | undefined> {
    const place = this.#place(how);
    if (!place.isReady) {
      await this.#ready.done();
      await this.#server.answer(place.ready());
    }
    // Workers say how long it is kept: what is the same for all need not be in each.
    const options = { jobId: job, priority: placeOf(how.priority) };
    // BullMQ gives the id of a job that is there already back as if it were added, and tells it by an event.
    const add = place.queue.add(order.agent, order, options);
    if (!how.again) {
      await this.#server.answer(add);
      return undefined;
    }
    const [, there] = await this.#server.answer(
      this.#server.isPostgres
        ? add.then(async (added) => [added, await place.queue.getJob(job)] as const)
        : Promise.all([add, place.queue.getJob(job)]),
    );
    return there === undefined || there.data.token === order.token ? undefined : there.data;
  }

  async prioritize(job: string, where: Where, priority: number): Promise<void> {
    const found = await this.#server.answer(this.#place(where).queue.getJob(job));
    if (found !== undefined) await this.#server.answer(found.changePriority({ priority: placeOf(priority) }));
  }

  async remove(job: string, where: Where): Promise<boolean> {
    return (await this.#server.answer(this.#place(where).queue.remove(job))) === 1;
  }

  look(jobs: readonly { readonly job: string; readonly where: Where }[]): Promise<readonly JobState[]> {
    const states = jobs.map(async ({ job, where }) => stateOf(await this.#place(where).queue.getJob(job)));
    return this.#server.answer(Promise.all(states));
  }

  async redirect(job: string, where: Where, to: string): Promise<void> {
    const found = await this.#server.answer(this.#place(where).queue.getJob(job));
    if (found !== undefined && found.finishedOn === undefined)
      await this.#server.answer(found.updateData({ ...found.data, to }));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#sweeper);
    await this.#ready.done().catch(() => undefined);
    for (const place of this.#places.values()) place.close();
    await this.wire.close();
    await this.#server.close();
    this.#news.complete();
  }

  #place(where: Where): QueuePlace {
    const queue = workQueue(this.#name, where);
    return getOrInsert(
      this.#places,
      queue,
      () =>
        new QueuePlace(this.#server, queue, where, {
          lostAfter: this.#lostAfter,
          name: this.#name,
          server: () => this.#ready.done(),
          tell: (news) => this.#news.next(news),
        }),
    );
  }
}

interface PlaceSettings {
  readonly name: string;
  readonly lostAfter: number;
  /** Resolves when the server can be used. */
  server(): Promise<void>;
  tell(news: TransportNews): void;
}

/** The queue of one kind of workers: what happens to its jobs, and who is there. */
class QueuePlace {
  readonly queue: BullQueue<Order>;
  /** Orders can be added. */
  isReady = false;
  readonly #server: QueueServer;
  readonly #where: Where;
  readonly #settings: PlaceSettings;
  readonly #events: BullEvents;
  readonly #checker: BullWorker;
  readonly #ready: Preparation;
  readonly #cards = new Map<string, PresentWorker>();
  readonly #missed = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;
  #told = '';
  #looking = false;
  #closed = false;

  constructor(server: QueueServer, queue: string, where: Where, settings: PlaceSettings) {
    this.#server = server;
    this.#where = where;
    this.#settings = settings;
    this.queue = server.queue(queue);
    this.#events = server.events(queue);
    const tell = (news: TransportNews): void => settings.tell(news);
    this.#events.on('stalled', ({ jobId }: { jobId: string }) => tell({ kind: 'stalled', job: jobId }));
    this.#events.on('duplicated', ({ jobId }: { jobId: string }) => tell({ kind: 'known', job: jobId }));
    this.#events.on('failed', ({ jobId }: { jobId: string }) =>
      tell({ kind: 'ended', job: jobId, last: undefined }),
    );
    this.#events.on('completed', ({ jobId, returnvalue }: { jobId: string; returnvalue: unknown }) =>
      tell({ kind: 'ended', job: jobId, last: wordOf(returnvalue) }),
    );
    // Looks for jobs without a lock itself: when all workers are dead nobody else does.
    this.#checker = server.worker(queue, null, {
      autorun: false,
      lockDuration: settings.lostAfter,
      stalledInterval: Math.round(settings.lostAfter * 0.3),
      maxStalledCount: 0,
    });
    this.#ready = new Preparation(() => this.#start());
    const look = (): void => {
      this.ready()
        .then(() => this.#look())
        // The server may come up later.
        .catch(() => undefined);
    };
    this.#timer = setInterval(look, lookEach);
    this.#timer.unref();
    look();
  }

  ready(): Promise<void> {
    return this.#ready.done();
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
  }

  async #start(): Promise<void> {
    await this.#settings.server();
    await Promise.all([this.queue, this.#events, this.#checker].map((one) => one.waitUntilReady()));
    await this.#checker.startStalledCheckTimer();
    await this.#look();
    this.isReady = true;
  }

  async #look(): Promise<void> {
    if (this.#looking || this.#closed) return;
    this.#looking = true;
    try {
      const found = await this.queue.getWorkers();
      const here = new Map<string, number>();
      for (const { rawname = '' } of found) {
        const present = readPresence(rawname);
        if (present !== undefined) here.set(present.id, present.slots);
      }
      for (const [id, slots] of here) {
        this.#missed.delete(id);
        if (!this.#cards.has(id)) this.#cards.set(id, { ...(await this.#card(id)), slots });
      }
      for (const id of [...this.#cards.keys()]) {
        if (here.has(id) || this.#server.upFor < settleAfter) continue;
        const missed = (this.#missed.get(id) ?? 0) + 1;
        this.#missed.set(id, missed);
        if (missed < missedLooks) continue;
        this.#missed.delete(id);
        this.#cards.delete(id);
      }
      this.#tell();
    } catch {
      // The server cannot be reached: whoever was there is thought to be there.
    } finally {
      this.#looking = false;
    }
  }

  /** What a worker has left in its mailbox about itself. */
  async #card(id: string): Promise<WorkerFacts> {
    const box = this.#server.queue<WorkerFacts>(mailbox(this.#settings.name, id));
    try {
      const card = await box.getJob('card');
      if (card !== undefined) return card.data;
    } finally {
      await this.#server.end(box);
    }
    return { id, host: '', pid: 0, labels: this.#where.labels, version: this.#where.version };
  }

  #tell(): void {
    const workers = [...this.#cards.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    const key = workers.map(({ id }) => id).join();
    if (key === this.#told && key !== '') return;
    if (key === '' && this.#told === '-') return;
    this.#told = key === '' ? '-' : key;
    this.#settings.tell({ kind: 'workers', where: this.#where, workers });
  }
}

/** A priority as BullMQ has it. */
function placeOf(priority: number): number {
  return Math.min(2_097_151, Math.max(1, middle - Math.round(priority * steps)));
}

async function stateOf(job: BullJob<Order> | undefined): Promise<JobState> {
  if (job === undefined) return { state: 'unknown' };
  const { data: order, processedBy, finishedOn, returnvalue } = job;
  if (finishedOn !== undefined) return { state: 'ended', last: wordOf(returnvalue), order };
  if (processedBy === undefined) return { state: 'waiting', order };
  // Back in the queue: its worker has lost the lock, and whoever fetches it fails it.
  if ((await job.getState()) !== 'active') return { state: 'ended', last: undefined, order };
  return { state: 'active', worker: readPresence(`:w:${processedBy}`)?.id, order };
}

/** The last word of an attempt; undefined for what is none. */
function wordOf(returned: unknown): Word | undefined {
  try {
    const word = (typeof returned === 'string' ? decode(returned) : returned) as Partial<Word> | null;
    return typeof word?.job === 'string' && typeof word.token === 'string' ? (word as Word) : undefined;
  } catch {
    return undefined;
  }
}
