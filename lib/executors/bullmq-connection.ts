import { RxhiveError } from '../kernel/errors.js';
import { isPostgresLost, isPostgresRefusal } from '../model/postgres-failure.js';
import {
  type BullEvents,
  type BullJob,
  type BullQueue,
  type BullWorker,
  bullmqClasses,
  type Pool,
  type PostgresBackend,
  poolClass,
  type RedisClient,
  redisClass,
} from './bullmq-classes.js';
import { PatientPool } from './patient-pool.js';
import { queueFailed } from './queue-failure.js';

/**
 * Where the queues are: a Redis or Valkey server (from 6.2), as address or as options of ioredis, or a PostgreSQL database,
 * as address or as options of a pool of pg.
 */
export type QueueConnection =
  | { readonly redis: string | Readonly<Record<string, unknown>>; readonly postgres?: undefined }
  | { readonly postgres: string | Readonly<Record<string, unknown>>; readonly redis?: undefined };

/** How long a server may take to answer at the start, in ms. */
const startWithin = 5_000;
/** How long it may take to say goodbye. */
const closeWithin = 2_000;
/** Ms in which the same trouble is told once. */
const quietFor = 60_000;

/** Schema of BullMQ's tables in PostgreSQL. */
const schema = 'bullmq';

interface Wait {
  readonly since: number;
  end(error: unknown): void;
}

/** BullMQ on one server: makes queues, readers and workers that share a client. On PostgreSQL they wait until `ready` has been. */
export class QueueServer {
  readonly isPostgres: boolean;
  readonly #connection: QueueConnection;
  readonly #onError: ((error: RxhiveError) => void) | undefined;
  readonly #redis: RedisClient | undefined;
  readonly #pool: Pool | undefined;
  readonly #patient: PatientPool | undefined;
  readonly #classes = bullmqClasses();
  readonly #open: { close(force?: boolean): Promise<void> }[] = [];
  #told = Number.NEGATIVE_INFINITY;
  #warns = false;
  /** Who waits for the server, the longest first. */
  readonly #waits = new Set<Wait>();
  #late: NodeJS.Timeout | undefined;
  /** Since when the server has answered without a break. */
  #upSince = 0;
  /** It has been there, and was fit for use. */
  #reached = false;
  #reach: () => void = () => undefined;
  readonly #whenReached = new Promise<void>((done) => {
    this.#reach = done;
  });
  #away: RxhiveError | undefined;
  #onAway: (away: RxhiveError | undefined) => void = () => undefined;
  #closed = false;

  /** @throws RxhiveError INVALID_OPTION */
  constructor(connection: QueueConnection, onError?: (error: RxhiveError) => void, readers = 4) {
    this.#connection = connection;
    this.#onError = onError;
    const { redis, postgres } = (connection ?? {}) as { redis?: unknown; postgres?: unknown };
    this.isPostgres = postgres !== undefined;
    if ((redis === undefined) === (postgres === undefined) || !isAddress(redis ?? postgres, this.isPostgres))
      // Not shown: it may hold a password.
      throw new RxhiveError(
        'INVALID_OPTION',
        'connection takes { redis } or { postgres }, with an address such as redis://host:6379 or postgres://user@host/database, or with options.',
      );
    if (typeof postgres !== 'undefined') {
      const given = typeof postgres === 'string' ? { connectionString: postgres } : (postgres as object);
      const { options } = given as { options?: string };
      this.#pool = new (poolClass())({
        // Each reader keeps one for itself.
        max: readers + 4,
        connectionTimeoutMillis: startWithin,
        ...given,
        options: `${options === undefined ? '' : `${options} `}-c search_path=${schema}`,
      });
      this.#pool.on('error', (error: unknown) => this.trouble(error));
      this.#patient = new PatientPool(this.#pool, {
        away: (error) => this.#gone(error),
        back: () => this.#back(),
      });
    } else {
      const more = { maxRetriesPerRequest: null, enableReadyCheck: true, retryStrategy: backoff };
      const Redis = redisClass();
      this.#redis =
        typeof redis === 'string' ? new Redis(redis, more) : new Redis({ ...more, ...(redis as object) });
      this.#redis.on('error', (error: unknown) => this.trouble(error));
      this.#redis.on('close', () => {
        if (this.#reached && this.#away === undefined) this.#gone(new Error('the connection was closed'));
      });
      this.#redis.on('ready', () => this.#back());
    }
  }

  /** Ms since when the server has answered without a break, as far as is known. */
  get upFor(): number {
    return Date.now() - this.#upSince;
  }

  /**
   * Resolves when the server can be used.
   * @throws RxhiveError QUEUE_FAILED: it cannot be reached, refuses us, lacks the tables, or would forget jobs
   */
  async ready(): Promise<void> {
    try {
      const ready = this.#pool === undefined ? this.#redisReady() : this.#postgresReady(this.#pool);
      await within(
        startWithin,
        this.#unlessRefused(ready, (error) => error),
      );
      this.#reached = true;
      this.#reach();
    } catch (error) {
      throw this.#named(error instanceof RxhiveError ? error : (this.#last ?? error));
    }
  }

  /** `told` hears when a server that was there is away, and why, and when it is back. */
  onAway(told: (away: RxhiveError | undefined) => void): void {
    this.#onAway = told;
  }

  /** From now on trouble that nobody is told of (`onError`) is said on stderr, once. */
  warn(): void {
    this.#warns = true;
  }

  /** Something is wrong with the server, as it or its client says. */
  trouble(error: unknown): void {
    this.#last = error;
    if (!this.isPostgres || isPostgresLost(error)) this.#upSince = Date.now();
    // Of these waits alone: who is refused now may be let in later.
    if (isRefusal(error)) this.#endWaits(error);
    const now = performance.now();
    if (now - this.#told < quietFor) return;
    if (this.#onError !== undefined) {
      this.#told = now;
      this.#onError(this.#named(error));
    } else if (this.#warns) {
      this.#told = Number.POSITIVE_INFINITY;
      process.emitWarning(`rxhive: ${this.#named(error).message} Give onError to hear of it.`);
    }
  }

  /**
   * What the server answers, however long that takes: one that was there is waited for while it is away.
   * @throws RxhiveError QUEUE_FAILED when it refuses us, or we are closed meanwhile
   */
  answer<T>(work: Promise<T>): Promise<T> {
    // One timer for all: of each there are thousands a second.
    this.#late ??= setInterval(() => this.#tellLate(), startWithin / 5).unref();
    return this.#unlessRefused(work, (error) => this.#named(error));
  }

  /** Makes BullMQ's tables in PostgreSQL, or brings them up to date; nothing with Redis. */
  async migrate(): Promise<void> {
    if (this.#pool === undefined) return;
    try {
      const client = await this.#pool.connect();
      try {
        await this.#classes.runMigrations(client, schema);
      } finally {
        client.release();
      }
    } catch (error) {
      throw this.#named(error);
    }
  }

  queue<D>(name: string): BullQueue<D> {
    const made = new this.#classes.Queue(name, { ...this.#options, skipMetasUpdate: true }, this.#backend);
    return this.#kept(made) as unknown as BullQueue<D>;
  }

  worker<D>(
    name: string,
    processor: ((job: BullJob<D>, token: string) => Promise<unknown>) | null,
    options: object,
  ): BullWorker {
    const all = { ...this.#options, ...options };
    return this.#kept(new this.#classes.Worker(name, processor as never, all, this.#backend));
  }

  events(name: string, options: object = {}): BullEvents {
    return this.#kept(new this.#classes.QueueEvents(name, { ...this.#options, ...options }, this.#backend));
  }

  /** Names of queues that begin with a text. */
  async names(start: string): Promise<readonly string[]> {
    if (this.#patient !== undefined) {
      const like = `${start.replaceAll(/[\\%_]/g, '\\$&')}%`;
      const { rows } = await this.#patient.query('select distinct queue from job where queue like $1', [
        like,
      ]);
      return rows.map(({ queue }) => String(queue));
    }
    const redis = this.#redis as RedisClient;
    const found = new Set<string>();
    const pattern = `bull:${start.replaceAll(/[*?[\]\\]/g, '\\$&')}*`;
    for (let cursor = '0', first = true; first || cursor !== '0'; first = false) {
      const [next, keys] = await redis.scan(cursor, 'MATCH', pattern, 'COUNT', 1_000);
      cursor = next;
      for (const key of keys) found.add(key.split(':')[1] as string);
    }
    return [...found];
  }

  /** Gives one of its queues, readers or workers up. */
  async end(one: { close(force?: boolean): Promise<void> }, force = false): Promise<void> {
    const at = this.#open.indexOf(one);
    if (at >= 0) this.#open.splice(at, 1);
    await within(closeWithin, one.close(force)).catch(() => undefined);
  }

  /** Closes all it made, and its client. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#endWaits(new Error('they were closed'));
    // Nobody waits for one that is away.
    if (this.#away !== undefined) await this.#patient?.end();
    const closed = Promise.all(this.#open.splice(0).map((one) => one.close().catch(() => undefined)));
    // A server that is away must not keep us.
    await within(closeWithin, closed).catch(() => undefined);
    await this.#patient?.end();
    this.#redis?.disconnect();
    await within(closeWithin, this.#pool?.end() ?? Promise.resolve()).catch(() => undefined);
  }

  get #options(): object {
    return { connection: this.#redis ?? this.#patient, skipVersionCheck: true };
  }

  get #backend(): unknown {
    return this.isPostgres ? this.#postgresBackend : undefined;
  }

  readonly #postgresBackend = (
    queue: string,
    options: { readonly lockDuration?: number },
    more: unknown,
  ): PostgresBackend => {
    const backend = this.#classes.createPostgresBackend(queue, options, more);
    // BullMQ would remember for ever that its first look at the tables failed. We look, until they are there.
    backend.connection.waitUntilReady = () => this.#whenReached;
    const moveStalled = backend.moveStalledJobsToWait.bind(backend);
    // While the server was away locks have run out: whoever is alive renews them first.
    backend.moveStalledJobsToWait = async () =>
      this.upFor < (options.lockDuration ?? 0) ? [] : moveStalled();
    return backend;
  };

  #gone(error: unknown): void {
    if (this.#closed) return;
    this.trouble(error);
    if (!this.#reached || this.#away !== undefined) return;
    this.#away = this.#named(error);
    this.#onAway(this.#away);
  }

  #back(): void {
    this.#upSince = Date.now();
    if (this.#away === undefined) return;
    this.#away = undefined;
    this.#onAway(undefined);
  }

  /** `work`, but for a server that refuses us meanwhile; `named` makes what is thrown of an error. */
  #unlessRefused<T>(work: Promise<T>, named: (error: unknown) => unknown): Promise<T> {
    return new Promise((done, failed) => {
      const end = (error: unknown): void => {
        this.#waits.delete(wait);
        failed(named(error));
      };
      const wait: Wait = { since: performance.now(), end };
      this.#waits.add(wait);
      work.then((value) => {
        this.#waits.delete(wait);
        done(value);
      }, end);
    });
  }

  #endWaits(error: unknown): void {
    for (const { end } of [...this.#waits]) end(error);
  }

  /** Somebody has waited for too long. */
  #tellLate(): void {
    const [longest] = this.#waits;
    if (longest === undefined) {
      clearInterval(this.#late);
      this.#late = undefined;
    } else if (performance.now() - longest.since >= startWithin)
      this.trouble(this.#away ?? new Error(`no answer in ${startWithin} ms`));
  }

  #kept<
    T extends { on(event: string, listener: (...args: never[]) => void): unknown; close(): Promise<void> },
  >(one: T): T {
    one.on('error', (error: unknown) => {
      if (!isOfLostJob(error)) this.trouble(error);
    });
    this.#open.push(one);
    return one;
  }

  #last: unknown;

  async #redisReady(): Promise<void> {
    const redis = this.#redis as RedisClient;
    await redis.ping();
    const info = await redis.info('server').catch(() => '');
    const version = /^redis_version:(\d+)\.(\d+)/m.exec(info);
    if (version !== null && Number(version[1]) * 100 + Number(version[2]) < 602)
      throw new RxhiveError(
        'QUEUE_FAILED',
        `The server is Redis ${version[1]}.${version[2]}; install 6.2 or newer.`,
      );
    const answer = await redis.config('GET', 'maxmemory-policy').catch(() => undefined);
    const policy = Array.isArray(answer) ? String(answer[1]) : 'noeviction';
    if (policy !== 'noeviction')
      throw new RxhiveError(
        'QUEUE_FAILED',
        `Redis has maxmemory-policy ${policy}, by which it would forget jobs; set it to noeviction.`,
      );
  }

  async #postgresReady(pool: Pool): Promise<void> {
    const until = performance.now() + startWithin;
    for (;;) {
      try {
        await this.#classes.assertSchemaCompatibility(pool, schema);
        return;
      } catch (error) {
        if ((error as Partial<Error>).name === 'SchemaMigrationRequiredError')
          throw new RxhiveError(
            'QUEUE_FAILED',
            "PostgreSQL has no tables of BullMQ; make them once: rxhive worker MODULE --migrate, or bullmqTables({ postgres }) of 'rxhive/bullmq'.",
          );
        this.trouble(error);
        // It may be restarting.
        if (!isPostgresLost(error) || performance.now() > until) throw error;
        await new Promise((done) => setTimeout(done, 100));
      }
    }
  }

  #named(error: unknown): RxhiveError {
    const { redis, postgres } = this.#connection;
    return queueFailed(error, this.isPostgres ? 'PostgreSQL' : 'Redis', redis ?? postgres);
  }
}

/** The server does not let us in, or lacks what we need: waiting does not help. */
function isRefusal(error: unknown): boolean {
  const { message } = (error ?? {}) as Partial<Error>;
  return /^(WRONGPASS|NOAUTH|NOPERM)\b/.test(String(message)) || isPostgresRefusal(error);
}

/** The job is gone, or another worker has it: nothing is wrong with the server, and the attempt is told as lost. */
function isOfLostJob(error: unknown): boolean {
  return [-1, -2, -3, -6].includes((error as { code?: number } | null)?.code ?? 0);
}

/** Ms before the next try to reach the server. */
function backoff(times: number): number {
  return Math.min(25 * 2 ** times, 1_000);
}

function isAddress(given: unknown, postgres: boolean): boolean {
  if (typeof given !== 'string') return typeof given === 'object' && given !== null;
  return (postgres ? /^postgres(ql)?:\/\/./ : /^rediss?:\/\/./).test(given);
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, failed) => {
    timer = setTimeout(() => failed(new Error(`no answer in ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
