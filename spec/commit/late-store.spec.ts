import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { memory, type Run, RxhiveError, workflow } from '../../lib/index.js';
import { seededRandom } from '../../lib/kernel/random.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';
import { LateStore, turn } from '../support/late-store.js';

const codeOf = (error: unknown): string | undefined =>
  error instanceof RxhiveError ? error.code : undefined;

/** What tasks do, in order. */
function watch(run: Run<unknown, never>): string[] {
  const seen: string[] = [];
  run.events$.subscribe({
    next: (event) => {
      if (event.type === 'task' && event.reason !== 'waiting' && event.reason !== 'ready')
        seen.push(`${event.taskId} ${event.reason}`);
    },
    error: () => seen.push('error'),
  });
  return seen;
}

const bump =
  (by: number) =>
  (_: unknown, ctx: { update(recipe: (s: { n: number }) => void): void }): number => {
    ctx.update((s) => {
      s.n += by;
    });
    return by;
  };

test('a store that answers later: the same end in each mode, and the same when the run goes on', async () => {
  for (const durability of ['sync', 'group', 'exit'] as const) {
    const store = new LateStore();
    store.auto = () => 1;
    const flow = workflow({ name: 'late', state: { n: 0 } });
    const first = flow.task('first', { run: bump(1) });
    const many = Array.from({ length: 20 }, (_, i) =>
      flow.task(`many${i}`, { dependencies: { first }, run: bump(i) }),
    );
    flow.task('last', { dependencies: many, run: bump(1000) });
    const options = { store, runId: 'r', durability };
    const result = await flow.run(options).result();
    assert.is(result.status, 'succeeded', durability);
    assert.is(result.state.n, 1191);
    assert.is(store.inner.dump().r?.length, 23);
    assert.is(store.asked.at(-1), 'close');
    const appends = store.asked.filter((what) => what.startsWith('append'));
    // In `sync` the 20 are written together: one append each for the two that stand alone, and few for the rest.
    assert.ok(appends.length <= 5, `${durability}: ${appends.join(', ')}`);
    assert.equal(
      appends.flatMap((what) => what.split(' ').slice(1).map(Number)),
      Array.from({ length: 23 }, (_, i) => i + 1),
    );
    const again = await flow.run(options).result();
    assert.is(again.report.counts.restored, 22);
    assert.is(again.state.n, 1191);
  }
});

test('nothing starts before the store has opened; calls meanwhile hold', async () => {
  const store = new LateStore();
  const flow = workflow({ name: 'opening' });
  const a = flow.task('a', { run: () => 1 });
  flow.task('b', { run: () => 2 });
  const run = flow.run({ store, runId: 'r', durability: 'sync' });
  const seen = watch(run as never);
  const ended = run.result();
  run.setConcurrency(1);
  run.cancelTask('b');
  const added = run.task('added', { version: '1', dependencies: { a }, run: ({ a }) => a + 1 });
  run.task('alone', { version: '1', run: () => 3 });
  await turn();
  assert.equal(seen, ['b cancelled']);
  assert.match(run.explain('a'), 'a');
  await store.answer('open');
  store.auto = () => 0;
  while (store.calls.length > 0) await store.answer('append');
  const result = await ended;
  assert.is(result.results.get(added), 2);
  assert.is(result.status, 'partial');
  const again = flow.run({ store, runId: 'r' });
  const resumed = again.result();
  again.task('alone', { version: '1', run: () => assert.unreachable('it ran again') });
  again.task('added', { version: '1', dependencies: { a }, run: () => assert.unreachable('it ran again') });
  const { tasks } = await resumed;
  assert.is(tasks.get('added')?.status, 'restored');
  assert.is(tasks.get('alone')?.status, 'restored');
});

test('cancelled, left or aborted while the store opens: nothing starts, the lease is given back', async () => {
  for (const how of ['cancel', 'leave', 'abort', 'cancel, then an error'] as const) {
    const store = new LateStore();
    const flow = workflow({ name: 'stopped' });
    let ran = 0;
    flow.task('a', { run: () => ++ran });
    const controller = new AbortController();
    const run = flow.run({ store, runId: 'r', signal: controller.signal });
    const watching = run.subscribe();
    const ended = how === 'leave' ? undefined : run.result();
    if (how === 'leave') watching.unsubscribe();
    else if (how === 'abort') controller.abort();
    else run.cancel();
    await turn();
    if (how === 'cancel, then an error') await store.answer('open', new Error('no such host'));
    else {
      await store.answer('open');
      assert.throws(() => store.inner.open('r'), /goes on elsewhere/);
      await store.answer('close');
      store.inner.open('r').close();
    }
    const result = await (ended ?? run.result());
    assert.is(result.status, 'cancelled', how);
    assert.is(ran, 0);
    assert.equal(store.inner.dump().r ?? [], []);
  }
});

test('a store that cannot be opened fails every stream, later as well as at once', async () => {
  const store = new LateStore();
  const flow = workflow({ name: 'closed' });
  flow.task('a', { run: () => 1 });
  const run = flow.run({ store, runId: 'r' });
  const seen = watch(run as never);
  const ended = run.result().catch((error: unknown) => error);
  await store.answer('open', new Error('connection refused'));
  assert.is(codeOf(await ended), 'STORE_FAILED');
  assert.match(String(await ended), /connection refused/);
  assert.equal(seen, ['error']);
});

test('a log of another workflow gives its lease back', async () => {
  const store = memory();
  await workflow({ name: 'one' }).run({ store, runId: 'r' }).result();
  const refused = await workflow({ name: 'two' })
    .run({ store, runId: 'r' })
    .result()
    .catch((error: unknown) => error);
  assert.is(codeOf(refused), 'INVALID_OPTION');
  store.open('r').close();
});

test('sync: dependents, state and results wait for the record; commits meanwhile are one append', async () => {
  const store = new LateStore();
  const flow = workflow({ name: 'held', state: { n: 0 } });
  const a = flow.task('a', { run: bump(1) });
  flow.task('b', { run: bump(10) });
  flow.task('c', { run: bump(100) });
  flow.task('after', { dependencies: { a }, run: (_, ctx) => ctx.read().n });
  const run = flow.run({ store, runId: 'r', durability: 'sync' });
  const seen = watch(run as never);
  const values: number[] = [];
  run.result$(a).subscribe((value) => values.push(value));
  const ended = run.result();
  await store.answer('open');
  // The header is being written; the three have ended meanwhile.
  assert.equal(seen, ['a running', 'b running', 'c running']);
  await store.answer('append 1');
  assert.equal(store.asked.at(-1), 'append 2 3 4');
  assert.equal([run.snapshot().state.n, values, seen.length], [0, [], 3]);
  run.cancelTask('a');
  await store.answer('append 2 3 4');
  assert.equal(seen.slice(3), ['a succeeded', 'after running', 'b succeeded', 'c succeeded']);
  assert.equal([run.snapshot().state.n, values], [111, [1]]);
  await store.answer('append 5');
  await store.answer('close');
  assert.is((await ended).results.get('after'), 1);
});

test('sync: a failed append fails its tasks and all prepared on them; what they add is skipped', async () => {
  const store = new LateStore();
  const flow = workflow({ name: 'lost', state: { n: 0 } });
  let release = (): void => undefined;
  const held = new Promise<void>((done) => {
    release = done;
  });
  flow.task('a', { run: bump(1) });
  const parent = flow.task('parent', {
    run: (_, ctx) => {
      ctx.update((s) => {
        s.n += 10;
      });
      ctx.spawn('child', { run: () => 'never' });
    },
  });
  flow.task('slow', { run: (_, ctx) => held.then(() => bump(100)(undefined, ctx)) });
  // Its time stands still, so no attempt is ever noted as one that lasts.
  const scheduler = new SimulationScheduler();
  const run = flow.run({ store, runId: 'r', durability: 'sync', scheduler });
  const ended = run.result();
  await store.answer('open');
  await store.answer('append 1');
  assert.match(run.explain('child'), 'waits for "parent", which adds it, to be in the log');
  await store.answer('append 2 3', new Error('disk full'));
  assert.is(run.snapshot().state.n, 0);
  // Their failures are noted together, with the numbers that are free again.
  await store.answer('append 2 3');
  release();
  await turn();
  await store.answer('append 4');
  await store.answer('close');
  const result = await ended;
  assert.is(result.status, 'partial');
  assert.is(result.state.n, 100);
  assert.is(codeOf(result.tasks.get(parent)?.error), 'STORE_FAILED');
  assert.equal(result.tasks.get('child')?.skippedBecause, ['parent']);
  const again = flow.run({ store: store.inner, runId: 'r', retry: 'failed' });
  assert.is((await again.result()).state.n, 111);
});

test('sync: what is in the log has succeeded, even if the run is cancelled while it is written', async () => {
  const store = new LateStore();
  const flow = workflow({ name: 'cancelled', state: { n: 0 } });
  flow.task('a', { timeout: { total: 20 }, run: bump(1) });
  flow.task('b', { run: (_, ctx) => ctx.sleep(10_000) });
  const scheduler = new SimulationScheduler();
  const run = flow.run({ store, runId: 'r', durability: 'sync', scheduler });
  const seen = watch(run as never);
  const ended = run.result();
  await store.answer('open');
  await store.answer('append 1');
  run.cancel();
  await advance(scheduler, 30);
  await store.answer('append 2');
  await store.answer('close');
  const result = await ended;
  assert.is(result.status, 'cancelled');
  assert.equal(
    [...result.tasks].map(([id, { status }]) => `${id} ${status}`),
    ['a succeeded', 'b cancelled'],
  );
  assert.equal(seen, ['a running', 'b running', 'b cancelled', 'a succeeded']);
  assert.is(result.state.n, 1);
});

test('group: dependents do not wait; records gather behind the append that goes on; the end waits for all', async () => {
  const store = new LateStore();
  const flow = workflow({ name: 'group' });
  const a = flow.task('a', { run: () => 1 });
  flow.task('b', { dependencies: [a], run: (_, ctx) => ctx.sleep(5) });
  const scheduler = new SimulationScheduler();
  const run = flow.run({ store, runId: 'r', scheduler });
  let over = false;
  const ended = run.result().finally(() => {
    over = true;
  });
  await store.answer('open');
  await advance(scheduler, 1);
  assert.equal(store.asked, ['open', 'append 1 2']);
  await advance(scheduler, 10);
  assert.equal(store.asked, ['open', 'append 1 2']);
  await store.answer('append 1 2');
  assert.equal([store.asked.at(-1), over], ['append 3', false]);
  await store.answer('append 3');
  assert.equal([store.asked.at(-1), over], ['close', false]);
  await store.answer('close');
  assert.is((await ended).status, 'succeeded');
});

test('a last append or a close that fails is the error of the run', async () => {
  for (const [durability, failing] of [
    ['group', 'append'],
    ['exit', 'append'],
    ['sync', 'close'],
  ] as const) {
    const store = new LateStore();
    store.auto = (what) => (what.startsWith(failing) ? undefined : 0);
    const flow = workflow({ name: 'end' });
    flow.task('a', { run: () => 1 });
    const ended = flow.run({ store, runId: 'r', durability }).result();
    while (store.calls.length === 0) await turn();
    await store.answer(failing, new Error('gone'));
    const result = await ended;
    assert.is(codeOf(result.error), 'STORE_FAILED', durability);
    assert.is(store.asked.at(-1), 'close');
  }
});

test('serializable tasks and late commits: 300 seeded schedules lose nothing', async () => {
  const seed = Number(process.env.SEED ?? 11);
  const random = seededRandom(seed);
  await Promise.all(
    Array.from({ length: 300 }, async (_, round) => {
      const store = new LateStore();
      store.auto = () => Math.floor(random() * 4);
      const flow = workflow({ name: 'serial', state: { n: 0, log: [] as number[] }, concurrency: 4 });
      for (let i = 0; i < 6; i++)
        flow.task(`t${i}`, {
          isolation: 'serializable',
          run: async (_, ctx) => {
            const seen = ctx.read((s) => s.n);
            await ctx.sleep(Math.floor(random() * 4));
            ctx.update((s) => {
              s.n = seen + 1;
              s.log.push(seen);
            });
          },
        });
      const { state, status } = await flow.run({ store, runId: 'r', durability: 'sync' }).result();
      const where = `seed ${seed}, round ${round}`;
      assert.is(status, 'succeeded', where);
      assert.equal([state.n, state.log], [6, [0, 1, 2, 3, 4, 5]], where);
      const again = await flow.run({ store: store.inner, runId: 'r' }).result();
      assert.equal(again.state, state, where);
    }),
  );
});

test('a serializable body that read what is being written waits for that, and runs again once', async () => {
  for (const end of ['written', 'cancelled', 'lost'] as const) {
    const store = new LateStore();
    const flow = workflow({ name: 'seats', state: { n: 3 } });
    const called: string[] = [];
    for (const id of ['a', 'b', 'c'])
      flow.task(id, {
        isolation: 'serializable',
        run: (_, ctx) => {
          called.push(id);
          const free = ctx.read((s) => s.n);
          ctx.update((s) => {
            s.n = free - 1;
          });
          return free;
        },
      });
    const run = flow.run({ store, runId: 'r', durability: 'sync' });
    const ended = run.result();
    await store.answer('open');
    await store.answer('append 1');
    // The record of `a` is being written; `b` and `c` have read what it changes.
    assert.equal([called, store.asked.at(-1)], [['a', 'b', 'c'], 'append 2']);
    if (end === 'cancelled') run.cancelTask('b');
    await store.answer('append 2', end === 'lost' ? new Error('disk full') : undefined);
    store.auto = () => 0;
    while (store.calls.length > 0) await store.answer('append');
    const { state, tasks } = await ended;
    const succeeded = [...tasks].filter(([, { status }]) => status === 'succeeded').map(([id]) => id);
    const lost = { written: [], cancelled: ['b'], lost: ['a'] }[end];
    assert.equal(
      succeeded,
      ['a', 'b', 'c'].filter((id) => !(lost as string[]).includes(id)),
    );
    assert.is(state.n, 3 - succeeded.length);
    assert.ok(called.length <= 6, `${end}: ${called.join(' ')}`);
  }
});

/** Answers what a store is asked but for the first call of `name`, and all after that. */
function silentFrom(name: string, scheduler: SimulationScheduler): LateStore {
  const store = new LateStore(memory(), scheduler);
  let silent = false;
  store.auto = (what) => {
    silent ||= what.startsWith(name);
    return silent ? undefined : 'at once';
  };
  return store;
}

for (const name of ['open', 'append 2', 'close'] as const)
  for (const durability of ['sync', 'group', 'exit'] as const)
    test(`a store that never answers ${name}, ${durability}: the run says so, and ends when it is cancelled`, async () => {
      const scheduler = new SimulationScheduler();
      const store = silentFrom(name === 'append 2' && durability !== 'sync' ? 'append' : name, scheduler);
      const flow = workflow({ name: 'silent', state: { n: 0 } });
      flow.task('a', { run: bump(1) });
      const run = flow.run({ store, runId: 'r', durability, scheduler });
      const ended = run.result();
      await advance(scheduler, 500);
      assert.equal(run.stuck(), []);
      await advance(scheduler, 60_000);
      const [said = '', ...more] = run.stuck();
      assert.equal(more, []);
      const asked = name.split(' ')[0];
      assert.match(said, `waits for the store, which has not answered "${asked}" for 60.0 s`);
      if (name === 'open' || durability === 'sync') {
        if (name !== 'close')
          assert.match(run.explain('a'), `waits for the store, which has not answered "${asked}"`);
      } else assert.match(run.explain('a'), 'has succeeded');
      run.cancel('enough');
      run.cancel('I said enough');
      await advance(scheduler, 64_999);
      run.cancel('still there?');
      await advance(scheduler, 65_000);
      const result = await ended;
      const { storeError } = result.report;
      assert.is(codeOf(storeError), 'STORE_FAILED');
      assert.equal(storeError?.details, { call: asked, reason: 'silent' });
      assert.match(String(result.report), /The store of run "r" failed: .*written or not/);
      if (result.error !== storeError) assert.match(String(result.report), 'not known to be in the store');
      assert.equal(run.stuck(), []);
      if (name === 'open') assert.is(result.status, 'cancelled');
      if (name === 'append 2' && durability === 'sync') assert.is(result.tasks.get('a')?.status, 'failed');
      // Whatever it says now is too late; the lease is given back all the same.
      store.auto = () => 'at once';
      while (store.calls.length > 0) await store.answer('');
      assert.is(store.asked.filter((what) => what === 'close').length, 1);
      store.inner.open('r').close();
    });

test('a store that takes longer than storeTimeout for an answer has failed, and with it the run', async () => {
  for (const name of ['open', 'append', 'close'] as const) {
    const scheduler = new SimulationScheduler();
    const store = silentFrom(name, scheduler);
    const flow = workflow({ name: 'silent' });
    flow.task('a', { run: () => 1 });
    flow.task('b', { run: (_, ctx) => ctx.sleep(600_000) });
    const ended = flow
      .run({ store, runId: 'r', durability: 'sync', scheduler, storeTimeout: 2_000 })
      .result()
      .catch((error: unknown) => ({ error, report: { wallMs: 2_000 } }));
    await advance(scheduler);
    const { error, report } = await ended;
    assert.is(codeOf(error), 'STORE_FAILED', name);
    assert.match(String(error), `${name} has not been answered for 2000 ms`);
    assert.is(report.wallMs, name === 'close' ? 602_000 : 2_000);
  }
  const slow = new SimulationScheduler();
  const store = new LateStore(memory(), slow);
  store.auto = () => 1_999;
  const flow = workflow({ name: 'slow' });
  flow.task('a', { run: () => 1 });
  const result = flow.run({ store, durability: 'sync', scheduler: slow, storeTimeout: 2_000 }).result();
  await advance(slow);
  assert.is((await result).status, 'succeeded');
  for (const storeTimeout of [0, -1, Number.NaN, '1' as never])
    assert.throws(() => flow.run({ store, storeTimeout }), /storeTimeout is .*; give ms above 0/);
});

test('history, fork and compensate with a store that answers later', async () => {
  const store = new LateStore();
  store.auto = () => 0;
  const undone: string[] = [];
  const flow = workflow({ name: 'past', state: { n: 0 } });
  const a = flow.task('a', { run: bump(1), compensate: (value) => undone.push(`a ${value}`) });
  flow.task('b', { dependencies: [a], run: bump(10) });
  await flow.run({ store, runId: 'r' }).result();
  assert.is((await flow.history(store, 'r')).snapshotAt(2).state.n, 1);
  const fork = flow.fork(store, 'r', { at: 2, runId: 'f' });
  assert.equal(store.inner.dump().f, undefined); // cold
  const forked = await fork.result();
  assert.equal([forked.state.n, forked.report.counts.restored], [11, 1]);
  await (await flow.compensate(store, 'r')).result();
  assert.equal(undone, ['a 1']);
  const bad = await flow.fork(store, 'r', { at: 99, runId: 'g' }).result().catch(codeOf);
  assert.is(bad as never, 'INVALID_OPTION');
});

test('cache: one question and one piece of work for all who want the same, whatever the store does', async () => {
  const store = new LateStore();
  let calls = 0;
  const make = (): Run<unknown, never> => {
    const flow = workflow({ name: 'cached' });
    for (const id of ['a', 'b'])
      flow.task(id, { type: 'same', version: '1', cache: { key: () => 1 }, run: () => ++calls });
    return flow.run({ store, durability: 'exit' }) as never;
  };
  const said: string[] = [];
  const go = (): ReturnType<Run['result']> => {
    const run = make();
    run.events$.subscribe((event) => {
      if (event.type === 'cache') said.push(`${event.taskId} ${event.reason}`);
    });
    return run.result() as never;
  };
  const first = go();
  await store.answer('open');
  assert.equal(store.asked, ['open', 'get']);
  store.auto = (what) => (what === 'put' || what === 'get' ? undefined : 0);
  await store.answer('get');
  // The result is being kept; who asks meanwhile is told all the same.
  const second = go();
  await turn();
  assert.equal([...(await second).results.values()], [1, 1]);
  await store.answer('put');
  assert.equal([...(await first).results.values()], [1, 1]);
  const third = go();
  await turn();
  await store.answer('get');
  assert.equal([...(await third).results.values()], [1, 1]);
  const fourth = go();
  await turn();
  await store.answer('get', new Error('down'));
  assert.equal([...(await fourth).results.values()], [2, 2]);
  assert.equal(said, [
    ...['b shared', 'a miss', 'a shared', 'b shared', 'b shared', 'a hit', 'b shared', 'a miss'],
  ]);
  assert.is(calls, 2);
  assert.equal(
    store.calls.map(({ what }) => what),
    ['put'],
  );
});

test('cache: who is cancelled while the store is asked leaves the work to the next', async () => {
  const store = new LateStore();
  store.auto = (what) => (what === 'get' ? undefined : 0);
  const flow = workflow({ name: 'left' });
  for (const id of ['a', 'b'])
    flow.task(id, { type: 'same', version: '1', cache: { key: () => 1 }, run: () => id });
  const run = flow.run({ store });
  const ended = run.result();
  while (store.calls.length === 0) await turn();
  run.cancelTask('a');
  await turn();
  await store.answer('get');
  await store.answer('get');
  const result = await ended;
  assert.is(result.tasks.get('a')?.status, 'cancelled');
  assert.is(result.results.get('b'), 'b');
});

test('a cold run can be told things before it starts', async () => {
  const flow = workflow({ name: 'cold' });
  flow.task('a', { run: () => 1 });
  flow.task('b', { run: () => 2 });
  const run = flow.run();
  run.setConcurrency(1);
  run.cancelTask('b');
  const result = await run.result();
  assert.equal([...result.results], [['a', 1]]);
});

test.run();
