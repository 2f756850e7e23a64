import { Readable } from 'node:stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { memory, type Run, type RxhiveError, type Task, workflow } from '../../lib/index.js';
import { toReadableStream } from '../../lib/streams/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

function* upTo(n: number): Generator<number> {
  for (let i = 0; i < n; i++) yield i;
}

/** A stage of `n` items that take 1 ms, 4 at a time; how many it has begun. */
function stage(n: number) {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'read', groups: { own: { concurrency: 4 } } });
  const facts = { begun: 0 };
  const each = flow.each('squares', {
    from: () => upTo(n),
    group: 'own',
    run: (item, ctx) => {
      facts.begun += 1;
      return ctx.sleep(1).then(() => item * item);
    },
  });
  return { scheduler, flow, each, facts, run: flow.run({ scheduler }) };
}

const ways: Readonly<
  Record<string, (run: Run, each: Task<never>, buffer: number | undefined) => AsyncIterable<number>>
> = {
  'for await': (run, each, buffer) => run.items<number>(each, buffer === undefined ? {} : { buffer }),
  'a stream of the Web': (run, each, buffer) =>
    toReadableStream(run.items<number>(each, buffer === undefined ? {} : { buffer })) as never,
};

for (const [way, open] of Object.entries(ways))
  for (const [buffer, most] of [
    [undefined, 5],
    [2, 2],
    [50, 50],
  ] as const)
    test(`a slow reader holds the stage back: ${way}, buffer ${buffer}`, async () => {
      const items = buffer === undefined ? 10_000 : 1_000;
      const { scheduler, run, each, facts } = stage(items);
      let read = 0;
      let sum = 0;
      let ahead = 0;
      const reading = (async () => {
        for await (const value of open(run as unknown as Run, each as never, buffer)) {
          read += 1;
          sum += value;
          // A pause now and then: what may be ahead is ahead.
          if (read % 100 === 0) await new Promise<void>((done) => void scheduler.schedule(() => done(), 500));
          ahead = Math.max(ahead, facts.begun - read);
        }
      })();
      await advance(scheduler);
      await reading;
      assert.is(read, items);
      assert.is(sum, ((items - 1) * items * (2 * items - 1)) / 6);
      assert.is(ahead, most);
      assert.is((await run.result()).status, 'succeeded');
    });

test('a stream of Node takes what it keeps itself, and no more', async () => {
  const { scheduler, run, each, facts } = stage(1_000);
  const readable = Readable.from(run.items(each, { buffer: 3 }), { highWaterMark: 7 });
  const first = readable[Symbol.asyncIterator]().next();
  await advance(scheduler);
  assert.equal(await first, { done: false, value: 0 });
  assert.ok(facts.begun <= 1 + 7 + 1 + 3, `${facts.begun} have begun`);
  readable.destroy();
});

test('of several readers and stages the slowest holds back; who leaves does so no more', async () => {
  const { scheduler, flow, each, facts } = stage(100);
  const after = flow.each('after', { from: each, buffer: 20, run: (n) => n });
  const run = flow.run({ scheduler });
  const result = run.result();
  const quick: number[] = [];
  const reading = (async () => {
    for await (const value of run.items(each)) quick.push(value);
  })();
  const slow = run.items(each, { buffer: 9 })[Symbol.asyncIterator]();
  await advance(scheduler);
  assert.is(facts.begun, 9);
  assert.match(run.explain(each), 'waits for who reads its items to take one: 9 of 9 are on their way there');
  assert.equal(await slow.next(), { done: false, value: 0 });
  await advance(scheduler);
  assert.is(facts.begun, 10);
  await slow.return?.();
  await advance(scheduler);
  await reading;
  assert.is(quick.length, 100);
  assert.is((await result).results.get(after)?.succeeded, 100);
  assert.equal(await slow.next(), { done: true, value: undefined });
});

test('items that fail are left out; the order is the one in which results are shown', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'order' });
  const each = flow.each('each', {
    from: [30, 10, 0, 20],
    ordered: true,
    run: async (ms, ctx) => {
      if (ms === 0) throw new Error('none');
      return ctx.sleep(ms).then(() => ms);
    },
  });
  const run = flow.run({ scheduler });
  const read: number[] = [];
  const reading = (async () => {
    for await (const ms of run.items(each)) read.push(ms);
  })();
  await advance(scheduler);
  await reading;
  assert.equal(read, [30, 10, 20]);
  assert.is((await run.result()).status, 'partial');
});

test('a reader is given its own copy of a result', async () => {
  const flow = workflow({ name: 'copies' });
  const each = flow.each('each', { from: [1], keep: true, run: () => ({ list: [1] }) });
  const run = flow.run();
  const result = run.result();
  for await (const one of run.items(each)) (one.list as number[]).push(2);
  assert.equal((await result).results.get(each)?.values, [{ list: [1] }]);
});

test('a reader gets what waits, and then what the stage fails with; one that is skipped is told so', async () => {
  const flow = workflow({ name: 'broken' });
  const each = flow.each('each', {
    from: function* () {
      yield 1;
      throw new Error('no more');
    },
    run: (n) => n,
  });
  const behind = flow.each('behind', { dependencies: [each], from: [1], run: (n) => n });
  const run = flow.run();
  const result = run.result();
  const end = async (task: Task<never>): Promise<unknown[]> => {
    const got: unknown[] = [];
    try {
      for await (const one of run.items(task)) got.push(one);
    } catch (error) {
      got.push((error as RxhiveError).code ?? (error as Error).message);
    }
    return got;
  };
  const [ofEach, ofBehind] = await Promise.all([end(each as never), end(behind as never)]);
  assert.is(ofEach.at(-1), 'no more');
  assert.equal(ofBehind, ['TASK_SKIPPED']);
  await result;
  // Who comes when all is over.
  assert.equal(await end(each as never), ['no more']);
});

test('to read is to watch: it starts the run, and the last to leave cancels it', async () => {
  const { scheduler, run, each, facts } = stage(100);
  const reader = run.items(each)[Symbol.asyncIterator]();
  await advance(scheduler);
  assert.is(facts.begun, 5);
  await reader.return?.();
  await advance(scheduler);
  assert.is((await run.result()).status, 'cancelled');
  assert.is(facts.begun, 5);
});

test('who is there when a run goes on is given all, also of a stage that had ended', async () => {
  const begun: string[] = [];
  const make = () => {
    const flow = workflow({ name: 'again' });
    const first = flow.each('first', {
      from: ['a', 'b', 'c'],
      run: (one, ctx) => {
        begun.push(ctx.taskId);
        return one;
      },
    });
    const second = flow.each('second', {
      from: first,
      run: (one, ctx) => {
        begun.push(ctx.taskId);
        return `${one}!`;
      },
    });
    return { flow, second };
  };
  const store = memory();
  await make().flow.run({ store, runId: 'r' }).result();
  assert.is(begun.length, 6);
  const { flow, second } = make();
  const run = flow.run({ store, runId: 'r' });
  const read: string[] = [];
  for await (const one of run.items(second)) read.push(one);
  assert.equal(read.sort(), ['a!', 'b!', 'c!']);
  assert.is(begun.length, 6);
  assert.is((await run.result()).status, 'succeeded');
});

test('wrong uses are refused', () => {
  const flow = workflow({ name: 'wrong' });
  const task = flow.task('task', { run: () => 1 });
  const each = flow.each('each', { from: [1], run: (n) => n });
  const run = flow.run();
  assert.throws(() => run.items(task as never), /"task" is no flow.each; give one, or read run.values\$/);
  assert.throws(
    () => run.items(each, { buffer: 0 }),
    /options of run.items.buffer is 0; give a whole number from 1/,
  );
  assert.throws(() => run.items(each, { bufer: 1 } as never), /bufer is unknown; use buffer/);
});

test.run();
