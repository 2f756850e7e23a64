import { BehaviorSubject, Subject } from 'rxjs';
import { Payloads } from '../executors/payloads.js';
import { createRemote, type Remote } from '../executors/remote.js';
import type {
  JobState,
  PresentWorker,
  RemoteTransport,
  TransportNews,
  Where,
} from '../executors/transport.js';
import { type WorkerAgent, WorkerAttempts } from '../executors/worker-attempts.js';
import { Clock } from '../kernel/clock.js';
import { seededRandom } from '../kernel/random.js';
import type { SimulationScheduler } from '../kernel/simulation-scheduler.js';
import type { Command, Order, Wire, Word } from '../model/wire.js';

/** How the way to the workers of a {@link fakeRemote} behaves. Chances are from 0 to 1, default 0. */
export interface FakeRemoteOptions {
  /** What the workers do, by name. */
  readonly agents: Readonly<Record<string, WorkerAgent>>;
  /** Time of the run, of the way and of the workers. */
  readonly scheduler: SimulationScheduler;
  /** Workers, and attempts at once of each. Default 2 and 4. */
  readonly workers?: number;
  readonly slots?: number;
  /** Most ms that anything is on its way. Default 0. */
  readonly latency?: number;
  /** Chance that mail comes twice. */
  readonly duplicate?: number;
  /** Chance that a word is lost. */
  readonly lose?: number;
  /** Chance that mail comes up to 5 s late. */
  readonly late?: number;
  /** Mail overtakes other mail. Default: what is sent first comes first. */
  readonly reorder?: boolean;
  /** Decides what happens to what. Default 1. */
  readonly seed?: number;
}

/** A remote without machines. */
export interface FakeRemote extends Remote {
  /** Kills a worker with all it does; another one takes its place after `back` ms. Default 1,000. */
  kill(worker: number, back?: number): void;
  /** A controller beside this one with the same queue and workers, as another process would have it. */
  beside(): FakeRemote;
  /** Its process dies: the controller hears and says nothing any more, and what workers do for it goes on. */
  crash(): void;
  /** Attempts that workers have begun so far, as `task#attempt`. */
  readonly begun: readonly string[];
}

/** Ms until an end is noticed that nobody told. */
const noticed = 1_000;
const latest = 5_000;

/**
 * Executors whose workers are in this process, in virtual time, behind a way that delays, doubles, loses and mixes up what
 * travels: what a workflow makes of that, over as many seeds as you like.
 *
 * ```ts
 * const scheduler = new SimulationScheduler();
 * const remote = fakeRemote({ scheduler, agents: { ask }, latency: 500, lose: 0.1, seed: 7 });
 * flow.task('a', { executor: remote.agent('ask') });
 * const result = flow.run({ scheduler }).result();
 * await advance(scheduler);
 * ```
 */
export function fakeRemote(options: FakeRemoteOptions): FakeRemote {
  return new Farm(options).controller();
}

interface Job {
  order: Order;
  priority: number;
  state: 'waiting' | 'active' | 'ended';
  worker: FarmWorker | undefined;
  last: Word | undefined;
}

interface FarmWorker {
  readonly facts: PresentWorker;
  readonly attempts: WorkerAttempts;
  active: number;
  isDead: boolean;
}

/** The queue, the workers and the way between. */
class Farm {
  readonly begun: string[] = [];
  readonly #options: FakeRemoteOptions;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #jobs = new Map<string, Job>();
  readonly #workers: FarmWorker[] = [];
  readonly #mail = new Map<string, (message: Word | Command) => void>();
  readonly #news = new Set<Subject<TransportNews>>();
  /** When the newest mail from one to another comes. */
  readonly #ways = new Map<string, number>();
  /** Controllers that have died. */
  readonly #crashed = new Set<string>();
  #made = 0;

  constructor(options: FakeRemoteOptions) {
    this.#options = options;
    this.#clock = new Clock({ scheduler: options.scheduler, seed: options.seed ?? 1 });
    this.#random = seededRandom(options.seed ?? 1);
    for (let i = 0; i < (options.workers ?? 2); i++) this.#workers.push(this.#worker());
  }

  controller(): FakeRemote {
    this.#made += 1;
    const node = `controller-${this.#made}`;
    let tokens = 0;
    const newToken = (): string => `${node}-${++tokens}`;
    const transport = this.#transport(node);
    const remote = createRemote(transport, { name: 'fake', ahead: 0, clock: this.#clock, newToken });
    return Object.assign(remote, {
      kill: (worker: number, back = 1_000) => this.kill(worker, back),
      beside: () => this.controller(),
      crash: () => {
        this.#crashed.add(node);
        void transport.close();
      },
      begun: this.begun,
    });
  }

  kill(at: number, back: number): void {
    const worker = this.#workers[at];
    if (worker === undefined || worker.isDead) return;
    worker.isDead = true;
    this.#mail.delete(worker.facts.id);
    worker.attempts.abort('KILLED');
    this.#tellWorkers();
    for (const [id, job] of this.#jobs)
      if (job.state === 'active' && job.worker === worker) {
        job.state = 'ended';
        this.#clock.after(noticed, () => this.#tell({ kind: 'stalled', job: id }));
      }
    this.#clock.after(back, () => {
      this.#workers[at] = this.#worker();
      this.#tellWorkers();
      this.#dispatch();
    });
  }

  #worker(): FarmWorker {
    this.#made += 1;
    const { agents, slots = 4 } = this.#options;
    const id = `worker-${this.#made}`;
    const facts: PresentWorker = { id, host: 'fake', pid: this.#made, labels: [], version: '1', slots };
    const wire = this.#wire(id, (message) => {
      if (!('seq' in message)) attempts.hear(message);
    });
    const attempts = new WorkerAttempts({
      agents,
      worker: facts,
      wire,
      payloads: new Payloads(),
      tellsEnds: false,
      clock: this.#clock,
    });
    return { facts, attempts, active: 0, isDead: false };
  }

  /** Gives waiting jobs to workers that have a slot. */
  #dispatch(): void {
    const waiting = [...this.#jobs].filter(([, { state }]) => state === 'waiting');
    // The sort keeps the order in which those of one priority came.
    for (const [id, job] of waiting.sort(([, a], [, b]) => b.priority - a.priority)) {
      const free = this.#workers.find((one) => !one.isDead && one.active < one.facts.slots);
      if (free === undefined) return;
      job.state = 'active';
      job.worker = free;
      free.active += 1;
      const { taskId, attempt } = job.order.facts;
      this.begun.push(`${taskId}#${attempt}`);
      void free.attempts.start(id, job.order).then((last) => {
        free.active -= 1;
        if (!free.isDead) {
          job.state = 'ended';
          job.last = last;
        }
        this.#dispatch();
      });
    }
  }

  #transport(node: string): RemoteTransport {
    const news$ = new Subject<TransportNews>();
    this.#news.add(news$);
    const mail$ = new Subject<readonly (Word | Command)[]>();
    const later = <T>(work: () => T): Promise<T> =>
      new Promise((done) => {
        // What was sent before the sender died arrives.
        if (this.#crashed.has(node)) return;
        this.#clock.after(this.#delay(), () => {
          const answer = work();
          if (!this.#crashed.has(node)) done(answer);
        });
      });
    return {
      wire: { ...this.#wire(node, (message) => mail$.next([message])), mail$ },
      news$,
      watch: (where) => this.#clock.after(0, () => this.#tellWorkers(where)),
      add: (job, order, { priority, again }) =>
        later(() => {
          const known = this.#jobs.get(job);
          if (known !== undefined && again) return known.order;
          if (known !== undefined) {
            this.#clock.after(this.#delay(), () => this.#tell({ kind: 'known', job }));
            return undefined;
          }
          this.#jobs.set(job, { order, priority, state: 'waiting', worker: undefined, last: undefined });
          this.#dispatch();
          return undefined;
        }),
      prioritize: (job, _, priority) =>
        later(() => {
          const known = this.#jobs.get(job);
          if (known !== undefined) known.priority = priority;
        }),
      remove: (job) =>
        later(() => {
          const known = this.#jobs.get(job);
          if (known?.state === 'active') return false;
          this.#jobs.delete(job);
          return true;
        }),
      look: (jobs) => later(() => jobs.map(({ job }) => this.#stateOf(job))),
      redirect: (job, _, to) =>
        later(() => {
          const known = this.#jobs.get(job);
          if (known !== undefined) known.order = { ...known.order, to };
        }),
      close: async () => {
        this.#news.delete(news$);
        this.#mail.delete(node);
      },
    };
  }

  #stateOf(id: string): JobState {
    const job = this.#jobs.get(id);
    if (job === undefined) return { state: 'unknown' };
    const { state, order, last, worker } = job;
    if (state === 'active') return { state, order, worker: worker?.facts.id };
    return state === 'ended' ? { state, order, last } : { state, order };
  }

  #wire(node: string, hear: (message: Word | Command) => void): Wire {
    this.#mail.set(node, hear);
    const mail$ = new BehaviorSubject<readonly (Word | Command)[]>([]);
    return {
      node,
      mail$,
      send: (to, message) => this.#send(node, to, message),
      close: async () => undefined,
    };
  }

  #send(from: string, to: string, message: Word | Command): void {
    const { duplicate = 0, lose = 0, late = 0, reorder = false } = this.#options;
    if (this.#crashed.has(from)) return;
    // Commands get through: nobody would say them again.
    if ('seq' in message && this.#random() < lose) return;
    const way = `${from} ${to}`;
    for (let copies = this.#random() < duplicate ? 2 : 1; copies > 0; copies--) {
      let due = this.#clock.now() + this.#delay();
      if (this.#random() < late) due += this.#random() * latest;
      if (!reorder) due = Math.max(due, this.#ways.get(way) ?? 0);
      this.#ways.set(way, due);
      this.#clock.after(Math.ceil(due - this.#clock.now()), () => this.#mail.get(to)?.(message));
    }
  }

  #delay(): number {
    return Math.floor(this.#random() * ((this.#options.latency ?? 0) + 1));
  }

  #tell(news: TransportNews): void {
    for (const one of this.#news) one.next(news);
  }

  #tellWorkers(where: Where = { labels: [], version: '1' }): void {
    const workers = this.#workers.filter(({ isDead }) => !isDead).map(({ facts }) => facts);
    this.#tell({ kind: 'workers', where, workers: where.labels.length === 0 ? workers : [] });
  }
}
