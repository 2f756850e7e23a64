import { spawnSync } from 'node:child_process';
import Bottleneck from 'bottleneck';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bottleneck, RxhiveError, workflow } from '../../lib/index.js';

test('a Bottleneck that other code uses too is shared, job by job', async () => {
  const instance = new Bottleneck({ maxConcurrent: 2 });
  let active = 0;
  let most = 0;
  const work = async (ms: number): Promise<void> => {
    active += 1;
    most = Math.max(most, active);
    await new Promise((done) => setTimeout(done, ms));
    active -= 1;
  };
  const others = Array.from({ length: 5 }, () => instance.schedule(() => work(30)));
  const flow = workflow({ name: 'shared', groups: { llm: { limiter: bottleneck({ instance }) } } });
  for (let i = 0; i < 10; i++) flow.task(`t${i}`, { group: 'llm', run: () => work(10) });
  const result = await flow.run().result();
  await Promise.all(others);
  assert.is(result.status, 'succeeded');
  assert.is(most, 2);
  const { RUNNING, EXECUTING, QUEUED } = instance.counts();
  // Places come back a moment after the jobs; one that never does hangs here until the runner ends it.
  while (!instance.empty() || (await instance.running()) > 0)
    await new Promise((done) => setTimeout(done, 5));
  assert.is(instance.empty(), true, `${RUNNING} ${EXECUTING} ${QUEUED}`);
  assert.is(await instance.running(), 0, 'all places were given back');
});

test('a run that ends leaves nothing behind that keeps the process alive', () => {
  const program = `
    import { bottleneck, RxhiveError, workflow } from './lib/index.js';
    const limiter = bottleneck({ minTime: 60_000, maxConcurrent: 3 });
    const flow = workflow({ name: 'ends', groups: { llm: { limiter } } });
    for (let i = 0; i < 5; i++) flow.task('t' + i, { group: 'llm', run: () => 1 });
    const run = flow.run();
    setTimeout(() => run.cancel(), 100);
    run.result().then(({ status }) => console.log(status));
  `;
  const began = performance.now();
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '--eval', program],
    { encoding: 'utf8', timeout: 30_000 },
  );
  assert.is(stdout, 'cancelled\n', stderr);
  assert.ok(performance.now() - began < 25_000);
});

test('a job of other code that never ends shows in stuck() and explain, and its end lets the tasks go on', async () => {
  const instance = new Bottleneck({ maxConcurrent: 1 });
  let free = (): void => undefined;
  void instance.schedule(() => new Promise<void>((done) => (free = done)));
  const flow = workflow({ name: 'foreign', groups: { llm: { limiter: bottleneck({ instance }) } } });
  flow.task('first', { group: 'llm', run: () => 1 });
  flow.task('second', { group: 'llm', run: () => 2 });
  const run = flow.run();
  const ended = run.result();
  assert.equal(run.stuck(), []);
  while (run.stuck().length === 0) await new Promise((done) => setTimeout(done, 10));
  const said = 'a permit of group "llm", which its limiter does not give, though nobody here has one';
  assert.equal(run.stuck().length, 1);
  assert.match(run.stuck()[0] ?? '', `2 tasks wait for ${said}`);
  assert.match(run.explain('first'), said);
  free();
  assert.is((await ended).status, 'succeeded');
  assert.equal(run.stuck(), []);
});

/** A Bottleneck of the user, and which of three tasks it leaves without a permit, for which reason. */
const refusing: Readonly<Record<string, readonly [make: () => Bottleneck, failed: number, reason: RegExp]>> =
  {
    'was stopped': [
      () => {
        const one = new Bottleneck({ maxConcurrent: 1 });
        void one.stop();
        return one;
      },
      3,
      /has been stopped/,
    ],
    'drops jobs': [
      () => new Bottleneck({ maxConcurrent: 1, highWater: 0, strategy: Bottleneck.strategy.LEAK }),
      2,
      /has been dropped/,
    ],
    'drops jobs silently': [
      () =>
        new Bottleneck({
          maxConcurrent: 1,
          highWater: 0,
          strategy: Bottleneck.strategy.LEAK,
          rejectOnDrop: false,
        }),
      2,
      /has dropped its job/,
    ],
    'was disconnected before its reservoir was filled again': [
      () => {
        const one = new Bottleneck({
          maxConcurrent: 1,
          reservoir: 1,
          reservoirRefreshAmount: 1,
          reservoirRefreshInterval: 60_000,
        });
        void one.disconnect();
        return one;
      },
      2,
      /reservoir .* is empty/,
    ],
    'runs dry': [() => new Bottleneck({ maxConcurrent: 1, reservoir: 1 }), 2, /reservoir .* is empty/],
  };

for (const [how, [make, failed, reason]] of Object.entries(refusing)) {
  test(`a Bottleneck of the user that ${how} fails the tasks that wait for it, with its reason`, async () => {
    // Who has a place keeps it until the others have been refused.
    let free = (): void => undefined;
    const held = new Promise<void>((done) => {
      free = done;
    });
    const flow = workflow({
      name: 'refusing',
      groups: { llm: { limiter: bottleneck({ instance: make() }) } },
    });
    for (let i = 0; i < 3; i++) flow.task(`t${i}`, { group: 'llm', run: () => held });
    flow.task('other', { run: () => 1 });
    const run = flow.run();
    let refused = 0;
    run.events$.subscribe((event) => {
      if (event.type !== 'task' || event.reason !== 'failed') return;
      refused += 1;
      if (refused === failed) free();
    });
    const { tasks } = await run.result();
    const errors = [...tasks.values()].flatMap(({ error }) => (error instanceof RxhiveError ? [error] : []));
    assert.equal(
      errors.map(({ code }) => code),
      Array.from({ length: failed }, () => 'LIMITER_FAILED'),
    );
    for (const { message } of errors) assert.match(message, reason);
    assert.is(tasks.get('other')?.status, 'succeeded');
  });
}

test('a Bottleneck that is stopped silently while tasks wait fails them', async () => {
  const instance = new Bottleneck({ maxConcurrent: 1, rejectOnDrop: false });
  let free = (): void => undefined;
  const held = new Promise<void>((done) => {
    free = done;
  });
  const flow = workflow({ name: 'silent', groups: { llm: { limiter: bottleneck({ instance }) } } });
  const stops = (): Promise<void> => {
    void instance.stop({ dropWaitingJobs: true });
    return held;
  };
  for (let i = 0; i < 3; i++) flow.task(`t${i}`, { group: 'llm', run: stops });
  const run = flow.run();
  let failed = 0;
  run.events$.subscribe((event) => {
    if (event.type === 'task' && event.reason === 'failed') failed += 1;
    if (failed === 2) free();
  });
  const { tasks } = await run.result();
  const codes = [...tasks.values()].map(({ error }) => (error as RxhiveError | undefined)?.code);
  assert.equal(codes, [undefined, 'LIMITER_FAILED', 'LIMITER_FAILED']);
});

test.run();
