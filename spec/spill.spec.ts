import { existsSync, mkdtempSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type CheckpointStore, memory, RxhiveError, typed, workflow } from '../lib/index.js';
import { sqlite } from '../lib/stores/sqlite.js';

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
  assert.equal(store.puts, ['result r/big/3']);
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
  assert.equal(
    store.puts.map((key) => key.replace(/\/\d+$/, '')),
    ['result r/big', 'result r/shaped'],
  );
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
  await make('a').fork('r', { at: 2, store, runId: 'fork' }).result();
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

test.run();
