import { of } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { memory, workflow } from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

function* upTo(n: number): Generator<number> {
  for (let i = 0; i < n; i++) yield i;
}

test('ordered results are shown and passed on in the order of the source, and the held ones count', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'ordered', groups: { a: { concurrency: 3 } } });
  const sleeps = [50, 10, 20, 10, 10, 40, 10, 10];
  let taken = 0;
  const first = flow.each('first', {
    from: function* () {
      for (const ms of sleeps) {
        taken += 1;
        yield ms;
      }
    },
    group: 'a',
    ordered: true,
    buffer: 4,
    run: (ms, ctx) => ctx.sleep(ms).then(() => `${ctx.taskId} ${ms}`),
  });
  const second = flow.each('second', { from: first, ordered: true, keep: true, run: (text) => text });
  const run = flow.run({ scheduler });
  const shown: unknown[] = [];
  run.values$(first).subscribe(({ last }) => last !== undefined && shown.push(last.index));
  const result = run.result();
  await advance(scheduler, 45);
  assert.equal(shown, []);
  assert.is(taken, 4);
  assert.match(run.explain('first'), 'waits for "first/0", whose result comes first: 3 others wait for it');
  await advance(scheduler);
  assert.equal(shown, [...upTo(8)]);
  assert.equal(
    (await result).results.get(second)?.values,
    sleeps.map((ms, i) => `first/${i} ${ms}`),
  );
});

test('an item that failed holds nobody up in an ordered stage', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'failing' });
  const items = flow.each('items', {
    from: upTo(5),
    ordered: true,
    keep: true,
    run: async (n, ctx) => {
      await ctx.sleep(50 - n * 10);
      if (n === 0 || n === 3) throw new Error(`no ${n}`);
      return n;
    },
  });
  const run = flow.run({ scheduler });
  const shown: unknown[] = [];
  run.values$(items).subscribe(({ last }) => last && shown.push(`${last.index} ${last.status}`));
  const result = run.result();
  await advance(scheduler);
  assert.equal(shown, ['0 failed', '1 succeeded', '2 succeeded', '3 failed', '4 succeeded']);
  assert.equal((await result).results.get(items)?.values, [undefined, 1, 2, undefined, 4]);
});

test('a batch has so many items, waits so long for them, and the rest of an ended source is one', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'batches' });
  const began: unknown[] = [];
  const first = flow.each('first', {
    from: [0, 1, 2, 30, 31, 200, 201],
    run: (at, ctx) => ctx.sleep(at + 1).then(() => at),
  });
  const batches = flow.each('batches', {
    from: first,
    batch: { size: 3, ms: 50 },
    keep: true,
    run: (items, ctx) => {
      began.push([scheduler.now(), ctx.taskId, items]);
      return items.length;
    },
  });
  const after = flow.each('after', { from: batches, keep: true, run: (size) => size.toFixed() });
  const result = flow.run({ scheduler }).result();
  await advance(scheduler);
  const { results } = await result;
  assert.equal(began, [
    [3, 'batches/0', [0, 1, 2]],
    [81, 'batches/3', [30, 31]],
    [202, 'batches/5', [200, 201]],
  ]);
  assert.equal(results.get(after)?.values, ['3', '2', '2']);
});

test('batches of a plain source are named by the index of their first item', async () => {
  const flow = workflow({ name: 'plain' });
  const ids: string[] = [];
  const sums = flow.each('sums', {
    from: of(1, 2, 3, 4, 5),
    batch: { size: 2 },
    keep: true,
    run: (numbers, ctx) => {
      ids.push(ctx.taskId);
      return numbers.reduce((a, b) => a + b);
    },
  });
  const { results } = await flow.run().result();
  assert.equal(results.get(sums)?.values, [3, 7, 5]);
  assert.equal(ids, ['sums/0', 'sums/2', 'sums/4']);
});

test('a batch that is not full says what it waits for', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'waits' });
  const first = flow.each('first', {
    from: [1, 2, 1_000],
    run: (n, ctx) => ctx.sleep(n).then(() => n),
  });
  flow.each('batches', { from: first, batch: { size: 3 }, run: (items) => items.length });
  const run = flow.run({ scheduler });
  const result = run.result();
  await advance(scheduler, 10);
  assert.match(run.explain('batches'), 'waits for its batch to be full: 2 of 3 items are there');
  await advance(scheduler);
  assert.is((await result).status, 'succeeded');
});

test('items of one key come one after the other, and others are not held up', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'keys', concurrency: 3 });
  const began: string[] = [];
  const source = ['a1', 'a2', 'b1', 'a3', 'c1', 'b2', 'd1'];
  flow.each('items', {
    from: source,
    keyBy: (name) => name.charAt(0),
    retry: { count: 1, backoff: () => 0 },
    run: async (name, ctx) => {
      began.push(`${scheduler.now()} ${name}`);
      await ctx.sleep(10);
      if (name === 'a1' && ctx.attempt === 1) throw new Error('once more');
    },
  });
  const result = flow.run({ scheduler, learn: false }).result();
  await advance(scheduler);
  assert.is((await result).status, 'succeeded');
  // Those that begin at one time do so in any order.
  assert.equal(began.sort(), ['0 a1', '0 b1', '0 c1', '10 a1', '10 b2', '10 d1', '20 a2', '30 a3']);
});

test('those that wait for their key are bounded', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'bound', concurrency: 4 });
  let taken = 0;
  flow.each('items', {
    from: function* () {
      for (let i = 0; i < 20; i++) {
        taken += 1;
        yield i;
      }
    },
    keyBy: (n) => (n < 15 ? 'same' : n),
    buffer: 5,
    run: (_, ctx) => ctx.sleep(10),
  });
  const run = flow.run({ scheduler });
  const result = run.result();
  await advance(scheduler, 5);
  assert.is(taken, 6);
  assert.match(run.explain('items'), 'waits for others of the same key to end: 5 items wait for that');
  await advance(scheduler);
  assert.is((await result).status, 'succeeded');
  assert.is(scheduler.now(), 150);
});

test('results are reduced as they are shown, with the types of what there is', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'reduced' });
  const words = flow.each('words', {
    from: ['ccc', 'a', 'bb'],
    ordered: true,
    run: (word, ctx) => ctx.sleep(10 * word.length).then(() => word.length),
    scan: {
      seed: { text: '', sum: 0 },
      step: ({ text, sum }, n, word) => ({ text: text + word, sum: sum + n }),
    },
  });
  const run = flow.run({ scheduler });
  const seen: string[] = [];
  run.values$(words).subscribe(({ reduced }) => seen.push(reduced.text));
  const result = run.result();
  await advance(scheduler);
  const { results } = await result;
  assert.equal(seen, ['ccc', 'ccca', 'cccabb', 'cccabb']);
  assert.equal(results.get(words)?.reduced, { text: 'cccabb', sum: 6 });
  assert.is(results.get(words)?.values, undefined);
});

test('a reduction that throws fails the task', async () => {
  const flow = workflow({ name: 'throws' });
  const items = flow.each('items', {
    from: [1, 2],
    run: (n) => n,
    scan: {
      seed: 0,
      step: () => {
        throw new Error('no sum');
      },
    },
  });
  const { tasks } = await flow.run().result();
  assert.match(String(tasks.get(items)?.error), 'flow.each scan threw: no sum');
});

test('each run begins with its own seed, and goes on to the same reduction', async () => {
  const list = (): string[] => [];
  const seed = list();
  let store = memory();
  const play = async (until: number | undefined) => {
    const flow = workflow({ name: 'goes on', groups: { one: { concurrency: 2 } } });
    const first = flow.each('first', {
      from: upTo(6),
      group: 'one',
      ordered: true,
      version: '1',
      run: (n, ctx) => ctx.sleep(10 + (n % 3) * 10).then(() => n),
      scan: { seed: 0, step: (sum, n) => sum * 3 + n },
    });
    const second = flow.each('second', {
      from: first,
      ordered: true,
      version: '1',
      run: (n, ctx) => ctx.sleep(5).then(() => `n${n}`),
      scan: {
        seed,
        step: (all, text) => {
          all.push(text);
          return all;
        },
      },
    });
    const scheduler = new SimulationScheduler();
    const result = flow.run({ store, runId: 'r', scheduler }).result();
    await advance(scheduler, until);
    store = memory(store.dump());
    if (until !== undefined) return undefined;
    const { results } = await result;
    return [results.get(first)?.reduced, results.get(second)?.reduced];
  };
  const expected = [[...upTo(6)].reduce((sum, n) => sum * 3 + n, 0), ['n0', 'n1', 'n2', 'n3', 'n4', 'n5']];
  for (let at = 5; at < 80; at += 12) {
    store = memory();
    await play(at);
    assert.equal(await play(undefined), expected, `killed at ${at}`);
    assert.equal(await play(undefined), expected, `restored after ${at}`);
  }
  assert.equal(seed, []);
});

test('a run that goes on makes the same batches of the items whose batch had ended', async () => {
  for (let at = 5; at < 100; at += 7) {
    let store = memory();
    const worked: number[] = [];
    const committed = new Set<string>();
    for (const until of [at, at / 2, undefined]) {
      const flow = workflow({
        name: 'batches',
        groups: { one: { concurrency: 3 }, two: { concurrency: 1 } },
      });
      const first = flow.each('first', {
        from: upTo(11),
        group: 'one',
        version: '1',
        run: (n, ctx) => ctx.sleep(5 + ((n * 5) % 17)).then(() => n),
      });
      const second = flow.each('second', {
        from: first,
        group: 'two',
        batch: { size: 3, ms: until === undefined ? 1 : 20 },
        version: '1',
        run: async (items, ctx) => {
          await ctx.sleep(10);
          worked.push(...items);
          return items;
        },
        scan: { seed: [] as readonly number[], step: (all, items) => [...all, ...items] },
      });
      const scheduler = new SimulationScheduler();
      const run = flow.run({ store, runId: 'r', scheduler });
      run.events$.subscribe((event) => {
        if (event.type !== 'task' || event.reason !== 'running') return;
        assert.not.ok(committed.has(event.taskId), `${event.taskId} again, killed at ${at}`);
      });
      const result = run.result();
      await advance(scheduler, until);
      store = memory(store.dump());
      for (const line of store.dump().r ?? []) {
        const task = /"kind":"commit","task":"([^"]*\/[^"]*)"/.exec(line)?.[1];
        if (task !== undefined) committed.add(task);
      }
      if (until === undefined) {
        const { results } = await result;
        assert.equal(
          [...(results.get(second)?.reduced ?? [])].sort((a, b) => a - b),
          [...upTo(11)],
        );
      }
    }
    assert.equal(
      worked.sort((a, b) => a - b),
      [...upTo(11)],
      `killed at ${at}`,
    );
  }
});

test('options of stages that make no sense are refused', () => {
  const flow = workflow({ name: 'wrong' });
  const run = (): number => 1;
  for (const [options, message] of [
    [{ ordered: 1 }, /ordered is 1; give true or false/],
    [{ keyBy: 'name' }, /keyBy is "name"; give a function of the item/],
    [{ batch: 3 }, /batch is 3; give { size, ms }/],
    [{ batch: {} }, /batch.size is undefined; give a whole number from 1/],
    [{ batch: { size: 2, ms: 0 } }, /batch.ms is 0; give ms above 0/],
    [{ batch: { size: 2, of: 3 } }, /batch.of is unknown; use size, ms/],
    [{ batch: { size: 3 }, buffer: 2 }, /buffer is 2, below batch.size 3/],
    [{ scan: { seed: 1 } }, /scan.step is undefined; give a function/],
  ] as const)
    assert.throws(
      () => flow.each('wrong', { from: [1], run, ...options } as never),
      (error: unknown) => message.test((error as Error).message) || assert.unreachable(String(error)),
    );
});

test('a key that is none fails the task', async () => {
  const flow = workflow({ name: 'none' });
  const items = flow.each('items', { from: [1], keyBy: () => undefined as never, run: (n) => n });
  const { tasks } = await flow.run().result();
  assert.match(String(tasks.get(items)?.error), 'flow.each keyBy returned undefined; return a text');
});

test.run();
