import { inspect, RxhiveError } from '../kernel/errors.js';
import {
  type BullEvents,
  type BullJob,
  type BullQueue,
  type BullWorker,
  bullmqClasses,
  type Pool,
  poolClass,
  type RedisClient,
  redisClass,
} from './bullmq-classes.js';

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

/** BullMQ on one server: makes queues, readers and workers that share a client. */
export class QueueServer {
  readonly isPostgres: boolean;
  readonly #connection: QueueConnection;
  readonly #onError: ((error: RxhiveError) => void) | undefined;
  readonly #redis: RedisClient | undefined;
  readonly #pool: Pool | undefined;
  readonly #classes = bullmqClasses();
  readonly #open: { close(force?: boolean): Promise<void> }[] = [];
  #told = Number.NEGATIVE_INFINITY;
  #warns = false;
  /** Ends the wait of `ready` when the server will not have us: waiting does not help. */
  #refused: (error: unknown) => void = () => undefined;
  /** Since when the server has answered without a break. */
  #upSince = 0;

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
      // Each queue and reader on it listens.
      this.#pool.setMaxListeners(0);
      this.#pool.on('error', (error: unknown) => this.trouble(error));
    } else {
      const more = { maxRetriesPerRequest: null, enableReadyCheck: true, retryStrategy: backoff };
      const Redis = redisClass();
      this.#redis =
        typeof redis === 'string' ? new Redis(redis, more) : new Redis({ ...more, ...(redis as object) });
      this.#redis.on('error', (error: unknown) => this.trouble(error));
      this.#redis.on('ready', () => {
        this.#upSince = Date.now();
      });
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
    // Of this wait alone: who is refused now may be let in later.
    const refusal = new Promise<never>((_, failed) => {
      this.#refused = failed;
    });
    try {
      const ready = this.#pool === undefined ? this.#redisReady() : this.#postgresReady(this.#pool);
      await within(startWithin, Promise.race([ready, refusal]));
    } catch (error) {
      throw this.#named(error instanceof RxhiveError ? error : (this.#last ?? error));
    }
  }

  /** From now on trouble that nobody is told of (`onError`) is said on stderr, once. */
  warn(): void {
    this.#warns = true;
  }

  /** Something is wrong with the server, as it or its client says. */
  trouble(error: unknown): void {
    this.#last = error;
    this.#upSince = Date.now();
    if (/^(WRONGPASS|NOAUTH|NOPERM)\b/.test(String((error as Partial<Error> | undefined)?.message)))
      this.#refused(error);
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

  /** What the server answers, in time. @throws RxhiveError QUEUE_FAILED */
  async answer<T>(work: Promise<T>): Promise<T> {
    try {
      return await within(startWithin, work);
    } catch (error) {
      throw this.#named(error);
    }
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
    if (this.#pool !== undefined) {
      const like = `${start.replaceAll(/[\\%_]/g, '\\$&')}%`;
      const { rows } = await this.#pool.query('select distinct queue from job where queue like $1', [like]);
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
    const closed = Promise.all(this.#open.splice(0).map((one) => one.close().catch(() => undefined)));
    // A server that is away must not keep us.
    await within(closeWithin, closed).catch(() => undefined);
    this.#redis?.disconnect();
    await within(closeWithin, this.#pool?.end() ?? Promise.resolve()).catch(() => undefined);
  }

  get #options(): object {
    return { connection: this.#redis ?? this.#pool, skipVersionCheck: true };
  }

  get #backend(): unknown {
    return this.isPostgres ? this.#classes.createPostgresBackend : undefined;
  }

  #kept<
    T extends { on(event: string, listener: (...args: never[]) => void): unknown; close(): Promise<void> },
  >(one: T): T {
    one.on('error', (error: unknown) => this.trouble(error));
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
        // It starts up.
        if ((error as { code?: unknown }).code !== '57P03') throw error;
        await new Promise((done) => setTimeout(done, 200));
      }
    }
  }

  /** What a server or its client says, without what could hold a secret. */
  #named(error: unknown): RxhiveError {
    if (error instanceof RxhiveError) return error;
    const { code, errors, message } = (error ?? {}) as {
      code?: unknown;
      errors?: unknown[];
      message?: unknown;
    };
    const first = Array.isArray(errors) ? (errors[0] as { message?: unknown } | undefined) : undefined;
    const said = this.#clean(String(first?.message || message || code || 'unknown error'));
    const name = this.isPostgres ? 'PostgreSQL' : 'Redis';
    const details = typeof code === 'string' ? { code } : {};
    return new RxhiveError(
      'QUEUE_FAILED',
      `The queues in ${name} cannot be used: ${said.replace(/[.\s]*$/, '')}.`,
      {
        details,
      },
    );
  }

  #clean(text: string): string {
    const given = this.#connection.redis ?? this.#connection.postgres;
    const secrets =
      typeof given === 'string'
        ? [given, ...passwordsIn(given)]
        : Object.values(given ?? {}).filter(
            (one): one is string => typeof one === 'string' && one.length > 3,
          );
    return secrets.reduce((clean, one) => (one === '' ? clean : clean.replaceAll(one, '***')), text);
  }
}

/** Ms before the next try to reach the server. */
function backoff(times: number): number {
  return Math.min(50 * 2 ** times, 2_000);
}

function isAddress(given: unknown, postgres: boolean): boolean {
  if (typeof given !== 'string') return typeof given === 'object' && given !== null;
  return (postgres ? /^postgres(ql)?:\/\/./ : /^rediss?:\/\/./).test(given);
}

function passwordsIn(address: string): readonly string[] {
  const written = [/:\/\/[^/@]*?:([^@]*)@/.exec(address)?.[1], /[?&]password=([^&]*)/.exec(address)?.[1]];
  const texts = written.filter((one): one is string => one !== undefined);
  return texts.flatMap((one) => {
    try {
      return [one, decodeURIComponent(one)];
    } catch {
      return [one];
    }
  });
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

/** A name that queues may have in all backends. @throws RxhiveError INVALID_OPTION */
export function queueName(name: string, option = 'name'): string {
  if (typeof name === 'string' && /^[\w-]{1,20}$/.test(name)) return name;
  throw new RxhiveError(
    'INVALID_OPTION',
    `${option} is ${inspect(name)}; give 1 to 20 letters, digits, _ or -.`,
  );
}
