import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { human, type Run, RxhiveError, typed, type WorkflowEvent, workflow } from '../lib/index.js';
import { advance, SimulationScheduler } from '../lib/testing/index.js';

/** Four tasks of 10 ms: a, b beside it, c behind a, d behind c. */
function diamond(concurrency = 4) {
  const flow = workflow({ name: 'debugged', concurrency, groups: { llm: { concurrency: 2 } } });
  const a = flow.task('a', { run: (_, ctx) => ctx.sleep(10) });
  flow.task('b', { group: 'llm', run: (_, ctx) => ctx.sleep(10) });
  const c = flow.task('c', { type: 'writer', dependencies: [a], run: (_, ctx) => ctx.sleep(10) });
  flow.task('d', { dependencies: [c], run: (_, ctx) => ctx.sleep(10) });
  return { flow, a, c };
}

/** What the run says of itself: pauses, steps, stuck. */
function watch(run: Run<never, never>): string[] {
  const said: string[] = [];
  run.events$.subscribe((event: WorkflowEvent) => {
    if (event.type === 'run' && !['started', 'ended'].includes(event.reason))
      said.push(`${event.at} ${event.reason}${event.taskId === undefined ? '' : ` ${event.taskId}`}`);
    if (event.type === 'attempt' && event.reason === 'started') said.push(`${event.at} ${event.taskId}`);
  });
  return said;
}

test('a breakpoint pauses before its task; the run goes on from there when it is told to', async () => {
  const scheduler = new SimulationScheduler();
  const { flow, c } = diamond();
  const run = flow.run({ scheduler, pauseBefore: [c] });
  const said = watch(run as never);
  await advance(scheduler, 100);
  assert.equal(said, ['0 a', '0 b', '10 paused c', '10 stuck']);
  assert.ok(run.paused);
  assert.match(
    run.explain('c'),
    /waits for the run, which is paused before task "c"; run\.continue\(\) or run\.step\(\)/,
  );
  assert.equal(run.stuck(), [
    '1 task waits for the run, which is paused before task "c"; run.continue() or run.step() lets it go on.',
    '1 task waits for tasks that wait like this.',
  ]);
  run.continue();
  await advance(scheduler);
  assert.equal(said.slice(4), ['100 continued', '100 c', '110 d']);
  assert.is((await run.result()).status, 'succeeded');
  assert.equal(run.stuck(), []);
});

test('a step starts one task, the next step the next; continue ends it', async () => {
  const scheduler = new SimulationScheduler();
  const { flow } = diamond();
  const run = flow.run({ scheduler });
  run.pause();
  const said = watch(run as never);
  await advance(scheduler, 5);
  assert.equal(said, ['0 stuck']);
  run.step();
  await advance(scheduler, 20);
  assert.equal(said.slice(1), ['5 stepped', '5 a', '15 stuck']);
  run.step();
  run.step();
  await advance(scheduler, 100);
  assert.equal(said.slice(4, 8).sort(), ['20 b', '20 c', '20 stepped', '20 stepped']);
  assert.not.ok(said.some((one) => one.endsWith(' d')));
  run.continue();
  await advance(scheduler);
  assert.ok(said.includes('100 d'), said.join());
  assert.is((await run.result()).status, 'succeeded');
});

test('a function decides by type, group and attempt; each attempt counts; breakpoints can be taken away', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'attempts' });
  flow.task('flaky', {
    retry: { count: 2, backoff: { initial: 10, jitter: 'none', factor: 1 } },
    run: () => {
      throw new Error('planned');
    },
  });
  const run = flow.run({ scheduler });
  const remove = run.pauseBefore(
    ({ type, group, attempt }) => type === 'flaky' && group === undefined && attempt > 1,
  );
  const said = watch(run as never);
  await advance(scheduler, 50);
  assert.equal(said, ['0 flaky', '10 paused flaky', '10 stuck']);
  run.continue();
  await advance(scheduler, 100);
  assert.equal(said.slice(3), ['50 continued', '50 flaky', '60 paused flaky', '60 stuck']);
  remove();
  run.continue();
  await advance(scheduler);
  assert.is((await run.result()).status, 'failed');
});

test('a breakpoint that throws is taken away and told; wrong ones are refused; added tasks are stopped at by id', async () => {
  const scheduler = new SimulationScheduler();
  const { flow } = diamond();
  for (const wrong of [1, null, {}] as never[]) {
    for (const call of [() => flow.run({ pauseBefore: [wrong] }), () => flow.run().pauseBefore(wrong)])
      assert.throws(
        call,
        (error: unknown) => error instanceof RxhiveError && error.code === 'INVALID_OPTION',
      );
  }
  const run = flow.run({
    scheduler,
    pauseBefore: [
      'later',
      () => {
        throw new Error('bad breakpoint');
      },
    ],
  });
  const said = watch(run as never);
  run.task('later', { run: () => 1 });
  await advance(scheduler, 100);
  assert.ok(said.includes('0 paused later'), said.join());
  run.continue();
  await advance(scheduler);
  const { report } = await run.result();
  assert.match(String(report.subscriberErrors), /bad breakpoint/);
});

test('stuck names a limit of 0, of the run or of a group, and a question without a deadline, and goes when they do', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'stuck', groups: { llm: { concurrency: 2 } } });
  const asks = flow.task('asks', { run: (_, ctx) => ctx.ask(human(typed<number>(), 'How many?')) });
  for (let i = 0; i < 3; i++) flow.task(`llm_${i}`, { group: 'llm', run: (_, ctx) => ctx.sleep(10) });
  flow.task('behind', { dependencies: [asks], run: () => 1 });
  const run = flow.run({ scheduler });
  run.setGroupConcurrency('llm', 0);
  const said = watch(run as never);
  await advance(scheduler, 10);
  assert.equal([...run.stuck()].sort(), [
    '1 task waits for tasks that wait like this.',
    '3 tasks wait for a place in group "llm", but its concurrency is 0; raise it with run.setGroupConcurrency().',
    'Task "asks" waits for people to answer "asks?1" (How many?); give it to run.answer().',
  ]);
  run.setConcurrency(0);
  run.setGroupConcurrency('llm', 2);
  assert.ok(
    run
      .stuck()
      .includes(
        '3 tasks wait for a slot, but the concurrency of the run is 0; raise it with run.setConcurrency().',
      ),
  );
  run.setConcurrency(4);
  assert.equal(run.stuck(), []);
  await advance(scheduler, 100);
  assert.is(run.stuck().length, 2, 'only the question is left, and what is behind it');
  await run.answer('asks?1', 3);
  await advance(scheduler);
  assert.is((await run.result()).status, 'succeeded');
  assert.is(said.filter((one) => one.endsWith('stuck')).length, 3, said.join());
});

test('stuck is never said while a timer, a provider or a person with a deadline will go on', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({
    name: 'alive',
    concurrency: 8,
    state: { n: 0 },
    groups: {
      slow: { limiter: { requestsPerMinute: 1 } },
      down: { breaker: { failures: 1, openFor: 30_000 } },
    },
  });
  flow.task('backs off', {
    retry: { count: 1, backoff: { initial: 40_000, jitter: 'none' } },
    run: (_, ctx) => {
      if (ctx.attempt === 1) throw new Error('planned');
    },
  });
  flow.task('is down', {
    group: 'down',
    retry: { count: 1, backoff: { initial: 1, jitter: 'none' } },
    run: (_, ctx) => {
      if (ctx.attempt === 1) throw Object.assign(new Error('down'), { status: 503 });
    },
  });
  for (let i = 0; i < 3; i++) flow.task(`slow_${i}`, { group: 'slow', run: () => i });
  flow.task('asks', { run: (_, ctx) => ctx.ask(human(typed<number>(), { deadline: 300_000, default: 1 })) });
  const parent = flow.task('joins', {
    run: async (_, ctx) => ctx.join([ctx.spawn('child', { run: (_, inner) => inner.sleep(5) })]),
  });
  flow.task('shares', { run: (_, ctx) => ctx.shared('x').use(() => ctx.sleep(50)) });
  flow.task('shares too', { dependencies: [parent], run: (_, ctx) => ctx.shared('x').use(() => 1) });
  flow.each('pages', { from: [1, 2, 3], run: (_: number, ctx) => ctx.sleep(5) });
  const run = flow.run({ scheduler });
  const said = watch(run as never);
  await advance(scheduler);
  assert.is((await run.result()).status, 'succeeded');
  assert.not.ok(
    said.some((one) => one.includes('stuck')),
    said.join(),
  );
});

test.run();
