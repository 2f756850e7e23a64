import type { Observable } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  controller,
  human,
  memory,
  type Run,
  RxhiveError,
  typed,
  virtual,
  type WorkflowEvent,
  workflow,
} from '../../lib/index.js';
import type { Limiter } from '../../lib/model/limiter.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

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
  assert.is(report.subscriberErrors.length, 1, 'asked no more');
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

test('steps that were not used are forgotten when the run goes on', async () => {
  const scheduler = new SimulationScheduler();
  const { flow } = diamond();
  const run = flow.run({ scheduler });
  run.pause();
  const said = watch(run as never);
  for (let i = 0; i < 4; i++) run.step(); // two are ready
  await advance(scheduler, 5);
  run.continue();
  run.pause();
  await advance(scheduler, 100);
  assert.not.ok(
    said.some((one) => one.endsWith(' c')),
    said.join(),
  );
  run.continue();
  await advance(scheduler);
  assert.ok(said.includes('100 c') || said.includes('105 c'), said.join());
});

test('after a step past a breakpoint the run is paused, not paused before that task', async () => {
  const scheduler = new SimulationScheduler();
  const { flow, c } = diamond();
  const run = flow.run({ scheduler, pauseBefore: [c] });
  run.subscribe();
  await advance(scheduler, 50);
  run.step();
  await advance(scheduler, 100);
  assert.match(run.explain('d'), /waits for the run, which is paused; run\.continue/);
  run.continue();
  await advance(scheduler);
  assert.is((await run.result()).status, 'succeeded');
});

test('a paused run lets go on what waited for its own child, and attempts beside others need no leave', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'within', concurrency: 4 });
  const said: string[] = [];
  flow.task('parent', {
    run: async (_, ctx) => {
      await ctx.join([ctx.spawn('child', { run: (_, inner) => inner.sleep(10) })]);
      said.push(`${scheduler.now()} on`);
    },
  });
  const asked: string[] = [];
  let calls = 0;
  flow.task('hedged', {
    hedge: { after: 5 },
    run: (_, ctx) => ctx.sleep(calls++ === 0 ? 1_000 : 1),
  });
  const run = flow.run({
    scheduler,
    pauseBefore: [
      ({ id, attempt }) => {
        asked.push(`${id} ${attempt}`);
        return false;
      },
    ],
  });
  run.subscribe();
  await advance(scheduler, 7);
  run.pause();
  await advance(scheduler, 50);
  assert.equal(said, ['10 on']);
  assert.is(calls, 2);
  assert.equal([...new Set(asked)].sort(), ['child 1', 'hedged 1', 'parent 1']);
  assert.is((await run.result()).status, 'succeeded');
});

test('nothing is stuck that ends by itself: a deadline, a total timeout, work of another run', async () => {
  const scheduler = new SimulationScheduler();
  const one = (
    options: Record<string, unknown>,
    run: (inputs: unknown, ctx: { ask(question: unknown): unknown; attempt: number }) => unknown,
  ): Run<never, never> => {
    const flow = workflow({ name: 'alone' });
    flow.task('only', { ...options, run } as never);
    return flow.run({ scheduler }) as never;
  };
  const timed = one({}, (_, ctx) => ctx.ask(human(typed<number>(), { deadline: 500, default: 1 })));
  const untimed = one({}, (_, ctx) => ctx.ask(human(typed<number>())));
  const total = one({ timeout: { total: 500 }, retry: { count: 3, backoff: () => 10 } }, () => {
    throw new Error('planned');
  });
  const held = one({ retry: { count: 3, backoff: () => 10 } }, () => {
    throw new Error('planned');
  });
  for (const run of [timed, untimed, total, held]) run.subscribe();
  await advance(scheduler, 5);
  for (const run of [total, held]) run.pause();
  await advance(scheduler, 50);
  assert.equal(timed.stuck(), []);
  assert.is(untimed.stuck().length, 1);
  assert.equal(total.stuck(), []);
  assert.is(held.stuck().length, 1);

  const store = memory();
  const flow = workflow({ name: 'twice' });
  flow.task('cached', { cache: { key: () => 'k' }, run: (_, ctx) => ctx.sleep(200) });
  flow.task('asks', { run: (_, ctx) => ctx.ask(human(typed<number>())) });
  const [first, second] = [
    flow.run({ scheduler, store, runId: 'one' }),
    flow.run({ scheduler, store, runId: 'two' }),
  ];
  first.subscribe();
  second.subscribe();
  await advance(scheduler, 100);
  assert.match(second.explain('cached'), /suspended|waits/);
  assert.equal(second.stuck(), [], 'what is asked may not be all that is left when the other run is done');
  for (const run of [untimed, held]) run.cancel();
  await Promise.all([first.answer('asks?1', 1), second.answer('asks?1', 1)]);
  await advance(scheduler);
  assert.is((await first.result()).status, 'succeeded');
  assert.is((await second.result()).status, 'succeeded');
});

test('stuck is said when a hold ends after which a limiter of the user gives nothing', async () => {
  const scheduler = new SimulationScheduler();
  const inner = virtual({ maxConcurrent: 1, backoff: () => 50 });
  const seat: Limiter['seat'] = (client) => {
    const one = inner.seat(client);
    return {
      admits: (request) => one.admits(request),
      wait: (request) => one.wait(request),
      unwait: (node) => one.unwait(node),
      take: (request) => ({ at: one.take(request).at, pause: () => undefined, release: () => undefined }),
      delay: (request, ahead) => one.delay(request, ahead),
      refused: (permit, retryAfter) => one.refused(permit, retryAfter),
      passed: (permit) => one.passed(permit),
      told: (limits) => one.told(limits),
      state: () => one.state(),
      close: () => one.close(),
    };
  };
  const limiter: Limiter = { settings: inner.settings, update: () => undefined, seat };
  const flow = workflow({ name: 'held', groups: { llm: { limiter } } });
  flow.task('t', {
    group: 'llm',
    retry: { count: 1, backoff: () => 0 },
    run: () => {
      throw Object.assign(new Error('busy'), { status: 429 });
    },
  });
  const run = flow.run({ scheduler });
  const said = watch(run as never);
  await advance(scheduler, 100);
  assert.equal(said, ['0 t', '50 stuck']);
  run.cancel();
  await run.result();
});

test('who subscribes while a run is stuck hears so once, and nothing when it goes on', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'late' });
  flow.task('a', { run: (_, ctx) => ctx.sleep(10) });
  const hive = controller({ scheduler });
  const runs = [flow.run({ scheduler }), flow.run({ controller: hive })];
  for (const run of runs) {
    run.setConcurrency(0);
    void run.result();
    await advance(scheduler, 5);
    assert.is(run.stuck().length, 1);
    const from = scheduler.now();
    const heard: WorkflowEvent[][] = [[], [], [], []];
    const isStuck = ({ type, reason }: WorkflowEvent): boolean => type === 'run' && reason === 'stuck';
    const listen = (i: number): void => {
      const stream = i === 1 ? (run as unknown as Observable<WorkflowEvent>) : run.events$;
      stream.subscribe((event) => {
        if (isStuck(event)) heard[i]?.push(event);
        // One that comes while the others are told.
        if (i === 0 && isStuck(event)) listen(3);
      });
    };
    listen(0);
    listen(1);
    await advance(scheduler, from + 5);
    listen(2);
    assert.equal(
      heard.map((events) => events.length),
      [1, 1, 1, 1],
    );
    for (const [event] of heard) assert.is(event, heard[0]?.[0], 'the same object');
    assert.equal((heard[0]?.[0] as { waitsFor?: unknown } | undefined)?.waitsFor, run.stuck());
    if (run === runs[1]) {
      const ofHive: WorkflowEvent[] = [];
      hive.events$.subscribe((event) => isStuck(event) && ofHive.push(event));
      assert.equal(ofHive, heard[0]);
    }
    run.setConcurrency(1);
    const after: string[] = [];
    run.events$.subscribe((event) => isStuck(event) && after.push(event.type));
    await advance(scheduler, from + 50);
    assert.is((await run.result()).status, 'succeeded');
    assert.equal(after, []);
    assert.equal(
      heard.map((events) => events.length),
      [1, 1, 1, 1],
    );
  }
});

test('a task that will be given up by its queue timeout is not stuck behind a limit of 0', async () => {
  const scheduler = new SimulationScheduler();
  const stuck: number[] = [];
  for (const timeout of [{ queue: 500 }, undefined]) {
    const flow = workflow({ name: 'queued' });
    flow.task('only', { ...(timeout && { timeout }), run: () => 1 });
    const run = flow.run({ scheduler });
    run.setConcurrency(0);
    run.subscribe();
    await advance(scheduler, 100);
    stuck.push(run.stuck().length);
    run.cancel();
  }
  assert.equal(stuck, [0, 1]);
});

test.run();
