import fc from 'fast-check';
import { finalize, lastValueFrom, map, NEVER, of, Subject, timer } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Controller,
  controller,
  human,
  memory,
  type Run,
  type RxhiveError,
  typed,
  WorkflowDefinitionError,
  type WorkflowEvent,
  workflow,
} from '../lib/index.js';
import { advance, SimulationScheduler } from '../lib/testing/index.js';
import { LateStore } from './support/late-store.js';
import { playTenants, tenants } from './support/random-tenants.js';

const codeOf = (call: () => unknown): string | undefined => {
  try {
    call();
    return undefined;
  } catch (error) {
    return (error as RxhiveError).code;
  }
};

/** A run of `count` tasks of `ms` each that note their starts. */
function bulk(
  hive: Controller,
  name: string,
  count: number,
  body: (id: string) => unknown,
  options: { readonly priority?: number; readonly tenant?: string; readonly group?: string } = {},
): Run {
  const { priority, tenant, group } = options;
  const flow = workflow({ name, controller: hive });
  for (let i = 0; i < count; i++)
    flow.task(`${name}${i}`, { ...(group !== undefined && { group }), run: () => body(`${name}${i}`) });
  return flow.run({
    runId: name,
    ...(priority !== undefined && { priority }),
    ...(tenant !== undefined && { tags: { tenant } }),
  }) as Run;
}

test('random runs keep limits, and the best task over all runs starts next', () => {
  fc.assert(
    fc.property(tenants, (spec) => assert.equal(playTenants(spec), [])),
    { numRuns: 300 },
  );
});

test('runs that feed each other synchronously do not grow the stack', async () => {
  for (const [runs, most] of [
    [2, 100_000],
    [300, 30_000],
  ] as const) {
    const hive = controller({ concurrency: 4, scheduler: new SimulationScheduler() });
    const open = Array.from({ length: runs }, (_, i) =>
      workflow({ name: `run${i}`, controller: hive, maxTasks: Number.POSITIVE_INFINITY }).run({
        keepOpen: true,
      }),
    );
    let fed = 0;
    let deepest = 0;
    const feed = (): void => {
      const to = open[fed % runs];
      fed += 1;
      if (fed > most) for (const run of open) run.close();
      else to?.task(`task${fed}`, { run: feed });
      if (fed % 997 === 0) deepest = Math.max(deepest, depth());
    };
    const ends = open.map((run) => run.result());
    feed();
    const results = await Promise.all(ends);
    assert.ok(results.every(({ status }) => status === 'succeeded'));
    assert.is(fed, most + 1);
    assert.ok(deepest < 200, `${deepest} frames`);
  }
});

test('code of users that is asked about the queue may end another run: that one hears of it afterwards', async () => {
  const scheduler = new SimulationScheduler();
  const hive = controller({ scheduler, concurrency: 1 });
  const first = bulk(hive, 'first', 3, () => timer(10, scheduler));
  const succeeds = first.result();
  const other = bulk(hive, 'other', 3, () => timer(10, scheduler), { priority: 1 });
  const seen: string[] = [];
  other.events$.subscribe(
    (event) => event.type === 'task' && event.reason === 'cancelled' && seen.push('heard'),
  );
  const flow = workflow({ name: 'asked', controller: hive });
  flow.task('only', { run: () => seen.push('started') });
  const run = flow.run({
    priority: 2,
    pauseBefore: [
      () => {
        if (seen.length === 0) {
          seen.push('asked');
          other.cancel();
          seen.push('told');
        }
        return false;
      },
    ],
  });
  const ends = [succeeds, other.result(), run.result()];
  await advance(scheduler);
  const statuses = (await Promise.all(ends)).map(({ status }) => status);
  assert.equal(statuses, ['succeeded', 'cancelled', 'succeeded']);
  assert.equal(seen.slice(0, 2), ['asked', 'told']);
  assert.is(hive.limits()[0]?.active, 0);
});

function depth(): number {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = Number.POSITIVE_INFINITY;
  const { length } = (new Error('depth').stack ?? '').split('\n');
  Error.stackTraceLimit = stackTraceLimit;
  return length;
}

test('a limiter holds over a hundred runs of three tenants; a small tenant has its share, an urgent run overtakes', async () => {
  const scheduler = new SimulationScheduler();
  const limiter = { requestsPerMinute: 600, requestsPerSecond: 10 };
  const hive = controller({
    scheduler,
    concurrency: 64,
    groups: { llm: { limiter } },
    fair: ({ tags }) => tags.tenant ?? '',
  });
  const starts: { readonly id: string; readonly at: number }[] = [];
  const body = (id: string): unknown => {
    starts.push({ id, at: scheduler.now() });
    return timer(100, scheduler);
  };
  const ends: Promise<unknown>[] = [];
  for (let i = 0; i < 98; i++)
    ends.push(
      bulk(hive, `${i % 2 === 0 ? 'a' : 'b'}${i}-`, 100, body, {
        tenant: i % 2 === 0 ? 'a' : 'b',
        group: 'llm',
      }).result(),
    );
  scheduler.schedule(
    () => void ends.push(bulk(hive, 'small', 100, body, { tenant: 'c', group: 'llm' }).result()),
    30_000,
  );
  scheduler.schedule(
    () =>
      void ends.push(bulk(hive, 'urgent', 100, body, { tenant: 'a', group: 'llm', priority: 9 }).result()),
    200_000,
  );
  scheduler.flush();
  await Promise.all(ends);
  assert.is(starts.length, 10_000);
  starts.forEach(({ at }, i) => {
    const [second, minute] = [starts[i - 10], starts[i - 600]];
    assert.ok(second === undefined || at - second.at >= 1_000, `11 within a second before ${at}`);
    assert.ok(minute === undefined || at - minute.at >= 60_000, `601 within a minute before ${at}`);
  });
  const of = (name: string) => starts.filter(({ id }) => id.startsWith(name));
  // A third of ten a second: 100 tasks take 30 s.
  const waited = (of('small').at(-1)?.at ?? 0) - 30_000;
  assert.ok(waited <= 2 * 30_000, `the small tenant took ${waited} ms`);
  assert.ok(waited >= 25_000, `it got more than its share: ${waited} ms`);
  const urgent = (of('urgent').at(-1)?.at ?? 0) - 200_000;
  assert.ok(urgent <= 11_000, `the urgent run took ${urgent} ms`);
});

test('weights give a key more starts, and one that was idle has saved nothing up', () => {
  const scheduler = new SimulationScheduler();
  const hive = controller({
    scheduler,
    concurrency: 1,
    fair: ({ tags }) => tags.tenant ?? '',
    weights: { big: 3 },
  });
  const order: string[] = [];
  const body = (id: string): unknown => {
    order.push(id[0] as string);
    return timer(10, scheduler);
  };
  for (const tenant of ['big', 'small']) bulk(hive, tenant, 40, body, { tenant }).result();
  scheduler.schedule(() => bulk(hive, 'late', 5, body, { tenant: 'late' }).result(), 200);
  scheduler.flush();
  const first = order.slice(0, 20);
  assert.is(first.filter((one) => one === 'b').length, 15);
  const then = order.slice(20, 30);
  assert.ok(then.filter((one) => one === 'l').length <= 3, then.join(''));
  assert.is(order.length, 85);
});

test('a run keeps its own concurrency, groups of the controller hold over all', () => {
  const scheduler = new SimulationScheduler();
  const hive = controller({ scheduler, concurrency: 8, groups: { llm: { concurrency: 3 } } });
  const active = { own: 0, llm: 0 };
  const most = { own: 0, llm: 0 };
  const enter = (what: 'own' | 'llm'): void => {
    active[what] += 1;
    most[what] = Math.max(most[what], active[what]);
  };
  const leave = (what: 'own' | 'llm'): void => {
    active[what] -= 1;
  };
  const narrow = workflow({ name: 'narrow', concurrency: 2, controller: hive });
  for (let i = 0; i < 10; i++)
    narrow.task(`task${i}`, {
      run: () => {
        enter('own');
        return timer(5, scheduler).pipe(finalize(() => leave('own')));
      },
    });
  for (const name of ['one', 'two', 'three']) {
    const flow = workflow({ name, controller: hive });
    for (let i = 0; i < 6; i++)
      flow.task(`task${i}`, {
        group: 'llm',
        run: () => {
          enter('llm');
          return timer(5, scheduler).pipe(finalize(() => leave('llm')));
        },
      });
    flow.run().result();
  }
  narrow.run().result();
  scheduler.flush();
  assert.equal(most, { own: 2, llm: 3 });
  assert.is(hive.limits()[0]?.active, 0);
});

test('what ends gives everything back: cancelled, failed fast, suspended, and a store that opens late holds up nobody', async () => {
  const scheduler = new SimulationScheduler();
  const hive = controller({ scheduler, concurrency: 2, groups: { llm: { concurrency: 2 } } });
  const cancelled = bulk(hive, 'cancelled', 5, () => NEVER, { group: 'llm' });
  const ends = [cancelled.result()];
  const other = bulk(hive, 'other', 3, () => timer(10, scheduler), { group: 'llm' });
  ends.push(other.result());
  await advance(scheduler, 100);
  assert.is(hive.limits()[1]?.active, 2);
  cancelled.cancel();
  await advance(scheduler, 200);
  assert.equal(
    (await Promise.all(ends)).map(({ status }) => status),
    ['cancelled', 'succeeded'],
  );

  const fast = workflow({ name: 'fast', failurePolicy: 'fail-fast', controller: hive });
  fast.task('bad', {
    run: () => {
      throw new Error('no');
    },
  });
  for (let i = 0; i < 5; i++) fast.task(`never${i}`, { run: () => NEVER });
  const asking = workflow({ name: 'asking', controller: hive });
  asking.task('ask', { run: (_, ctx) => ctx.ask(human(typed<string>(), 'Go on?')) });
  const late = new LateStore(memory(), scheduler);
  late.auto = () => 5_000;
  const slow = workflow({ name: 'slow', controller: hive });
  slow.task('only', { priority: 9, run: () => 1 });
  const more = [
    fast.run().result(),
    asking.run({ suspend: 'end' }).result(),
    bulk(hive, 'behind', 4, () => timer(10, scheduler)).result(),
  ];
  const opened = slow.run({ store: late, runId: 'slow' }).result();
  await advance(scheduler, 1_000);
  assert.equal(
    (await Promise.all(more)).map(({ status }) => status),
    ['failed', 'suspended', 'succeeded'],
  );
  await advance(scheduler);
  assert.is((await opened).status, 'succeeded');
  assert.equal(
    hive.limits().map(({ active }) => active),
    [0, 0],
  );
});

test('limits change, pauses hold and drain waits while runs go on', async () => {
  const scheduler = new SimulationScheduler();
  const hive = controller({ name: 'hub', scheduler, concurrency: 1, groups: { llm: { concurrency: 1 } } });
  const begun: string[] = [];
  hive.runs$.subscribe(({ runId }) => begun.push(runId));
  const events: WorkflowEvent[] = [];
  hive.events$.subscribe((event) => events.push(event));
  let started = 0;
  const body = (): unknown => {
    started += 1;
    return timer(1_000, scheduler);
  };
  const first = bulk(hive, 'first', 20, body);
  const ends = [first.result(), bulk(hive, 'second', 20, body, { group: 'llm' }).result()];
  await advance(scheduler, 10);
  assert.is(started, 1);
  assert.match(hive.explain('second3'), /slot of its controller \(1 of 1 in use by all runs\)/);
  hive.setConcurrency(6);
  assert.is(started, 6);
  hive.pause();
  assert.ok(hive.paused);
  await advance(scheduler, 5_000);
  assert.is(started, 6);
  assert.match(
    hive.explain('second3', 'second'),
    /controller "hub", which is paused; its resume\(\) lets it go on/,
  );
  hive.setGroupConcurrency('llm', 2);
  hive.resume();
  const drained = hive.drain();
  assert.is(
    codeOf(() => bulk(hive, 'third', 1, body)),
    'INVALID_OPTION',
  );
  const refused = hive.schedule(() => 1).catch((error) => error.code);
  const refusedValue = lastValueFrom(of(1).pipe(hive.mergeMap('late', () => 1))).catch((error) => error.code);
  assert.equal(await Promise.all([refused, refusedValue]), ['RUN_ENDED', 'RUN_ENDED']);
  await advance(scheduler);
  assert.equal(
    (await Promise.all(ends)).map(({ status }) => status),
    ['succeeded', 'succeeded'],
  );
  await drained;
  assert.equal(begun, ['first', 'second']);
  assert.ok(
    events.some(({ runId, type, reason }) => runId === 'hub' && type === 'run' && reason === 'paused'),
  );
  assert.ok(
    events.some((event) => event.runId === 'second' && event.type === 'task' && event.taskId === 'second19'),
  );
  assert.is(
    codeOf(() => hive.explain('first0')),
    'INVALID_OPTION',
  );
});

test('a budget and a breaker of the controller are of all runs', async () => {
  const scheduler = new SimulationScheduler();
  const hive = controller({
    scheduler,
    groups: { llm: { budget: { calls: 5 } }, web: { breaker: { failures: 2, openFor: 1_000 } } },
  });
  const ends = ['one', 'two'].map((name) =>
    bulk(hive, name, 4, () => timer(10, scheduler), { group: 'llm' }).result(),
  );
  await advance(scheduler);
  const results = await Promise.all(ends);
  assert.is(
    results.reduce((sum, { report }) => sum + report.counts.succeeded, 0),
    5,
  );
  assert.is(
    results.reduce((sum, { report }) => sum + report.counts.skipped, 0),
    3,
  );
  let calls = 0;
  const failing = ['three', 'four'].map((name) =>
    bulk(
      hive,
      name,
      3,
      () => {
        calls += 1;
        if (scheduler.now() < 500) throw Object.assign(new Error('down'), { status: 503 });
        return name;
      },
      { group: 'web' },
    ).result(),
  );
  await advance(scheduler, 900);
  assert.ok(calls < 6, `${calls} calls`);
  await advance(scheduler);
  for (const { report } of await Promise.all(failing))
    assert.is(report.counts.succeeded + report.counts.failed, 3);
  assert.is(calls, 6);
});

test('what gates of a controller say is told in each run with tasks there, and once by the controller', async () => {
  const scheduler = new SimulationScheduler();
  const hive = controller({
    name: 'hub',
    scheduler,
    concurrency: 4,
    budget: { calls: 10 },
    groups: { llm: { concurrency: 1 }, web: { breaker: { failures: 1, openFor: 1_000 } } },
  });
  const all: WorkflowEvent[] = [];
  hive.events$.subscribe((event) => all.push(event));
  const after = (error: object): unknown => (count++ > 1 ? timer(10, scheduler) : failing(error));
  const failing = (error: object): unknown =>
    timer(10, scheduler).pipe(
      map(() => {
        throw Object.assign(new Error('no'), error);
      }),
    );
  let count = 0;
  const asked = (): unknown => after({ status: 429, retryAfter: 2 });
  const broken = (): unknown => after({ status: 503 });
  const told = new Map<string, string[]>();
  const watched = (run: Run): Run => {
    const own: WorkflowEvent[] = [];
    run.events$.subscribe((event) => {
      own.push(event);
      assert.is(event.runId, run.runId);
      assert.is(event.seq, own.length);
      if (['breaker', 'budget'].includes(event.type) || event.reason === 'gated')
        told.set(run.runId, [...(told.get(run.runId) ?? []), `${event.at} ${event.type} ${event.reason}`]);
    });
    return run;
  };
  const asking = [
    bulk(hive, 'one', 3, asked, { group: 'llm' }),
    bulk(hive, 'two', 3, asked, { group: 'llm' }),
  ];
  const ends = [...asking, bulk(hive, 'web', 2, broken, { group: 'web' })].map((run) =>
    watched(run).result(),
  );
  await advance(scheduler, 5_000);
  const late = watched(bulk(hive, 'late', 3, () => 1)).result();
  await advance(scheduler);
  await Promise.all([...ends, late]);
  const shared = all.filter(({ runId }) => runId === 'hub').map(({ type, reason }) => `${type} ${reason}`);
  assert.equal(Object.fromEntries(told), {
    one: ['10 group gated'],
    two: ['10 group gated', '2301 budget warned'],
    web: ['10 breaker open'],
    late: ['0 budget warned', '0 budget exhausted'],
  });
  assert.equal(shared.sort(), [
    'breaker half-open',
    'breaker open',
    'budget exhausted',
    'budget warned',
    'group gated',
  ]);
  const again = all.filter(
    ({ runId, type, reason }) =>
      runId !== 'hub' && (['breaker', 'budget'].includes(type) || reason === 'gated'),
  );
  assert.equal(again, []);
});

test('watermarks of a controller hold the tasks of all runs back; each run hears of it', async () => {
  const scheduler = new SimulationScheduler();
  const load$ = new Subject<{ memory: number }>();
  const hive = controller({
    name: 'hub',
    scheduler,
    concurrency: 8,
    load$,
    memory: { soft: 0.7, hard: 0.9 },
  });
  let active = 0;
  let peak = 0;
  const body = (): unknown => {
    active += 1;
    peak = Math.max(peak, active);
    return timer(100, scheduler).pipe(finalize(() => (active -= 1)));
  };
  const told: string[] = [];
  const runs = ['one', 'two'].map((name) => bulk(hive, name, 10, body));
  for (const run of runs)
    run.events$.subscribe(({ type, reason, runId }) => type === 'memory' && told.push(`${runId} ${reason}`));
  const ends = runs.map((run) => run.result());
  await advance(scheduler, 50);
  assert.is(active, 8);
  load$.next({ memory: 0.8 });
  await advance(scheduler, 50);
  peak = 0;
  await advance(scheduler, 500);
  assert.is(peak, 1);
  assert.match(hive.explain('two9'), /memory: 80 % of the limit is taken/);
  load$.next({ memory: 0.5 });
  assert.is(active, 8);
  await advance(scheduler);
  for (const { status } of await Promise.all(ends)) assert.is(status, 'succeeded');
  assert.equal(told, ['one soft', 'two soft', 'two released']);
  for (const bad of [
    { memory: { soft: 0.5 } },
    { load$, memory: { soft: 2 } },
    { load$, memory: { spillAbove: 5 } },
  ])
    assert.is(
      codeOf(() => controller(bad as never)),
      'INVALID_OPTION',
    );
});

test('above the hard mark of a controller small results go to the store, of runs that begin later too', async () => {
  const load$ = new Subject<{ memory: number }>();
  const hive = controller({ load$, memory: { soft: 0.7, hard: 0.9 } });
  const kept = async (runId: string, share?: number): Promise<number> => {
    const store = memory();
    const flow = workflow({ name: 'short', controller: hive });
    const tell = flow.task('tell', { run: () => share !== undefined && load$.next({ memory: share }) });
    const big = flow.task('big', { dependencies: { tell }, run: () => 'x'.repeat(2_000) });
    const length = flow.task('length', { dependencies: { big }, run: ({ big }) => big.length });
    const { results } = await flow.run({ store, runId }).result();
    assert.is(results.get(length), 2_000);
    const { records } = await flow.history(store, runId);
    return records.filter((one) => one.kind === 'commit' && one.spilled !== undefined).length;
  };
  assert.is(await kept('below', 0.8), 0);
  assert.is(await kept('above', 0.95), 1);
  assert.is(await kept('later'), 1);
});

test('a run is stuck that waits for a limit of 0, or a pause, of its controller', async () => {
  const scheduler = new SimulationScheduler();
  const hive = controller({ name: 'hub', scheduler, groups: { llm: {} } });
  hive.setGroupConcurrency('llm', 0);
  const run = bulk(hive, 'one', 2, () => timer(10, scheduler), { group: 'llm' });
  const end = run.result();
  await advance(scheduler, 10);
  assert.equal(run.stuck(), [
    '2 tasks wait for a place in group "llm" of controller "hub", but its concurrency is 0; raise it with setGroupConcurrency() of the controller.',
  ]);
  hive.setConcurrency(0);
  hive.setGroupConcurrency('llm', 1);
  assert.equal(run.stuck(), [
    '2 tasks wait for a slot, but the concurrency of controller "hub" is 0; raise it with its setConcurrency().',
  ]);
  hive.pause();
  hive.setConcurrency(1);
  assert.match(run.stuck().join(), /2 tasks wait for controller "hub", which is paused/);
  hive.resume();
  assert.equal(run.stuck(), []);
  await advance(scheduler);
  assert.is((await end).status, 'succeeded');
});

test('a run that joins is told what shared gates have said and still hold to', async () => {
  const scheduler = new SimulationScheduler();
  const load$ = new Subject<{ readonly memory: number }>();
  const hive = controller({
    name: 'hub',
    scheduler,
    load$,
    memory: { soft: 0.8 },
    groups: {
      llm: {},
      web: { breaker: { failures: 1, openFor: 1_000 } },
      db: { budget: { calls: 1 } },
      idle: { breaker: { failures: 1 } },
    },
  });
  const all: WorkflowEvent[] = [];
  hive.events$.subscribe((event) => all.push(event));
  const fails = (error: object) => (): unknown => {
    throw Object.assign(new Error('no'), error);
  };
  const kept = new Map<string, unknown[]>();
  const started = (name: string, group: string, body: () => unknown): void => {
    const run = bulk(hive, name, 1, body, { group });
    run.events$.subscribe((event) => {
      const { type, reason } = event;
      if (!['breaker', 'budget', 'memory'].includes(type) && reason !== 'gated') return;
      const { seq: _, runId, at, error: __, ...rest } = event as WorkflowEvent & { error?: unknown };
      assert.is(runId, name);
      kept.set(name, [...(kept.get(name) ?? []), { at, ...rest }]);
    });
    void run.result();
  };
  // As long as it goes on, the controller listens to its load.
  started('long', 'llm', () => timer(5_000, scheduler));
  load$.next({ memory: 0.9 });
  await advance(scheduler, 50);
  load$.next({ memory: 0.1 });
  started('asked', 'llm', fails({ status: 429, retryAfter: 2 }));
  started('broken', 'web', fails({ status: 503 }));
  started('spent', 'db', () => 1);
  await advance(scheduler, 300);
  load$.next({ memory: 0.9 });
  kept.clear();
  const copies = all.length;
  started('late-llm', 'llm', () => 1);
  started('late-web', 'web', () => 1);
  started('late-db', 'db', () => 1);
  started('late-idle', 'idle', () => 1);
  const memory = { at: 0, type: 'memory', reason: 'soft', share: 0.9 };
  assert.equal(kept.get('late-llm'), [
    memory,
    { at: 0, type: 'group', reason: 'gated', group: 'llm', delay: 1_750 },
  ]);
  assert.equal(kept.get('late-web'), [
    memory,
    { at: 0, type: 'breaker', reason: 'open', group: 'web', delay: 750 },
  ]);
  assert.equal(kept.get('late-db'), [
    memory,
    { at: 0, type: 'budget', reason: 'exhausted', group: 'db', limit: 'calls', spent: 1, cap: 1 },
  ]);
  assert.equal(kept.get('late-idle'), [memory]);
  load$.next({ memory: 0.1 });
  await advance(scheduler, 2_600);
  kept.clear();
  started('later', 'llm', () => 1);
  started('later-web', 'web', () => 1);
  assert.is(kept.get('later'), undefined);
  const again = all
    .slice(copies)
    .filter(({ runId, type }) => runId !== 'hub' && type !== 'task' && type === 'breaker');
  assert.equal(again, []);
  await advance(scheduler);
});

test('what cannot go together is a fault before anything starts', () => {
  const hive = controller({ concurrency: 4, groups: { llm: {} }, resources: { gpu: 1 }, policy: 'fifo' });
  const faults = (options: object, run: object = {}): string => {
    const flow = workflow({ name: 'bad', controller: hive, ...options } as never);
    flow.task('only', { run: () => 1, ...run });
    try {
      flow.run();
      return '';
    } catch (error) {
      assert.instance(error, WorkflowDefinitionError);
      return (error as Error).message;
    }
  };
  assert.match(
    faults({ groups: { llm: {} } }),
    /groups.llm is one of the workflow and one of its controller/,
  );
  assert.match(faults({ resources: { gpu: 1 } }), /resources.gpu is one of the workflow/);
  assert.match(faults({ concurrency: 5 }), /concurrency is 5, but its controller lets 4 run/);
  assert.match(faults({ policy: 'critical-path' }), /give it to controller\(\) instead/);
  assert.match(faults({ aging: 5 }), /give it to controller\(\) instead/);
  assert.match(faults({}, { group: 'web' }), /group "web", which does not exist/);
  assert.match(faults({}, { resources: { gpu: 2 } }), /there is only 1/);
  assert.is(faults({ concurrency: 4, groups: { web: {} } }, { group: 'llm' }), '');
  const flow = workflow({ name: 'fine', controller: hive });
  flow.task('only', { group: 'llm', run: () => 1 });
  assert.is(
    codeOf(() => flow.run({ scheduler: new SimulationScheduler() })),
    'INVALID_OPTION',
  );
  assert.is(
    codeOf(() => flow.run({ priority: Number.NaN })),
    'INVALID_OPTION',
  );
  assert.is(
    codeOf(() => flow.run({ tags: { tenant: 1 } as never })),
    'INVALID_OPTION',
  );
  assert.is(
    codeOf(() => workflow({ name: 'alone' }).run({ priority: 1 })),
    'INVALID_OPTION',
  );
  assert.is(
    codeOf(() => workflow({ name: 'alone' }).run({ controller: {} as never })),
    'INVALID_OPTION',
  );
  assert.is(
    codeOf(() => flow.run().setGroupConcurrency('llm', 1)),
    'INVALID_OPTION',
  );
  for (const bad of [
    { concurrency: 0 },
    { fair: 1 },
    { fair: () => 1, weights: { a: 0 } },
    { groups: { a: { limiter: { requestsPerMinute: 0 } } } },
  ])
    assert.is(
      codeOf(() => controller(bad as never)),
      'INVALID_OPTION',
    );
  const throwing = controller({
    fair: () => {
      throw new Error('no tenant');
    },
  });
  assert.throws(() => bulk(throwing, 'thrown', 1, () => 1), /no tenant/);
});

test.run();
