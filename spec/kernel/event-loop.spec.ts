import { filter, firstValueFrom } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type CheckpointStore, memory, type Run, RxhiveError, workflow } from '../../lib/index.js';
import { SimulationScheduler } from '../../lib/testing/index.js';

/** Items of a source that a broken build would take all at once; it ends then, so that the spec says so. */
const many = 300_000;

function* numbers(): Generator<number> {
  for (let i = 0; i < many; i++) yield i;
}

async function* later(): AsyncGenerator<number> {
  yield* numbers();
}

const bodies: Readonly<Record<string, (item: number) => unknown>> = {
  'a body that returns at once': (item) => item,
  'a body of one microtask': async (item) => item,
};

for (const [name, run] of Object.entries(bodies)) {
  for (const [kind, from] of [
    ['iterable', numbers],
    ['async iterable', later],
  ] as const) {
    for (const stored of [false, true]) {
      test(`timers get their turn among the items of an ${kind}: ${name}${stored ? ', with a store' : ''}`, async () => {
        const flow = workflow({ name: 'each' });
        flow.each('each', { from, run });
        const one: Run = flow.run(stored ? { store: memory(), runId: 'each' } : {}) as Run;
        setTimeout(() => one.cancel(), 20);
        assert.is((await one.result()).status, 'cancelled');
      });
    }
  }
}

test('timers get their turn among tasks that end at once, however many may run', async () => {
  const flow = workflow({ name: 'wide', concurrency: 100_000 });
  for (let i = 0; i < 20_000; i++) flow.task(`t${i}`, { run: () => i });
  const run = flow.run();
  let turns = 0;
  const tick = setInterval(() => turns++, 0);
  const result = await run.result();
  clearInterval(tick);
  assert.is(result.status, 'succeeded');
  assert.ok(turns > 1, `${turns}`);
});

/** Turns of the event loop that others have until `work` is done. */
async function turnsUntil(work: Promise<unknown>): Promise<number> {
  let turns = 0;
  let over = false;
  const tick = (): void => {
    turns += 1;
    if (!over) setImmediate(tick);
  };
  setImmediate(tick);
  await work;
  over = true;
  return turns;
}

test('timers get their turn while many tasks begin, are skipped, are cancelled, or come back', async () => {
  const many = 100_000;
  const wide = (concurrency: number, body: () => unknown) => {
    const flow = workflow({ name: 'wide', concurrency });
    const first = flow.task('first', { run: body });
    for (let i = 0; i < many; i++) flow.task(`t${i}`, { dependencies: [first], run: () => i });
    return flow;
  };
  const failing = wide(1, async () => {
    throw new Error('first');
  }).run();
  assert.ok((await turnsUntil(failing.result())) > 1, 'skipped');
  const waiting = wide(1, () => new Promise(() => undefined)).run();
  const cancelled = waiting.result();
  waiting.cancel();
  const left = [...waiting.snapshot().tasks.values()].filter((status) => status === 'waiting');
  assert.ok(left.length > 0, 'some are still to be cancelled');
  // How many more turns is a matter of the machine's speed.
  assert.ok((await turnsUntil(cancelled)) > 0, 'cancelled');
  assert.ok([...(await cancelled).tasks.values()].every(({ status }) => status === 'cancelled'));
  const store = memory();
  const flow = wide(many, () => 1);
  await flow.run({ store, runId: 'r' }).result();
  const again = flow.run({ store, runId: 'r' }).result();
  assert.ok((await turnsUntil(again)) > 3, 'restored');
  assert.ok([...(await again).tasks.values()].every(({ status }) => status === 'restored'));
});

test('a chain of tasks that end at once can be cancelled', async () => {
  const flow = workflow({ name: 'chain', maxTasks: many + 10 });
  flow.onTaskComplete(flow.task('t0', { run: () => 0 }), (_, add) => add('t1', { run: () => 1 }));
  let last = 0;
  flow.handle('type:link', (value, add) => {
    last = value as number;
    if (last < many) add(`t${last + 1}`, { type: 'link', run: () => last + 1 });
  });
  flow.task('first', { type: 'link', run: () => 10 });
  const run = flow.run();
  setTimeout(() => run.cancel(), 20);
  assert.is((await run.result()).status, 'cancelled');
  assert.ok(last < many);
});

test('a generator of microtasks obeys its timeout and a cancel', async () => {
  let taken = 0;
  const endless = async function* (): AsyncGenerator<number> {
    for (taken = 0; taken < 10 * many; taken++) yield taken;
  };
  const flow = workflow({ name: 'generator' });
  flow.task('t', { timeout: 20, run: endless });
  const { error } = (await flow.run().result()).tasks.get('t') ?? {};
  assert.is(error instanceof RxhiveError && error.code, 'TASK_TIMEOUT');
  const patient = workflow({ name: 'patient' });
  patient.task('t', { run: endless });
  const run = patient.run();
  setTimeout(() => run.cancel(), 20);
  assert.is((await run.result()).status, 'cancelled');
});

test('a generator that is left behind is not asked again', async () => {
  let taken = 0;
  const flow = workflow({ name: 'left' });
  flow.task('t', {
    timeout: 20,
    run: async function* () {
      for (;;) yield taken++;
    },
  });
  await flow.run().result();
  const before = taken;
  for (let i = 0; i < 5; i++) await new Promise((done) => setImmediate(done));
  assert.is(taken, before);
});

test('a small run goes from start to end in one go', () => {
  const flow = workflow({ name: 'small' });
  for (let i = 0; i < 20; i++) flow.task(`t${i}`, { run: () => i });
  const run = flow.run();
  run.events$.subscribe();
  assert.ok([...run.snapshot().tasks.values()].every((status) => status === 'succeeded'));
});

test('in virtual time nobody waits for the event loop', () => {
  const flow = workflow({ name: 'virtual' });
  for (let i = 0; i < 5_000; i++) flow.task(`t${i}`, { run: () => i });
  const scheduler = new SimulationScheduler();
  const run = flow.run({ scheduler });
  run.events$.subscribe();
  assert.ok([...run.snapshot().tasks.values()].every((status) => status === 'succeeded'));
});

test('a long log is read in slices when a run goes on', async () => {
  const inner = memory();
  const make = () => {
    const flow = workflow({ name: 'long' });
    for (let i = 0; i < 200; i++) flow.task(`t${i}`, { version: '1', run: () => i });
    return flow;
  };
  await make().run({ store: inner, runId: 'r' }).result();
  // Each record takes a ms to be read.
  const slow = (entry: { readonly seq: number; readonly body: string }) => ({
    seq: entry.seq,
    get body() {
      for (const until = performance.now() + 1; performance.now() < until; );
      return entry.body;
    },
  });
  const store: CheckpointStore = {
    open: (id) => {
      const log = inner.open(id);
      return {
        ...log,
        entries: log.entries.map(slow),
        append: (all) => log.append(all),
        close: () => log.close(),
      };
    },
    read: (id) => inner.read(id),
    runs: () => inner.runs(),
    remove: (id) => inner.remove(id),
    get: (key) => inner.get(key),
    put: (key, text, run) => inner.put(key, text, run),
  };
  const run = make().run({ store, runId: 'r' });
  const resumed = firstValueFrom(run.events$.pipe(filter(({ reason }) => reason === 'resumed')));
  const ended = run.result();
  assert.ok((await turnsUntil(resumed)) >= 5);
  assert.is((await ended).report.counts.restored, 200);
});

test.run();
