import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { prune } from '../../lib/entry/stores.js';
import { type CheckpointStore, memory, type Run, RxhiveError, typed, workflow } from '../../lib/index.js';
import { sqlite } from '../../lib/stores/sqlite.js';

const folder = mkdtempSync(join(tmpdir(), 'rxhive-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

/** Ends a run; what the cache said about each task. */
async function said(run: Run): Promise<string[]> {
  const lines: string[] = [];
  run.events$.subscribe((event) => {
    if (event.type === 'cache') lines.push(`${event.taskId} ${event.reason}: ${event.because}`);
  });
  (await run.result()).orThrow();
  return lines;
}

test('a result is used by later runs with the same inputs and version', async () => {
  for (const store of [memory(), sqlite(join(folder, 'cache.db'))] as CheckpointStore[]) {
    let calls = 0;
    const make = (topic: string, version: string, ttl?: number): Run => {
      const flow = workflow({ name: 'cached' });
      const about = flow.task('about', { run: () => ({ topic, at: Math.random() }) });
      flow.task('ask', {
        dependencies: { about },
        type: 'llm',
        version,
        cache: { key: ({ about }) => about.topic, ...(ttl !== undefined && { ttl }) },
        run: async ({ about }) => {
          calls += 1;
          return new Map([[about.topic, calls]]);
        },
      });
      return flow.run({ store }) as Run;
    };
    assert.match((await said(make('bees', '1')))[0] ?? '', 'ask miss: no result for these inputs');
    const again = make('bees', '1');
    assert.match((await said(again))[0] ?? '', 'ask hit: same inputs and version');
    assert.equal((await again.result()).results.get('ask'), new Map([['bees', 1]]));
    assert.match((await said(make('ants', '1')))[0] ?? '', 'miss');
    assert.match((await said(make('bees', '2')))[0] ?? '', 'miss');
    assert.match((await said(make('bees', '1', 0)))[0] ?? '', 'more than ttl 0');
    assert.is(calls, 4);
  }
});

test('identical work at the same time is done once; when it fails the next one does it', async () => {
  const flow = workflow({ name: 'flight', concurrency: 10 });
  let calls = 0;
  for (let i = 0; i < 5; i++) {
    flow.task(`t${i}`, {
      type: 'same',
      version: '1',
      cache: { key: () => 'one' },
      run: async (_, ctx) => {
        calls += 1;
        await ctx.sleep(5);
        if (calls === 1) throw new Error('the first one fails');
        return calls;
      },
    });
  }
  const result = await flow.run().result();
  assert.is(calls, 2);
  assert.is(result.report.counts.failed, 1);
  assert.equal([...result.results.values()], [2, 2, 2, 2]);
  // Without a store the workflow itself remembers.
  assert.is((await flow.run().result()).status, 'succeeded');
  assert.is(calls, 2);
});

test('who waits for the same work holds no slot', async () => {
  const flow = workflow({ name: 'slots', concurrency: 2 });
  for (const id of ['a', 'b', 'c']) {
    flow.task(id, {
      type: 'same',
      version: '1',
      cache: { key: () => 'one' },
      run: (_, ctx) => {
        const children = [1, 2].map((n) => ctx.spawn(`${id}-${n}`, { run: (_, child) => child.sleep(5) }));
        return ctx.join(children);
      },
    });
  }
  const result = await flow.run().result();
  assert.is(result.status, 'succeeded');
  assert.is(result.tasks.size, 5);
});

test('cancelling one who waits, or the one who works, harms no other', async () => {
  const flow = workflow({ name: 'cancelled' });
  let calls = 0;
  const body = { type: 'same', version: '1', cache: { key: () => 'one' } } as const;
  const tasks = ['a', 'b', 'c'].map((id) =>
    flow.task(id, {
      ...body,
      run: async (_, ctx) => {
        calls += 1;
        await ctx.sleep(10);
        return calls;
      },
    }),
  );
  const run = flow.run();
  const ended = run.result();
  run.cancelTask(tasks[1] as (typeof tasks)[number]);
  run.cancelTask(tasks[0] as (typeof tasks)[number]);
  const result = await ended;
  assert.equal(
    [...result.tasks.values()].map(({ status }) => status),
    ['cancelled', 'cancelled', 'succeeded'],
  );
  assert.is(calls, 2);
});

test('without a key a result is of one workflow, task, input and inputs, whatever they are called', async () => {
  const store = memory();
  const calls: string[] = [];
  const ask = async (name: string, id: string, input: unknown, about: unknown): Promise<unknown> => {
    const flow = workflow({ name, input: typed<unknown>() });
    const topic = flow.task('topic', { run: () => about });
    flow.task(id, {
      type: 'ask',
      version: '1',
      dependencies: { topic },
      cache: {},
      run: () => `${calls.push(id)}`,
    });
    return (await flow.run({ store, input }).result()).results.get(id);
  };
  // Written one behind the other, several of these would be the same text.
  const asked: readonly Parameters<typeof ask>[] = [
    ['mail', 'ask', { user: 'ann' }, 'bees'],
    ['mail', 'ask', { user: 'bob' }, 'bees'],
    ['mail', 'ask', { user: 'ann' }, 'ants'],
    ['mail', 'ask large', { user: 'ann' }, 'bees'],
    ['mail', 'ask/large', { user: 'ann' }, 'bees'],
    ['mail ask', 'large', { user: 'ann' }, 'bees'],
    ['mail', 'ask', 'bees', { user: 'ann' }],
    ['mail', 'ask', undefined, 'bees'],
    ['mail', 'ask', 'undefined', 'bees'],
  ];
  const first: unknown[] = [];
  for (const one of asked) first.push(await ask(...one));
  assert.equal(first, ['1', '2', '3', '4', '5', '6', '7', '8', '9']);
  for (const [i, one] of asked.entries()) assert.is(await ask(...one), first[i]);
  // The order in which an object has its names means nothing.
  assert.is(await ask('order', 'ask', { a: 1, b: 2 }, ''), '10');
  assert.is(await ask('order', 'ask', { b: 2, a: 1 }, ''), '10');
});

test('a key sees the input of the run, and tasks of one type that give the same share a result', async () => {
  const store = memory();
  let calls = 0;
  const ask = async (name: string, id: string, user: string): Promise<unknown> => {
    const flow = workflow({ name, input: typed<{ user: string; now: number }>() });
    flow.task(id, {
      type: 'mails',
      version: '1',
      cache: { key: (_, { user }) => user },
      run: () => `${++calls} of ${user}`,
    });
    return (await flow.run({ store, input: { user, now: calls } }).result()).results.get(id);
  };
  assert.is(await ask('a', 'inbox', 'ann'), '1 of ann');
  assert.is(await ask('a', 'inbox', 'bob'), '2 of bob');
  assert.is(await ask('b', 'other', 'ann'), '1 of ann');
});

test('a kept result goes with the run that made it, and a run that used it has its own', async () => {
  for (const store of [memory(), sqlite(join(folder, 'gone.db'))]) {
    let calls = 0;
    const flow = workflow({ name: 'kept' });
    flow.task('ask', { cache: {}, run: () => `answer ${++calls}` });
    const ask = async (runId: string): Promise<unknown> =>
      (await flow.run({ store, runId }).result()).results.get('ask');
    assert.equal([await ask('one'), await ask('two')], ['answer 1', 'answer 1']);
    store.remove('two');
    assert.is(await ask('three'), 'answer 1', 'the others only used it');
    await prune(store, { keep: 0, of: ({ runId }) => runId === 'one' });
    assert.is(await ask('four'), 'answer 2');
    assert.is(await ask('three'), 'answer 1', 'its log has it');
  }
});

test('wrong options are refused', () => {
  const flow = workflow({ name: 'wrong' });
  flow.task('a', { cache: { ttl: -1 }, run: () => 1 });
  assert.throws(
    () => flow.run(),
    (error: unknown) => error instanceof RxhiveError && /cache\.ttl is -1/.test(error.message),
  );
});

test.run();
