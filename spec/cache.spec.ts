import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type CheckpointStore, memory, type Run, RxhiveError, workflow } from '../lib/index.js';
import { sqlite } from '../lib/stores/sqlite.js';

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
      cache: {},
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
      cache: {},
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
  const body = { type: 'same', version: '1', cache: {} } as const;
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

test('wrong options are refused', () => {
  const flow = workflow({ name: 'wrong' });
  flow.task('a', { cache: { ttl: -1 }, run: () => 1 });
  assert.throws(
    () => flow.run(),
    (error: unknown) => error instanceof RxhiveError && /cache\.ttl is -1/.test(error.message),
  );
});

test.run();
