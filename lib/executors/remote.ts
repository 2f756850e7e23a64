import { randomUUID } from 'node:crypto';
import { BehaviorSubject, isObservable, Observable, type Subscriber } from 'rxjs';
import { Clock, type Timer } from '../kernel/clock.js';
import { inspect, messageOf, RxhiveError, truncate } from '../kernel/errors.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import { isPromise, type MaybePromise, thenMaybe } from '../kernel/maybe-promise.js';
import type { Executor, RemoteContext } from '../model/executor.js';
import type { Order, Word } from '../model/wire.js';
import type { AgentInputs, AgentReturns } from './agent-types.js';
import { cannotSend, closedRemote, jobIdOf, OpenAttempt } from './open-attempt.js';
import { Payloads } from './payloads.js';
import { RemotePlace } from './remote-place.js';
import type { JobState, PresentWorker, RemoteTransport, TransportNews, Where } from './transport.js';

/** Which workers do the work. */
export interface RemoteAgentOptions {
  /** Only workers that serve exactly this set of labels. Default: those without labels. */
  readonly labels?: readonly string[];
  /** Only workers of this version. Default `1`. */
  readonly version?: string;
}

/** Executors whose attempts are made by workers elsewhere. */
export interface Remote {
  /**
   * The executor of one agent: `remote.agent<typeof agents.summarise>('summarise')` has the types of the function, of which
   * only the type is imported.
   * @throws RxhiveError INVALID_OPTION
   */
  agent<F = (inputs: unknown) => unknown>(
    name: string,
    options?: RemoteAgentOptions,
  ): Executor<AgentInputs<F>, AgentReturns<F>>;
  /** Executors of all agents of a module by name: in the place of `agents` of an orchestrator, for example. */
  agents<A extends object>(
    options?: RemoteAgentOptions,
  ): { readonly [name in keyof A]: Executor<AgentInputs<A[name]>, AgentReturns<A[name]>> };
  /** All workers that are there, of the places that were asked for; the newest list first. */
  readonly workers$: Observable<readonly PresentWorker[]>;
  /**
   * How it stands, as Prometheus names it: `rxhive_place_demand` (ready and running attempts of all runs: scale workers by it) and
   * `rxhive_place_slots` for each kind of worker, `rxhive_remote_open`, `rxhive_remote_lost_total` and `rxhive_remote_late_total` (words
   * that came twice or too late).
   */
  metrics(): Readonly<Record<string, number>>;
  /** Fails what is open, and closes the connections. */
  close(): Promise<void>;
}

/** What {@link createRemote} is made from. */
export interface RemoteOptions {
  /** For reports. */
  readonly name: string;
  /** Attempts at once for each kind of worker. Default: live, what the workers offer. */
  readonly slots?: number;
  /** Orders beyond free slots, for each worker: they hide the way to it. Default 1. */
  readonly ahead?: number;
  readonly payloads?: Payloads;
  readonly clock?: Clock;
  /** Makes tokens that nobody else makes. Default: random ones. */
  readonly newToken?: () => string;
}

/** Ms between two looks at attempts of which nothing was heard. */
const lookEach = 2_000;
/** Ms of silence after which an attempt is looked at at most so often. */
const longestPatience = 10_000;

/** @throws RxhiveError INVALID_OPTION */
export function checkRemoteOptions({ slots, ahead }: Pick<RemoteOptions, 'slots' | 'ahead'>): void {
  if (slots !== undefined && !(Number.isInteger(slots) && slots >= 1))
    throw new RxhiveError('INVALID_OPTION', `slots is ${inspect(slots)}; give a whole number from 1.`);
  if (ahead !== undefined && !(Number.isInteger(ahead) && ahead >= 0))
    throw new RxhiveError('INVALID_OPTION', `ahead is ${inspect(ahead)}; give a whole number from 0.`);
}

/** Executors over a transport. Knows nothing of the engine behind it. */
export function createRemote(transport: RemoteTransport, options: RemoteOptions): Remote {
  return new TransportRemote(transport, options);
}

class TransportRemote implements Remote {
  readonly workers$: Observable<readonly PresentWorker[]>;
  readonly #transport: RemoteTransport;
  readonly #options: RemoteOptions;
  readonly #payloads: Payloads;
  readonly #clock: Clock;
  readonly #newToken: () => string;
  readonly #open = new Map<string, OpenAttempt>();
  readonly #places = new Map<string, RemotePlace>();
  readonly #workers = new BehaviorSubject<readonly PresentWorker[]>([]);
  /** Why the workers cannot be reached now. */
  #away: string | undefined;
  #late = 0;
  #lost = 0;
  #timer: Timer | undefined;
  #closing: Promise<void> | undefined;

  constructor(transport: RemoteTransport, options: RemoteOptions) {
    checkRemoteOptions(options);
    this.#transport = transport;
    this.#options = options;
    this.#payloads = options.payloads ?? new Payloads();
    this.#clock = options.clock ?? new Clock();
    this.#newToken = options.newToken ?? randomUUID;
    this.workers$ = this.#workers.asObservable();
    transport.wire.mail$.subscribe((messages) => {
      for (const message of messages)
        if ('seq' in message && this.#open.get(message.job)?.hear(message) !== true) this.#late += 1;
    });
    transport.news$.subscribe((news) => this.#hear(news));
  }

  agent<F>(name: string, options: RemoteAgentOptions = {}): Executor<AgentInputs<F>, AgentReturns<F>> {
    const { labels = [], version = '1' } = options;
    if (typeof name !== 'string' || name === '')
      throw new RxhiveError(
        'INVALID_OPTION',
        `remote.agent got ${inspect(name)}; give the name of an agent.`,
      );
    if (!Array.isArray(labels) || labels.some((one) => typeof one !== 'string'))
      throw new RxhiveError('INVALID_OPTION', `labels is ${inspect(labels)}; give a list of texts.`);
    if (typeof version !== 'string' || version === '')
      throw new RxhiveError('INVALID_OPTION', `version is ${inspect(version)}; give a text.`);
    const where = { labels: [...new Set<string>(labels)].sort(), version };
    return {
      place: this.#place(where),
      remote: true,
      version: `${name} ${version}`,
      run: (inputs: unknown, ctx: RemoteContext) =>
        new Observable((subscriber) => this.#start(name, where, inputs, ctx, subscriber)),
    } as Executor<AgentInputs<F>, AgentReturns<F>>;
  }

  agents<A extends object>(options: RemoteAgentOptions = {}) {
    const made = new Map<string, Executor>();
    const of = (name: string | symbol): Executor | undefined =>
      typeof name === 'symbol'
        ? undefined
        : getOrInsert(made, name, () => this.agent(name, options) as Executor);
    // The names are known to the compiler alone: each is made when it is asked for. An instance of a class, so that whoever
    // reads options once leaves it as it is.
    return new Proxy(new (class Agents {})(), {
      get: (_, name) => of(name),
      has: (_, name) => typeof name === 'string',
      ownKeys: () => [...made.keys()],
      getOwnPropertyDescriptor: (_, name) => {
        const value = of(name);
        return value === undefined ? undefined : { value, configurable: true, enumerable: true };
      },
    }) as { readonly [name in keyof A]: Executor<AgentInputs<A[name]>, AgentReturns<A[name]>> };
  }

  metrics(): Readonly<Record<string, number>> {
    const places = [...this.#places.values()].flatMap((place): [string, number][] => [
      [`rxhive_place_demand{place="${place.name}"}`, place.demand],
      [`rxhive_place_slots{place="${place.name}"}`, place.slots],
    ]);
    return {
      ...Object.fromEntries(places),
      rxhive_remote_open: this.#open.size,
      rxhive_remote_lost_total: this.#lost,
      rxhive_remote_late_total: this.#late,
    };
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      for (const attempt of [...this.#open.values()]) attempt.fail(closedRemote());
      this.#clock.cancel(this.#timer);
      // One that was given is somebody else's.
      if (this.#options.clock === undefined) this.#clock.dispose();
      await this.#transport.close();
      this.#workers.complete();
    })();
    return this.#closing;
  }

  #place(where: Where): RemotePlace {
    return getOrInsert(this.#places, JSON.stringify([where.labels, where.version]), () => {
      const { name, slots, ahead } = this.#options;
      this.#transport.watch(where);
      const place = new RemotePlace(name, where, slots, ahead ?? 1);
      place.cutOff(this.#away);
      return place;
    });
  }

  #start(
    agent: string,
    where: Where,
    inputs: unknown,
    ctx: RemoteContext,
    subscriber: Subscriber<unknown>,
  ): () => void {
    let stop: (() => void) | undefined;
    let stopped = false;
    if (isObservable(inputs)) throw cannotSend(ctx.taskId);
    const sent = thenMaybe(this.#order(agent, inputs, ctx), (order) => {
      if (!stopped) stop = this.#handOver(order, where, ctx, subscriber);
    });
    if (isPromise(sent)) sent.then(undefined, (error: unknown) => subscriber.error(error));
    return () => {
      stopped = true;
      stop?.();
    };
  }

  #order(agent: string, inputs: unknown, ctx: RemoteContext): MaybePromise<Order> {
    const { taskId, runId, attempt, idempotencyKey, carrier, input } = ctx;
    const given = input === undefined ? undefined : this.#payloads.write(input, 'the input', runId);
    return thenMaybe(given, (input): MaybePromise<Order> => {
      const facts = { taskId, runId, attempt, idempotencyKey, carrier: { ...carrier } };
      const written = this.#payloads.write(inputs, `the inputs of task "${truncate(taskId)}"`, runId);
      return thenMaybe(written, (inputs) => ({
        v: 1,
        agent,
        facts: input === undefined ? facts : { ...facts, input },
        inputs,
        token: this.#newToken(),
        to: this.#transport.wire.node,
      }));
    });
  }

  #handOver(order: Order, where: Where, ctx: RemoteContext, subscriber: Subscriber<unknown>): () => void {
    const attempt = new OpenAttempt({
      job: this.#jobOf(order),
      where,
      order,
      ctx,
      subscriber,
      payloads: this.#payloads,
      clock: this.#clock,
      over: (one) => {
        if (one.isLost) this.#lost += 1;
        if (this.#open.get(one.job) === one) this.#open.delete(one.job);
        if (this.#open.size === 0) this.#clock.cancel(this.#timer);
      },
    });
    attempt.patience = lookEach;
    this.#open.set(attempt.job, attempt);
    if (this.#open.size === 1) this.#watch();
    const added = this.#add(attempt).catch((error: unknown) => attempt.fail(error));
    const move = () => added.then(() => this.#transport.prioritize(attempt.job, where, ctx.priority));
    // One that cannot be reached keeps its place.
    ctx.onPriority(() => void move().catch(() => undefined));
    return () => {
      if (attempt.isOver) return;
      attempt.close();
      const reason = (ctx.signal.reason as { code?: string } | undefined)?.code ?? 'STOPPED';
      // Another controller has the run now, and goes on with the attempt.
      if (reason !== 'RUN_LEASED')
        void added.then(() => this.#withdraw(attempt, reason)).catch(() => undefined);
    };
  }

  /** Adds the job, or goes on with the one that is there. */
  async #add(attempt: OpenAttempt): Promise<void> {
    for (;;) {
      const { job, where, order, ctx } = attempt;
      const { priority, again } = ctx;
      const there = await this.#transport.add(job, order, { ...where, priority, again });
      if (attempt.isOver || there === undefined) return attempt.added();
      if (!again) return this.#addAnew(attempt, there.token);
      const [state] = (await this.#transport.look([{ job, where }])) as [JobState];
      if (attempt.isOver) return;
      if (state.state !== 'unknown') return this.#attach(attempt, there.token, state);
    }
  }

  /** The job there is of another life of the run, whose log is no more: the attempt gets one of its own. */
  async #addAnew(attempt: OpenAttempt, token: string): Promise<void> {
    const { job, where, order } = attempt;
    this.#open.delete(job);
    attempt.job = this.#jobOf(order, this.#newToken());
    this.#open.set(attempt.job, attempt);
    await this.#withdraw({ job, where, token, worker: undefined }, 'STOPPED');
    if (!attempt.isOver) await this.#add(attempt);
    // Stopped meanwhile, when it was not there yet.
    if (attempt.isOver) await this.#withdraw(attempt, 'STOPPED');
  }

  /** The controller before had added it. */
  async #attach(attempt: OpenAttempt, token: string, state: JobState): Promise<void> {
    const { job, where } = attempt;
    attempt.attached(token, state.state === 'ended');
    if (state.state === 'ended') {
      this.#ended(attempt, state.last);
      return;
    }
    await this.#transport.redirect(job, where, this.#transport.wire.node);
    if (state.state === 'waiting') await this.#transport.prioritize(job, where, attempt.ctx.priority);
    if (state.state === 'active' && state.worker !== undefined && !attempt.isOver)
      this.#askAgain(attempt, state.worker);
  }

  /** Its worker talks to an earlier controller. */
  #askAgain(attempt: OpenAttempt, worker: string): void {
    const { job, token } = attempt;
    this.#begun(attempt, worker);
    this.#transport.wire.send(worker, { kind: 'attach', job, token, to: this.#transport.wire.node, from: 0 });
  }

  /** The queue says who has it; what that one has said of itself was lost, or was for another controller. */
  #begun(attempt: OpenAttempt, worker: string): void {
    const { where } = attempt;
    const facts = this.#place(where).workers.find(({ id }) => id === worker);
    attempt.begun(facts ?? { id: worker, host: '', pid: 0, ...where });
  }

  /** Takes a job back: from the queue, or from the worker that has it. */
  async #withdraw(
    one: Pick<OpenAttempt, 'job' | 'where' | 'token' | 'worker'>,
    reason: string,
  ): Promise<void> {
    const { job, where, token } = one;
    let { worker } = one;
    if (worker === undefined) {
      if (await this.#transport.remove(job, where)) return;
      const [state] = (await this.#transport.look([{ job, where }])) as [JobState];
      if (state.state === 'active') worker = state.worker;
    }
    if (worker !== undefined) this.#transport.wire.send(worker, { kind: 'abort', job, token, reason });
  }

  #hear(news: TransportNews): void {
    if (news.kind === 'server') {
      this.#away = news.away === undefined ? undefined : messageOf(news.away);
      for (const place of this.#places.values()) place.cutOff(this.#away);
      return;
    }
    if (news.kind === 'workers') {
      this.#place(news.where).set(news.workers);
      this.#workers.next([...this.#places.values()].flatMap((place) => place.workers));
      const gone = [...this.#open.values()].filter((one) => this.#isGone(one));
      if (gone.length > 0) void this.#look(gone);
      return;
    }
    const attempt = this.#open.get(news.job);
    // Who expects a job to be there hears of it from `add`.
    if (attempt === undefined || (news.kind === 'known' && attempt.ctx.again)) return;
    if (news.kind === 'stalled') attempt.lost('stalled');
    else if (news.kind === 'ended' && news.last !== undefined) this.#ended(attempt, news.last);
    else void this.#look([attempt]);
  }

  #isGone({ where, worker }: OpenAttempt): boolean {
    return worker !== undefined && !this.#place(where).has(worker);
  }

  /** The queue says that it is over. */
  #ended(attempt: OpenAttempt, last: Word | undefined): void {
    if (last === undefined) attempt.lost('stalled');
    else attempt.hear(last);
  }

  #watch(): void {
    this.#clock.cancel(this.#timer);
    this.#timer = this.#clock.after(lookEach, () => {
      const now = this.#clock.now();
      const silent = [...this.#open.values()].filter((one) => one.isSilent(now));
      void this.#look(silent).then(() => {
        if (this.#open.size > 0) this.#watch();
      });
    });
  }

  /** Never trusts news alone: asks how attempts stand of which nothing was heard. */
  async #look(attempts: readonly OpenAttempt[]): Promise<void> {
    if (attempts.length === 0) return;
    const asked = attempts.map(({ job, where }) => ({ job, where }));
    const states = await this.#transport.look(asked).catch(() => undefined);
    for (const [i, attempt] of attempts.entries()) {
      const state = states?.[i];
      if (attempt.isOver || state === undefined || attempt.job !== asked[i]?.job) continue;
      attempt.heardAt = this.#clock.now();
      attempt.patience = Math.min(attempt.patience * 2, longestPatience);
      if (state.state === 'unknown') attempt.lost('forgotten');
      else if (!attempt.ctx.again && state.order.token !== attempt.token)
        this.#addAnew(attempt, state.order.token).catch((error: unknown) => attempt.fail(error));
      else if (state.state === 'ended') this.#ended(attempt, state.last);
      else if (state.state === 'active') {
        // A worker may have taken it before the new address was there.
        if (attempt.unheard && state.worker !== undefined) this.#askAgain(attempt, state.worker);
        else if (attempt.worker === undefined && state.worker !== undefined)
          this.#begun(attempt, state.worker);
        if (this.#isGone(attempt)) attempt.lost('gone');
      }
    }
  }

  #jobOf(order: Order, nonce = ''): string {
    for (let round = 0; ; round++) {
      const job = jobIdOf(order, round, nonce);
      // A hedge is open beside the attempt with the same number.
      if (!this.#open.has(job)) return job;
    }
  }
}
