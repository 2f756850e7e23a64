import { type SchedulerLike, timer } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Candidate } from '../lib/entry/agents.js';
import {
  fallback,
  memory,
  optional,
  type RxhiveError,
  race,
  type TaskContext,
  type TaskOptions,
  virtual,
  WorkflowDefinitionError,
  type WorkflowEvent,
  type WorkflowResult,
  workflow,
} from '../lib/index.js';
import { advance, SimulationScheduler } from '../lib/testing/index.js';

const down = (): never => {
  throw Object.assign(new Error('down'), { status: 503 });
};

const answers =
  <T>(scheduler: SchedulerLike, ms: number, value: T, tokens = 0) =>
  async (_: unknown, ctx: TaskContext): Promise<T> => {
    ctx.usage({ inputTokens: tokens });
    await ctx.sleep(ms);
    void scheduler;
    return value;
  };

const statuses = (result: WorkflowResult): Record<string, string> =>
  Object.fromEntries([...result.tasks].map(([id, { status }]) => [id, status]));

test('the next candidate has its turn when one fails; the run succeeds, and each is seen in its group', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({
    name: 'fallback',
    state: { by: [] as string[] },
    concurrency: 1,
    failurePolicy: 'fail-fast',
    groups: { openai: { concurrency: 1 }, anthropic: { concurrency: 1 } },
  });
  const plan = flow.task('plan', { run: () => 'plan' });
  const draft = flow.task('draft', {
    dependencies: { plan },
    run: fallback([
      {
        name: 'gpt',
        group: 'openai',
        retry: { count: 1, backoff: { initial: 100, jitter: 'none' } },
        run: (_, ctx) => {
          ctx.usage({ inputTokens: 5 });
          ctx.update((s) => {
            s.by.push('gpt');
          });
          return down();
        },
      },
      {
        name: 'claude',
        group: 'anthropic',
        run: async ({ plan }, ctx) => {
          ctx.update((s) => {
            s.by.push('claude');
          });
          await ctx.sleep(10);
          return `${plan} by claude`;
        },
      },
    ]),
  });
  const pending = flow.run({ scheduler }).result();
  await advance(scheduler);
  const result = await pending;
  assert.is(result.results.get(draft), 'plan by claude');
  assert.is(result.status, 'succeeded');
  assert.equal(statuses(result as WorkflowResult), {
    plan: 'succeeded',
    draft: 'succeeded',
    'draft/gpt': 'failed',
    'draft/claude': 'succeeded',
  });
  assert.equal(result.state.by, ['claude']);
  assert.is(result.tasks.get('draft/gpt')?.attempts.length, 2);
  assert.is(result.report.usage.groups.openai?.inputTokens, 10);
  assert.is(result.report.usage.groups.anthropic?.calls, 1);
  assert.is(result.tasks.get('draft')?.waits.suspended, 110);
});

test('an open breaker and a spent budget hand over at once', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({
    name: 'handover',
    groups: {
      first: { breaker: { failures: 1, openFor: 1_000 } },
      second: { budget: { tokens: 30 } },
      third: {},
    },
  });
  const candidates: Candidate<unknown, unknown>[] = [
    { name: 'a', group: 'first', run: down },
    { name: 'b', group: 'second', run: answers(scheduler, 10, 'b', 20) },
    { name: 'c', group: 'third', run: answers(scheduler, 10, 'c') },
  ];
  let before: { id: string }[] = [];
  for (let i = 0; i < 4; i++)
    before = [flow.task(`t${i}`, { dependencies: before as [], run: fallback(candidates) })];
  const pending = flow.run({ scheduler }).result();
  await advance(scheduler);
  const result = (await pending) as WorkflowResult;
  assert.equal(
    [0, 1, 2, 3].map((i) => result.results.get(`t${i}`)),
    ['b', 'b', 'c', 'c'],
  );
  const codeOf = (id: string) => (result.tasks.get(id)?.error as RxhiveError | undefined)?.code;
  assert.is(codeOf('t1/a'), 'CIRCUIT_OPEN');
  assert.equal(result.tasks.get('t2/b')?.skippedBecause, ['groups.second.budget.tokens']);
  assert.is(result.status, 'succeeded');
  assert.is(result.report.wallMs, 40);
});

test('a bug ends it, all failed is an error with all errors, and a retry begins anew', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'errors' });
  const ran: string[] = [];
  flow.task('bug', {
    run: fallback([
      {
        name: 'a',
        run: () => {
          throw new TypeError('undefined is not a function');
        },
      },
      { name: 'b', run: () => ran.push('b') },
    ]),
  });
  flow.task('own', {
    run: fallback(
      [
        { name: 'a', run: down },
        { name: 'b', run: () => ran.push('b') },
      ],
      { when: (error) => (error as { status?: number }).status !== 503 },
    ),
  });
  flow.task('all', {
    retry: { count: 1, backoff: { initial: 5, jitter: 'none' } },
    run: fallback([
      { name: 'a', run: down },
      { name: 'b', run: (_, ctx) => (ctx.taskId.endsWith('#2') ? 'second round' : down()) },
    ]),
  });
  flow.task('none', {
    run: fallback([
      { name: 'a', run: down },
      { name: 'b', run: down },
    ]),
  });
  const pending = flow.run({ scheduler }).result();
  await advance(scheduler);
  const result = (await pending) as WorkflowResult;
  assert.instance(result.tasks.get('bug')?.error, TypeError);
  assert.is((result.tasks.get('own')?.error as Error | undefined)?.message, 'down');
  assert.equal(ran, []);
  assert.is(result.results.get('all'), 'second round');
  const none = result.tasks.get('none')?.error as RxhiveError;
  assert.is(none.code, 'TOO_FEW_SUCCEEDED');
  assert.is((none.cause as AggregateError).errors.length, 2);
  assert.match(none.message, 'All 2 candidates of task "none" failed. a: down b: down');
  assert.is(result.status, 'partial');
});

test('spread goes where most is left: places, budget, breaker', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({
    name: 'spread',
    concurrency: 64,
    groups: {
      big: { concurrency: 12, budget: { calls: 1_000 } },
      small: { concurrency: 6, budget: { calls: 1_000 } },
      poor: { budget: { calls: 3 } },
      broken: { breaker: { failures: 1 } },
    },
  });
  const run = answers(scheduler, 100, 0);
  const used = fallback(
    [
      { name: 'broken', group: 'broken', run: down },
      { name: 'poor', group: 'poor', run },
      { name: 'small', group: 'small', run },
      { name: 'big', group: 'big', run },
    ],
    { order: 'spread' },
  );
  for (let i = 0; i < 60; i++) flow.task(`t${i}`, { run: used });
  const running = flow.run({ scheduler });
  const events: WorkflowEvent[] = [];
  running.events$.subscribe((event) => events.push(event));
  const pending = running.result();
  await advance(scheduler);
  const { report, status } = await pending;
  const calls = (name: string): number => report.usage.groups[name]?.calls ?? 0;
  assert.is(status, 'succeeded');
  assert.is(calls('poor'), 3);
  assert.ok(calls('broken') >= 1 && calls('broken') <= 20, String(calls('broken')));
  assert.ok(calls('big') >= 15 && calls('small') >= 10, `${calls('big')} ${calls('small')}`);
});

test('candidates come back from a log, and inputs that changed make them run again', async () => {
  const store = memory();
  const ran: string[] = [];
  let fails = true;
  const make = (version: string) => {
    const flow = workflow({ name: 'resumed' });
    const source = flow.task('source', { version, run: () => version });
    const draft = flow.task('draft', {
      dependencies: { source },
      run: fallback([
        {
          name: 'a',
          run: () => {
            ran.push('a');
            return down();
          },
        },
        {
          name: 'b',
          run: ({ source }) => {
            ran.push('b');
            return source;
          },
        },
      ]),
    });
    flow.task('last', {
      dependencies: { draft },
      run: ({ draft }) => {
        if (fails) throw new Error('not yet');
        return draft;
      },
    });
    return flow;
  };
  await make('1').run({ store, runId: 'r' }).result();
  fails = false;
  const same = await make('1').run({ store, runId: 'r', retry: 'failed' }).result();
  assert.equal(ran, ['a', 'b']);
  assert.is(same.results.get('last'), '1');
  assert.is(same.status, 'succeeded');
  // What the candidates cost is not forgotten, though the run has them no more.
  assert.is(same.report.usage.calls, 6);
  const changed = await make('2').run({ store, runId: 'r', retry: 'failed' }).result();
  assert.is(changed.results.get('last'), '2');
});

test('a candidate is not taken for another attempt of one, whatever their names', async () => {
  const seen: string[] = [];
  const run = (_: unknown, { taskId }: { readonly taskId: string }): never => {
    seen.push(taskId);
    return down();
  };
  const flow = workflow({ name: 'names' });
  flow.task('t', {
    retry: 1,
    run: fallback([
      { name: 'a', run },
      { name: 'a#2', run },
    ]),
  });
  const { status } = await flow.run().result();
  assert.is(status, 'failed');
  assert.equal(seen, ['t/a', 't/a##2', 't/a#2', 't/a##2#2']);
});

test('a fallback that loses a race takes its candidates along', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'raced' });
  const slow = flow.task('slow', {
    run: fallback([{ name: 'a', run: answers(scheduler, 100, 'a') }]),
  });
  const fast = flow.task('fast', { run: () => timer(10, scheduler) });
  flow.task('first', { dependencies: [race([slow, fast])], run: () => 0 });
  const pending = flow.run({ scheduler }).result();
  await advance(scheduler);
  const result = (await pending) as WorkflowResult;
  assert.is(result.tasks.get('slow/a')?.status, 'cancelled');
  assert.is(result.report.wallMs, 10);
  assert.is(result.status, 'succeeded');
});

test('what makes no sense is refused', async () => {
  const run = () => 1;
  const wrong: [() => unknown, RegExp][] = [
    [() => fallback([]), /without candidates/],
    [() => fallback([{ name: '', run }]), /named ""; give it a name/],
    [
      () =>
        fallback([
          { name: 'a', run },
          { name: 'a', run },
        ]),
      /two candidates named "a"/,
    ],
    [() => fallback([{ name: 'a', run: 3 as never }]), /candidate "a" has run 3/],
    [() => fallback([{ name: 'a', run }], { order: 'best' as never }), /order "best"/],
    [() => fallback([{ name: 'a', run }], { retries: 3 } as never), /unknown option "retries"/],
  ];
  for (const [make, message] of wrong) assert.throws(make, message);
  const flow = workflow({ name: 'group', groups: { a: {} } });
  flow.task('t', { run: fallback([{ name: 'x', group: 'b', run }]) });
  assert.throws(
    () => flow.run(),
    (error: unknown) =>
      error instanceof WorkflowDefinitionError && /candidate "x" is in group "b"/.test(error.message),
  );
  const asks = workflow({ name: 'asks' });
  asks.task('t', { run: (_, ctx) => ctx.group('none') });
  const result = await asks.run().result();
  assert.is((result.tasks.get('t')?.error as RxhiveError | undefined)?.code, 'INVALID_OPTION');
});

/** Tasks with two keys of a limit each: calls of each key, and how long it took. */
async function twoKeys(
  order: 'given' | 'spread',
  inARow: boolean,
  limits: object = { requestsPerMinute: 10 },
  count = 20,
): Promise<[a: number, b: number, ms: number]> {
  const scheduler = new SimulationScheduler();
  const used = { a: 0, b: 0 };
  const flow = workflow({
    name: 'keys',
    concurrency: 100,
    groups: { a: { limiter: virtual(limits) }, b: { limiter: virtual(limits) } },
  });
  const ask = (name: 'a' | 'b'): Candidate<unknown, unknown> => ({
    name,
    group: name,
    run: async (_: unknown, ctx: TaskContext) => {
      used[name] += 1;
      ctx.usage({ inputTokens: 100 });
    },
  });
  let before: { id: string }[] = [];
  for (let i = 0; i < count; i++) {
    const run = fallback([ask('a'), ask('b')], { order });
    before = [flow.task(`t${i}`, { dependencies: inARow ? (before as []) : [], run })];
  }
  const ended = flow.run({ scheduler }).result();
  await advance(scheduler);
  const { status, report } = await ended;
  assert.is(status, 'succeeded');
  return [used.a, used.b, report.wallMs];
}

test('a task that ends early takes the candidate it tries with it, also one that does not listen', async () => {
  const deaf = (): Promise<never> => new Promise(() => undefined);
  const ends: Readonly<
    Record<string, [Pick<TaskOptions<unknown, unknown>, 'timeout' | 'retry'>, readonly string[]]>
  > = {
    attempt: [{ timeout: 50 }, ['t failed', 't/outer cancelled', 't/outer/inner cancelled']],
    total: [{ timeout: { total: 50 } }, ['t failed', 't/outer cancelled', 't/outer/inner cancelled']],
    'attempt, tried again': [
      { timeout: 50, retry: { count: 1, backoff: () => 10 } },
      [
        't failed',
        ...['t/outer', 't/outer/inner', 't/outer#2', 't/outer#2/inner'].map((id) => `${id} cancelled`),
      ],
    ],
    cancelTask: [{}, ['t cancelled', 't/outer cancelled', 't/outer/inner cancelled']],
  };
  for (const [how, [options, statuses]] of Object.entries(ends)) {
    const scheduler = new SimulationScheduler();
    const store = memory();
    const flow = workflow({ name: 'early', groups: { slow: { concurrency: 1 } } });
    const inner = fallback([{ name: 'inner', group: 'slow', run: deaf }]);
    const task = flow.task('t', { ...options, run: fallback([{ name: 'outer', run: inner }]) });
    flow.task('next', { group: 'slow', priority: -1, dependencies: [optional(task)], run: () => 'next' });
    const run = flow.run({ scheduler, store, runId: 'r' });
    const ended = run.result();
    if (how === 'cancelTask') scheduler.schedule(() => run.cancelTask('t'), 50);
    await advance(scheduler);
    const { tasks, results, report } = await ended;
    assert.is(report.wallMs, how.includes('again') ? 110 : 50, how);
    assert.is(results.get('next'), 'next');
    const all = [...tasks.values()].filter(({ id }) => id !== 'next');
    assert.equal(
      all.map(({ id, status }) => `${id} ${status}`),
      statuses,
    );
    for (const { error } of all.slice(1)) assert.match(String(error), 'the task it was for has ended');
    if (how === 'cancelTask') continue;
    // What was stopped is tried again where its task is.
    const again = flow.run({ scheduler, store, runId: 'r', retry: 'failed' }).result();
    await advance(scheduler);
    const second = await again;
    assert.is(second.report.wallMs, how.includes('again') ? 110 : 50);
  }
});

test('a key that is used up is passed over: by requests or tokens, in a row or at once, in either order', async () => {
  for (const order of ['given', 'spread'] as const)
    for (const inARow of [true, false]) {
      const how = `${order}, ${inARow ? 'in a row' : 'at once'}`;
      assert.equal(await twoKeys(order, inARow), [10, 10, 0], how);
      assert.equal(await twoKeys(order, inARow, undefined, 40), [20, 20, 60_000], `forty, ${how}`);
    }
  assert.equal(await twoKeys('given', true, { tokensPerMinute: 1_000 }), [10, 10, 0]);
  assert.equal(await twoKeys('spread', true, { tokensPerMinute: 1_000 }), [10, 10, 0]);
});

test('a key that its provider holds is passed over, and has its turn when the others fail', async () => {
  for (const order of ['given', 'spread'] as const) {
    const scheduler = new SimulationScheduler();
    const flow = workflow({ name: 'held', groups: { a: {}, b: {} } });
    const started: string[] = [];
    flow.task('refused', {
      group: 'a',
      run: () => {
        throw Object.assign(new Error('429'), { status: 429, headers: { 'retry-after': '30' } });
      },
    });
    const candidate = (name: 'a' | 'b', fails: boolean): Candidate<unknown, unknown> => ({
      name,
      group: name,
      run: () => {
        started.push(`${name} ${scheduler.now()}`);
        return fails ? down() : name;
      },
    });
    const after = flow.task('after', { run: async (_, ctx) => ctx.sleep(10) });
    const seen: unknown[] = [];
    flow.task('passes', {
      dependencies: [after],
      run: (inputs, ctx) => {
        for (const name of ['a', 'b']) seen.push(ctx.group(name).left, ctx.group(name).opensIn);
        return fallback([candidate('a', false), candidate('b', false)], { order })(inputs, ctx);
      },
    });
    flow.task('comes back', {
      dependencies: [after],
      run: fallback([candidate('a', false), candidate('b', true)], { order }),
    });
    const ended = flow.run({ scheduler }).result();
    await advance(scheduler);
    const result = await ended;
    assert.is(result.results.get('comes back'), 'a');
    assert.equal(seen, [0, 29_990, 1, 0]);
    assert.equal(started, ['b 10', 'b 10', 'a 30000'], order);
  }
});

test.run();
