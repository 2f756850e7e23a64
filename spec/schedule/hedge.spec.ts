import fc from 'fast-check';
import {
  concat,
  defer,
  delay,
  finalize,
  map,
  mergeMap,
  of,
  type SchedulerLike,
  throwError,
  timer,
} from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { HedgeOptions } from '../../lib/entry/types.js';
import {
  latest,
  memory,
  type RxhiveError,
  type Task,
  type TaskContext,
  type TaskReport,
  WorkflowDefinitionError,
  type WorkflowEvent,
  type WorkflowOptions,
  type WorkflowResult,
  workflow,
} from '../../lib/index.js';
import { DurationWindow } from '../../lib/kernel/duration-window.js';
import { seededRandom } from '../../lib/kernel/random.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

/** Runs in virtual time; gives the result and all events. */
async function play(make: (scheduler: SimulationScheduler) => { run(options: object): unknown }) {
  const scheduler = new SimulationScheduler();
  const run = make(scheduler).run({ scheduler }) as ReturnType<ReturnType<typeof workflow>['run']>;
  const events: WorkflowEvent[] = [];
  run.events$.subscribe((event) => events.push(event));
  const pending = run.result();
  await advance(scheduler);
  return { result: (await pending) as unknown as WorkflowResult, events, scheduler };
}

/** Attempts as "at reason attempt", hedges marked. */
const attempts = (events: readonly WorkflowEvent[]): string[] =>
  events.flatMap((event) =>
    event.type === 'attempt'
      ? [`${event.at} ${event.reason} ${event.attempt}${event.hedge === true ? ' hedge' : ''}`]
      : [],
  );

/** Call number n takes the nth of `ms`; a negative one fails after so many. */
function calls(scheduler: SchedulerLike, ...ms: number[]) {
  let call = 0;
  return (_: unknown, ctx: TaskContext<{ n: number }>) =>
    defer(() => {
      const wait = ms[call] as number;
      call += 1;
      const name = `call ${call}`;
      ctx.usage({ inputTokens: 10 });
      ctx.update((s) => {
        s.n += 1;
      });
      return timer(Math.abs(wait), scheduler).pipe(
        map(() => {
          if (wait < 0) throw new Error(name);
          return name;
        }),
      );
    });
}

const one = (hedge: HedgeOptions, ms: number[], options: Partial<WorkflowOptions> = {}, task: object = {}) =>
  play((scheduler) => {
    const flow = workflow({ name: 'hedge', state: { n: 0 }, groups: { g: {} }, ...options } as never);
    const body = calls(scheduler, ...ms);
    flow.task('t', {
      hedge,
      ...task,
      run: body,
    } as never);
    return flow as never;
  });

test('a second attempt beside a slow one: the first success wins, the other is stopped and charged', async () => {
  const { result, events } = await one({ after: 20 }, [100, 15]);
  assert.is(result.results.get('t'), 'call 2');
  assert.equal(attempts(events), [
    '0 started 1',
    '20 started 1 hedge',
    '35 succeeded 1 hedge',
    '35 succeeded 1',
  ]);
  const task = result.tasks.get('t') as TaskReport;
  assert.equal(
    task.attempts.map(({ startedAt, endedAt }) => [startedAt, endedAt]),
    [
      [0, 35],
      [20, 35],
    ],
  );
  assert.equal([task.usage.calls, task.usage.inputTokens, task.runningMs], [2, 20, 35]);
  assert.equal(result.state, { n: 1 });
  assert.is(result.report.retries, 0);
});

test('the first attempt wins all the same when it is sooner; a fast one is never hedged', async () => {
  const { result, events } = await one({ after: 20 }, [30, 100]);
  assert.is(result.results.get('t'), 'call 1');
  assert.equal(attempts(events).slice(1), ['20 started 1 hedge', '30 stopped 1 hedge', '30 succeeded 1']);
  assert.equal(result.tasks.get('t')?.attempts.at(0)?.hedge, true);
  assert.equal(result.state, { n: 1 });
  const fast = await one({ after: 20 }, [19]);
  assert.is(fast.result.report.usage.calls, 1);
  assert.equal(fast.result.tasks.get('t')?.attempts.length, 1);
});

test('up to max attempts, one after the other', async () => {
  const { result, events } = await one({ after: 10, max: 3 }, [100, 100, 100, 5]);
  assert.is(result.results.get('t'), 'call 4');
  assert.equal(
    attempts(events).filter((text) => text.includes('started')),
    ['0 started 1', '10 started 1 hedge', '20 started 1 hedge', '30 started 1 hedge'],
  );
  assert.is(result.report.wallMs, 35);
});

test('a failure counts only when all have failed; then the task is retried as usual', async () => {
  const first = await one({ after: 10 }, [-15, 20]);
  assert.is(first.result.results.get('t'), 'call 2');
  assert.is(first.result.report.wallMs, 30);
  assert.equal(attempts(first.events).at(-1), '30 succeeded 1');
  const second = await one({ after: 10 }, [30, -5]);
  assert.is(second.result.results.get('t'), 'call 1');
  const retry = { count: 1, backoff: { initial: 5, jitter: 'none' } };
  const both = await one({ after: 10 }, [-15, -20, 1], {}, { retry });
  assert.is(both.result.results.get('t'), 'call 3');
  assert.equal(attempts(both.events), [
    '0 started 1',
    '10 started 1 hedge',
    '30 failed 1 hedge',
    '30 failed 1',
    '35 started 2',
    '36 succeeded 2',
  ]);
  const dead = await one({ after: 10 }, [-15, -20]);
  assert.is((dead.result.tasks.get('t')?.error as Error | undefined)?.message, 'call 2');
  assert.is(dead.result.tasks.get('t')?.attempts.length, 2);
  assert.is(dead.result.report.usage.inputTokens, 20);
});

test('it takes a slot, a place in the group and budget, and only when nobody else wants them', async () => {
  const busy = await play((scheduler) => {
    const flow = workflow({ name: 'busy', concurrency: 2 });
    flow.task('t', { hedge: { after: 10 }, priority: 9, run: () => of(1).pipe(delay(50, scheduler)) });
    for (let i = 0; i < 9; i++) flow.task(`u${i}`, { run: () => of(1).pipe(delay(7, scheduler)) });
    return flow;
  });
  assert.is(busy.result.report.usage.calls, 10);
  const group = await one({ after: 10 }, [50, 1], { groups: { g: { concurrency: 1 } } }, { group: 'g' });
  assert.is(group.result.report.usage.calls, 1);
  const budget = await one({ after: 10 }, [50, 1], { budget: { calls: 1 } });
  assert.is(budget.result.report.usage.calls, 1);
  const resource = await one({ after: 10 }, [50, 1], { resources: { gpu: 1 } } as never, {
    resources: { gpu: 1 },
  });
  assert.is(resource.result.report.usage.calls, 1);
  const free = await one({ after: 10 }, [50, 1], { budget: { calls: 2 } });
  assert.equal([free.result.report.usage.calls, free.result.report.budgets[0]?.spent], [2, 2]);
});

test('it comes later when nothing was free at first', async () => {
  const { result, events } = await play((scheduler) => {
    const flow = workflow({ name: 'later', concurrency: 2 });
    let call = 0;
    flow.task('t', {
      hedge: { after: 10 },
      run: () => of(++call).pipe(delay(call === 1 ? 100 : 1, scheduler)),
    });
    flow.task('other', { run: () => of(0).pipe(delay(25, scheduler)) });
    return flow;
  });
  assert.ok(attempts(events).includes('30 started 1 hedge'));
  assert.is(result.results.get('t'), 2);
});

test('p95: learnt from the successes of the type; before there are enough nothing is hedged', async () => {
  const { result, events } = await play((scheduler) => {
    const flow = workflow({ name: 'p95', concurrency: 2 });
    let before: Task<number>[] = [];
    for (let i = 0; i < 40; i++) {
      let call = 0;
      const slow = i === 10 || i === 30;
      before = [
        flow.task(`t${i}`, {
          type: 'ask',
          hedge: { after: 'p95' },
          dependencies: before,
          run: () => of(i).pipe(delay(slow && ++call === 1 ? 1_000 : 10 + (i % 5), scheduler)),
        }),
      ];
    }
    return flow;
  });
  // 10 was slow before there were 20 samples; 30 was hedged at the quantile of what had been seen.
  const hedged = events.filter((event) => event.type === 'attempt' && event.hedge === true);
  assert.equal([...new Set(hedged.map((event) => (event as { taskId: string }).taskId))], ['t30']);
  assert.is(result.tasks.get('t10')?.runningMs, 1_000);
  assert.is(result.tasks.get('t30')?.runningMs, 14 + 10);
});

test('the window forgets, and its quantile is exact', () => {
  const random = seededRandom(7);
  const window = new DurationWindow(50);
  const all: number[] = [];
  for (let i = 0; i < 500; i++) {
    const ms = Math.floor(random() * 100);
    window.add(ms);
    all.push(ms);
    const sorted = all.slice(-50).sort((a, b) => a - b);
    for (const q of [0, 0.5, 0.95, 1])
      assert.is(window.quantile(q), sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)]);
  }
  assert.is(new DurationWindow().quantile(0.5), undefined);
});

test('timeouts, cancel and suspended attempts end both; streams of a loser are taken back', async () => {
  const timeout = await one({ after: 10 }, [500, 500], {}, { timeout: { attempt: 50 } });
  assert.is((timeout.result.tasks.get('t')?.error as RxhiveError | undefined)?.code, 'TASK_TIMEOUT');
  assert.is(timeout.result.report.wallMs, 60);
  const total = await one({ after: 10 }, [500, 500], {}, { timeout: { total: 50 } });
  assert.is(total.result.report.wallMs, 50);
  let aborted = 0;
  const { result } = await play((scheduler) => {
    const flow = workflow({ name: 'cancel' });
    flow.task('t', {
      hedge: { after: 10 },
      run: (_, ctx) =>
        new Promise(() => {
          ctx.signal.addEventListener('abort', () => {
            aborted += 1;
          });
        }),
    });
    return {
      run: (options: object) => {
        const run = flow.run(options);
        scheduler.schedule(() => run.cancel(), 30);
        return run;
      },
    };
  });
  assert.equal([result.status, aborted], ['cancelled', 2]);

  const seen: unknown[] = [];
  const streams = await play((scheduler) => {
    const flow = workflow({ name: 'stream' });
    let call = 0;
    const text = flow.task('text', {
      hedge: { after: 10 },
      run: () => {
        call += 1;
        return call === 1
          ? concat(of('slow').pipe(delay(1, scheduler)), of('slow and wrong').pipe(delay(100, scheduler)))
          : of('right').pipe(delay(5, scheduler));
      },
    });
    flow.task('reader', {
      dependencies: { text: latest(text) },
      run: (inputs$) => inputs$.pipe(map(({ text }) => seen.push(text))),
    });
    return flow;
  });
  assert.equal(seen, ['slow', 'right']);
  assert.is(streams.result.status, 'succeeded');
});

test('a hedged body may join tasks it added: both attempts mean the same ones', async () => {
  const { result } = await play((scheduler) => {
    const flow = workflow({ name: 'join' });
    let call = 0;
    flow.task('t', {
      hedge: { after: 10 },
      run: async (_, ctx) => {
        const mine = ++call;
        await ctx.sleep(mine === 1 ? 20 : 5);
        const child = ctx.spawn('child', { run: () => of('child').pipe(delay(30, scheduler)) });
        return `${await ctx.join(child)} for ${mine}`;
      },
    });
    return flow;
  });
  assert.match(String(result.results.get('t')), 'child for ');
  assert.is(result.tasks.size, 2);
  assert.is(result.status, 'succeeded');
});

test('a log has one commit, and what both cost', async () => {
  const store = memory();
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'log', state: { n: 0 } });
  flow.task('t', { hedge: { after: 5 }, run: calls(scheduler, 100, 5) as never });
  const pending = flow.run({ scheduler, store, runId: 'r' }).result();
  await advance(scheduler);
  await pending;
  const commits = (await flow.history(store, 'r')).records.filter(({ kind }) => kind === 'commit');
  assert.is(commits.length, 1);
  const again = await flow.run({ store, runId: 'r' }).result();
  assert.equal(again.state, { n: 1 });
  assert.equal([again.report.usage.calls, again.report.usage.inputTokens], [2, 20]);
});

test('options that make no sense are refused', () => {
  const wrong: [unknown, RegExp][] = [
    [{ after: 0 }, /hedge\.after is 0/],
    [{ after: Number.NaN }, /hedge\.after is NaN/],
    [{ after: 'p99' }, /hedge\.after is "p99"; give ms above 0, or "p95"/],
    [{ after: 5, max: 0 }, /hedge\.max is 0/],
    [{ after: 5, delay: 3 }, /hedge\.delay is unknown/],
    [5, /hedge is 5; give \{ after, max \}/],
  ];
  for (const [hedge, message] of wrong) {
    const flow = workflow({ name: 'wrong' });
    flow.task('t', { hedge: hedge as HedgeOptions, run: () => 1 });
    assert.throws(
      () => flow.run(),
      (error: unknown) => error instanceof WorkflowDefinitionError && message.test(error.message),
      String(message),
    );
  }
  const flow = workflow({ name: 'stream' });
  const a = flow.task('a', { run: () => 1 });
  flow.task('b', { hedge: { after: 5 }, dependencies: [latest(a)], run: (inputs$) => inputs$ });
  assert.throws(() => flow.run(), /hedge cannot be used with latest/);
});

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000);
const runs = Number(process.env.RUNS ?? 500);

test(`${runs} random hedged workflows: limits hold, nothing is left, one attempt commits (SEED=${seed})`, async () => {
  const checks: Promise<unknown>[] = [];
  let hedged = 0;
  const check = (n: number): void => {
    const random = seededRandom(n);
    const upTo = (most: number): number => Math.floor(random() * (most + 1));
    const scheduler = new SimulationScheduler();
    const limit = 1 + upTo(4);
    const cap = 5 + upTo(40);
    const active = { all: 0, g: 0 };
    const broken: string[] = [];
    const flow = workflow({
      name: 'random',
      state: {} as Record<string, number>,
      concurrency: limit,
      groups: { g: { concurrency: 2, budget: { calls: cap } } },
    });
    const tasks: Task<unknown>[] = [];
    let callsInGroup = 0;
    for (let i = 0; i < 1 + upTo(12); i++) {
      const inGroup = random() < 0.5;
      tasks.push(
        flow.task(`t${i}`, {
          dependencies: tasks.filter(() => random() < 0.2),
          hedge: { after: 1 + upTo(15), max: 1 + upTo(2) },
          retry: { count: upTo(2), backoff: { initial: 5, max: 20 } },
          ...(inGroup && { group: 'g' as const }),
          ...(random() < 0.2 && { timeout: { attempt: 20 } }),
          run: (_, ctx) =>
            defer(() => {
              active.all += 1;
              if (inGroup) {
                active.g += 1;
                callsInGroup += 1;
              }
              if (active.all > limit || active.g > 2) broken.push(`limit broken by t${i}`);
              ctx.update((s) => {
                s[`t${i}`] = (s[`t${i}`] ?? 0) + 1;
              });
              const work$ = random() < 0.2 ? throwError(() => new Error('planned')) : of(i);
              return timer(upTo(30), scheduler).pipe(mergeMap(() => work$));
            }).pipe(
              finalize(() => {
                active.all -= 1;
                if (inGroup) active.g -= 1;
              }),
            ),
        }) as Task<unknown>,
      );
    }
    const run = flow.run({ scheduler, seed: n });
    run.events$.subscribe((event) => {
      if (event.type === 'attempt' && event.hedge === true && event.reason === 'started') hedged += 1;
    });
    if (random() < 0.1) scheduler.schedule(() => run.cancel(), upTo(60));
    if (random() < 0.2) scheduler.schedule(() => run.cancelTask('t0'), upTo(60));
    let ended = false;
    checks.push(
      run.result().then((result) => {
        const { tasks, state, report } = result;
        for (const [id, task] of tasks)
          assert.is(state[id] ?? 0, task.status === 'succeeded' ? 1 : 0, `${id} committed more than once`);
        assert.is(report.usage.groups.g?.calls ?? 0, callsInGroup, 'calls of the group');
        assert.ok(callsInGroup <= cap, 'budget passed');
      }),
    );
    run.events$.subscribe({
      complete: () => {
        ended = true;
      },
    });
    scheduler.flush();
    assert.equal(broken, []);
    assert.ok(ended, 'the run did not end');
    assert.equal(active, { all: 0, g: 0 });
  };
  fc.assert(fc.property(fc.integer({ min: 0 }), check), { numRuns: runs, seed });
  await Promise.all(checks);
  assert.ok(hedged > runs / 10, `only ${hedged} hedges`);
});

test.run();
