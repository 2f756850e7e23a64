import { defer, delay, map, of, type SchedulerLike, timer } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { BreakerOptions } from '../../lib/entry/limits.js';
import {
  channel,
  human,
  memory,
  optional,
  type Run,
  type RxhiveError,
  type Task,
  type TaskContext,
  typed,
  WorkflowDefinitionError,
  type WorkflowEvent,
  type WorkflowResult,
  workflow,
} from '../../lib/index.js';
import { speaksAgainstProvider } from '../../lib/kernel/provider-error.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

/** A provider with an outage: from `downFrom` to `downTo` every call fails after 10 ms with a 503. */
function provider(scheduler: SchedulerLike, downFrom: number, downTo: number) {
  const started: number[] = [];
  const call = () =>
    defer(() => {
      const at = scheduler.now();
      started.push(at);
      return of(at).pipe(
        delay(10, scheduler),
        map(() => {
          if (at >= downFrom && at < downTo) throw Object.assign(new Error('down'), { status: 503 });
          return at;
        }),
      );
    });
  return { call, started };
}

/** One call after the other, whatever becomes of the one before. */
function chain(breaker: BreakerOptions, calls: number, body: (i: number) => unknown) {
  const flow = workflow({ name: 'breaker', groups: { api: { breaker } } });
  let before: Task<unknown>[] = [];
  for (let i = 0; i < calls; i++)
    before = [
      flow.task(`t${i}`, {
        group: 'api',
        dependencies: before.map((one) => optional(one)),
        run: () => body(i),
      }),
    ];
  return flow;
}

const states = (events: readonly WorkflowEvent[]): string[] =>
  events.flatMap((event) => (event.type === 'breaker' ? [`${event.at} ${event.reason}`] : []));

test('after failures in a row the group waits, one probe decides, success closes it', async () => {
  const scheduler = new SimulationScheduler();
  const { call, started } = provider(scheduler, 0, 150);
  const flow = chain({ failures: 3, openFor: 100 }, 8, call);
  const events: WorkflowEvent[] = [];
  const run = flow.run({ scheduler });
  run.events$.subscribe((event) => events.push(event));
  let explained = '';
  scheduler.schedule(() => {
    explained = run.explain('t3');
  }, 60);
  const pending = run.result();
  await advance(scheduler);
  const result = await pending;
  assert.equal(started, [0, 10, 20, 130, 240, 250, 260, 270]);
  assert.equal(states(events), ['30 open', '130 half-open', '140 open', '240 half-open', '250 closed']);
  assert.match(
    explained,
    'Task "t3" has been ready for 0.0 s and waits for the circuit breaker of group "api", which is open for another 70 ms.',
  );
  assert.is(result.tasks.get('t3')?.waits.permit, 100);
});

test('half-open lets the number of probes through that was asked for, and needs as many successes', async () => {
  const scheduler = new SimulationScheduler();
  const { call, started } = provider(scheduler, 0, 50);
  const flow = workflow({
    name: 'probes',
    concurrency: 4,
    groups: { api: { breaker: { failures: 1, openFor: 100, halfOpen: 2 } } },
  });
  for (let i = 0; i < 12; i++) flow.task(`t${i}`, { group: 'api', run: call });
  flow.task('late', { group: 'api', priority: -9, dependencies: [], run: call });
  const run = flow.run({ scheduler });
  const pending = run.result();
  await advance(scheduler);
  await pending;
  assert.equal(started, [0, 0, 0, 0, 110, 110, 120, 120, 120, 120, 130, 130, 130]);
});

test('whenOpen fail: ready tasks fail at once with CIRCUIT_OPEN; a task can ask for it too', async () => {
  const scheduler = new SimulationScheduler();
  const { call, started } = provider(scheduler, 0, 1_000);
  const flow = workflow({
    name: 'fail',
    concurrency: 2,
    groups: {
      api: { breaker: { failures: 2, openFor: 500, whenOpen: 'fail' } },
      other: { breaker: { failures: 1, openFor: 300 } },
    },
  });
  for (let i = 0; i < 5; i++) flow.task(`t${i}`, { group: 'api', run: call });
  flow.task('x', { group: 'other', priority: 1, run: call });
  flow.task('patient', { group: 'other', run: call });
  flow.task('hurried', { group: 'other', whenOpen: 'fail', run: call });
  const run = flow.run({ scheduler });
  const pending = run.result();
  await advance(scheduler);
  const result = await pending;
  const codes = [...result.tasks.values()].map((task) => (task.error as RxhiveError).code);
  const open = codes.filter((code) => code === 'CIRCUIT_OPEN');
  assert.is(open.length, 3, codes.join());
  assert.is((result.tasks.get('hurried')?.error as RxhiveError | undefined)?.code, 'CIRCUIT_OPEN');
  assert.is(result.tasks.get('hurried')?.attempts.length, 0);
  assert.ok(
    started.some((at) => at >= 310),
    'the patient one went as a probe',
  );
});

test('a rate over a window: too few outcomes do not open it, old ones are forgotten', async () => {
  const scheduler = new SimulationScheduler();
  const failing = (i: number) => i % 2 === 1;
  const flow = chain({ failures: { rate: 0.5, window: 100, least: 6 }, openFor: 50 }, 12, (i) =>
    timer(10, scheduler).pipe(
      map(() => {
        if (failing(i)) throw Object.assign(new Error('down'), { code: 'ECONNRESET' });
      }),
    ),
  );
  const events: WorkflowEvent[] = [];
  const run = flow.run({ scheduler });
  run.events$.subscribe((event) => events.push(event));
  const pending = run.result();
  await advance(scheduler);
  await pending;
  assert.equal(states(events).slice(0, 2), ['60 open', '110 half-open']);

  const slow = chain({ failures: { rate: 0.5, window: 30, least: 6 }, openFor: 50 }, 12, (i) =>
    timer(10, scheduler).pipe(
      map(() => {
        if (failing(i)) throw Object.assign(new Error('down'), { code: 'ECONNRESET' });
      }),
    ),
  ).run({ scheduler });
  const seen: WorkflowEvent[] = [];
  slow.events$.subscribe((event) => seen.push(event));
  const end = slow.result();
  await advance(scheduler);
  await end;
  assert.equal(states(seen), []);
});

test('a bug of the task, a 429 and a cancelled task do not open it; an own predicate may', async () => {
  const bug = chain({ failures: 2 }, 4, () => {
    throw new TypeError('undefined is not a function');
  });
  const events: WorkflowEvent[] = [];
  const run = bug.run();
  run.events$.subscribe((event) => events.push(event));
  await run.result();
  assert.equal(states(events), []);
  const own = chain({ failures: 2, openFor: 5, counts: (error) => error instanceof TypeError }, 3, () => {
    throw new TypeError('bad answer');
  });
  const second = own.run();
  second.events$.subscribe((event) => events.push(event));
  await second.result();
  assert.is(states(events).length > 0, true);
  const fetchFailed = new TypeError('fetch failed', {
    cause: Object.assign(new Error('x'), { code: 'ECONNREFUSED' }),
  });
  const verdicts: [unknown, boolean][] = [
    [fetchFailed, true],
    [{ status: 500 }, true],
    [{ response: { status: 502 } }, true],
    [{ statusCode: 408 }, true],
    [{ status: 429 }, false],
    [{ status: 404 }, false],
    [Object.assign(new Error('x'), { name: 'TimeoutError' }), true],
    [new Error('x'), false],
    ['text', false],
    [undefined, false],
  ];
  for (const [error, expected] of verdicts) assert.is(speaksAgainstProvider(error), expected, String(error));
});

test('options that make no sense are refused', () => {
  const wrong: [unknown, RegExp][] = [
    [{}, /breaker\.failures is undefined; give a whole number from 1/],
    [{ failures: 0 }, /failures is 0/],
    [{ failures: { rate: 0, window: 10 } }, /rate is 0; give a share/],
    [{ failures: { rate: 0.5, window: Number.NaN } }, /window is NaN/],
    [{ failures: { rate: 0.5, window: 10, min: 3 } }, /failures\.min is unknown/],
    [{ failures: 1, openFor: 0 }, /openFor is 0/],
    [{ failures: 1, halfOpen: -1 }, /halfOpen is -1/],
    [{ failures: 1, whenOpen: 'skip' }, /whenOpen is "skip"; use "wait" or "fail"/],
    [{ failures: 1, counts: 3 }, /counts is 3/],
    [{ failures: 1, resetTimeout: 3 }, /resetTimeout is unknown/],
    [3, /breaker is 3/],
  ];
  for (const [breaker, message] of wrong) {
    const flow = workflow({ name: 'wrong', groups: { api: { breaker: breaker as BreakerOptions } } });
    flow.task('a', { run: () => 1 });
    assert.throws(
      () => flow.run(),
      (error: unknown) => error instanceof WorkflowDefinitionError && message.test(error.message),
      String(message),
    );
  }
});

const down = (): never => {
  throw Object.assign(new Error('down'), { status: 503 });
};
const soon = { count: 5, backoff: { initial: 10, jitter: 'none' } } as const;

/** A group whose breaker opens after two failures, for 100 ms; agents of it find the provider up from `upAt` on. */
function outage(upAt = 50) {
  const scheduler = new SimulationScheduler();
  const flow = workflow({
    name: 'outage',
    groups: { llm: { concurrency: 4, breaker: { failures: 2, openFor: 100 } }, free: {} },
  });
  const agent = (id: string, body: (ctx: TaskContext, inputs: unknown) => unknown, options: object = {}) =>
    flow.task(id, {
      group: 'llm',
      retry: soon,
      ...options,
      run: (inputs: unknown, ctx: TaskContext) => (scheduler.now() < upAt ? down() : body(ctx, inputs)),
    });
  return { scheduler, flow, agent };
}

/** The run without a time limit: a hang shows as tasks that have not ended. */
async function ended(scheduler: SimulationScheduler, run: Run): Promise<WorkflowResult> {
  const result = run.result();
  await advance(scheduler);
  assert.equal(
    [...run.snapshot().tasks].filter(([, status]) => /ready|running|suspended|waiting/.test(status)),
    [],
  );
  return result;
}

test('what a probe joins passes the half-open breaker: children, their children, also from behind others', async () => {
  const { scheduler, flow, agent } = outage();
  for (let i = 0; i < 3; i++)
    agent(`agent${i}`, (ctx) =>
      ctx.join(
        ctx.spawn('sub', {
          group: 'llm',
          priority: -5,
          run: async (_, sub) => {
            await sub.sleep(20);
            return sub.join(sub.spawn('deep', { group: 'llm', priority: -9, run: () => 'found' }));
          },
        }),
      ),
    );
  const events: WorkflowEvent[] = [];
  const run = flow.run({ scheduler });
  run.events$.subscribe((event) => events.push(event));
  const result = await ended(scheduler, run);
  assert.is(result.status, 'succeeded');
  assert.equal(
    states(events).map((text) => text.replace(/^\d+ /, '')),
    ['open', 'half-open', 'closed'],
  );
});

test('a child that fails tells as much as the probe itself', async () => {
  const { scheduler, flow, agent } = outage();
  let calls = 0;
  agent('agent', (ctx) => {
    const run = (): unknown => {
      calls += 1;
      return scheduler.now() < 300 ? down() : 1;
    };
    return ctx.join(ctx.spawn('sub', { group: 'llm', run }));
  });
  agent('other', () => 1);
  const events: WorkflowEvent[] = [];
  const run = flow.run({ scheduler });
  run.events$.subscribe((event) => events.push(event));
  await ended(scheduler, run);
  assert.ok(calls <= 2, `${calls} calls of a provider that is down`);
  assert.is(states(events).at(-1)?.endsWith('closed'), true);
});

test('a probe may join a task that is not its own, hear another one, or wait over a group of others', async () => {
  const { scheduler, flow, agent } = outage(50);
  const words = channel<string>('words');
  // Ready all the time, behind those that try.
  const joined = agent('joined', () => 1, { priority: -3 });
  const far = agent('far', () => 2, { priority: -4 });
  const bridge = flow.task('bridge', {
    group: 'free',
    run: async (_, ctx) => {
      await ctx.sleep(200);
      return ctx.join(far);
    },
  });
  const speaker = agent('speaker', (ctx) => ctx.send(words, 'hello'), { priority: -5 });
  agent('tries 1', (ctx) => ctx.join([joined]), { priority: 3 });
  agent('tries 2', (ctx) => ctx.join([bridge]), { priority: 2 });
  agent('tries 3', (ctx) => ctx.receive(words, { from: [speaker] }), { priority: 1 });
  assert.is((await ended(scheduler, flow.run({ scheduler }))).status, 'succeeded');
});

test('a probe that waits for a shared thing lets through what its holder joins, whoever leaves the line between them', async () => {
  for (const leaves of ['cancelled', 'timed out', 'nobody'] as const) {
    const { scheduler, flow, agent } = outage();
    const lock = (ctx: TaskContext, work: () => unknown): Promise<unknown> => ctx.shared('lock').use(work);
    agent('a', () => 1);
    agent('b', () => 1);
    flow.task('holder', {
      run: (_, ctx) =>
        lock(ctx, async () => {
          await ctx.sleep(300);
          return ctx.join(ctx.spawn('child', { group: 'llm', run: () => 1 }));
        }),
    });
    const between = {
      timeout: leaves === 'timed out' ? 150 : 1_000,
      retry: leaves === 'timed out' ? soon : 0,
    };
    if (leaves !== 'nobody')
      flow.task('between', { ...between, run: (_, ctx) => ctx.sleep(1).then(() => lock(ctx, () => 1)) });
    for (let i = 0; i < 3; i++)
      agent(`tries ${i}`, (ctx) => lock(ctx, () => ctx.sleep(1)), {
        priority: 3,
        retry: { ...soon, backoff: { initial: 55, jitter: 'none' } },
      });
    const run = flow.run({ scheduler });
    if (leaves === 'cancelled') scheduler.schedule(() => run.cancelTask('between'), 280);
    const { tasks } = await ended(scheduler, run);
    for (const id of ['holder', 'child', 'tries 0', 'tries 1', 'tries 2'])
      assert.is(tasks.get(id)?.status, 'succeeded', `${leaves}: ${id}`);
  }
});

test('a probe in a circle of joins and shared things ends, with the task that closed it', async () => {
  const { scheduler, flow, agent } = outage();
  agent('a', () => 1);
  agent('b', () => 1);
  flow.task('holder', {
    run: (_, ctx) =>
      ctx.shared('one').use(async () => {
        await ctx.sleep(300);
        return ctx.join(ctx.spawn('child', { run: (_, child) => child.shared('two').use(() => 1) }));
      }),
  });
  agent('tries', (ctx) => ctx.shared('two').use(() => ctx.shared('one').use(() => 1)), { priority: 3 });
  agent('next', () => 1);
  const { tasks } = await ended(scheduler, flow.run({ scheduler }));
  const errors = [...tasks.values()].map(({ error }) => (error as RxhiveError | undefined)?.code);
  assert.ok(errors.includes('JOIN_CYCLE'), String(errors));
  assert.is(tasks.get('next')?.status, 'succeeded');
});

test('a probe that asks people keeps its place; stuck() and explain() name it, its answer lets the others go on', async () => {
  const { scheduler, flow, agent } = outage();
  agent('agent', (ctx) => ctx.ask(human(typed<string>(), 'Go on?')), { priority: 1 });
  agent('other 1', () => 1);
  agent('other 2', () => 1);
  const run = flow.run({ scheduler });
  const result = run.result();
  await advance(scheduler, 1_000);
  assert.equal(run.stuck(), [
    'Task "agent" waits for people to answer "agent?1" (Go on?); give it to run.answer().',
    '2 tasks wait for tasks that wait like this.',
  ]);
  assert.match(run.explain('other 1'), 'lets 1 through to try: "agent" (suspended)');
  await run.answer('agent?1', 'yes');
  await advance(scheduler);
  assert.is((await result).status, 'succeeded');
});

test('a run whose probe asks people is suspended, and goes on elsewhere', async () => {
  const store = memory();
  const { scheduler, flow, agent } = outage();
  agent('agent', (ctx) => ctx.ask(human(typed<string>(), 'Go on?')), { priority: 1 });
  agent('other', () => 1);
  const first = flow.run({ scheduler, store, runId: 'r', suspend: 'exit' }).result();
  await advance(scheduler);
  assert.is((await first).status, 'suspended');
  await flow.answer(store, 'r', 'agent?1', 'yes');
  const second = flow.run({ scheduler, store, runId: 'r' }).result();
  await advance(scheduler);
  assert.is((await second).status, 'succeeded');
});

test.run();
