import { defer, delay, NEVER, of, throwError, timer } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  AgentTask,
  LimitExceededError,
  memory,
  optional,
  type RxhiveError,
  settled,
  type Task,
  typed,
  type WorkflowCancelledError,
  WorkflowDefinitionError,
  type WorkflowEvent,
  type WorkflowOptions,
  WorkflowOrchestrator,
  workflow,
} from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

const prices = { small: { input: 1, output: 2 }, big: { input: 10, output: 30 } };

test('usage is summed by task, group and model; what has no price is counted as such', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'usage', prices, groups: { llm: {} } });
  const a = flow.task('a', {
    group: 'llm',
    retry: { count: 1, backoff: { initial: 0 } },
    run: (_, ctx) => {
      ctx.usage({ inputTokens: 1_000_000, outputTokens: 500_000, model: 'small' });
      if (ctx.attempt === 1) throw new Error('paid all the same');
      ctx.usage({ inputTokens: 3, model: 'unknown' });
    },
  });
  flow.task('b', { run: (_, ctx) => ctx.usage({ model: 'big', outputTokens: 10, cost: 7 }) });
  const events: WorkflowEvent[] = [];
  const run = flow.run({ scheduler });
  run.events$.subscribe((event) => events.push(event));
  const pending = run.result();
  await advance(scheduler);
  const { tasks, report } = await pending;
  const small = {
    calls: 2,
    inputTokens: 2_000_000,
    outputTokens: 1_000_000,
    cost: 4,
    unpricedTokens: 0,
  };
  assert.equal(tasks.get(a)?.usage, { ...small, inputTokens: 2_000_003, unpricedTokens: 3 });
  assert.equal(report.usage.groups.llm, tasks.get(a)?.usage);
  assert.equal(report.usage.models.small, small);
  assert.equal(report.usage.models.big, {
    calls: 1,
    inputTokens: 0,
    outputTokens: 10,
    cost: 7,
    unpricedTokens: 0,
  });
  assert.is(report.usage.cost, 11);
  assert.is(report.usage.calls, 3);
  assert.match(String(report), 'used: 3 calls, 2000003 + 1000010 tokens, cost 11, 3 tokens without a price');
  const costs = events.flatMap((event) => (event.type === 'usage' ? [event.cost] : []));
  assert.equal(costs, [2, 7, 2, undefined]);
});

test('ctx.usage refuses what is no amount', async () => {
  const wrong = [{ inputTokens: -1 }, { cost: Number.NaN }, { model: '' }, { tokens: 3 }, 7] as never[];
  for (const usage of wrong) {
    const flow = workflow({ name: 'wrong' });
    flow.task('a', { run: (_, ctx) => ctx.usage(usage) });
    const result = await flow.run().result();
    assert.is((result.tasks.get('a')?.error as RxhiveError | undefined)?.code, 'INVALID_OPTION');
  }
});

test('a soft cap: what runs may finish, the rest is skipped with the budget as cause', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'soft', concurrency: 2, prices, budget: { cost: 3 } });
  const work = (cost: number) => (_: unknown, ctx: { usage(usage: { cost: number }): void }) =>
    defer(() => {
      ctx.usage({ cost });
      return of(cost).pipe(delay(10));
    });
  const tasks = [2, 1, 5, 5].map((cost, i) => flow.task(`t${i}`, { priority: 5 - i, run: work(cost) }));
  flow.task('after', { dependencies: [tasks[3] as never], run: () => 0 });
  flow.task('soft', { dependencies: [optional(tasks[3] as never)], run: () => 'never starts' });
  const run = flow.run({ scheduler });
  const budget: unknown[] = [];
  run.events$.subscribe((event) => {
    if (event.type === 'budget') budget.push([event.at, event.reason, event.limit, event.spent, event.cap]);
  });
  let explained = '';
  scheduler.schedule(() => {
    explained = run.explain('t3');
  }, 5);
  const pending = run.result();
  await advance(scheduler);
  const result = await pending;
  assert.is(result.status, 'partial');
  assert.equal(
    [...result.tasks.values()].map((task) => task.status),
    ['succeeded', 'succeeded', 'skipped', 'skipped', 'skipped', 'skipped'],
  );
  for (const id of ['t2', 't3', 'after', 'soft'])
    assert.equal(result.tasks.get(id)?.skippedBecause, ['budget.cost'], id);
  const error = result.tasks.get('t2')?.error as LimitExceededError;
  assert.instance(error, LimitExceededError);
  assert.equal([error.limitName, error.limit], ['budget.cost', 3]);
  assert.match(explained, 'Task "t3" was skipped: budget.cost is spent: 3 of 3');
  assert.equal(budget, [[0, 'exhausted', 'cost', 3, 3]]);
  assert.equal(result.report.budgets, [
    {
      limit: 'cost',
      spent: 3,
      cap: 3,
      status: 'exhausted',
      spenders: [
        { taskId: 't0', spent: 2 },
        { taskId: 't1', spent: 1 },
      ],
    },
  ]);
  assert.match(String(result.report), 'budget.cost: 3 of 3, exhausted, most by "t0" (2)');
});

test('calls are never passed, retries and conflict reruns count, and it warns at four fifths', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'calls', groups: { llm: { budget: { calls: 5 } } } });
  let calls = 0;
  for (let i = 0; i < 4; i++)
    flow.task(`t${i}`, {
      group: 'llm',
      retry: { count: 9, backoff: { initial: 10, jitter: 'none', factor: 1 } },
      run: () => {
        calls += 1;
        return timer(1 + i).pipe(() => throwError(() => new Error('down')));
      },
    });
  flow.task('free', { run: () => 'not in the group' });
  const run = flow.run({ scheduler });
  const reasons: string[] = [];
  run.events$.subscribe((event) => {
    if (event.type === 'budget') reasons.push(`${event.reason} ${event.group} ${event.spent}`);
  });
  const pending = run.result();
  await advance(scheduler);
  const result = await pending;
  assert.is(calls, 5);
  assert.equal(reasons, ['warned llm 4', 'exhausted llm 5']);
  assert.is(result.report.usage.groups.llm?.calls, 5);
  const error = result.tasks.get('t3')?.error as LimitExceededError;
  assert.is(error.limitName, 'groups.llm.budget.calls');
  assert.is((error.cause as Error).message, 'down');
  assert.is(result.tasks.get('t3')?.status, 'failed');
  assert.is(result.results.get('free'), 'not in the group');
});

test('a hard cap of the run aborts it, one of a group its tasks', async () => {
  const spend = (ctx: { usage(usage: { inputTokens: number }): void; signal: AbortSignal }) =>
    defer(() => {
      ctx.signal.addEventListener('abort', () => reasons.push(ctx.signal.reason.reason));
      timer(5).subscribe(() => ctx.usage({ inputTokens: 60 }));
      return NEVER;
    });
  const reasons: string[] = [];
  const hard = workflow({ name: 'hard', budget: { tokens: 50, hard: { tokens: 100 } } });
  for (const id of ['a', 'b']) hard.task(id, { run: (_, ctx) => spend(ctx) });
  const result = await hard.run().result();
  assert.equal(reasons, ['budget', 'budget']);
  assert.is(result.status, 'cancelled');
  assert.is((result.error as WorkflowCancelledError).reason, 'budget');
  assert.is((result.error?.cause as LimitExceededError | undefined)?.limitName, 'budget.tokens');
  assert.equal(result.report.budgets[0]?.status, 'aborted');

  const grouped = workflow({
    name: 'grouped',
    groups: { llm: { concurrency: 1, budget: { tokens: 50, hard: true } } },
  });
  for (const id of ['a', 'b']) grouped.task(id, { group: 'llm', run: (_, ctx) => spend(ctx) });
  grouped.task('other', { run: () => timer(20) });
  const partial = await grouped.run().result();
  assert.is(partial.status, 'partial');
  assert.is((partial.tasks.get('a')?.error as WorkflowCancelledError | undefined)?.reason, 'budget');
  assert.equal(partial.tasks.get('b')?.skippedBecause, ['groups.llm.budget.tokens']);
  assert.is(partial.tasks.get('other')?.status, 'succeeded');
});

test('the facade takes prices and a budget', async () => {
  const orchestrator = new WorkflowOrchestrator({
    agents: { ask: (_, ctx) => ctx.usage({ model: 'small', inputTokens: 1_000_000 }) },
    maxConcurrentTasks: 1,
    prices,
    budget: { cost: 2 },
  });
  for (const id of ['a', 'b', 'c']) orchestrator.addTask(new AgentTask({ id, agentType: 'ask' }));
  const result = await orchestrator.executeWorkflow();
  assert.is(result.status, 'partial');
  assert.equal(result.tasks.get('c')?.skippedBecause, ['budget.cost']);
});

test('a cache hit is no call', async () => {
  const flow = workflow({ name: 'hits', concurrency: 1, budget: { calls: 2 } });
  for (let i = 0; i < 6; i++)
    flow.task(`t${i}`, { type: 'same', cache: { key: () => 'one' }, version: '1', run: () => i });
  const result = await flow.run().result();
  assert.is(result.status, 'succeeded');
  assert.is(result.report.usage.calls, 1);
});

test('a budget is of the run: what earlier processes spent counts, whatever became of it', async () => {
  const store = memory();
  let broken = true;
  const make = (tokens: number) => {
    const flow = workflow({
      name: 'resumed',
      concurrency: 1,
      input: typed<undefined>(),
      groups: { llm: { budget: { tokens, calls: 20 } } },
    });
    let before: Task[] = [];
    const pay = (id: string, fails: () => boolean) => {
      const task = flow.task(id, {
        dependencies: before.map((one) => settled(one)),
        group: 'llm',
        version: '1',
        retry: { count: 1, backoff: { initial: 0 } },
        run: (_: unknown, ctx) => {
          ctx.usage({ inputTokens: 10, model: 'm' });
          if (fails()) throw new Error('paid');
        },
      });
      before = [task];
    };
    pay('a', () => false);
    pay('b', () => broken);
    for (const id of ['c', 'd', 'e']) pay(id, () => false);
    return flow;
  };
  const first = await make(30).run({ store, runId: 'r' }).result();
  assert.equal(
    [...first.tasks.values()].map((task) => task.status),
    ['succeeded', 'failed', 'skipped', 'skipped', 'skipped'],
  );
  assert.is(first.tasks.get('b')?.usage.inputTokens, 20);
  broken = false;
  // Spent already: nothing starts, not even what failed.
  const again = await make(30).run({ store, runId: 'r', retry: 'failed' }).result();
  assert.equal(
    [...again.tasks.values()].map((task) => task.status),
    ['restored', 'skipped', 'skipped', 'skipped', 'skipped'],
  );
  assert.is(again.report.budgets.find(({ limit }) => limit === 'tokens')?.spent, 30);
  assert.is(again.report.usage.inputTokens, 30);
  const more = await make(45).run({ store, runId: 'r', retry: 'failed' }).result();
  assert.equal(
    [...more.tasks.values()].map((task) => task.status),
    ['restored', 'succeeded', 'succeeded', 'skipped', 'skipped'],
  );
  assert.equal(more.tasks.get('b')?.usage, {
    calls: 3,
    inputTokens: 30,
    outputTokens: 0,
    cost: 0,
    unpricedTokens: 30,
  });
  assert.is(more.report.usage.models.m?.inputTokens, 50);
  assert.equal(
    more.report.budgets.map(({ spent }) => spent),
    [5, 50],
  );
  // Once more, with nothing new: the sums stand.
  const last = await make(45).run({ store, runId: 'r' }).result();
  assert.equal(
    last.report.budgets.map(({ spent }) => spent),
    [5, 50],
  );
});

test('a joined child that a budget keeps out tells its parent so', async () => {
  const flow = workflow({ name: 'join', groups: { llm: { budget: { calls: 1 } } } });
  const parent = flow.task('parent', {
    run: async (_, ctx) => {
      const children = ['a', 'b'].map((id) => ctx.spawn(id, { group: 'llm' as never, run: () => id }));
      const outcomes = await ctx.join(children.map((child) => settled(child)));
      return outcomes.map((one) =>
        one.status === 'succeeded' ? one.value : (one.error as RxhiveError).code,
      );
    },
  });
  const result = await flow.run().result();
  assert.equal(result.results.get(parent), ['a', 'LIMIT_EXCEEDED']);
});

test('options that make no sense are refused, all of them, before anything starts', () => {
  const wrong: [Partial<WorkflowOptions>, RegExp][] = [
    [{ budget: { calls: 0 } }, /budget\.calls is 0; give a whole number from 1/],
    [{ budget: { calls: 1.5 } }, /budget\.calls is 1\.5/],
    [{ budget: { tokens: -1 } }, /budget\.tokens is -1/],
    [{ budget: { cost: Number.NaN } }, /budget\.cost is NaN/],
    [{ budget: { cost: Number.POSITIVE_INFINITY } }, /budget\.cost is Infinity/],
    [{ budget: {} }, /budget has no cap/],
    [{ budget: { hard: true } }, /budget has no cap/],
    [{ budget: 5 as never }, /budget is 5; give \{ calls/],
    [{ budget: { calls: 1, money: 3 } as never }, /budget\.money is unknown; use calls, tokens, cost, hard/],
    [{ budget: { tokens: 100, hard: { tokens: 50 } } }, /hard\.tokens is 50, below budget\.tokens/],
    [{ budget: { tokens: 1, hard: 'yes' as never } }, /budget\.hard is "yes"/],
    [{ groups: { llm: { budget: { tokens: 0 } } } }, /groups\.llm\.budget\.tokens is 0/],
    [{ prices: { m: { input: -1, output: 1 } } }, /prices\.m\.input is -1/],
    [{ prices: { m: { input: 1 } as never } }, /prices\.m\.output is undefined/],
    [{ prices: { m: 3 as never } }, /prices\.m is 3/],
  ];
  for (const [options, message] of wrong) {
    const flow = workflow({ name: 'wrong', ...options } as WorkflowOptions);
    flow.task('a', { run: () => 1 });
    assert.throws(
      () => flow.run(),
      (error: unknown) => error instanceof WorkflowDefinitionError && message.test(error.message),
      String(message),
    );
  }
});

test.run();
