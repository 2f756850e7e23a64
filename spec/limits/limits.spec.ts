import { timer } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Limiter, PermitRequest } from '../../lib/entry/limits.js';
import {
  AgentTask,
  type LimiterSettings,
  type RxhiveError,
  settled,
  type Task,
  type TaskContext,
  virtual,
  WorkflowDefinitionError,
  WorkflowOrchestrator,
  workflow,
} from '../../lib/index.js';
import { advance, SimulationScheduler, VirtualProvider } from '../../lib/testing/index.js';

const refusal = (headers: Record<string, string> = {}): Error =>
  Object.assign(new Error('429'), { status: 429, headers });

/** Tasks of one group under a limiter, in virtual time. */
class Trial {
  readonly scheduler = new SimulationScheduler();
  readonly starts: [id: string, at: number][] = [];
  readonly flow;

  constructor(limiter?: LimiterSettings) {
    this.flow = workflow({
      name: 'limits',
      concurrency: Number.POSITIVE_INFINITY,
      groups: { llm: limiter === undefined ? {} : { limiter }, free: {} },
    });
  }

  /** `body` gets the number of the attempt; a task takes 100 ms. */
  task(
    id: string,
    options: { tokens?: number; retry?: number; priority?: number } = {},
    body?: (ctx: TaskContext) => unknown,
  ): this {
    this.flow.task(id, {
      group: 'llm',
      ...options,
      run: (_, ctx) => {
        this.starts.push([id, this.scheduler.now()]);
        return body?.(ctx) ?? timer(100, this.scheduler);
      },
    });
    return this;
  }

  run() {
    return this.flow.run({ scheduler: this.scheduler, seed: 1 });
  }

  async result() {
    const result = this.run().result();
    await advance(this.scheduler);
    return result;
  }
}

test('a window has no double burst at its border', async () => {
  const trial = new Trial({ requestsPerMinute: 3 });
  for (let i = 0; i < 8; i++) trial.task(`t${i}`);
  await trial.result();
  assert.equal(
    trial.starts.map(([, at]) => at),
    [0, 0, 0, 60_000, 60_000, 60_000, 120_000, 120_000],
  );
});

test('waits for permits are booked as such, and explained', async () => {
  const trial = new Trial({ requestsPerMinute: 2 });
  for (let i = 0; i < 5; i++) trial.task(`t${i}`);
  const run = trial.run();
  const result = run.result();
  await advance(trial.scheduler, 10_000);
  assert.match(
    run.explain('t2'),
    'waits for a permit of group "llm", about 50.0 s (requestsPerMinute 2 of 2)',
  );
  assert.match(run.explain('t4'), 'about 110.0 s, 2 before it');
  assert.equal(run.limits(), [
    { group: undefined, active: 0, limit: Number.POSITIVE_INFINITY, limiters: [] },
    {
      group: 'llm',
      active: 0,
      limit: Number.POSITIVE_INFINITY,
      limiters: [
        {
          inUse: 0,
          maxConcurrent: undefined,
          windows: [{ name: 'requestsPerMinute', used: 2, max: 2, resetsIn: 50_000 }],
          heldFor: 0,
        },
      ],
    },
    {
      group: 'free',
      active: 0,
      limit: Number.POSITIVE_INFINITY,
      limiters: [{ inUse: 0, maxConcurrent: undefined, windows: [], heldFor: 0 }],
    },
  ]);
  await advance(trial.scheduler);
  const { waits, runningMs } = (await result).tasks.get('t4') as never;
  assert.equal(waits, { dependencies: 0, slot: 0, permit: 120_000, backoff: 0, suspended: 0 });
  assert.is(runningMs, 100);
});

test('one limiter holds over workflows and over runs that go on together, and runs take turns', async () => {
  const scheduler = new SimulationScheduler();
  const limiter = virtual({ requestsPerSecond: 2 });
  const starts: [string, number][] = [];
  const flows = ['a', 'b'].map((name) => {
    const flow = workflow({ name, groups: { llm: { limiter } } });
    for (let i = 0; i < 3; i++)
      flow.task(`${i}`, {
        group: 'llm',
        run: () => {
          starts.push([name, scheduler.now()]);
        },
      });
    return flow;
  });
  const results = [...flows, flows[0]].map((flow) => flow?.run({ scheduler }).result());
  await advance(scheduler);
  await Promise.all(results);
  assert.equal(
    starts.map(([, at]) => at),
    [0, 0, 1_000, 1_000, 2_000, 2_000, 3_000, 3_000, 4_000],
  );
  assert.is(new Set(starts.slice(2, 6).map(([name]) => name)).size, 2, 'both had a turn');
  const again = flows[0]?.run({ scheduler: new SimulationScheduler() });
  assert.is(again?.limits()[1]?.limiters[0]?.windows[0]?.used, 0, 'another time, other books');
});

test('a task that needs many tokens is not overtaken for ever by small ones of another group', async () => {
  const scheduler = new SimulationScheduler();
  const limiter = virtual({ tokensPerMinute: 100 });
  const flow = workflow({ name: 'big', concurrency: 200, groups: { big: { limiter }, small: { limiter } } });
  let at = -1;
  flow.task('big', {
    group: 'big',
    tokens: 90,
    dependencies: [flow.task('soon', { run: (_, ctx) => ctx.sleep(10) })],
    run: () => {
      at = scheduler.now();
    },
  });
  for (let i = 0; i < 100; i++) {
    const before = flow.task(`at ${i}`, { run: (_, ctx) => ctx.sleep(i * 5_000) });
    flow.task(`small ${i}`, { group: 'small', tokens: 20, dependencies: [before], run: () => 1 });
  }
  const result = flow.run({ scheduler }).result();
  await advance(scheduler);
  assert.is((await result).status, 'succeeded');
  assert.is(at, 60_000);
});

test('runs that share a limiter take turns', async () => {
  const scheduler = new SimulationScheduler();
  const limiter = virtual({ requestsPerSecond: 1 });
  let order = '';
  const results = ['a', 'b', 'c'].map((name) => {
    const flow = workflow({ name, groups: { llm: { limiter } } });
    for (let i = 0; i < 4; i++)
      flow.task(`${i}`, {
        group: 'llm',
        run: () => {
          order += name;
        },
      });
    return flow.run({ scheduler }).result();
  });
  await advance(scheduler);
  await Promise.all(results);
  assert.is(order, 'abcabcabcabc');
});

test('who waited for many tokens and is cancelled lets the next one go at once', async () => {
  const scheduler = new SimulationScheduler();
  const limiter = virtual({ tokensPerMinute: 100 });
  const flow = workflow({ name: 'gone', groups: { big: { limiter }, small: { limiter } } });
  flow.task('first', { group: 'small', priority: 2, tokens: 50, run: () => 1 });
  flow.task('big', { group: 'big', priority: 1, tokens: 90, run: () => 1 });
  const small = flow.task('small', { group: 'small', tokens: 20, run: () => scheduler.now() });
  const run = flow.run({ scheduler });
  const result = run.result();
  scheduler.schedule(() => run.cancelTask('big'), 1_000);
  await advance(scheduler);
  assert.is((await result).results.get(small), 1_000);
});

test('a limit that is lowered below what a waiting task needs fails that task', async () => {
  const scheduler = new SimulationScheduler();
  const limiter = virtual({ tokensPerMinute: 100 });
  const flow = workflow({ name: 'lower', groups: { llm: { limiter } } });
  flow.task('first', { group: 'llm', tokens: 100, run: () => 1 });
  flow.task('second', { group: 'llm', tokens: 90, run: () => 1 });
  flow.task('third', { group: 'llm', tokens: 40, run: () => 1 });
  const result = flow.run({ scheduler }).result();
  scheduler.schedule(() => limiter.update({ tokensPerMinute: 80 }), 1_000);
  await advance(scheduler);
  const { tasks } = await result;
  assert.is((tasks.get('second')?.error as RxhiveError | undefined)?.code, 'LIMIT_EXCEEDED');
  assert.is(tasks.get('third')?.attempts[0]?.startedAt, 60_000);
});

test('a result from the cache costs neither requests nor tokens', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({
    name: 'cached',
    groups: { llm: { limiter: { requestsPerMinute: 2, tokensPerMinute: 100 } } },
  });
  let calls = 0;
  let before: Task<number>[] = [];
  for (let i = 0; i < 8; i++) {
    const task = flow.task(`t${i}`, {
      group: 'llm',
      tokens: 60,
      type: 'same',
      version: '1',
      cache: { key: () => 1 },
      dependencies: before,
      run: () => ++calls,
    });
    before = [task];
  }
  const result = flow.run({ scheduler }).result();
  await advance(scheduler);
  const { report } = await result;
  assert.is(calls, 1);
  assert.is(report.wallMs, 60_000, 'the second waits for a permit, and gives it back');
});

test('tokens are reserved, settled at the end of the attempt, and given back when nothing was used', async () => {
  const trial = new Trial({ tokensPerMinute: 1_000 });
  trial.task('less', { tokens: 900, priority: 3 }, async (ctx) => {
    await ctx.sleep(1_000);
    ctx.usage({ inputTokens: 200, outputTokens: 100 });
  });
  trial.task('second', { tokens: 700, priority: 2 }, async () => {
    throw refusal();
  });
  trial.task('third', { tokens: 700, priority: 1 }, async (ctx) => {
    ctx.usage({ outputTokens: 1_500 });
  });
  trial.task('fourth', { tokens: 100 });
  await trial.result();
  const [, second, third, fourth] = trial.starts.map(([, at]) => at) as [number, number, number, number];
  assert.is(second, 1_000, 'the rest of what was reserved came back');
  assert.ok(third > 1_000 && third < 2_000, 'after the backoff of a 429: its tokens were not used');
  assert.is(fourth, third + 60_000, 'more than was reserved is owed');
});

test('an estimate is learnt by type', async () => {
  const trial = new Trial({ tokensPerMinute: 100_000 });
  const reserved: number[] = [];
  let before: Task<string>[] = [];
  for (let i = 0; i < 4; i++) {
    const ask = trial.flow.task(`ask ${i}`, {
      group: 'llm',
      type: 'ask',
      dependencies: before,
      run: (_, ctx) => {
        reserved.push((run.limits()[1]?.limiters[0]?.windows[0]?.used ?? 0) - i * 1_000);
        ctx.usage({ inputTokens: 800, outputTokens: 200 });
        return 'x'.repeat(38);
      },
    });
    before = [ask];
  }
  const run = trial.run();
  const result = run.result();
  await advance(trial.scheduler);
  await result;
  // [] is a token by characters / 4; then ["xxx..."], 10.5, is 9.5 more than what used 1,000; then it comes down.
  assert.equal(reserved.slice(0, 2), [1, 1_010]);
  assert.ok((reserved[2] as number) < 1_010 && (reserved[3] as number) < 1_010, reserved.join());
});

test('a type that has not been seen is taken at its own inputs, whatever others needed', async () => {
  const trial = new Trial({ tokensPerMinute: 900_000 });
  const plan = trial.flow.task('plan', {
    type: 'planner',
    group: 'llm',
    run: async (_, ctx) => {
      await ctx.sleep(500);
      ctx.usage({ inputTokens: 900, outputTokens: 300 });
      return 'x'.repeat(4_000);
    },
  });
  for (let i = 0; i < 6; i++)
    trial.flow.task(`sum ${i}`, {
      group: 'llm',
      dependencies: [plan],
      run: async (_, ctx) => {
        await ctx.sleep(1_000);
        ctx.usage({ inputTokens: 4_000, outputTokens: 500 });
      },
    });
  assert.is((await trial.result()).report.wallMs, 1_500);
});

test('a type whose first inputs were small is not taken to need a window for large ones', async () => {
  const trial = new Trial({ tokensPerMinute: 100_000 });
  let before: Task<string>[] = [];
  for (let i = 0; i < 5; i++)
    before = [
      trial.flow.task(`ask ${i}`, {
        group: 'llm',
        dependencies: before,
        run: async (_, ctx) => {
          await ctx.sleep(100);
          ctx.usage({ inputTokens: 1_200 + i * 1_000 });
          return 'x'.repeat(4_000 * (i + 1));
        },
      }),
    ];
  assert.is((await trial.result()).report.wallMs, 500);
});

test('a window that opens between two looks wakes who waits for it', async () => {
  const inner = virtual({ requestsPerSecond: 1 });
  const asked = new Set<PermitRequest['node']>();
  const limiter: Limiter = {
    settings: inner.settings,
    update: (settings) => inner.update(settings),
    seat: (client) => {
      const seat = inner.seat(client);
      // The first look at each task comes a moment too early.
      const admits = (request: PermitRequest): boolean => {
        const early = !asked.has(request.node);
        asked.add(request.node);
        return !early && seat.admits(request);
      };
      return new Proxy(seat, {
        get: (_, name) => {
          const value: unknown = Reflect.get(seat, name);
          if (name === 'admits') return admits;
          return typeof value === 'function' ? value.bind(seat) : value;
        },
      });
    },
  };
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'looks', groups: { llm: { limiter } } });
  for (let i = 0; i < 3; i++) flow.task(`t${i}`, { group: 'llm', run: () => 1 });
  const run = flow.run({ scheduler });
  const ended = run.result();
  await advance(scheduler);
  assert.equal([...run.snapshot().tasks.values()], ['succeeded', 'succeeded', 'succeeded']);
  assert.is((await ended).report.wallMs, 2_000);
});

test('while nobody knows what tasks use, the first minute stays within the window', async () => {
  for (const sameType of [true, false]) {
    const trial = new Trial({ tokensPerMinute: 30_000 });
    const used: { at: number; tokens: number }[] = [];
    for (let i = 0; i < 40; i++)
      trial.flow.task(sameType ? `ask ${i}` : `ask ${'abcdefgh'[i % 8]} ${i}`, {
        group: 'llm',
        run: async (_, ctx) => {
          used.push({ at: trial.scheduler.now(), tokens: 3_000 });
          await ctx.sleep(2_000);
          ctx.usage({ inputTokens: 2_000, outputTokens: 1_000 });
        },
      });
    const { status, report } = await trial.result();
    assert.is(status, 'succeeded');
    for (const { at } of used) {
      const within = used.filter((one) => one.at > at - 60_000 && one.at <= at);
      assert.ok(within.length * 3_000 <= 30_000, `${within.length} in the minute before ${at}`);
    }
    assert.ok(report.wallMs < 200_000, `${report.wallMs} ms for four minutes' worth of tokens`);
  }
});

test('nobody waits for ever for the first of its kind: it may fail, wait for its child, or be silent', async () => {
  const trial = new Trial({ tokensPerMinute: 1_000 });
  for (let i = 0; i < 5; i++)
    trial.flow.task(`parent ${i}`, {
      group: 'llm',
      retry: { count: 3, backoff: { initial: 10 } },
      run: async (_, ctx) => {
        await ctx.sleep(10);
        if (ctx.attempt < 3) throw new Error('not yet');
        return ctx.join(ctx.spawn('child', { group: 'llm', run: () => 1 }));
      },
    });
  const { status, report } = await trial.result();
  assert.is(status, 'succeeded');
  assert.ok(report.wallMs < 1_000, String(report.wallMs));
  const deaf = new Trial({ tokensPerMinute: 1_000 });
  deaf.flow.task('silent 1', { group: 'llm', timeout: 300_000, run: () => new Promise(() => undefined) });
  deaf.flow.task('silent 2', { group: 'llm', run: () => deaf.scheduler.now() });
  const run = deaf.run();
  const ended = run.result();
  await advance(deaf.scheduler, 100);
  assert.match(run.explain('silent 2'), 'the first attempt of its kind to end');
  await advance(deaf.scheduler);
  assert.is((await ended).results.get('silent 2'), 60_000);
});

test('the user may count: tokens by a function of the inputs, or a tokenizer', async () => {
  const scheduler = new SimulationScheduler();
  const texts: string[] = [];
  const countTokens = (text: string): number => {
    texts.push(text);
    return 70;
  };
  const flow = workflow({
    name: 'count',
    groups: { llm: { limiter: { tokensPerMinute: 100, countTokens } } },
  });
  const a = flow.task('a', { run: () => ({ pages: 60 }) });
  flow.task('own', { group: 'llm', dependencies: { a }, tokens: ({ a }) => a.pages, run: () => 1 });
  flow.task('counted', { group: 'llm', dependencies: { a }, run: () => scheduler.now() });
  const result = flow.run({ scheduler }).result();
  await advance(scheduler);
  assert.equal(texts, ['{"a":{"pages":60}}']);
  assert.is((await result).results.get('counted'), 60_000);
});

test('a job that needs more than a window is refused: when known before, else when it would start', async () => {
  const trial = new Trial({ tokensPerMinute: 1_000 });
  trial.task('too big', { tokens: 1_001 });
  assert.throws(
    () => trial.run(),
    (error: unknown) =>
      error instanceof WorkflowDefinitionError &&
      error.faults[0]?.message ===
        'Task "too big" needs 1001 tokens but tokensPerMinute is 1000; it could never start.',
  );
  const later = new Trial({ tokensPerMinute: 1_000 });
  later.flow.task('grows', { group: 'llm', tokens: () => 2_000, run: () => 1 });
  later.flow.task('nonsense', { group: 'llm', tokens: () => Number.NaN, run: () => 1 });
  later.flow.task('throws', {
    group: 'llm',
    tokens: () => {
      throw new Error('no');
    },
    run: () => 1,
  });
  later.task('fits', { tokens: 1_000 });
  const result = await later.result();
  const errorOf = (id: string): RxhiveError => result.tasks.get(id)?.error as RxhiveError;
  assert.is(result.status, 'partial');
  assert.is(errorOf('grows').code, 'LIMIT_EXCEEDED');
  assert.match(errorOf('nonsense').message, 'tokens returned NaN; return a number from 0');
  assert.match(errorOf('throws').message, 'tokens threw: no');
  assert.is(result.tasks.get('fits')?.status, 'succeeded');
});

test('settings that make no sense are faults of the definition, all of them at once', () => {
  const flow = workflow({
    name: 'bad',
    limiter: { requestsPerMinute: 0 },
    groups: {
      a: { limiter: { tokensPerMinute: Number.NaN, minTime: -1, maxConcurrent: 1.5, backoff: 3 as never } },
      b: { limiter: { requestsPerHour: 1, countTokens: 4 } as never },
      c: { limiter: 600 as never },
    },
  });
  flow.task('t', { group: 'a', tokens: -5, run: () => 1 });
  try {
    flow.run();
    assert.unreachable();
  } catch (error) {
    const { faults } = error as WorkflowDefinitionError;
    assert.is(faults.length, 9);
    assert.match(
      String(error),
      'limiter.requestsPerMinute is 0; give a whole number from 1, or leave it out.',
    );
    assert.match(String(error), 'groups.a.limiter.tokensPerMinute is NaN');
    assert.match(String(error), 'groups.b.limiter.requestsPerHour is unknown; use requestsPerSecond,');
    assert.match(String(error), 'groups.c.limiter is 600; give settings such as');
  }
  assert.throws(
    () => virtual({ maxConcurrent: 0, minTime: Number.NaN }),
    /maxConcurrent is 0.*minTime is NaN/,
  );
});

test('a 429 holds everybody who shares the limiter, once, also when it was the last attempt', async () => {
  const scheduler = new SimulationScheduler();
  const limiter = virtual({});
  const flow = workflow({
    name: 'hold',
    concurrency: 100,
    groups: { a: { limiter }, b: { limiter }, other: {} },
  });
  const starts: number[] = [];
  const gated: string[] = [];
  for (let i = 0; i < 10; i++)
    flow.task(`fails ${i}`, {
      group: 'a',
      run: async (_, ctx) => {
        await ctx.sleep(100 + i * 10);
        throw refusal({ 'retry-after': '2' });
      },
    });
  const soon = flow.task('soon', { run: (_, ctx) => ctx.sleep(150) });
  for (let i = 0; i < 20; i++)
    flow.task(`next ${i}`, {
      group: 'b',
      dependencies: [soon],
      run: () => {
        starts.push(scheduler.now());
      },
    });
  const other = flow.task('other', { group: 'other', dependencies: [soon], run: () => scheduler.now() });
  const run = flow.run({ scheduler });
  run.events$.subscribe((event) => {
    if (event.type === 'group' && event.reason === 'gated')
      gated.push(`${event.group} ${event.at} ${event.delay}`);
  });
  const result = run.result();
  await advance(scheduler, 1_000);
  assert.match(run.explain('next 3'), 'group "b", which its provider holds for another 1190 ms');
  await advance(scheduler);
  const { results, tasks } = await result;
  assert.is(results.get(other), 150);
  assert.equal(gated, ['a 100 2000'], 'the others said the same');
  // One at 2,190, two after another 125 ms, four after 250: nobody comes as a herd.
  assert.is(starts[0], 2_190);
  assert.equal(
    [starts[1], starts[3], starts[7]].map((at) => Math.round((at as number) - 2_190)),
    [125, 250, 375],
  );
  assert.is(tasks.get('next 0')?.waits.permit, 2_040);
});

test('a 429 that names no time is answered by a backoff of the group that grows, by chance, until one comes through', async () => {
  const trial = new Trial({ backoff: { initial: 1_000, max: 60_000 } });
  const holds: number[] = [];
  trial.task('probe', { retry: 5 }, (ctx) => {
    if (ctx.attempt <= 3) throw refusal();
    return 1;
  });
  const run = trial.run();
  run.events$.subscribe((event) => {
    if (event.type === 'group' && event.reason === 'gated') holds.push(event.delay as number);
  });
  const result = run.result();
  await advance(trial.scheduler);
  assert.is((await result).status, 'succeeded');
  assert.is(holds.length, 3);
  holds.forEach((ms, i) => {
    const bound = 1_000 * 2 ** i;
    assert.ok(ms >= bound / 2 && ms <= bound, `hold ${i} of ${ms} ms`);
  });
});

test('headers correct the books: of answers by ctx.limits, of failures by themselves', async () => {
  const minute = 60_000;
  const scheduler = new SimulationScheduler();
  const at = async (headers: Record<string, string>, fails: boolean): Promise<number> => {
    const flow = workflow({
      name: 'told',
      groups: { llm: { limiter: { requestsPerMinute: 100, tokensPerMinute: 5_000 } } },
    });
    const began = scheduler.now();
    const first = flow.task('first', {
      group: 'llm',
      tokens: 10,
      run: (_, ctx) => {
        if (fails) throw Object.assign(new Error('400'), { status: 400, response: { headers } });
        ctx.limits(headers);
      },
    });
    const second = flow.task('second', {
      group: 'llm',
      tokens: 1_000,
      dependencies: [settled(first)],
      run: () => scheduler.now() - began,
    });
    const result = flow.run({ scheduler }).result();
    await advance(scheduler);
    return (await result).results.get(second) as number;
  };
  assert.is(
    await at({ 'X-RateLimit-Remaining-Requests': '0', 'x-ratelimit-reset-requests': '6m0s' }, false),
    minute,
  );
  assert.is(
    await at({ 'x-ratelimit-remaining-tokens': '900', 'x-ratelimit-reset-tokens': '1m2.5s' }, true),
    minute,
  );
  assert.is(
    await at({ 'x-ratelimit-remaining-tokens': '900', 'x-ratelimit-reset-tokens': '20ms' }, true),
    20,
  );
  const later = new Date(scheduler.now() + 8_000).toISOString();
  assert.is(
    await at(
      { 'anthropic-ratelimit-requests-remaining': '0', 'anthropic-ratelimit-requests-reset': later },
      false,
    ),
    8_000,
  );
});

test('broken and hostile headers change nothing', async () => {
  const trial = new Trial({ requestsPerMinute: 100, tokensPerMinute: 1_000 });
  const hostile: unknown[] = [
    undefined,
    'x-ratelimit-remaining-requests: 0',
    { 'x-ratelimit-remaining-requests': '-1' },
    { 'x-ratelimit-remaining-requests': '1e9' },
    { 'x-ratelimit-remaining-requests': 'NaN', 'x-ratelimit-reset-requests': '1s' },
    { 'x-ratelimit-remaining-tokens': '9'.repeat(1_000_000) },
    { 'x-ratelimit-remaining-tokens': '9999999', 'x-ratelimit-reset-tokens': `${'1h'.repeat(40)}` },
    { 'x-ratelimit-remaining-tokens': {}, __proto__: null },
    {
      get 'x-ratelimit-remaining-requests'() {
        throw new Error('no');
      },
    },
    {
      get() {
        throw new Error('no');
      },
    },
  ];
  const evil = new Proxy(
    {},
    {
      get() {
        throw new Error('no');
      },
    },
  );
  hostile.forEach((headers, i) => {
    trial.task(`t${i}`, { tokens: 1 }, (ctx) => {
      ctx.limits(headers);
      return 1;
    });
  });
  trial.task('fails', { tokens: 1 }, () => {
    throw Object.assign(new Error('x'), { status: 429, headers: evil, retryAfter: Number.NaN });
  });
  trial.flow.task('last', { group: 'llm', tokens: 900, run: () => trial.scheduler.now() });
  const result = await trial.result();
  assert.is(result.status, 'partial');
  assert.is(result.tasks.get('last')?.status, 'succeeded');
  for (let i = 0; i < hostile.length; i++) assert.is(result.tasks.get(`t${i}`)?.status, 'succeeded', `${i}`);
});

test('backing off, waiting for a person or a lock holds no place; a retry takes a new permit', async () => {
  const trial = new Trial({ maxConcurrent: 1, requestsPerMinute: 3 });
  trial.task('fails once', { retry: 1, priority: 2 }, (ctx) => {
    if (ctx.attempt === 1) throw new Error('x');
    return 1;
  });
  trial.task('second', { priority: 1 });
  trial.task('third');
  const result = await trial.result();
  assert.is(result.status, 'succeeded');
  assert.is(trial.starts[1]?.[0], 'second');
  assert.is(trial.starts[1]?.[1], 0);
  assert.is(trial.starts[3]?.[1], 60_000, 'the fourth start within a minute has to wait');
});

test('the facade takes limits of groups and tokens of its tasks, and counts data as part of the prompt', async () => {
  const used: number[] = [];
  const limiter = virtual({ tokensPerMinute: 10_000 });
  const seat = limiter.seat({
    clock: new (await import('../../lib/kernel/clock.js')).Clock(),
    run: {},
    opened: () => undefined,
    failed: () => undefined,
  });
  const orchestrator = new WorkflowOrchestrator({
    agents: {
      write: () => {
        used.push(seat.state().windows[0]?.used as number);
      },
    },
    concurrencyGroups: { llm: { concurrency: 1, limiter } },
  });
  const data = 'x'.repeat(397);
  orchestrator.addTask(
    new AgentTask({ id: 'a', agentType: 'write', concurrencyGroup: 'llm', data, priority: 1 }),
  );
  orchestrator.addTask(new AgentTask({ id: 'b', agentType: 'write', concurrencyGroup: 'llm', tokens: 500 }));
  await orchestrator.executeWorkflow();
  // [[],"xxx..."]: 404 characters.
  assert.equal(used, [101, 601]);
});

test('a limiter on the whole run hears of refusals too, and the provider sees no violation', async () => {
  const scheduler = new SimulationScheduler();
  const provider = new VirtualProvider(
    { requestsPerSecond: 5, tokensPerMinute: 2_000, latency: [10, 400] },
    scheduler,
  );
  const flow = workflow({
    name: 'run',
    concurrency: 64,
    limiter: { requestsPerSecond: 5, tokensPerMinute: 2_000 },
  });
  for (let i = 0; i < 60; i++)
    flow.task(`t${i}`, { tokens: 50, run: () => provider.call({ inputTokens: 30, outputTokens: 20 }) });
  const result = flow.run({ scheduler }).result();
  await advance(scheduler);
  assert.is((await result).status, 'succeeded');
  assert.is(provider.stats.refused, 0);
  assert.is(provider.stats.lastAt, 63_000);
});

test('explain says how many go before a task behind a limiter, up to a thousand', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'long', limiter: { requestsPerSecond: 1 } });
  for (let i = 0; i < 3_000; i++) flow.task(`t${i}`, { run: () => 1 });
  const run = flow.run({ scheduler });
  const result = run.result();
  assert.match(run.explain('t7'), /, about 7\.0 s, 6 before it/);
  assert.match(run.explain('t1000'), /, about 1000\.0 s, 999 before it/);
  assert.match(run.explain('t2500'), /, more than 1001\.0 s, at least 1000 before it/);
  run.cancel();
  await result;
});

/** Counts how often a limiter is asked. */
function counted(limiter: Limiter): { limiter: Limiter; asked(): number } {
  let asked = 0;
  const seat: Limiter['seat'] = (client) => {
    const real = limiter.seat(client);
    return {
      admits: (request) => {
        asked += 1;
        return real.admits(request);
      },
      wait: (request) => real.wait(request),
      unwait: (node) => real.unwait(node),
      take: (request, permit) => real.take(request, permit),
      delay: (request, ahead) => real.delay(request, ahead),
      refused: (permit, ms) => real.refused(permit, ms),
      passed: (permit) => real.passed(permit),
      told: (limits) => real.told(limits),
      state: () => real.state(),
      close: () => real.close(),
    };
  };
  return {
    limiter: { settings: limiter.settings, seat, update: (settings) => limiter.update(settings) },
    asked: () => asked,
  };
}

test('of many groups that wait for one limiter one is called for each permit, the best first', async () => {
  const { limiter, asked } = counted(virtual({ maxConcurrent: 2 }));
  const scheduler = new SimulationScheduler();
  const names = Array.from({ length: 300 }, (_, i) => `g${i}`);
  for (const whole of [false, true]) {
    const before = asked();
    const started: number[] = [];
    const flow = workflow({
      name: 'many',
      concurrency: Number.POSITIVE_INFINITY,
      ...(whole && { limiter }),
      groups: Object.fromEntries(names.map((name) => [name, whole ? {} : { limiter }])),
    });
    for (const [i, group] of names.entries())
      flow.task(group, {
        group,
        priority: (i * 7) % 300,
        run: () => {
          started.push((i * 7) % 300);
          return timer(10, scheduler);
        },
      });
    const result = flow.run({ scheduler }).result();
    await advance(scheduler);
    assert.is((await result).status, 'succeeded');
    assert.equal(
      started,
      [...started].sort((a, b) => b - a),
    );
    const times = asked() - before;
    assert.ok(times < 6 * names.length, `asked ${times} times`);
  }
});

test('of many tasks that need other amounts of a resource those are tried that there is enough for', async () => {
  // A task that begins to wait for a resource asks whether its gates would let it pass.
  for (const needs of [(i: number) => ({ gpu: i + 1 }), (i: number) => ({ gpu: i + 1, ram: 300 - i })]) {
    const { limiter, asked } = counted(virtual({}));
    const scheduler = new SimulationScheduler();
    const flow = workflow({
      name: 'amounts',
      concurrency: Number.POSITIVE_INFINITY,
      limiter,
      resources: { gpu: 300, ram: 300 },
    });
    for (let i = 0; i < 300; i++)
      flow.task(`t${i}`, {
        priority: (i * 7) % 3,
        resources: needs((i * 101) % 300),
        run: () => timer(10, scheduler),
      });
    const result = flow.run({ scheduler }).result();
    await advance(scheduler);
    assert.is((await result).status, 'succeeded');
    assert.ok(asked() < 20 * 300, `asked ${asked()} times`);
  }
});

test('who is called for a permit and cannot take it does not keep it from others', async () => {
  const scheduler = new SimulationScheduler();
  const limiter = virtual({ maxConcurrent: 1 });
  const flow = workflow({
    name: 'passed on',
    resources: { gpu: 1 },
    groups: { a: { limiter }, b: { limiter }, c: {} },
  });
  const started: [string, number][] = [];
  const task = (id: string, group: 'a' | 'b' | 'c', ms: number, options: object = {}) =>
    flow.task(id, {
      group,
      ...options,
      run: () => {
        started.push([id, scheduler.now()]);
        return timer(ms, scheduler);
      },
    });
  task('first', 'a', 100, { priority: 9 });
  // It waits for the permit, and has lost the resource by the time it is called.
  task('wants both', 'a', 10, { priority: 5, resources: { gpu: 1 } });
  const pause = task('pause', 'c', 50, { priority: 8 });
  task('takes the resource', 'c', 1_000, { priority: 7, dependencies: [pause], resources: { gpu: 1 } });
  task('next', 'b', 10);
  const run = flow.run({ scheduler });
  const result = run.result();
  await advance(scheduler);
  assert.is((await result).status, 'succeeded');
  assert.equal(started, [
    ['first', 0],
    ['pause', 0],
    ['takes the resource', 50],
    ['next', 100],
    ['wants both', 1_050],
  ]);
});

test('what a task it joined was refused is not its own refusal: what its own call used stays counted', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({
    name: 'joined',
    concurrency: 4,
    groups: { llm: { limiter: { tokensPerMinute: 100 } }, other: {} },
  });
  const starts: number[] = [];
  flow.task('parent', {
    group: 'llm',
    tokens: 60,
    run: (_, ctx) => {
      starts.push(scheduler.now());
      const run = () => Promise.reject(Object.assign(new Error('no'), { status: 400 }));
      return ctx.join(ctx.spawn('child', { group: 'other', run }));
    },
  });
  flow.task('next', {
    group: 'llm',
    tokens: 60,
    priority: -1,
    run: () => starts.push(scheduler.now()),
  });
  const result = flow.run({ scheduler }).result();
  await advance(scheduler);
  await result;
  assert.equal(starts, [0, 60_000]);
});

test.run();
