import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ControllerOptions, controller, type RxhiveError, type TaskContext } from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

// What the suite of p-queue holds a queue to, for `hive.schedule`. What a queue has that is not here is in
// docs/coming-from/p-queue.md, with the reason.

const world = (options: ControllerOptions = {}) => {
  const scheduler = new SimulationScheduler();
  return { scheduler, hive: controller({ scheduler, ...options }) };
};
const sleep =
  (ms: number, value: unknown = undefined) =>
  async (ctx: TaskContext): Promise<unknown> => {
    await ctx.sleep(ms);
    return value;
  };
/** Whether each promise is kept, and with what. */
const told = (promises: readonly Promise<unknown>[]): unknown[] => {
  const ends: unknown[] = promises.map(() => 'open');
  promises.forEach((one, i) => {
    one.then(
      (value) => (ends[i] = value),
      (error: Error & { code?: string }) => (ends[i] = error.code ?? error.message),
    );
  });
  return ends;
};

test('add: a piece runs at once, its promise is that of its value', async () => {
  const { hive } = world();
  const promise = hive.schedule(async () => 'value');
  assert.is(hive.waiting, 0);
  assert.is(hive.active, 1);
  assert.is(await promise, 'value');
});

test('add: concurrency 2 lets two run, and one wait', async () => {
  const { scheduler, hive } = world({ concurrency: 2 });
  const all = [sleep(0, 1), sleep(100, 2), sleep(0, 3)].map((work) => hive.schedule(work));
  const ends = told(all);
  assert.is(hive.waiting, 1);
  assert.is(hive.active, 2);
  await advance(scheduler, 1);
  assert.equal(ends, [1, 'open', 3]);
  await advance(scheduler);
  assert.equal(ends, [1, 2, 3]);
});

test('add: concurrency 1 is one after the other', async () => {
  const { scheduler, hive } = world({ concurrency: 1 });
  const times: number[] = [];
  for (const ms of [300, 200, 100]) void hive.schedule(sleep(ms)).then(() => times.push(scheduler.now()));
  await advance(scheduler);
  assert.equal(times, [300, 500, 600]);
});

test('add: never more than the concurrency run', async () => {
  const { scheduler, hive } = world({ concurrency: 5 });
  let running = 0;
  let most = 0;
  for (let i = 0; i < 100; i++)
    void hive.schedule(async (ctx) => {
      running += 1;
      most = Math.max(most, running);
      await ctx.sleep(30 + ((i * 37) % 170));
      running -= 1;
    });
  await advance(scheduler);
  assert.is(most, 5);
  assert.is(running, 0);
});

test('concurrency can be changed, down and up', async () => {
  const { scheduler, hive } = world({ concurrency: 5 });
  const seen: number[] = [];
  for (let i = 0; i < 40; i++)
    void hive.schedule(async (ctx) => {
      seen.push(hive.active);
      if (i === 10) hive.setConcurrency(2);
      if (i === 30) hive.setConcurrency(4);
      await ctx.sleep(10);
    });
  await advance(scheduler);
  assert.is(Math.max(...seen.slice(0, 11)), 5);
  assert.is(Math.max(...seen.slice(16, 31)), 2);
  assert.is(Math.max(...seen.slice(33)), 4);
});

test('priority: a higher one first, equals in their order', async () => {
  const { scheduler, hive } = world({ concurrency: 1 });
  const order: number[] = [];
  const note = (value: number, priority?: number) =>
    hive.schedule(() => order.push(value), priority === undefined ? {} : { priority });
  void hive.schedule(sleep(1));
  for (const [value, priority] of [[1, 1], [0, 0], [10, -1], [2, 2], [3, 2], [4], [5, 0]] as const)
    void note(value, priority);
  await advance(scheduler);
  assert.equal(order, [2, 3, 1, 0, 4, 5, 10]);
});

test('timeout: a slow piece rejects, and its signal is aborted', async () => {
  const { scheduler, hive } = world();
  let aborted = false;
  const ends = told([
    hive.schedule(
      (ctx) => {
        ctx.signal.addEventListener('abort', () => {
          aborted = true;
        });
        return new Promise(() => undefined);
      },
      { timeout: 300 },
    ),
    hive.schedule(sleep(100, 'in time'), { timeout: 300 }),
  ]);
  await advance(scheduler);
  assert.equal(ends, ['TASK_TIMEOUT', 'in time']);
  assert.ok(aborted);
});

test('onIdle: when all that was added has ended, also what is added meanwhile; at once where nothing is', async () => {
  const { scheduler, hive } = world({ concurrency: 2 });
  await hive.idle();
  for (const ms of [100, 100, 100]) void hive.schedule(sleep(ms));
  assert.is(hive.waiting, 1);
  assert.is(hive.active, 2);
  let at = -1;
  void hive.idle().then(() => {
    at = scheduler.now();
  });
  void hive.schedule(async (ctx) => {
    await ctx.sleep(150);
    void hive.schedule(sleep(50));
  });
  await advance(scheduler);
  assert.is(at, 300);
  assert.is(hive.waiting + hive.active, 0);
});

test('addAll: a promise of all', async () => {
  const { hive } = world();
  assert.equal(await Promise.all([1, 2, 3].map((one) => hive.schedule(() => one))), [1, 2, 3]);
});

test('clear: what waits is cancelled, and says so; what runs goes on', async () => {
  const { scheduler, hive } = world({ concurrency: 2 });
  const ends = told([1, 2, 3, 4].map((one) => hive.schedule(sleep(20_000, one))));
  const retried = told([hive.schedule(() => Promise.reject(new Error('again')), { retry: 3, priority: 1 })]);
  assert.is(hive.waiting, 3);
  hive.cancelWaiting('not needed');
  assert.is(hive.waiting, 0);
  assert.is(hive.active, 2);
  await advance(scheduler);
  assert.equal(ends, [1, 2, 'WORKFLOW_CANCELLED', 'WORKFLOW_CANCELLED']);
  assert.equal(retried, ['WORKFLOW_CANCELLED']);
});

test('numbers that make no sense are refused', () => {
  for (const concurrency of [-1, 0.5, Number.NaN, '2' as never])
    assert.throws(() => controller({ concurrency }), /concurrency/);
  const { hive } = world();
  assert.throws(() => hive.setConcurrency(Number.NaN), /NaN/);
});

test('pause and start: nothing starts, what runs goes on', async () => {
  const { scheduler, hive } = world({ concurrency: 2 });
  hive.pause();
  const ends = told([1, 2, 3, 4].map((one) => hive.schedule(sleep(100, one))));
  assert.ok(hive.paused);
  assert.is(hive.waiting, 4);
  assert.is(hive.active, 0);
  hive.resume();
  assert.not(hive.paused);
  assert.is(hive.active, 2);
  hive.pause();
  await advance(scheduler);
  assert.equal(ends, [1, 2, 'open', 'open']);
  assert.is(hive.waiting, 2);
  hive.resume();
  await advance(scheduler);
  assert.equal(ends, [1, 2, 3, 4]);
});

test('errors: thrown at once or later, they are those of the promise, and the next one runs', async () => {
  const { scheduler, hive } = world({ concurrency: 1 });
  const ends = told([
    hive.schedule(() => {
      throw new Error('broken');
    }),
    hive.schedule(async () => {
      throw new Error('broken later');
    }),
    hive.schedule(() => 'fine'),
  ]);
  await advance(scheduler);
  assert.equal(ends, ['broken', 'broken later', 'fine']);
});

test('values, promises and functions that return nothing may be mixed', async () => {
  const { scheduler, hive } = world({ concurrency: 1 });
  const ends = told([
    hive.schedule(() => 'sync 1'),
    hive.schedule(async () => sleep(10, 'async')({ sleep: async () => undefined } as never)),
    hive.schedule(() => undefined),
    hive.schedule(() => null),
  ]);
  await advance(scheduler);
  assert.equal(ends, ['sync 1', 'async', undefined, null]);
});

test('intervalCap: so many starts in a window, by a limiter', async () => {
  const { scheduler, hive } = world({ concurrency: 5, limiter: { requestsPerSecond: 3, margin: 0 } });
  const starts: number[] = [];
  for (let i = 0; i < 13; i++)
    void hive.schedule(async (ctx) => {
      starts.push(scheduler.now());
      await ctx.sleep(300);
    });
  await advance(scheduler);
  assert.is(starts.length, 13);
  for (const at of starts) assert.ok(starts.filter((other) => other > at - 1_000 && other <= at).length <= 3);
  assert.ok((starts.at(-1) ?? 0) >= 4_000);
});

test('signal: one that is aborted already runs nothing; one that waits does not start; one that runs is aborted', async () => {
  const { scheduler, hive } = world({ concurrency: 1 });
  const [early, running, waiting] = [new AbortController(), new AbortController(), new AbortController()];
  early.abort(new Error('early'));
  let inside: unknown;
  let began = 0;
  const ends = told([
    hive.schedule(() => (began += 1), { signal: early.signal }),
    hive.schedule(
      (ctx) => {
        ctx.signal.addEventListener('abort', () => {
          inside = ctx.signal.reason;
        });
        return new Promise(() => undefined);
      },
      { signal: running.signal },
    ),
    hive.schedule(() => (began += 1), { signal: waiting.signal }),
    hive.schedule(() => 'last'),
  ]);
  waiting.abort(new Error('waiting'));
  assert.is(hive.waiting, 1);
  running.abort(new Error('running'));
  await advance(scheduler);
  assert.equal(ends, ['early', 'running', 'waiting', 'last']);
  assert.is(began, 0);
  assert.is((inside as RxhiveError).code, 'WORKFLOW_CANCELLED');
  // After the end nothing happens any more.
  const late = new AbortController();
  assert.is(await hive.schedule(() => 1, { signal: late.signal }), 1);
  late.abort();
});

test('events: added, active, completed and error are those of tasks', async () => {
  const { scheduler, hive } = world({ concurrency: 1 });
  const seen: string[] = [];
  hive.events$.subscribe((event) => {
    if (event.type === 'task') seen.push(`${event.taskId} ${event.reason}`);
  });
  told([
    hive.schedule(() => 1, { name: 'good' }),
    hive.schedule(() => Promise.reject(new Error('no')), { name: 'bad' }),
  ]);
  await advance(scheduler);
  assert.equal(
    seen.filter((one) => !one.endsWith('waiting')),
    ['good-1 ready', 'good-1 running', 'good-1 succeeded', 'bad-2 ready', 'bad-2 running', 'bad-2 failed'],
  );
});

test('a piece may add others, and wait for none of them', async () => {
  const { scheduler, hive } = world({ concurrency: 1 });
  const order: string[] = [];
  void hive.schedule(() => {
    order.push('outer');
    void hive.schedule(() => order.push('inner'));
    order.push('outer ends');
  });
  await advance(scheduler);
  assert.equal(order, ['outer', 'outer ends', 'inner']);
});

test('weight of a job: resources', async () => {
  const { scheduler, hive } = world({ resources: { memory: 10 } });
  const starts: number[] = [];
  for (const memory of [6, 6, 4, 4])
    void hive.schedule(
      async (ctx) => {
        starts.push(scheduler.now());
        await ctx.sleep(10);
      },
      { resources: { memory } },
    );
  await advance(scheduler);
  assert.equal(starts, [0, 0, 10, 10]);
});

test('tags of a piece and of an operator are for fair', async () => {
  const scheduler = new SimulationScheduler();
  const hive = controller({ scheduler, concurrency: 1, fair: ({ tags }) => tags.tenant ?? 'nobody' });
  const order: string[] = [];
  const note = (tenant: string, i: number) =>
    hive.schedule(
      async (ctx) => {
        order.push(`${tenant}${i}`);
        await ctx.sleep(1);
      },
      { tags: { tenant } },
    );
  for (let i = 0; i < 4; i++) void note('a', i);
  for (let i = 0; i < 2; i++) void note('b', i);
  hive
    .mergeMap(
      'stream',
      async (value: number, ctx) => {
        order.push(`c${value}`);
        await ctx.sleep(1);
      },
      { tags: { tenant: 'c' } },
    )([0, 1])
    .subscribe();
  await advance(scheduler);
  assert.equal(order, ['a0', 'b0', 'c0', 'a1', 'b1', 'c1', 'a2', 'a3']);
});

test.run();
