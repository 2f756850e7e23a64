import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { latest, memory, RxhiveError, workflow } from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

const missing = (): never => {
  throw new Error('there is no result');
};

function* upTo(n: number): Generator<number> {
  for (let i = 0; i < n; i++) yield i;
}

test('items are taken as slots become free, and results come in the order of the source', async () => {
  const scheduler = new SimulationScheduler();
  let taken = 0;
  let atOnce = 0;
  let most = 0;
  const flow = workflow({ name: 'each', concurrency: 10, groups: { web: { concurrency: 3 } } });
  const squares = flow.each('squares', {
    from: function* () {
      for (let i = 0; i < 20; i++) {
        taken += 1;
        yield i;
      }
    },
    group: 'web',
    keep: true,
    run: async (n, ctx) => {
      most = Math.max(most, ++atOnce);
      await ctx.sleep(100 - n);
      atOnce -= 1;
      return n * n;
    },
  });
  const run = flow.run({ scheduler });
  const result = run.result();
  scheduler.run(50);
  // Three run and one waits.
  assert.is(taken, 4);
  assert.match(run.explain('squares/3'), /waits for a place in group "web"/);
  await advance(scheduler);
  const { results, status, report, tasks } = await result;
  assert.is(status, 'succeeded');
  const { values, ...rest } = results.get(squares) ?? missing();
  assert.equal(
    values,
    Array.from(upTo(20), (n) => n * n),
  );
  assert.equal(rest, { taken: 20, succeeded: 20, failed: 0, failures: [], last: undefined });
  assert.is(most, 3);
  assert.is(report.counts.succeeded, 21);
  assert.is(report.usage.calls >= 20, true);
  assert.equal([...tasks.keys()], ['squares'], 'items are forgotten');
});

test('a concurrency of 1 is enough, and inputs reach source and items', async () => {
  const flow = workflow({ name: 'one', concurrency: 1 });
  const words = flow.task('words', { run: () => ['a', 'bb', 'ccc'] });
  const lengths = flow.each('lengths', {
    dependencies: { words },
    from: ({ words }) => words,
    keep: true,
    run: (word, _ctx, { words }) => `${word.length} of ${words.length}`,
  });
  const after = flow.task('after', {
    dependencies: { lengths },
    run: ({ lengths }) => lengths.values.join(),
  });
  const { results } = await flow.run().result();
  assert.is(results.get(after), '1 of 3,2 of 3,3 of 3');
});

test('failed items are counted after their retries, make the run partial, and stop nobody', async () => {
  const flow = workflow({ name: 'failing', retry: { count: 1, backoff: () => 0 } });
  const calls = new Map<number, number>();
  const items = flow.each('items', {
    from: upTo(500),
    run: async (n) => {
      calls.set(n, (calls.get(n) ?? 0) + 1);
      if (n % 2 === 1) throw new Error(`no ${n}`);
      return n;
    },
  });
  const { status, results, report, tasks } = await flow.run({ seed: 1, learn: false }).result();
  assert.is(status, 'partial');
  const { succeeded, failed, failures } = results.get(items) ?? missing();
  assert.equal([succeeded, failed, failures.length], [250, 250, 100]);
  assert.match(String(failures[0]?.error), 'no 1');
  assert.is(calls.get(1), 2);
  assert.is(report.retries, 250);
  assert.equal([report.counts.succeeded, report.counts.failed], [251, 250]);
  // Some failed items are kept, so that the report can tell of them.
  assert.is(tasks.size, 101);
  assert.match(String(report), /failed "items\/1" after 2 attempts: no 1/);
});

test('results are shown as they come, to subscribers and to tasks that read the stream', async () => {
  const flow = workflow({ name: 'shown', concurrency: 2 });
  const items = flow.each('items', { from: ['x', 'y'], run: async (item) => item.toUpperCase() });
  const seen: unknown[] = [];
  const half = flow.task('half', {
    dependencies: { items: latest(items) },
    run: (inputs$) => inputs$,
  });
  const run = flow.run();
  run.values$(items).subscribe(({ last, succeeded }) => seen.push([succeeded, last?.item]));
  const { results } = await run.result();
  assert.equal(seen, [
    [1, 'x'],
    [2, 'y'],
    [2, undefined],
  ]);
  assert.is(results.get(half)?.items.succeeded, 2);
});

test('async sources wait for slots too, and are left when the run is cancelled', async () => {
  const scheduler = new SimulationScheduler();
  let left = false;
  let taken = 0;
  const flow = workflow({ name: 'async', concurrency: 4 });
  flow.each('items', {
    from: async function* () {
      try {
        for (;;) {
          taken += 1;
          yield taken;
        }
      } finally {
        left = true;
      }
    },
    run: (_, ctx) => ctx.sleep(100),
  });
  const run = flow.run({ scheduler });
  const result = run.result();
  await advance(scheduler, 1_050);
  assert.is(taken, 11 * 4 + 1);
  run.cancel();
  await advance(scheduler);
  const { status, report } = await result;
  assert.is(status, 'cancelled');
  assert.is(report.counts.succeeded, 40);
  assert.is(report.counts.cancelled, 6);
  assert.ok(left);
});

test('a source that throws fails its task, and what is under way is cancelled', async () => {
  const flow = workflow({ name: 'broken', concurrency: 4, retry: 5, timeout: 50 });
  let signal: AbortSignal | undefined;
  const items = flow.each('items', {
    from: function* () {
      yield 1;
      throw new Error('no more');
    },
    run: (_, ctx) => {
      signal = ctx.signal;
      return new Promise(() => undefined);
    },
  });
  const { status, tasks } = await flow.run().result();
  assert.is(status, 'failed');
  assert.match(String(tasks.get(items)?.error), 'no more');
  assert.ok(signal?.aborted);
});

test('items update the state, add tasks, and are told apart by key', async () => {
  const flow = workflow({ name: 'state', state: { sum: 0 } });
  flow.each('items', {
    from: [1, 2, 3],
    key: (n) => `n${n}`,
    run: async (n, ctx) => {
      ctx.update((state) => {
        state.sum += n;
      });
      return ctx.join(ctx.spawn(`child_${ctx.taskId}`, { run: () => n }));
    },
  });
  const { state, results } = await flow.run().result();
  assert.is(state.sum, 6);
  assert.is(results.get('child_items/n2'), 2);
});

test('two items with the same key are refused, with the key and both items', async () => {
  const store = memory();
  const worked: number[] = [];
  const flow = workflow({ name: 'same', concurrency: 1 });
  const orders = flow.each('orders', {
    from: [
      { customer: 'ann', amount: 1 },
      { customer: 'bob', amount: 10 },
      { customer: 'ann', amount: 100 },
    ],
    key: ({ customer }) => customer,
    run: ({ amount }) => worked.push(amount),
  });
  for (let i = 0; i < 2; i++) {
    const { tasks } = await flow.run({ store, runId: 'r', retry: 'failed' }).result();
    const { error } = tasks.get(orders) ?? missing();
    const { code, message, details } = error as RxhiveError;
    assert.is(code, 'INVALID_OPTION');
    assert.match(message, 'flow.each "orders": items 0 and 2 have the same key "ann"');
    assert.equal(details, { taskId: 'orders', key: 'ann', items: [0, 2] });
  }
  assert.equal([worked[0], worked.lastIndexOf(1), worked.includes(100)], [1, 0, false]);
});

test('a key is a text or a number, and no two are the same id', async () => {
  const told = async (keys: readonly unknown[]): Promise<string> => {
    const flow = workflow({ name: 'keys', concurrency: 1 });
    const items = flow.each('items', { from: keys, key: (one) => one as string, run: () => 1 });
    const { tasks } = await flow.run().result();
    return String((tasks.get(items)?.error as Error | undefined)?.message ?? 'fine');
  };
  assert.is(await told(['a', 'A', ' ', 'a/b', 'a b', '__proto__', 0, 1.5, -1, '01']), 'fine');
  const none: unknown[] = [
    '',
    undefined,
    null,
    true,
    {},
    [],
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Promise.resolve('a'),
  ];
  for (const bad of none)
    assert.match(
      await told(['a', bad]),
      /the key of item 1 is .*; return a text that is not empty/,
      String(bad),
    );
  for (const [one, other] of [
    [1, '1'],
    [-0, 0],
    ['1e+21', 1e21],
  ])
    assert.match(await told([one, other]), 'items 0 and 1 have the same key');
});

test('no other task has the id of an item, also of one that is forgotten', async () => {
  const spawning = async (id: string): Promise<string> => {
    const flow = workflow({ name: 'ids', concurrency: 1 });
    const a = flow.each('a', { from: ['b/0', 'x'], key: (key) => key, run: () => 1 });
    const n = flow.each('n', { from: [1, 2], run: () => 1 });
    flow.task('late', { dependencies: [a, n], run: (_, ctx) => void ctx.spawn(id, { run: () => 2 }) });
    const { tasks } = await flow.run().result();
    return String((tasks.get('late')?.error as Error | undefined)?.message ?? 'fine');
  };
  for (const id of ['a/x', 'a/b/0', 'n/0', 'n/1'])
    assert.match(await spawning(id), `There are two tasks with the id "${id}", one an item of flow.each`);
  for (const id of ['a/y', 'n/2', 'n/00', 'n/-0', 'n/']) assert.is(await spawning(id), 'fine', id);
});

test('items of two sources with the same ids are refused', async () => {
  for (const order of [0, 1]) {
    const flow = workflow({ name: 'inside', concurrency: 1 });
    const outer = { from: ['b/0', 'b/1'], key: (key: string) => key, run: () => 1 };
    const inner = { from: [1, 2], run: () => 1 };
    if (order === 0) flow.each('a', outer);
    flow.each('a/b', inner);
    if (order === 1) flow.each('a', outer);
    const { tasks } = await flow.run().result();
    const errors = [...tasks.values()].flatMap(({ error }) => (error === undefined ? [] : [String(error)]));
    assert.match(errors.join('\n'), /There are two tasks with the id "a\/b\/\d"/);
  }
});

test('with a store, items that have succeeded are not worked on again', async () => {
  const store = memory();
  let broken = true;
  let worked = 0;
  const flow = workflow({ name: 'resumed', concurrency: 2 });
  const items = flow.each('items', {
    from: function* () {
      for (let i = 0; i < 10; i++) {
        if (broken && i === 6) throw new Error('died');
        yield i;
      }
    },
    keep: true,
    run: async (n) => {
      worked += 1;
      return n;
    },
  });
  await flow.run({ store, runId: 'r' }).result();
  const before = worked;
  assert.ok(before >= 4, String(before));
  broken = false;
  const { status, results, report } = await flow.run({ store, runId: 'r', retry: 'failed' }).result();
  assert.is(status, 'succeeded');
  const { restored } = report.counts;
  assert.ok(restored >= 3, String(restored));
  assert.is(worked, before + 10 - restored);
  assert.equal(results.get(items)?.values, [...upTo(10)]);
});

test('fail-fast holds for items', async () => {
  const flow = workflow({ name: 'fast', failurePolicy: 'fail-fast', concurrency: 1 });
  let worked = 0;
  flow.each('items', {
    from: upTo(100),
    run: async () => {
      worked += 1;
      if (worked === 3) throw new Error('stop');
    },
  });
  const { status } = await flow.run().result();
  assert.is(status, 'failed');
  assert.is(worked, 3);
});

test('an empty source, and options that make no sense', async () => {
  const flow = workflow({ name: 'edges' });
  const none = flow.each('none', { from: [], keep: true, run: () => 1 });
  const { results } = await flow.run().result();
  assert.equal(results.get(none)?.values, []);
  const wrong: [unknown, RegExp][] = [
    [{ from: 7, run: () => 1 }, /from is 7/],
    [{ from: [], run: 1 }, /run is 1/],
    [{ from: [], run: () => 1, key: 'id' }, /key is "id"/],
    [{ from: [], run: () => 1, keep: 'yes' }, /keep is "yes"/],
  ];
  for (const [options, message] of wrong)
    assert.throws(
      () => flow.each('wrong', options as never),
      (error: unknown) =>
        error instanceof RxhiveError && error.code === 'INVALID_OPTION' && message.test(error.message),
    );
  const late = workflow({ name: 'late' });
  late.each('items', { from: (() => 3) as never, run: () => 1 });
  assert.match(String((await late.run().result()).tasks.get('items')?.error), /from returned 3/);
});

test('memory does not grow with the number of items', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const heapAfter = async (n: number): Promise<number> => {
    const flow = workflow({ name: 'many' });
    flow.each('items', { from: upTo(n), run: async (i) => ({ i, text: `result ${i}` }) });
    const run = flow.run();
    const result = await run.result();
    collect();
    const { heapUsed } = process.memoryUsage();
    assert.is(result.report.counts.succeeded, n + 1);
    return heapUsed;
  };
  await heapAfter(2_000);
  const few = await heapAfter(2_000);
  const many = await heapAfter(40_000);
  // 40,000 nodes would take more than 25 MB.
  assert.ok(many - few < 3_000_000, `${few} bytes, then ${many}`);
});

test('one whose source gives nothing says so', async () => {
  const flow = workflow({ name: 'silent' });
  const from = (): AsyncIterable<number> => ({
    [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => undefined) }),
  });
  flow.each('each', { from, run: (item) => item });
  const run = flow.run();
  const ended = run.result();
  await new Promise((done) => setImmediate(done));
  assert.match(run.explain('each'), 'waits for its source to give an item');
  run.cancel();
  assert.is((await ended).status, 'cancelled');
});

test.run();
