import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { redis } from '../../lib/entry/redis.js';
import { type LimiterSettings, type RxhiveError, workflow } from '../../lib/index.js';
import { lease, type SharedAnswer } from '../../lib/model/shared-limits.js';
import { script } from '../../lib/stores/redis-script.js';
import { FakeProvider, limiterConformance } from '../../lib/testing/index.js';
import { MemoryLimits } from '../support/memory-limits.js';
import { testRedis } from '../support/redis.js';
import { anyMessages, messagesOf } from '../support/shared-messages.js';

const server = await testRedis();
test.after(() => server?.end());

/** The error of a task that waits for a permit of a limiter. */
async function failure(connection: string | object): Promise<RxhiveError | undefined> {
  const limiter = redis({ requestsPerMinute: 10 }, { connection, name: 'x' });
  const flow = workflow({ name: 'w', groups: { g: { limiter } } });
  flow.task('t', { group: 'g', run: () => 1 });
  const { tasks } = await flow.run().result();
  return tasks.get('t')?.error as RxhiveError | undefined;
}

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
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

  for (const check of limiterConformance({ make: (settings) => make(settings), time: 'real', seed })) {
    const title = `${check.name} (seed ${seed})`;
    if (check.skip !== undefined) {
      test.skip(`${title}: ${check.skip}`);
      continue;
    }
    // They wait more than they work: all at once.
    const started = check.run();
    started.catch(() => undefined);
    test(title, () => started);
  }

  test('the script answers what memory answers, message by message', async () => {
    // Its clock, from outside.
    const timed = script
      .replace(/local time = redis.call\('TIME'\)\n/, '')
      .replace(/local now = tonumber\(time.*\n/, 'local now = tonumber(ARGV[2])\n');
    assert.not.match(timed, 'TIME');
    await fc.assert(
      fc.asyncProperty(anyMessages, async (steps) => {
        const base = server.name();
        let now = 1_700_000_000_000;
        const memory = new MemoryLimits(() => now);
        for (const [message, ms] of messagesOf(steps)) {
          now += ms;
          const keys = [`${base}:state`, `${base}:rows`, `${base}:answer:${message.from}`];
          for (const { name } of message.windows) keys.push(`${base}:${name}`, `${base}:${name}:a`);
          const text = await client.eval(timed, keys.length, ...keys, JSON.stringify(message), String(now));
          assert.equal(
            JSON.parse(String(text)) as SharedAnswer,
            memory.answer(message),
            JSON.stringify(message),
          );
        }
      }),
      { numRuns: Number(process.env.RUNS ?? 40) },
    );
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

  test('three limiters over one Redis are refused nothing by a provider with the same limit', async () => {
    const name = server.name();
    const provider = await FakeProvider.listen({ requestsPerSecond: 20, latency: 5 });
    const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'x' }] });
    const sends = [0, 1, 2].map(() => {
      // On a busy machine requests are late on their way.
      const limiter = make({ requestsPerSecond: 20, margin: 300 }, name);
      const flow = workflow({ name: 'w', concurrency: 100, groups: { g: { limiter } } });
      for (let i = 0; i < 25; i++)
        flow.task(`${i}`, {
          group: 'g',
          run: async () => (await fetch(`${provider.url}/chat/completions`, { method: 'POST', body })).status,
        });
      return flow.run().result();
    });
    await Promise.all(sends);
    const { accepted, violations } = provider.stats;
    await provider.close();
    assert.equal({ accepted, violations }, { accepted: 75, violations: 0 });
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

  test('what a process that is killed had in places is back within 10 s', async () => {
    const name = server.name();
    const file = fileURLToPath(new URL('../support/limited-process.ts', import.meta.url));
    const child = fork(file, [url, name], {
      execArgv: ['--import', 'tsx'],
      stdio: ['pipe', 'ignore', 'ignore', 'ipc'],
    });
    const child$ = once(child, 'message');
    await child$;
    child.kill('SIGKILL');
    const killed = performance.now();
    const limiter = make({ maxConcurrent: 2 }, name);
    const flow = workflow({ name: 'w', groups: { g: { limiter } } });
    const waited: number[] = [];
    for (const id of ['a', 'b'])
      flow.task(id, { group: 'g', run: () => void waited.push(performance.now() - killed) });
    await flow.run().result();
    assert.is(waited.length, 2);
    for (const ms of waited) assert.ok(ms > 3_000 && ms < lease + 2_000, `${ms} ms`);
  });

  test('a 429 that one process gets holds the others', async () => {
    const name = server.name();
    const [one, other] = [make({ requestsPerMinute: 50 }, name), make({ requestsPerMinute: 50 }, name)];
    const first = workflow({ name: 'first', groups: { g: { limiter: one } } });
    first.task('t', {
      group: 'g',
      retry: 0,
      run: () => {
        throw Object.assign(new Error('slow down'), { status: 429, headers: { 'retry-after': '1' } });
      },
    });
    const began = performance.now();
    await first.run().result();
    const second = workflow({ name: 'second', groups: { g: { limiter: other } } });
    let waited = 0;
    second.task('t', {
      group: 'g',
      run: () => {
        waited = performance.now() - began;
      },
    });
    await second.run().result();
    assert.ok(waited >= 990, `${waited} ms`);
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
    const flow = workflow({ name: 'w', groups: { g: { limiter, concurrency: 1 } } });
    const a = flow.task('a', {
      group: 'g',
      run: () => {
        open = false;
      },
    });
    flow.task('b', { group: 'g', dependencies: [a], run: () => assert.is(open, true) });
    const run = flow.run();
    let words = '';
    const look = setInterval(() => {
      words ||= /has not answered for/.exec(run.explain('b'))?.[0] ?? '';
      if (words !== '') open = true;
    }, 20);
    const { status } = await run.result();
    clearInterval(look);
    assert.is(status, 'succeeded');
    assert.is(words, 'has not answered for');
    await away.quit();
  });
}

test.run();
