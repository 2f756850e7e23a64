// What is kept in PostgreSQL: logs of runs, and limits that several processes share.

import { SharedLimiter } from '../limiters/shared-limiter.js';
import { checkLimiter, type Limiter, type LimiterSettings } from '../model/limiter.js';
import type { PostgresPool } from '../stores/postgres.js';
import { PostgresLimits } from '../stores/postgres-limits.js';
import { checkShared, type SharedName, shareOf } from './shared-options.js';

export type { LeaseOptions } from '../stores/lease.js';
export { type PostgresOptions, type PostgresPool, PostgresStore, postgres } from '../stores/postgres.js';
export type { SharedName } from './shared-options.js';

/** Where limits are kept, and under which name. */
export interface PostgresLimitsOptions extends SharedName {
  /** A connection string, `postgres://user@host/database`, or a `Pool` of package `pg`, which is left open. */
  readonly connection: string | PostgresPool;
  /** Schema of tables and functions, made when first used. Default `rxhive`. */
  readonly schema?: string;
}

/**
 * A limiter that several processes share, in PostgreSQL (from 12): what `redis(...)` of `rxhive/redis` is in Redis, with the same
 * promises, for those who have a database and no Redis. Each message is one statement and one short transaction; all of one name
 * take turns. Nothing is asked while nobody waits, but that a process with places says every 2.5 s that it lives.
 *
 * Needs package `pg`. Where the server was never there, tasks fail after 5 s with `LIMITER_FAILED`; where it goes away, `whenAway`
 * decides. In virtual time it is what `virtual(settings)` is.
 *
 * ```ts
 * const openai = postgresLimits({ requestsPerMinute: 600 }, { connection: 'postgres://me@127.0.0.1/work', name: 'openai' });
 * workflow({ name: 'brief', groups: { llm: { limiter: openai } } });
 * ```
 * @throws RxhiveError INVALID_OPTION with everything that makes no sense
 */
export function postgresLimits(settings: LimiterSettings, options: PostgresLimitsOptions): Limiter {
  checkLimiter(settings);
  const { connection, name, schema = 'rxhive' } = checkShared(options, 'postgresLimits', ['schema']);
  const limits = new PostgresLimits(connection, name, schema);
  return new SharedLimiter(settings, limits, { from: crypto.randomUUID(), share: shareOf(options) });
}
