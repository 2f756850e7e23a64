import { defer, delay, map, of, type SchedulerLike, timer } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  memory,
  quorum,
  type RxhiveError,
  race,
  settled,
  type Task,
  type TaskContext,
  WorkflowCancelledError,
  WorkflowDefinitionError,
  type WorkflowResult,
  workflow,
} from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

/** A body that takes `ms`, then gives its value or fails; it reports one token at its start. */
function takes<T>(scheduler: SchedulerLike, ms: number, value: T, fails = false) {
  return (_: unknown, ctx: TaskContext) =>
    defer(() => {
      ctx.usage({ inputTokens: 1 });
      return of(value).pipe(
        delay(ms, scheduler),
        map((one) => {
          if (fails) throw new Error(`${String(value)} failed`);
          return one;
        }),
      );
    });
}

const reasonOf = (result: WorkflowResult, id: string): string | undefined => {
  const error = result.tasks.get(id)?.error;
  return error instanceof WorkflowCancelledError ? error.reason : undefined;
};

const statuses = (result: WorkflowResult): Record<string, string> =>
  Object.fromEntries([...result.tasks].map(([id, { status }]) => [id, status]));

test('race: the first success starts the dependent; losers are stopped and charged, and the run succeeds', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'race' });
  const aborted: unknown[] = [];
  const slow = flow.task('slow', {
    run: (_, ctx) => {
      ctx.signal.addEventListener('abort', () => aborted.push(scheduler.now(), ctx.signal.reason.reason));
      return takes(scheduler, 100, 'slow')(_, ctx);
    },
  });
  const failing = flow.task('failing', { run: takes(scheduler, 5, 'failing', true) });
  const fast = flow.task('fast', { run: takes(scheduler, 20, 3) });
  const first = flow.task('first', {
    dependencies: { answer: race([slow, failing, fast]) },
    run: ({ answer }) => answer satisfies string | number,
  });
  const run = flow.run({ scheduler });
  const pending = run.result();
  const said: string[] = [];
  scheduler.schedule(() => said.push(run.explain('first')), 1);
  scheduler.schedule(() => said.push(run.explain('slow')), 20);
  await advance(scheduler);
  const result = await pending;
  assert.match(said[0] as string, 'waits for "slow" (running, one of 3 in a race), "failing"');
  assert.is(said[1], 'Task "slow" was stopped: another one was first, and nothing else needs it.');
  assert.is(result.results.get(first), 3);
  assert.equal(statuses(result as WorkflowResult), {
    slow: 'cancelled',
    failing: 'failed',
    fast: 'succeeded',
    first: 'succeeded',
  });
  assert.equal(aborted, [20, 'lost']);
  assert.is(reasonOf(result as WorkflowResult, 'slow'), 'lost');
  assert.is(result.status, 'succeeded');
  assert.is(result.orThrow(), result);
  assert.is(result.report.wallMs, 20);
  assert.equal(result.report.usage.inputTokens, 3);
  assert.equal(result.report.usage.calls, 4);
  assert.equal(result.report.criticalPath.tasks, ['fast', 'first']);
});

test('a task that something else needs does not lose; what only a loser needs does', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'needed', concurrency: 3 });
  const fast = flow.task('fast', { run: takes(scheduler, 10, 'fast') });
  const shared = flow.task('shared', { run: takes(scheduler, 30, 'shared') });
  const source = flow.task('source', { run: takes(scheduler, 25, 'source') });
  const deep = flow.task('deep', { dependencies: { source }, run: () => 'deep' });
  const also = flow.task('also', { dependencies: { shared }, run: ({ shared }) => shared });
  const other = flow.task('other', { dependencies: [race([shared, deep])], run: ([one]) => one });
  flow.task('first', { dependencies: [race([fast, shared, deep])], run: ([one]) => one });
  const pending = flow.run({ scheduler }).result();
  await advance(scheduler);
  const result = await pending;
  // The second race keeps both alive: "deep" wins it at 25, then "shared" is needed by "also" alone.
  assert.is(result.results.get(other), 'deep');
  assert.is(result.results.get(also), 'shared');
  assert.is(result.status, 'succeeded');

  const lonely = workflow({ name: 'lonely' });
  const quick = lonely.task('quick', { run: takes(scheduler, 10, 'quick') });
  const above = lonely.task('above', { run: takes(scheduler, 25, 'above') });
  const below = lonely.task('below', { dependencies: { above }, run: () => 'below' });
  lonely.task('first', { dependencies: [race([quick, below])], run: ([one]) => one });
  const end = lonely.run({ scheduler }).result();
  await advance(scheduler);
  const lost = (await end) as WorkflowResult;
  assert.equal([reasonOf(lost, 'above'), reasonOf(lost, 'below')], ['lost', 'lost']);
  assert.is(lost.report.wallMs, 10);
  assert.is(lost.status, 'succeeded');
});

test('quorum delivers in order of success, and fails as soon as too few can succeed', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'quorum' });
  const votes = [30, 10, 20, 40].map((ms) => flow.task(`vote_${ms}`, { run: takes(scheduler, ms, ms) }));
  const two = flow.task('two', {
    dependencies: { votes: quorum(2, votes) },
    run: ({ votes }) => votes satisfies readonly [number, number],
  });
  const bad = [5, 15, 50].map((ms) =>
    flow.task(`bad_${ms}`, { run: takes(scheduler, ms, `bad_${ms}`, ms < 50) }),
  );
  const never = flow.task('never', { dependencies: [quorum(2, bad)], run: () => 'never' });
  const after = flow.task('after', {
    dependencies: { never: settled(never) },
    run: ({ never }) => never.status,
  });
  const pending = flow.run({ scheduler }).result();
  await advance(scheduler);
  const result = (await pending) as WorkflowResult;
  assert.equal(result.results.get(two), [10, 20]);
  assert.is(result.tasks.get('vote_30')?.status, 'cancelled');
  assert.equal(result.tasks.get('never')?.skippedBecause, ['bad_5', 'bad_15']);
  assert.is(reasonOf(result, 'bad_50'), 'lost');
  assert.is(result.results.get(after), 'skipped');
  assert.is(result.status, 'partial');
  assert.is(result.report.wallMs, 20);
});

test('all failed: the dependent is skipped with all of them as root causes', async () => {
  const flow = workflow({ name: 'none' });
  const bad = ['a', 'b'].map((id) =>
    flow.task(id, {
      run: () => {
        throw new Error(id);
      },
    }),
  );
  flow.task('first', { dependencies: { one: race(bad) }, run: () => 1 });
  const result = await flow.run().result();
  assert.is(result.status, 'failed');
  assert.equal(result.tasks.get('first')?.skippedBecause, ['a', 'b']);
});

test('places of inputs stay where they were declared, beside other modes', async () => {
  const flow = workflow({ name: 'places' });
  const a = flow.task('a', { run: () => 'a' });
  const b = flow.task('b', { run: () => 'b' });
  const c = flow.task('c', { run: () => 'c' });
  const tuple = flow.task('tuple', {
    dependencies: [a, race([b, c]), settled(c), quorum(2, [a, b])],
    run: ([one, two, three, four]) => [one, two, three.status, [...four].sort()],
  });
  const record = flow.task('record', {
    dependencies: { all: quorum(2, [a, b]), a },
    run: (inputs) => Object.keys(inputs).sort(),
  });
  const result = await flow.run().result();
  assert.equal(result.results.get(tuple), ['a', 'b', 'succeeded', ['a', 'b']]);
  assert.equal(result.results.get(record), ['a', 'all']);
  assert.match(flow.graph(), '-. race .->');
});

test('ctx.join takes races and quorums; losers that were spawned are stopped', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'join' });
  const parent = flow.task('parent', {
    run: async (_, ctx) => {
      const spawned = [30, 10, 20].map((ms) => ctx.spawn(`c${ms}`, { run: takes(scheduler, ms, ms) }));
      const first = await ctx.join(race(spawned));
      // Ended already: decided at once, though one has lost.
      return [first, (await ctx.join({ one: race(spawned) })).one];
    },
  });
  const failing = flow.task('failing', {
    run: async (_, ctx) => {
      const spawned = [1, 2, 99].map((ms) => ctx.spawn(`f${ms}`, { run: takes(scheduler, ms, ms, ms < 9) }));
      return ctx.join(quorum(2, spawned)).catch((error: RxhiveError) => [error.code, scheduler.now()]);
    },
  });
  const pending = flow.run({ scheduler }).result();
  await advance(scheduler);
  const result = (await pending) as WorkflowResult;
  assert.equal(result.results.get(parent), [10, 10]);
  assert.equal(result.results.get(failing), ['TOO_FEW_SUCCEEDED', 2]);
  assert.equal(
    [reasonOf(result, 'c30'), reasonOf(result, 'c20'), reasonOf(result, 'f99')],
    ['lost', 'lost', 'lost'],
  );
  assert.is(result.report.wallMs, 10);
});

test('a loser that joined tasks it added takes them along', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'nested' });
  const nested = flow.task('nested', {
    run: (_, ctx) => ctx.join([ctx.spawn('child', { run: takes(scheduler, 50, 'child') })]),
  });
  const fast = flow.task('fast', { run: takes(scheduler, 10, 'fast') });
  flow.task('first', { dependencies: [race([nested, fast])], run: ([one]) => one });
  const pending = flow.run({ scheduler }).result();
  await advance(scheduler);
  const result = (await pending) as WorkflowResult;
  assert.is(reasonOf(result, 'child'), 'lost');
  assert.is(result.report.wallMs, 10);
  assert.is(result.status, 'succeeded');
});

test('a run that goes on knows who has lost: nothing runs again', async () => {
  const store = memory();
  const ran: string[] = [];
  let broken = true;
  const make = () => {
    const flow = workflow({ name: 'resumed' });
    const body = (id: string, ms: number) => () => {
      ran.push(id);
      return timer(ms).pipe(map(() => id));
    };
    const slow = flow.task('slow', { version: '1', run: body('slow', 30) });
    const fast = flow.task('fast', { version: '1', run: body('fast', 1) });
    const first = flow.task('first', {
      version: '1',
      dependencies: [race([slow, fast])],
      run: ([one]) => one,
    });
    flow.task('last', {
      version: '1',
      dependencies: [first],
      run: ([one]) => {
        if (broken) throw new Error('not yet');
        return one;
      },
    });
    return flow;
  };
  await make().run({ store, runId: 'r' }).result();
  broken = false;
  const result = await make().run({ store, runId: 'r', retry: 'failed' }).result();
  assert.equal(ran, ['slow', 'fast']);
  assert.is(result.status, 'succeeded');
  assert.is(result.results.get('last'), 'fast');
  assert.is(result.tasks.get('slow')?.status, 'cancelled');
});

test('a parent that joined a race does not run again for those who lost it', async () => {
  const store = memory();
  let ran = 0;
  const make = () => {
    const flow = workflow({ name: 'joined' });
    flow.task('parent', {
      version: '1',
      run: (_, ctx) => {
        ran += 1;
        const children = [1, 30].map((ms) =>
          ctx.spawn(`c${ms}`, { version: '1', run: () => timer(ms).pipe(map(() => ms)) }),
        );
        return ctx.join(race(children));
      },
    });
    return flow;
  };
  const first = await make().run({ store, runId: 'r' }).result();
  assert.is(first.results.get('parent'), 1);
  const again = await make().run({ store, runId: 'r' }).result();
  assert.is(again.results.get('parent'), 1);
  assert.is(again.status, 'succeeded');
  assert.is(ran, 1);
});

test('races that make no sense are refused', () => {
  const flow = workflow({ name: 'wrong' });
  const a = flow.task('a', { run: () => 1 });
  const b = flow.task('b', { run: () => 1 });
  const foreign = workflow({ name: 'other' }).task('x', { run: () => 1 });
  const wrong = [
    race([]),
    race([a, a]),
    quorum(0, [a]),
    quorum(3, [a, b]),
    quorum(Number.NaN, [a]),
    quorum(1.5, [a, b]),
  ];
  for (const [i, choice] of wrong.entries()) flow.task(`w${i}`, { dependencies: [choice], run: () => 1 });
  flow.task('foreign', { dependencies: [race([a, foreign])], run: () => 1 });
  flow.task('missing', { dependencies: [race([a, 'b' as unknown as Task])], run: () => 1 });
  assert.throws(
    () => flow.run(),
    (error: unknown) => error instanceof WorkflowDefinitionError && error.faults.length === 8,
  );
});

test.run();
