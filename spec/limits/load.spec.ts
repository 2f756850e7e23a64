import fc from 'fast-check';
import { NEVER, Observable, of, Subject, throwError } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { LoadSample, MemoryOptions } from '../../lib/entry/limits.js';
import {
  adaptive,
  memory,
  RxhiveError,
  type TaskContext,
  WorkflowDefinitionError,
  type WorkflowEvent,
  workflow,
} from '../../lib/index.js';
import { LoadLimit } from '../../lib/limits/load-limit.js';
import { advance, marbles, SimulationScheduler } from '../../lib/testing/index.js';
import { LateStore } from '../support/late-store.js';

const busy: LoadSample = { eventLoop: 0.93 };
const calm: LoadSample = { eventLoop: 0.2 };

/** Whole-run limits as events tell them, and where memory stood. */
function told(events: readonly WorkflowEvent[]): unknown[] {
  return events.flatMap((event): unknown[] => {
    if (event.type === 'group' && event.reason === 'limit') return [event.concurrency];
    return event.type === 'memory' ? [event.reason] : [];
  });
}

/** A run of `count` tasks of 10 ms each whose machine is driven by hand. */
function driven(count: number, options: { concurrency?: number; memory?: MemoryOptions } = {}) {
  const scheduler = new SimulationScheduler();
  const load$ = new Subject<LoadSample>();
  const flow = workflow({ name: 'driven', concurrency: 10, ...options });
  let atOnce = 0;
  for (let i = 0; i < count; i++)
    flow.task(`t${i}`, {
      run: async (_, ctx) => {
        atOnce += 1;
        await ctx.sleep(10);
        atOnce -= 1;
      },
    });
  const run = flow.run({ scheduler, load$ });
  const events: WorkflowEvent[] = [];
  run.events$.subscribe((event) => events.push(event));
  const result = run.result();
  /** Lets `ms` pass. */
  const pass = async (ms: number): Promise<void> => advance(scheduler, scheduler.now() + ms);
  return { scheduler, load$, run, events, result, pass, atOnce: () => atOnce };
}

test('a busy machine takes three tenths away at once, and a calm one gives back slowly', async () => {
  const { load$, run, events, result, pass, atOnce } = driven(2_000);
  await pass(5);
  assert.is(atOnce(), 10);
  load$.next(busy);
  // That has no effect before tasks have ended, so another word of the same says nothing new.
  load$.next(busy);
  assert.equal(told(events), [7]);
  assert.match(
    run.explain('t100'),
    /waits for a slot \(10 of 7 in use\), because the machine is busy \(event loop 93 %\)\.$/,
  );
  await pass(10);
  assert.is(atOnce(), 7);
  for (let i = 0; i < 10; i++) {
    load$.next(busy);
    await pass(10);
  }
  assert.equal(told(events), [7, 4, 2, 1]);
  assert.is(atOnce(), 1);
  for (let i = 0; i < 2; i++) load$.next(calm);
  assert.is(run.limits()[0]?.limit, 1);
  assert.match(run.explain('t1999'), /because the machine was busy/);
  // Neither busy nor calm: it begins to count anew.
  load$.next({ eventLoop: 0.8 });
  for (let i = 0; i < 2; i++) load$.next(calm);
  assert.is(run.limits()[0]?.limit, 1);
  for (let i = 0; i < 25; i++) load$.next(calm);
  assert.equal(told(events), [7, 4, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  assert.not.match(run.explain('t1999'), /machine/);
  run.cancel();
  await result;
});

test('it does not flap: where more makes the machine busy again, it is tried ever more rarely', () => {
  const limit = new LoadLimit({ memory: true });
  let last = Number.POSITIVE_INFINITY;
  const changes: number[] = [];
  for (let i = 0; i < 1_000; i++) {
    const active = Math.min(16, limit.limit);
    limit.update({ eventLoop: active > 5 ? 0.95 : 0.5 }, { active, most: 16 });
    if (limit.limit !== last) changes.push(i);
    last = limit.limit;
  }
  const late = changes.filter((i) => i >= 500).length;
  assert.ok(changes.length < 80 && late < 35, `${changes.length} changes, ${late} of them late`);
});

test('a fall has to show its effect before the next, and room that has come later is found soon', () => {
  const limit = new LoadLimit({ memory: true });
  for (const [active, expected] of [
    [10, 7],
    [9, 7],
    [8, 7],
    [7, 4],
  ] as const) {
    limit.update(busy, { active, most: 64 });
    assert.is(limit.limit, expected);
  }
  // Busy above 5 for so long that this is tried but rarely, then not at all.
  const samplesUntilLifted = (capacity: number, most: number): number => {
    for (let i = 0; i < most; i++) {
      const active = Math.min(64, limit.limit);
      limit.update({ eventLoop: active > capacity ? 0.95 : 0.5 }, { active, most: 64 });
      if (limit.limit === Number.POSITIVE_INFINITY) return i;
    }
    return most;
  };
  assert.is(samplesUntilLifted(5, 500), 500);
  const lifted = samplesUntilLifted(100, 1_000);
  assert.ok(lifted < 200, `${lifted} samples`);
});

test('whatever is measured, the limit is whole, at least 1, and lifted after enough calm', () => {
  const number = fc.oneof(
    fc.double({ min: 0, max: 1.2, noNaN: true }),
    fc.constantFrom(Number.NaN, -1, Infinity),
  );
  const sample = fc.record(
    { eventLoop: number, memory: number, cpu: number, delayMs: fc.double({ min: 0, max: 500 }) },
    { requiredKeys: [] },
  );
  const seed = Number(process.env.SEED ?? 7);
  fc.assert(
    fc.property(
      fc.array(fc.record({ sample, active: fc.nat(40), most: fc.integer({ min: 0, max: 40 }) }), {
        maxLength: 200,
        size: 'max',
      }),
      (steps) => {
        const limit = new LoadLimit({ memory: true });
        for (const { sample: one, ...use } of steps) {
          const before = limit.limit;
          limit.update(one, use);
          assert.ok(
            limit.limit === Infinity || (Number.isInteger(limit.limit) && limit.limit >= 1),
            `${limit.limit}`,
          );
          if (limit.limit < before) assert.match(limit.reason(), /is busy \((event loop|timers|memory|CPU) /);
        }
        for (let i = 0; i < 48 * 41; i++) limit.update(calm, { active: 1, most: 40 });
        assert.is(limit.limit, Infinity);
      },
    ),
    { seed },
  );
});

test('each kind of load counts, and the worst of a sample is told', async () => {
  for (const [sample, words] of [
    [{ delayMs: 180 }, 'timers 180 ms late'],
    [{ cpu: 0.99, eventLoop: 0.1 }, 'CPU 99 %'],
    [{ memory: 0.95 }, 'memory 95 %'],
    [{ eventLoop: 0.9, cpu: 1 }, 'event loop 90 %'],
  ] as const) {
    const { load$, run, result, pass } = driven(50);
    await pass(5);
    load$.next(sample);
    assert.ok(run.explain('t40').includes(`because the machine is busy (${words})`), run.explain('t40'));
    run.cancel();
    await result;
  }
});

test('the smallest of user, adaptive and load counts', async () => {
  const scheduler = new SimulationScheduler();
  const load$ = new Subject<LoadSample>();
  const flow = workflow({ name: 'smallest', concurrency: adaptive({ max: 20, initial: 10 }) });
  for (let i = 0; i < 200; i++) flow.task(`t${i}`, { run: async (_, ctx) => ctx.sleep(100) });
  const run = flow.run({ scheduler, load$ });
  const result = run.result();
  await advance(scheduler, 50);
  load$.next(busy);
  assert.is(run.limits()[0]?.limit, 7);
  run.setConcurrency(5);
  assert.is(run.limits()[0]?.limit, 5);
  assert.not.match(run.explain('t150'), /machine/);
  run.setConcurrency(0);
  for (let i = 0; i < 9; i++) load$.next(calm);
  assert.is(run.limits()[0]?.limit, 0);
  run.setConcurrency(20);
  await advance(scheduler);
  assert.is((await result).status, 'succeeded');
});

test('subscribed from the start of the run to its end; a first sample counts before the first task', async () => {
  let subscribed = 0;
  const load$ = new Observable<LoadSample>((subscriber) => {
    subscribed += 1;
    subscriber.next({ memory: 0.9 });
    return () => {
      subscribed -= 1;
    };
  });
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'ends', load$, memory: { soft: 0.8 } });
  const running: number[] = [];
  let atOnce = 0;
  for (let i = 0; i < 3; i++)
    flow.task(`t${i}`, {
      run: async (_, ctx) => {
        running.push(++atOnce);
        await ctx.sleep(10);
        atOnce -= 1;
      },
    });
  const run = flow.run({ scheduler });
  assert.is(subscribed, 0);
  const result = run.result();
  assert.is(subscribed, 1);
  await advance(scheduler);
  assert.is((await result).status, 'succeeded');
  assert.equal([subscribed, running], [0, [1, 1, 1]]);
  const other = flow.run({ load$: NEVER });
  other.cancel();
  await other.result();
  assert.is(subscribed, 0, 'that of the run stands in for that of the workflow');
});

test('a run that is cancelled before its store has answered never listens', async () => {
  let subscribed = 0;
  const load$ = new Observable<LoadSample>(() => {
    subscribed += 1;
  });
  const store = new LateStore();
  const flow = workflow({ name: 'late' });
  flow.task('t', { run: () => 1 });
  const run = flow.run({ store, load$ });
  const result = run.result();
  run.cancel();
  store.auto = () => 1;
  await store.answer('open');
  assert.is((await result).status, 'cancelled');
  assert.is(subscribed, 0);
});

test('when load$ ends or fails, limit and watermark are lifted and the run goes on', async () => {
  for (const end of ['complete', 'error'] as const) {
    const { load$, run, events, result, pass } = driven(100, { memory: { soft: 0.5 } });
    await pass(5);
    load$.next({ ...busy, memory: 0.6 });
    assert.equal(told(events), [7, 'soft']);
    load$[end](new Error('no sensor'));
    assert.equal(told(events), [7, 'soft', 10, 'released']);
    await pass(1_000);
    const { status, report } = await result;
    assert.is(status, 'succeeded');
    assert.equal(report.subscriberErrors.map(String), end === 'error' ? ['Error: no sensor'] : []);
    assert.is(run.limits()[0]?.limit, 10);
  }
  for (const load$ of [
    of(busy),
    throwError(() => 1),
    of(null as never, 'x' as never, { eventLoop: 'x' } as never),
  ]) {
    const flow = workflow({ name: 'at once' });
    flow.task('t', { run: () => 1 });
    assert.is((await flow.run({ load$ }).result()).status, 'succeeded');
  }
});

test('above soft one task begins at a time, what runs goes on, and below it admission opens again', async () => {
  const { load$, run, events, result, pass, atOnce } = driven(100, { memory: { soft: 0.8 } });
  await pass(5);
  load$.next({ memory: 0.85 });
  assert.is(atOnce(), 10, 'nothing is aborted');
  assert.match(
    run.explain('t50'),
    /waits for memory: 85 % of the limit is taken, and from 80 % on one task runs at a time\.$/,
  );
  await pass(10);
  assert.is(atOnce(), 1);
  await pass(10);
  assert.is(atOnce(), 1, 'the next one begins when that has ended');
  // A bit below the mark is not enough: it would be above it again at once.
  load$.next({ memory: 0.78 });
  await pass(10);
  assert.is(atOnce(), 1);
  load$.next({ memory: 0.75 });
  await pass(1);
  assert.is(atOnce(), 10);
  assert.equal(told(events), ['soft', 'released']);
  await pass(1_000);
  const { status, tasks } = await result;
  assert.is(status, 'succeeded');
  const task = tasks.get('t99');
  assert.ok((task?.waits.slot ?? 0) > 30 && task?.waits.permit === 0, JSON.stringify(task?.waits));
});

/** Peaks of tasks that run at once after a pause, with memory at `share`: parents join a child each. */
async function afterPause(share: number, later = share): Promise<{ peak: number; status: string }> {
  const scheduler = new SimulationScheduler();
  const load$ = new Subject<LoadSample>();
  const flow = workflow({ name: 'pauses', concurrency: 10, load$, memory: { soft: 0.7, hard: 0.9 } });
  let atOnce = 0;
  let peak = 0;
  for (let i = 0; i < 4; i++)
    flow.task(`p${i}`, {
      run: async (_, ctx: TaskContext) => {
        const child = ctx.spawn(`p${i}/c`, { run: async (_, inner: TaskContext) => inner.sleep(20) });
        await ctx.join(child);
        atOnce += 1;
        peak = Math.max(peak, atOnce);
        await ctx.sleep(50);
        atOnce -= 1;
      },
    });
  const run = flow.run({ scheduler });
  const result = run.result();
  await advance(scheduler, 10);
  load$.next({ memory: share });
  await advance(scheduler, 100);
  load$.next({ memory: later });
  await advance(scheduler);
  return { peak, status: (await result).status };
}

test('what comes back from a pause is admitted above soft, and above hard one at a time: nothing stalls', async () => {
  assert.equal(await afterPause(0.8), { peak: 4, status: 'succeeded' });
  assert.equal(await afterPause(0.95), { peak: 1, status: 'succeeded' });
  assert.equal(await afterPause(0.95, 0.8), { peak: 3, status: 'succeeded' });
});

test('above hard also small results go to the store, and are read again when needed', async () => {
  for (const [share, spilled] of [
    [0.8, 0],
    [0.95, 2],
  ] as const) {
    const load$ = new Subject<LoadSample>();
    const store = memory();
    const flow = workflow({ name: 'short', load$, concurrency: 1, memory: { soft: 0.7, hard: 0.9 } });
    const tell = flow.task('tell', { run: () => load$.next({ memory: share }) });
    const tasks = [1, 2].map((n) =>
      flow.task(`big${n}`, { dependencies: { tell }, run: () => ({ text: 'x'.repeat(2_000 * n) }) }),
    );
    const small = flow.task('small', { dependencies: { tell }, run: () => ({ n: 1 }) });
    const all = flow.task('all', {
      dependencies: [...tasks, small],
      run: (inputs) => JSON.stringify(inputs).length,
    });
    const events: WorkflowEvent[] = [];
    const run = flow.run({ store, runId: 'short' });
    run.events$.subscribe((event) => events.push(event));
    const { results } = await run.result();
    assert.ok((results.get(all) ?? 0) > 6_000);
    const history = await flow.history(store, 'short');
    const kept = history.records.filter((one) => one.kind === 'commit' && one.spilled !== undefined);
    assert.is(kept.length, spilled);
    assert.equal(told(events), [share > 0.9 ? 'hard' : 'soft']);
  }
});

test('from hard down to soft it is told, too, and a hard mark alone is a soft one as well', async () => {
  const { load$, events, run, result, pass, atOnce } = driven(100, { memory: { hard: 0.9 } });
  await pass(5);
  for (const share of [0.89, 0.9, 0.86, 0.85, 0.89, 0.91]) load$.next({ memory: share });
  assert.equal(told(events), ['hard', 'released', 'hard']);
  await pass(10);
  assert.is(atOnce(), 1);
  run.cancel();
  await result;
  const both = driven(10, { memory: { soft: 0.7, hard: 0.9 } });
  for (const share of [0.91, 0.86, 0.85, 0.67, 0.66]) both.load$.next({ memory: share });
  assert.equal(told(both.events), ['hard', 'soft', 'released']);
  both.run.cancel();
  await both.result;
});

test(
  'a marble drives the load of a workflow',
  marbles(({ agent, flow, load, expectEvents, expectTimeline, expectStatus }) => {
    const crawl = workflow({ name: 'crawl', concurrency: 4 });
    for (const id of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) crawl.task(id, { run: agent('----|') });
    flow(crawl, { load$: load('-h---(lll)') });
    expectEvents({ type: 'group' }).toBe('-a---b', { a: { concurrency: 2 }, b: { concurrency: 3 } });
    expectTimeline().toBe(`
      a ====|
      b ====|
      c ====|
      d ====|
      e ::::====|
      f ::::====|
      g :::::====|
    `);
    expectStatus('succeeded');
  }),
);

test(
  'a watermark as marbles',
  marbles(({ agent, flow, load, expectSubscriptions }) => {
    const crawl = workflow({ name: 'crawl', concurrency: 4, memory: { soft: 0.8 } });
    const body = agent('----|');
    for (const id of ['a', 'b', 'c']) crawl.task(id, { run: body });
    flow(crawl, { load$: load('m-----f', { m: { memory: 0.9 }, f: { memory: 0.5 } }) });
    expectSubscriptions(body).toBe(['^---!', '----^---!', '------^---!']);
  }),
);

test('a marble test knows nothing of the machine that it runs on', () =>
  marbles(({ after, agent, flow, expectStatus }) => {
    const load$ = throwError(() => new Error('not in a test'));
    const crawl = workflow({ name: 'crawl', load$, memory: { soft: 0.1 } });
    crawl.task('a', { run: agent('a|') });
    flow(crawl);
    expectStatus('succeeded');
    after(({ report }) => assert.equal(report.subscriberErrors, []));
  })());

test('a letter without a sample is named', async () => {
  const wrong = marbles(({ load }) => load('-x'));
  try {
    await wrong();
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /load: "x" is no sample; give it one, or use h or l\./);
  }
});

test('faults are named before anything starts', () => {
  const wrong: [MemoryOptions, RegExp][] = [
    [{ soft: 0 }, /memory\.soft is 0; give a share of the limit above 0, at most 1/],
    [{ soft: -0.1 }, /memory\.soft is -0\.1/],
    [{ soft: Number.NaN }, /memory\.soft is NaN/],
    [{ hard: 1.01 }, /memory\.hard is 1\.01/],
    [{ hard: 80 }, /memory\.hard is 80/],
    [{ soft: '0.5' as never }, /memory\.soft is "0\.5"/],
    [{ soft: 0.9, hard: 0.8 }, /memory\.soft 0\.9 is above memory\.hard 0\.8; exchange them/],
    [{ sotf: 0.9 } as never, /memory\.sotf is unknown; use soft, hard, spillAbove/],
    ['1 GB' as never, /memory is "1 GB"; give \{ soft, hard, spillAbove \}/],
  ];
  for (const [options, message] of wrong)
    assert.throws(
      () => workflow({ name: 'w', memory: options }).run({ load$: NEVER }),
      (error: unknown) =>
        error instanceof WorkflowDefinitionError && error.faults.length === 1 && message.test(error.message),
      JSON.stringify(options),
    );
  const invalid = (message: RegExp) => (error: unknown) =>
    error instanceof RxhiveError && error.code === 'INVALID_OPTION' && message.test(error.message);
  for (const mark of ['soft', 'hard'])
    assert.throws(
      () => workflow({ name: 'w', memory: { [mark]: 0.5 } }).run(),
      invalid(new RegExp(`memory\\.${mark} needs load\\$, .*give load\\$: systemLoad\\(\\) of rxhive/load`)),
    );
  assert.throws(
    () => workflow({ name: 'w' }).run({ load$: 1 as never }),
    invalid(/load\$ is 1; give an Observable/),
  );
  assert.throws(() => workflow({ name: 'w', load$: {} as never }).run(), /load\$ is .*give an Observable/);
});

test.run();
