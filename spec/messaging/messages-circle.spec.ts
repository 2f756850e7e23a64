import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { channel, type RxhiveError, type WorkflowResult, workflow } from '../../lib/index.js';
import { simulate } from '../../lib/testing/index.js';
import { LateStore } from '../support/late-store.js';
import { told } from '../support/told.js';

const said = channel<string>('said');
const advice = told(
  'WAIT_CYCLE',
  'Let one of them send first, read only whom you wait for (from), or give a wait a timeout.',
);

/** Errors of failed tasks, by id. */
function failures(result: WorkflowResult): Record<string, string> {
  const failed = [...result.tasks].filter(([, { status }]) => status === 'failed');
  return Object.fromEntries(
    failed.map(([id, { error }]) => [id, `${(error as RxhiveError).code} ${(error as Error).message}`]),
  );
}

test('two that ask each other are told, both, while others run', async () => {
  const flow = workflow({ name: 'ask-ask' });
  flow.task('a', { run: (_, ctx) => ctx.ask('b', 1) });
  flow.task('b', { run: (_, ctx) => ctx.ask('a', 1) });
  flow.task('other', { run: (_, ctx) => ctx.sleep(1_000) });
  const { result, events } = await simulate(flow);
  const message = `WAIT_CYCLE Nothing can end these waits, they are for each other: "b" waits for an answer of "a"; "a" waits for an answer of "b". ${advice}`;
  assert.equal(failures(result), { a: message, b: message });
  const [error] = [...result.tasks.values()].map((task) => task.error as RxhiveError);
  assert.equal(error?.details, {
    members: [
      { taskId: 'b', waitsFor: 'an answer of "a"' },
      { taskId: 'a', waitsFor: 'an answer of "b"' },
    ],
  });
  // At once, not when nothing else runs.
  const failed = events.filter((event) => event.type === 'task' && event.reason === 'failed');
  assert.equal(
    failed.map(({ at }) => at),
    [0, 0],
  );
});

test('a longer circle is found through joins, dependencies and readers that name whom they read', async () => {
  const flow = workflow({ name: 'long' });
  const ends = flow.task('ends', { run: () => 1 });
  flow.task('a', { run: async (_, ctx) => ctx.receive(said, { from: [ends, 'b'] }) });
  flow.task('b', {
    run: (_, ctx) => ctx.join(ctx.spawn('child', { run: (_, inner) => inner.ask('d', 'a question') })),
  });
  const c = flow.task('c', { run: async (_, ctx) => ctx.receive(said, { from: 'a' }) });
  flow.task('d', { dependencies: { c }, run: () => 'would answer' });
  flow.task('other', { run: (_, ctx) => ctx.sleep(1_000) });
  const { result } = await simulate(flow);
  const found = failures(result);
  for (const id of ['a', 'c', 'child'])
    assert.match(found[id] as string, /^WAIT_CYCLE .*"a" waits for a message on channel "said" from "b"/);
  assert.match(found.child as string, '"child" waits for an answer of "d"');
  assert.match(found.c as string, '"c" waits for a message on channel "said" from "a"');
  assert.is(result.tasks.get('d')?.status, 'skipped');
});

test('one joins who asks it, while others run', async () => {
  const flow = workflow({ name: 'joined' });
  const asks = flow.task('asks', { run: (_, ctx) => ctx.ask('joins', 'well?') });
  flow.task('joins', { run: async (_, ctx) => ctx.sleep(5).then(() => ctx.join(asks)) });
  flow.task('other', { run: (_, ctx) => ctx.sleep(1_000) });
  const { result, events } = await simulate(flow);
  assert.match(
    failures(result).asks as string,
    /^WAIT_CYCLE .*: "asks" waits for an answer of "joins"; "joins" waits for the end of "asks"\. Let/,
  );
  const failed = events.filter((event) => event.type === 'task' && event.reason === 'failed');
  assert.equal(
    failed.map(({ at }) => at),
    [5, 5],
  );
});

test('with a store that answers later, found when all is written', async () => {
  const store = new LateStore();
  store.auto = () => 1;
  const flow = workflow({ name: 'late' });
  flow.task('a', { run: (_, ctx) => ctx.ask('b', 1) });
  flow.task('b', { run: (_, ctx) => ctx.ask('a', 1) });
  // Runs until the others have ended, however long that takes.
  const other = flow.task('other', {
    run: async (_, ctx) => {
      const open = new Set(['a', 'b']);
      run.events$.subscribe((event) => {
        if (event.type === 'task' && event.reason === 'failed') open.delete(event.taskId);
      });
      for (let i = 0; i < 2_000 && open.size > 0; i++) await ctx.sleep(5);
      return open.size;
    },
  });
  const run = flow.run({ store, runId: 'r', durability: 'sync' });
  const result = await run.result();
  assert.is(result.results.get(other), 0);
  assert.match(failures(result).a as string, /^WAIT_CYCLE/);
});

test('one who is asked by what depends on it', async () => {
  const flow = workflow({ name: 'behind' });
  const first = flow.task('first', {
    run: async (_, ctx) => ctx.ask('second', 'ready?').catch((error: unknown) => (error as RxhiveError).code),
  });
  flow.task('second', { dependencies: { first }, run: ({ first }) => first });
  const { result } = await simulate(flow);
  assert.is(result.results.get('second'), 'WAIT_CYCLE');
});

test('all who read wait for each other, and nothing else can go on', async () => {
  const flow = workflow({ name: 'silence' });
  const ids = ['a', 'b', 'c', 'd', 'e', 'f'];
  for (const id of ids)
    flow.task(id, {
      run: async (_, ctx) => {
        for await (const { value } of ctx.receive$(said)) return value;
        return 'ended';
      },
    });
  flow.task('starts', { run: (_, ctx) => ctx.sleep(40) });
  const { result, events } = await simulate(flow);
  const found = failures(result);
  assert.equal(Object.keys(found), ids);
  assert.match(
    found.a as string,
    /"\w" waits for a message on channel "said" from anyone; .*; and 1 more\. Let one/,
  );
  const failed = events.filter((event) => event.type === 'task' && event.reason === 'failed');
  assert.equal([...new Set(failed.map(({ at }) => at))], [40]);
});

test('who is full of messages waits for its sender', async () => {
  const narrow = channel<number>('narrow', { capacity: 1 });
  const flow = workflow({ name: 'full' });
  flow.task('sender', {
    run: async (_, ctx) => {
      await ctx.sleep(1);
      for (const n of [1, 2, 3]) await ctx.send(narrow, n);
    },
  });
  flow.task('reader', {
    run: async (_, ctx) => {
      for await (const { value } of ctx.receive$(narrow)) await ctx.ask('sender', value);
    },
  });
  const { result } = await simulate(flow);
  const found = failures(result);
  assert.match(
    found.sender as string,
    '"sender" waits for room in channel "narrow", which "reader" reads slowly',
  );
  assert.match(found.reader as string, '"reader" waits for an answer of "sender"');
});

test('a lock kept while its next user is asked', async () => {
  const flow = workflow({ name: 'lock' });
  flow.task('a', { run: (_, ctx) => ctx.shared('file').use(() => ctx.ask('b', 'done?')) });
  flow.task('b', {
    run: async (_, ctx) => {
      await ctx.sleep(1);
      await ctx.shared('file').use(() => 1);
    },
  });
  const { result } = await simulate(flow);
  assert.match(failures(result).a as string, /^WAIT_CYCLE .*"a" waits for an answer of "b"/);
  assert.is(result.tasks.get('b')?.status, 'succeeded');
});

test('no circle: one of them has a timer, is retried, asks a person, or may be added', async () => {
  const flow = workflow({ name: 'no-circle' });
  flow.task('timed', {
    run: async (_, ctx) => ctx.ask('patient', 1, { timeout: 50 }).catch(() => 'gave up'),
  });
  flow.task('patient', {
    run: async (_, ctx) => ctx.ask('timed', 2).catch((e: unknown) => (e as RxhiveError).code),
  });
  const retried = flow.task('retried', {
    retry: { count: 1, backoff: () => 100 },
    run: async (_, ctx) => {
      if (ctx.attempt === 1) throw new Error('once');
      await ctx.send(said, 'at last');
    },
  });
  const waits = flow.task('waits', {
    run: async (_, ctx) => (await ctx.receive(said, { from: retried })).value,
  });
  const { result } = await simulate(flow);
  assert.is(result.results.get('timed'), 'gave up');
  assert.is(result.results.get('patient'), 'NO_REPLY');
  assert.is(result.results.get(waits), 'at last');

  const open = workflow({ name: 'open' });
  const reader = open.task('reader', { run: async (_, ctx) => (await ctx.receive(said)).value });
  const run = open.run({ keepOpen: true });
  const end = run.result();
  await new Promise((done) => setTimeout(done, 1));
  assert.is(run.snapshot().tasks.get('reader'), 'suspended');
  assert.equal(run.stuck(), []);
  run.task('guest', { run: (_, ctx) => ctx.send(said, 'from outside') });
  run.close();
  assert.is((await end).results.get(reader), 'from outside');
});

test('the error can be caught, and the one who catches it goes on', async () => {
  const flow = workflow({ name: 'caught', concurrency: 1 });
  const both = ['a', 'b'].map((id, i, ids) =>
    flow.task(id, {
      run: async (_, ctx) => {
        const other = ids[1 - i] as string;
        const first = await ctx
          .ask(other, 'you first')
          .catch((error: unknown) => (error as RxhiveError).code);
        if (id === 'a') return [first, await ctx.ask(other, 'me then')];
        for await (const request of ctx.requests$({ from: 'a' }))
          if (request.value === 'me then') {
            await request.reply('thanks');
            break;
          }
        return [first];
      },
    }),
  );
  const { result } = await simulate(flow);
  assert.equal(
    both.map((task) => result.results.get(task)),
    [['WAIT_CYCLE', 'thanks'], ['WAIT_CYCLE']],
  );
});

test('many who wait for one that runs cost little to look at', async () => {
  const flow = workflow({ name: 'many', concurrency: Number.POSITIVE_INFINITY });
  const count = 2_000;
  for (let i = 0; i < count; i++)
    flow.task(`reader${i}`, { run: async (_, ctx) => (await ctx.receive(said)).value });
  flow.task('speaker', { run: async (_, ctx) => ctx.sleep(5).then(() => ctx.send(said, 'hi')) });
  const { result } = await simulate(flow);
  assert.is(result.status, 'succeeded');
});

test.run();
