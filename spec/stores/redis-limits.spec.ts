import { once } from 'node:events';
import { inspect } from 'node:util';
import { Redis } from 'ioredis';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { redis } from '../../lib/entry/redis.js';
import { type LimiterSettings, type RxhiveError, workflow } from '../../lib/index.js';
import { script } from '../../lib/stores/redis-script.js';
import { testRedis } from '../support/redis.js';
import { failureOf, sameAsMemory, sharedLimitsSpecs, waitsForServer } from '../support/shared-limits.js';

const server = await testRedis();
test.after(() => server?.end());

/** The error of a task that waits for a permit. */
const failure = (connection: string) =>
  failureOf(redis({ requestsPerMinute: 10 }, { connection, name: 'x' }));

test('options that make no sense are refused, and no password is shown', () => {
  const good = { connection: 'redis://me:s3cret@127.0.0.1:1', name: 'x' };
  for (const bad of [
    { ...good, connection: 'http://me:s3cret@host' },
    { ...good, name: '' },
    { ...good, name: 'x'.repeat(201) },
    { ...good, whenAway: { share: 0 } },
    { ...good, whenaway: 'wait' },
    'redis://me:s3cret@host',
    undefined,
  ]) {
    try {
      redis({ requestsPerMinute: 1 }, bad as never);
      assert.unreachable(`accepted ${inspect(bad)}`);
    } catch (error) {
      assert.is((error as RxhiveError).code, 'INVALID_OPTION');
      assert.not.match(inspect(error, { depth: 9, showHidden: true }), /s3cret/);
    }
  }
});

test('where nobody listens, tasks fail after 5 s and say so, without the password', async () => {
  const began = performance.now();
  const error = await failure('redis://me:s3cret@127.0.0.1:1');
  assert.is(error?.code, 'LIMITER_FAILED');
  assert.match(String(error), /Redis does not answer: .*ECONNREFUSED/);
  assert.not.match(inspect(error, { depth: 9, showHidden: true }), /s3cret/);
  assert.ok(performance.now() - began < 12_000);
});

if (server !== undefined) {
  const { url, client } = server;
  const make = (settings: LimiterSettings, name = server.name()) =>
    redis(settings, { connection: url, name });
  sharedLimitsSpecs('Redis', { url, make, name: server.name });

  test('the script answers what memory answers, message by message', async () => {
    // Its clock, from outside.
    const timed = script
      .replace(/local time = redis.call\('TIME'\)\n/, '')
      .replace(/local now = tonumber\(time.*\n/, 'local now = tonumber(ARGV[2])\n');
    assert.not.match(timed, 'TIME');
    await sameAsMemory(server.name, async (base, message, now) => {
      const keys = [`${base}:state`, `${base}:rows`, `${base}:answer:${message.from}`];
      for (const { name } of message.windows) keys.push(`${base}:${name}`, `${base}:${name}:a`);
      return String(await client.eval(timed, keys.length, ...keys, JSON.stringify(message), String(now)));
    });
  });

  test('a wrong password and a server that throws keys away are said clearly, once', async () => {
    const wrong = await failure(url.replace('redis://', 'redis://nobody:s3cret@'));
    assert.is(wrong?.code, 'LIMITER_FAILED');
    assert.match(String(wrong), 'Redis refuses: WRONGPASS');
    assert.not.match(inspect(wrong, { depth: 9, showHidden: true }), /s3cret/);
    await client.config('SET', 'maxmemory-policy', 'allkeys-lru');
    try {
      assert.match(String(await failure(url)), 'its maxmemory-policy is allkeys-lru. Set it to noeviction');
    } finally {
      await client.config('SET', 'maxmemory-policy', 'noeviction');
    }
    assert.is(await failure(url), undefined);
  });

  test('a name is only a name', async () => {
    const name = `} ${server.name()} {x}:*\n"`;
    const limiter = redis({ requestsPerMinute: 10 }, { connection: client, name });
    const flow = workflow({ name: 'w', groups: { g: { limiter } } });
    flow.task('t', { group: 'g', run: () => 1 });
    assert.is((await flow.run().result()).status, 'succeeded');
    const keys = await client.keys(`rxhive:limits:{${encodeURIComponent(name).replaceAll('*', '\\*')}}:*`);
    assert.is(keys.length > 3, true);
  });

  test('where Redis goes away nothing starts until it is back, and who waits is told', async () => {
    const away = new Redis(url, { retryStrategy: () => null, enableOfflineQueue: false });
    await once(away, 'ready');
    let open = true;
    const connection = new Proxy(away, {
      get: (target, key) => {
        const value = Reflect.get(target, key) as (...given: unknown[]) => unknown;
        if (key !== 'evalsha' && key !== 'eval') return value;
        return (...given: unknown[]) =>
          open ? value.apply(target, given) : Promise.reject(new Error('gone'));
      },
    });
    const limiter = redis({ requestsPerMinute: 50 }, { connection, name: server.name() });
    await waitsForServer(limiter, (is) => {
      open = is;
    });
    await away.quit();
  });
}

test.run();
