import { AsyncLocalStorage } from 'node:async_hooks';
import { lastValueFrom, toArray } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ControllerOptions, controller, type TaskContext } from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

// What the suite of p-limit holds a limit to, for `hive.schedule`.

const world = (options: ControllerOptions = {}) => {
  const scheduler = new SimulationScheduler();
  return { scheduler, hive: controller({ scheduler, ...options }) };
};

test('concurrency 1: one after the other, results in their places', async () => {
  const { scheduler, hive } = world({ concurrency: 1 });
  const work = (value: number, ms: number) => async (ctx: TaskContext) => {
    await ctx.sleep(ms);
    return value;
  };
  const all = Promise.all([work(10, 300), work(20, 200), work(30, 100)].map((one) => hive.schedule(one)));
  await advance(scheduler);
  assert.equal(await all, [10, 20, 30]);
  assert.is(scheduler.now(), 600);
});

test('concurrency 5: never more', async () => {
  const { scheduler, hive } = world({ concurrency: 5 });
  let running = 0;
  const all = Array.from({ length: 100 }, (_, i) =>
    hive.schedule(async (ctx) => {
      running += 1;
      assert.ok(running <= 5);
      await ctx.sleep(30 + ((i * 53) % 170));
      running -= 1;
    }),
  );
  await advance(scheduler);
  await Promise.all(all);
});

test('a piece runs in the async context of its call', async () => {
  const hive = controller({ concurrency: 2 });
  const store = new AsyncLocalStorage<{ readonly id: number }>();
  const ids = await Promise.all(
    Array.from({ length: 100 }, (_, id) =>
      store.run({ id }, () =>
        hive.schedule(async () => {
          await Promise.resolve();
          return store.getStore()?.id;
        }),
      ),
    ),
  );
  assert.equal(
    ids,
    ids.map((_, id) => id),
  );
});

test('a function that returns no promise is fine, and one that throws holds nobody up', async () => {
  const hive = controller({ concurrency: 1 });
  assert.is(await hive.schedule(() => null), null);
  let ran = false;
  const [first, second] = await Promise.allSettled([
    hive.schedule(() => {
      throw new Error('at once');
    }),
    hive.schedule(() => {
      ran = true;
    }),
  ]);
  assert.is(first?.status, 'rejected');
  assert.is(second?.status, 'fulfilled');
  assert.ok(ran);
});

test('errors are those of the promises', async () => {
  const { scheduler, hive } = world({ concurrency: 1 });
  const error = new Error('later');
  const all = Promise.all([
    hive.schedule((ctx) => ctx.sleep(30)),
    hive.schedule(async (ctx) => {
      await ctx.sleep(80);
      throw error;
    }),
    hive.schedule((ctx) => ctx.sleep(50)),
  ]);
  const caught = all.catch((one: unknown) => one);
  await advance(scheduler);
  assert.is(await caught, error);
});

test('activeCount and pendingCount: active and waiting', async () => {
  const { scheduler, hive } = world({ concurrency: 5 });
  const counts = (): readonly number[] => [hive.active, hive.waiting];
  assert.equal(counts(), [0, 0]);
  void hive.schedule((ctx) => ctx.sleep(1_000));
  // A slot is free: it runs at once, where p-limit begins a turn later.
  assert.equal(counts(), [1, 0]);
  await advance(scheduler);
  assert.equal(counts(), [0, 0]);
  for (let i = 0; i < 8; i++) void hive.schedule((ctx) => ctx.sleep(1_000));
  assert.equal(counts(), [5, 3]);
  await advance(scheduler, 2_500);
  assert.equal(counts(), [3, 0]);
  await advance(scheduler);
  assert.equal(counts(), [0, 0]);
});

test('clearQueue: what waits is cancelled', async () => {
  const { scheduler, hive } = world({ concurrency: 1 });
  const all = Array.from({ length: 4 }, () => hive.schedule((ctx) => ctx.sleep(1_000)));
  const ends = Promise.allSettled(all);
  assert.is(hive.waiting, 3);
  hive.cancelWaiting();
  assert.is(hive.waiting, 0);
  await advance(scheduler);
  assert.equal(
    (await ends).map(({ status }) => status),
    ['fulfilled', 'rejected', 'rejected', 'rejected'],
  );
});

test('map: the index too, results in order, any iterable', async () => {
  const { scheduler, hive } = world({ concurrency: 2 });
  const map = hive.mergeMap(
    'map',
    async (value: string, ctx, index) => {
      await ctx.sleep(100 - index);
      return `${value}${index}`;
    },
    { ordered: true },
  );
  const all = lastValueFrom(map(new Set(['a', 'b', 'c'])).pipe(toArray()));
  await advance(scheduler);
  assert.equal(await all, ['a0', 'b1', 'c2']);
});

test('concurrency that makes no sense is refused', () => {
  for (const concurrency of [-1, 1.2, true as never, null as never])
    assert.throws(() => controller({ concurrency }), /concurrency/);
});

for (const [from, to, expected] of [
  [4, 2, [1, 2, 3, 4, 2, 2, 2, 2, 2, 2]],
  [2, 4, [1, 2, 3, 4, 4, 4, 4, 4, 4, 4]],
] as const)
  test(`concurrency changed from ${from} to ${to}`, async () => {
    const { scheduler, hive } = world({ concurrency: from });
    let running = 0;
    const log: number[] = [];
    for (let i = 0; i < 10; i++)
      void hive.schedule(async (ctx) => {
        running += 1;
        log.push(running);
        await ctx.sleep(50 + i);
        running -= 1;
      });
    assert.is(running, from);
    hive.setConcurrency(to);
    await advance(scheduler);
    assert.equal(log, expected);
  });

test('limitFunction: a function around schedule', async () => {
  const { scheduler, hive } = world({ concurrency: 5 });
  let running = 0;
  const limited = (ms: number) =>
    hive.schedule(async (ctx) => {
      running += 1;
      assert.ok(running <= 5);
      await ctx.sleep(ms);
      running -= 1;
      return ms;
    });
  const all = Promise.all(Array.from({ length: 50 }, (_, i) => limited(i)));
  await advance(scheduler);
  assert.is((await all).length, 50);
});

test.run();
