import { existsSync, mkdtempSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import Database from 'libsql';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { prune } from '../../lib/entry/stores.js';
import {
  type CheckpointStore,
  memory,
  RxhiveError,
  typed,
  type Workflow,
  workflow,
} from '../../lib/index.js';
import { sqlite } from '../../lib/stores/sqlite.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

/** A store that counts what is kept and read by key. */
function counting(): CheckpointStore & { puts: string[]; gets: string[] } {
  const store = memory();
  const puts: string[] = [];
  const gets: string[] = [];
  return Object.assign(Object.create(store) as CheckpointStore, {
    puts,
    gets,
    open: (runId: string) => store.open(runId),
    read: (runId: string) => store.read(runId),
    put: (key: string, text: string) => {
      if (key.startsWith('result ')) puts.push(key);
      return store.put(key, text);
    },
    get: (key: string) => {
      if (key.startsWith('result ')) gets.push(key);
      return store.get(key);
    },
  });
}

const large = 'x'.repeat(5_000);

test('a large result goes to the store, and comes back for dependents, joins, subscribers and the user', async () => {
  const store = counting();
  const flow = workflow({ name: 'large', memory: { spillAbove: 1_000 } });
  const big = flow.task('big', { run: async () => ({ text: large }) });
  const small = flow.task('small', { run: () => 'little' });
  const length = flow.task('length', {
    dependencies: { big, small },
    run: ({ big, small }) => big.text.length + small.length,
  });
  const joined = flow.task('joined', {
    dependencies: [length],
    run: async (_, ctx) => (await ctx.join(big)).text.length,
  });
  const run = flow.run({ store, runId: 'r' });
  const seen: number[] = [];
  run.result$(big).subscribe(({ text }) => seen.push(text.length));
  const { results, status } = await run.result();
  assert.is(status, 'succeeded');
  assert.is(store.puts.length, 1);
  assert.is(results.get(length), 5_006);
  assert.is(results.get(joined), 5_000);
  assert.equal(seen, [5_000]);
  const before = store.gets.length;
  assert.is(results.size, 4);
  assert.is(store.gets.length, before, 'nothing is read before it is asked for');
  assert.is(results.get(big)?.text, large);
  assert.is(store.gets.length, before + 1);
  assert.equal([...results.values()].length, 4);
  run.result$(big).subscribe(({ text }) => seen.push(text.length));
  assert.equal(seen, [5_000, 5_000]);
  // The log holds the key, not the value.
  const entries = await store.read('r');
  assert.ok(entries.every(({ body }) => body.length < 1_000));
  const history = await flow.history(store, 'r');
  assert.equal(history.snapshotAt(history.records.length).results.get('big'), { text: large });
});

test('a run that goes on reads a spilled result when somebody needs it', async () => {
  const store = counting();
  let broken = true;
  const flow = workflow({ name: 'resumed', memory: { spillAbove: 1_000 } });
  const big = flow.task('big', { run: () => large });
  const shaped = flow.task('shaped', { run: () => ({ n: large }), result: typed<{ n: string }>() });
  flow.onTaskComplete(shaped, () => undefined);
  const end = flow.task('end', {
    dependencies: { big, shaped },
    run: ({ big, shaped }) => {
      if (broken) throw new Error('died');
      return big.length + shaped.n.length;
    },
  });
  await flow.run({ store, runId: 'r' }).result();
  broken = false;
  const { results, tasks } = await flow.run({ store, runId: 'r', retry: 'failed' }).result();
  assert.is(tasks.get(big)?.status, 'restored');
  assert.is(results.get(end), 10_000);
  assert.is(store.puts.length, 2);
});

test('what is gone from the store fails its reader with a reason', async () => {
  const store = counting();
  Object.assign(store, { get: () => undefined });
  const flow = workflow({ name: 'gone', memory: { spillAbove: 1_000 } });
  const big = flow.task('big', { run: () => large });
  const reader = flow.task('reader', { dependencies: [big], run: ([text]) => text });
  const { tasks, results } = await flow.run({ store, runId: 'r' }).result();
  const error = tasks.get(reader)?.error;
  assert.is(error instanceof RxhiveError && error.code, 'STORE_FAILED');
  assert.throws(() => results.get(big), /not in the store any more/);
});

test('small results, those of a stream somebody reads, and stores that answer later are left alone', async () => {
  const store = counting();
  const flow = workflow({ name: 'plain' });
  const big = flow.task('big', { run: () => large });
  const { results } = await flow.run({ store, runId: 'r' }).result();
  assert.equal(store.puts, []);
  assert.is(results.get(big), large);
  const late = counting();
  const { put } = late;
  Object.assign(late, { put: async (key: string, text: string) => put(key, text) });
  const spilling = workflow({ name: 'late', memory: { spillAbove: 10 } });
  const one = spilling.task('one', { run: () => large });
  const two = spilling.task('two', { dependencies: [one], run: ([text]) => text.length });
  const result = await spilling.run({ store: late, runId: 'r' }).result();
  assert.is(result.results.get(two), 5_000);
  assert.is(late.gets.length, 0);
});

test('spillAbove has to be a number', () => {
  for (const [wrong, message] of [
    [{ spillAbove: -1 }, /memory.spillAbove is -1/],
    [{ spillAbove: Number.NaN }, /memory.spillAbove is NaN/],
    ['much', /memory is "much"/],
  ] as const)
    assert.throws(() => workflow({ name: 'wrong', memory: wrong as never }).run(), message);
});

test('results larger than all memory together: they are on disk, one at a time in memory', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'rxhive-')), 'runs.db');
  const store = sqlite(file);
  const flow = workflow({ name: 'heap', concurrency: 2, memory: { spillAbove: 100_000 } });
  const bytes = 1_000_000;
  const tasks = Array.from({ length: 60 }, (_, i) =>
    flow.task(`t${i}`, { run: async () => Buffer.alloc(bytes, 97 + (i % 26)).toString('latin1') }),
  );
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  const before = process.memoryUsage().heapUsed;
  const { results, status } = await flow.run({ store, runId: 'r' }).result();
  assert.is(status, 'succeeded');
  collect();
  const kept = process.memoryUsage().heapUsed - before;
  assert.ok(kept < 10_000_000, `${kept} bytes of ${60 * bytes} are in memory`);
  assert.is(results.get(tasks[27] as (typeof tasks)[0]), 'b'.repeat(bytes));
  assert.ok(existsSync(file) && statSync(file).size > 1_000);
  store.close();
});

test('a fork reads what the task had given, also after it has run again', async () => {
  const store = memory();
  const make = (version: string): ReturnType<typeof workflow> => {
    const flow = workflow({ name: 'again', memory: { spillAbove: 1_000 } });
    const big = flow.task('big', { version, run: async () => version.repeat(2_000) });
    flow.task('first', { version: '1', dependencies: { big }, run: ({ big }) => big[0] });
    return flow as ReturnType<typeof workflow>;
  };
  await make('a').run({ store, runId: 'r' }).result();
  await make('a').fork(store, 'r', { at: 2, runId: 'fork' }).result();
  await make('b').run({ store, runId: 'r' }).result();
  const { results } = await make('a').run({ store, runId: 'fork' }).result();
  assert.equal(
    [...results].map(([id, value]) => [id, (value as string)[0]]),
    [
      ['big', 'a'],
      ['first', 'a'],
    ],
  );
});

/** A workflow with one large result, and a task behind it that begins with version `v`. */
function letters(id: string, text: string, v = '1'): Workflow<undefined, undefined, never> {
  const flow = workflow({ name: 'letters', memory: { spillAbove: 1_000 } });
  const big = flow.task(id, { version: '1', run: () => text.padEnd(2_000, '.') });
  flow.task('first', { version: v, dependencies: { big }, run: ({ big }) => big.replace(/\.+$/, '') });
  return flow;
}

test('no two runs and tasks meet in what is kept, whatever their ids are', async () => {
  const parts = fc.constantFrom('a', 'b', '/', ':', ' ', '"', ',', '[', ']', '1', '\\', 'fork', '');
  const id = fc.array(parts, { maxLength: 4 }).map((some) => `${some.join('')}x`);
  const pairs = fc.uniqueArray(fc.tuple(id, id), {
    selector: ([runId, taskId]) => JSON.stringify([runId, taskId]),
    minLength: 2,
    maxLength: 6,
  });
  await fc.assert(
    fc.asyncProperty(pairs, async (ids) => {
      const store = memory();
      const runs = ids.filter(([runId], i) => ids.findIndex(([other]) => other === runId) === i);
      for (const [runId, taskId] of runs)
        await letters(taskId, `${runId} ${taskId}`).run({ store, runId }).result();
      for (const [runId, taskId] of runs) {
        const again = await letters(taskId, 'nobody', '2').run({ store, runId }).result();
        assert.is(again.results.get('first'), `${runId} ${taskId}`);
      }
    }),
    { numRuns: 100, includeErrorInReport: true },
  );
});

test('a fork keeps its results when the other run is removed, and its id used again', async () => {
  for (const store of [memory(), sqlite(join(mkdtempSync(join(tmpdir(), 'rxhive-')), 'fork.db'))]) {
    await letters('big', 'ann').run({ store, runId: 'monday' }).result();
    await letters('big', 'ann').fork(store, 'monday', { runId: 'of ann' }).result();
    await letters('big', 'ann').fork(store, 'of ann', { runId: 'of it' }).result();
    await store.remove('monday');
    await letters('big', 'bob').run({ store, runId: 'monday' }).result();
    await store.remove('of ann');
    const { results, tasks } = await letters('big', 'nobody', '2').run({ store, runId: 'of it' }).result();
    assert.equal([tasks.get('big')?.status, results.get('first')], ['restored', 'ann']);
    const other = await letters('big', 'nobody', '2').run({ store, runId: 'monday' }).result();
    assert.is(other.results.get('first'), 'bob');
  }
});

test('what is kept goes with the run, and with the records that compaction removes', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'rxhive-')), 'kept.db');
  const make = (version: string): Workflow<undefined, undefined, never> => {
    const flow = workflow({ name: 'kept', memory: { spillAbove: 1_000 } });
    flow.task('big', { version, run: () => version.repeat(2_000) });
    return flow;
  };
  for (const store of [memory(), sqlite(file)]) {
    const kept = new Map<string, string>();
    const put = store.put.bind(store);
    store.put = (key, text, runId) => {
      kept.set(key, text);
      return put(key, text, runId);
    };
    const there = (): unknown[] => [...kept.keys()].flatMap((key) => store.get(key)?.at(1) ?? []);
    for (const version of ['a', 'b', 'c'])
      await make(version).run({ store, runId: 'r', learn: false }).result();
    await make('z').run({ store, runId: 'other', learn: false }).result();
    assert.equal(there().sort(), ['a', 'b', 'c', 'z'], 'time travel reads the older ones');
    await make('c').compact(store, 'r', { keep: 0 });
    assert.equal(there().sort(), ['c', 'z']);
    const again = await make('c').run({ store, runId: 'r' }).result();
    assert.is((again.results.get('big') as string)[1], 'c');
    // Keys are not given twice, though the numbers of records begin anew.
    for (const version of ['d', 'e']) await make(version).run({ store, runId: 'r', learn: false }).result();
    const history = await make('e').history(store, 'r');
    assert.is((history.snapshotAt(history.first).results.get('big') as string)[1], 'c');
    store.remove('r');
    assert.equal(there(), ['z']);
    await prune(store, { keep: 0 });
    assert.equal(there(), []);
  }
});

test('compaction of a run that goes on removes what its old records had kept', async () => {
  const store = memory();
  const kept: string[] = [];
  const put = store.put.bind(store);
  store.put = (key, text, runId) => {
    kept.push(key);
    return put(key, text, runId);
  };
  const make = (version: string): Workflow<{ page: string }, undefined, never> => {
    const flow = workflow({
      name: 'live',
      concurrency: 1,
      state: { page: '' },
      memory: { spillAbove: 1_000 },
    });
    const big = flow.task('big', { version, run: () => version.repeat(2_000) });
    for (let i = 0; i < 50; i++)
      flow.task(`t${i}`, {
        version: '1',
        dependencies: { big },
        run: async (_, ctx) => {
          await ctx.sleep(1);
          ctx.update((s) => {
            s.page = `${i}`.repeat(60);
          });
        },
      });
    return flow;
  };
  for (const version of ['a', 'b']) {
    const scheduler = new SimulationScheduler();
    const run = make(version).run({ store, runId: 'r', learn: false, compact: { keep: 2 }, scheduler });
    const ended = run.result();
    await advance(scheduler);
    await ended;
  }
  assert.equal(
    kept.map((key) => store.get(key)?.[1]),
    [undefined, 'b'],
  );
});

test('a SQLite file of before has room for whose a text is', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'rxhive-')), 'old.db');
  const before = sqlite(file);
  await letters('big', 'ann').run({ store: before, runId: 'r' }).result();
  before.close();
  const db = new Database(file);
  db.exec('drop index kept_for; alter table kept drop column run_id');
  db.close();
  const store = sqlite(file);
  assert.is((await letters('big', '', '2').run({ store, runId: 'r' }).result()).results.get('first'), 'ann');
  store.put('key', 'text', 'r');
  store.remove('r');
  assert.is(store.get('key'), undefined);
  store.close();
});

test.run();
