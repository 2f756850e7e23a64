// Limits that several processes share, in Redis.

import { SharedLimiter } from '../limiters/shared-limiter.js';
import { checkLimiter, type Limiter, type LimiterSettings } from '../model/limiter.js';
import type { RedisConnection } from '../stores/redis-connection.js';
import { RedisLimits } from '../stores/redis-limits.js';
import { checkShared, type SharedName, shareOf } from './shared-options.js';

export type { RedisAddress, RedisClient, RedisConnection } from '../stores/redis-connection.js';
export type { SharedName } from './shared-options.js';

/** Where limits are kept, and under which name. */
export interface RedisLimitsOptions extends SharedName {
  readonly connection: RedisConnection;
}

/**
 * A limiter that several processes share, in Redis: its limits hold over all who use the same `name`. True sliding windows by the
 * clock of Redis. Processes take turns, and who waits longest has what it needs kept, however much that is. What a process
 * that dies had in places is back within 10 s. A 429 that one of them gets holds all.
 *
 * Needs package `ioredis`, and a Redis (from 6.2) or Valkey that throws nothing away (`maxmemory-policy noeviction`). Where it was
 * never there, tasks fail after 5 s with `LIMITER_FAILED`; where it goes away, `whenAway` decides. In virtual time it is what
 * `virtual(settings)` is, so that workflows can be tested as they are.
 *
 * ```ts
 * const openai = redis({ requestsPerMinute: 600, tokensPerMinute: 90_000 }, { connection: 'redis://127.0.0.1:6379', name: 'openai' });
 * workflow({ name: 'brief', groups: { llm: { limiter: openai } } });
 * ```
 * @throws RxhiveError INVALID_OPTION with everything that makes no sense
 */
export function redis(settings: LimiterSettings, options: RedisLimitsOptions): Limiter {
  checkLimiter(settings);
  const { connection, name } = checkShared(options, 'redis');
  const limits = new RedisLimits(connection, name);
  return new SharedLimiter(settings, limits, { from: crypto.randomUUID(), share: shareOf(options) });
}
