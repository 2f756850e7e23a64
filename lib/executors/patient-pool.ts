import { isPostgresLost, postgresReason } from '../model/postgres-failure.js';
import type { Pool, PoolClient, QueryAnswer } from './bullmq-classes.js';

/** Ms before a server that is away is tried again: short at first, for one that restarts. */
const pauses = [50, 100, 200, 400, 800] as const;
const longestPause = 1_000;

/** How a {@link PatientPool} tells of the server. */
export interface PoolNews {
  /** It cannot be reached, is starting, or refuses us; told with each try. */
  away(error: unknown): void;
  /** It answers again. */
  back(): void;
}

/**
 * A pool of pg as BullMQ uses it, that does while the server is away what ioredis does: statements wait, and those whose
 * answer was lost are sent again. BullMQ's may be: jobs with an id are added once, and one that has ended does not end again.
 */
export class PatientPool {
  readonly options: unknown;
  readonly #pool: Pool;
  readonly #news: PoolNews;
  #waiting: Promise<void> | undefined;
  #ended = false;

  constructor(pool: Pool, news: PoolNews) {
    this.#pool = pool;
    this.#news = news;
    this.options = pool.options;
  }

  /** BullMQ would listen to errors with each queue and never stop; who made the pool listens already. */
  on(): this {
    return this;
  }

  connect(): Promise<PoolClient> {
    return this.#patiently(() => this.#pool.connect());
  }

  query(text: string, values?: unknown[]): Promise<QueryAnswer> {
    return this.#patiently(() => this.#pool.query(text, values));
  }

  /** Who waits for the server fails, and so does who comes later. The connections are closed by who made the pool. */
  async end(): Promise<void> {
    this.#ended = true;
  }

  async #patiently<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      await this.#waiting;
      if (this.#ended) throw new Error('Cannot use a pool after calling end on the pool');
      try {
        return await work();
      } catch (error) {
        if (this.#ended || !mayPass(error)) throw error;
        this.#waiting ??= this.#back().finally(() => {
          this.#waiting = undefined;
        });
      }
    }
  }

  /** Resolves when the server answers, or nobody wants it any more. */
  async #back(): Promise<void> {
    for (let tries = 0; !this.#ended; tries++) {
      try {
        await this.#pool.query('select 1');
        if (tries > 0) this.#news.back();
        return;
      } catch (error) {
        this.#news.away(error);
        await new Promise((done) => setTimeout(done, pauses[tries] ?? longestPause));
      }
    }
  }
}

/** The same statement may succeed once the server is there, or is less busy, or lets us in. */
function mayPass(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return (
    isPostgresLost(error) ||
    // Cancelled by a limit that its owner has set.
    (postgresReason(error) === 'busy' && code !== '57014') ||
    // Of the connection, which the statement has not reached.
    /^(28\w{3}|3D000)$/.test(String(code))
  );
}
