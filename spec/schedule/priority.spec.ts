import fc from 'fast-check';
import { timer } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fallback, type Run, type Task, type TaskContext, type Workflow, workflow } from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

type Flow = Workflow<undefined, undefined, 'llm', 'gpu' | 'ram'>;
type Ctx = TaskContext<undefined, undefined>;

/** 100 tasks of 10 ms, two at once: what waits behind them all starts at 500 ms. Returns when `urgent` is told. */
async function behindBulk(
  define: (flow: Flow, told: () => void, scheduler: SimulationScheduler) => unknown,
  policy: 'fifo' | 'critical-path' = 'fifo',
  during?: (run: Run<undefined, 'llm'>, told: () => void, scheduler: SimulationScheduler) => void,
  after?: (flow: Flow) => void,
): Promise<number> {
  const scheduler = new SimulationScheduler();
  let at = -1;
  const told = (): void => {
    at = scheduler.now();
  };
  const flow: Flow = workflow({
    name: 'bulk',
    concurrency: 2,
    policy,
    groups: { llm: { concurrency: 2 } },
    resources: { gpu: 2, ram: 2 },
  });
  define(flow, told, scheduler);
  for (let i = 0; i < 100; i++) flow.task(`bulk${i}`, { run: () => timer(10, scheduler) });
  after?.(flow);
  const run = flow.run({ scheduler });
  const result = run.result();
  during?.(run, told, scheduler);
  await advance(scheduler);
  assert.is((await result).status, 'succeeded');
  return at;
}

for (const policy of ['fifo', 'critical-path'] as const) {
  test(`${policy}: what an urgent task needs that is added while it is ready is urgent too`, async () => {
    let fetch: Task<0> | undefined;
    const last = (flow: Flow): void => {
      fetch = flow.task('fetch', { run: (_, ctx) => ctx.sleep(10).then(() => 0 as const) });
    };
    const urgent = (told: () => void) => ({ priority: 100, dependencies: [fetch as Task<0>], run: told });
    const added = await behindBulk(
      () => undefined,
      policy,
      (run, told, scheduler) => scheduler.schedule(() => run.task('urgent', urgent(told)), 5),
      last,
    );
    assert.is(added, 20, 'by run.task');
    const handled = await behindBulk(
      (flow, told) => {
        const first = flow.task('first', { priority: 1, run: (_, ctx) => ctx.sleep(1) });
        flow.onTaskComplete(first, (_, add) => add('urgent', urgent(told)));
      },
      policy,
      undefined,
      last,
    );
    assert.is(handled, 11, 'by a handler');
    const spawned = await behindBulk(
      (flow, told) =>
        flow.task('first', {
          priority: 1,
          run: async (_, ctx) => {
            await ctx.sleep(1);
            await ctx.join(ctx.spawn('urgent', urgent(told)));
          },
        }),
      policy,
      undefined,
      last,
    );
    assert.is(spawned, 11, 'by ctx.spawn');
  });

  test(`${policy}: what an urgent task joins is urgent, and what that waits for in turn`, async () => {
    const child = await behindBulk((flow, told) => {
      flow.task('boss', {
        priority: 100,
        run: async (_, ctx) => {
          await ctx.sleep(1);
          await ctx.join(ctx.spawn('child', { run: (__, own) => own.sleep(10) }));
          told();
        },
      });
    }, policy);
    assert.is(child, 11);
    let write: Task<void> | undefined;
    const deep = await behindBulk(
      (flow, told) => {
        flow.task('boss', {
          priority: 100,
          run: async (_, ctx) => {
            await ctx.sleep(1);
            await ctx.join(write as Task<void>);
            told();
          },
        });
      },
      policy,
      undefined,
      (flow) => {
        const page = flow.task('page', { run: (_, ctx) => ctx.sleep(10) });
        write = flow.task('write', {
          dependencies: [page],
          run: (_, ctx) => ctx.join(ctx.spawn('part', { run: (__, own) => own.sleep(10) })),
        });
      },
    );
    assert.ok(deep <= 31, `page, then write and its part: ${deep}`);
  });
}

test('candidates of a fallback are as urgent as their task', async () => {
  const at = await behindBulk((flow, told) => {
    for (let i = 0; i < 100; i++) flow.task(`same${i}`, { group: 'llm', run: (_, ctx) => ctx.sleep(10) });
    const run = async (_: unknown, ctx: Ctx) => {
      await ctx.sleep(10);
      if (ctx.taskId.endsWith('first')) throw new Error('planned');
      told();
    };
    const candidates = ['first', 'second'].map((name) => ({ name, group: 'llm', run }) as const);
    flow.task('urgent', { priority: 100, run: fallback(candidates) });
  });
  assert.is(at, 20, 'one after the other, each at once');
});

test('who holds a shared thing, does the same work or owes an answer is as urgent as who waits for it', async () => {
  // The holder has given its slot back within the use and would come back behind all others.
  const shared = await behindBulk((flow, told) => {
    flow.task('holder', {
      run: (_, ctx) =>
        ctx.shared('browser').use(() => ctx.join(ctx.spawn('page', { run: (__, own) => own.sleep(10) }))),
    });
    flow.task('boss', {
      priority: 100,
      run: async (_, ctx) => {
        await ctx.sleep(1);
        await ctx.shared('browser').use(() => told());
      },
    });
  });
  assert.is(shared, 11, 'shared');
  const cached = await behindBulk((flow, told) => {
    const work = { type: 'same', version: '1', cache: {} } as const;
    const run = (_: unknown, ctx: Ctx) => ctx.join(ctx.spawn('page', { run: (__, own) => own.sleep(10) }));
    flow.task('worker', { ...work, run });
    const ask = flow.task('boss', { ...work, priority: 100, dependencies: [], run });
    flow.task('after', { priority: 100, dependencies: [ask], run: told });
  });
  assert.ok(cached <= 20, `cache ${cached}`);
  const asked = await behindBulk(
    (flow, told) =>
      flow.task('boss', {
        priority: 100,
        run: async (_, ctx) => {
          await ctx.sleep(1);
          assert.is(await ctx.ask('clerk', 'name?'), 'ann');
          told();
        },
      }),
    'fifo',
    undefined,
    (flow) =>
      flow.task('clerk', {
        run: async (_, ctx) => {
          for await (const request of ctx.requests$()) {
            await request.reply('ann');
            return;
          }
        },
      }),
  );
  assert.ok(asked >= 1 && asked <= 20, `ask ${asked}`);
});

test('items of flow.each become as urgent as a task that is added behind them', async () => {
  let pages: Task<unknown> | undefined;
  const at = await behindBulk(
    () => undefined,
    'fifo',
    (run, told, scheduler) =>
      scheduler.schedule(
        () => run.task('urgent', { priority: 100, dependencies: [pages as Task], run: told }),
        5,
      ),
    (flow) => {
      pages = flow.each('pages', { from: [1, 2, 3, 4], run: (_, ctx) => ctx.sleep(10) });
    },
  );
  assert.ok(at > 5 && at <= 50, `at ${at}`);
});

test('a task that is added before the run starts lends its priority too', async () => {
  const flow = workflow({ name: 'before', concurrency: 1, policy: 'fifo' });
  const order: string[] = [];
  const note = (_: unknown, ctx: { taskId: string }): void => void order.push(ctx.taskId);
  for (let i = 0; i < 4; i++) flow.task(`bulk${i}`, { run: note });
  const fetch = flow.task('fetch', { run: note });
  const run = flow.run({ scheduler: new SimulationScheduler() });
  run.task('urgent', { priority: 9, dependencies: [fetch], run: note });
  assert.is((await run.result()).status, 'succeeded');
  assert.equal(order.slice(0, 2), ['fetch', 'urgent']);
});

interface Plan {
  readonly tasks: readonly {
    readonly priority: number;
    readonly ms: number;
    readonly at: number;
    readonly needs: readonly number[];
    readonly joins: readonly number[];
    readonly gpu: number;
    readonly ram: number;
  }[];
  readonly concurrency: number;
  readonly policy: 'fifo' | 'critical-path';
}

const plans: fc.Arbitrary<Plan> = fc.record({
  concurrency: fc.integer({ min: 1, max: 4 }),
  policy: fc.constantFrom('fifo' as const, 'critical-path' as const),
  tasks: fc.array(
    fc.record({
      priority: fc.integer({ min: 0, max: 3 }),
      ms: fc.integer({ min: 1, max: 6 }),
      at: fc.integer({ min: 0, max: 12 }),
      needs: fc.array(fc.nat(9), { maxLength: 2 }),
      joins: fc.array(fc.nat(9), { maxLength: 1 }),
      gpu: fc.nat(3),
      ram: fc.nat(3),
    }),
    { minLength: 1, maxLength: 14, size: 'max' },
  ),
});

/** Adds the tasks while the run goes on, and looks at each start for something that should have gone first. */
async function obeys(plan: Plan): Promise<void> {
  const scheduler = new SimulationScheduler();
  const { concurrency, policy } = plan;
  const flow = workflow({ name: 'p', concurrency, policy, aging: false, resources: { gpu: 3, ram: 3 } });
  const run = flow.run({ scheduler, keepOpen: true });
  const handles: Task<unknown>[] = [];
  const waits = new Map<string, Set<string>>();
  const own = new Map<string, (typeof plan.tasks)[number]>();
  /** What counts: its own priority, or the most of those that wait for it, directly or not; once lent it is kept. */
  const counts = new Map<string, number>();
  const settle = (): void => {
    for (let changed = true; changed; ) {
      changed = false;
      for (const [id, others] of waits)
        for (const other of others) {
          const most = Math.max(counts.get(other) as number, counts.get(id) as number);
          if (most === counts.get(other) || isEnd(other)) continue;
          counts.set(other, most);
          changed = true;
        }
    }
  };
  const isEnd = (id: string): boolean => run.snapshot().tasks.get(id) === 'succeeded';
  const check = (id: string): void => {
    settle();
    const mine = own.get(id) as Plan['tasks'][number];
    for (const [other, status] of run.snapshot().tasks) {
      if (status !== 'ready') continue;
      const theirs = own.get(other) as Plan['tasks'][number];
      const wantsSame = (mine.gpu > 0 && theirs.gpu > 0) || (mine.ram > 0 && theirs.ram > 0);
      const wantsNothing = theirs.gpu === 0 && theirs.ram === 0;
      if (wantsSame || wantsNothing)
        assert.ok(
          (counts.get(other) as number) <= (counts.get(id) as number),
          `${id} (${counts.get(id)}) starts before ${other} (${counts.get(other)})`,
        );
    }
  };
  const result = run.result();
  plan.tasks.forEach((task, i) => {
    scheduler.schedule(
      () => {
        const id = `t${handles.length}`;
        const pick = (indexes: readonly number[]) => [
          ...new Set(indexes.filter((n) => n < handles.length).map((n) => handles[n] as Task<unknown>)),
        ];
        own.set(id, task);
        counts.set(id, task.priority);
        waits.set(id, new Set(pick(task.needs).map((one) => one.id)));
        const joins = pick(task.joins);
        handles.push(
          run.task(id, {
            priority: task.priority,
            dependencies: pick(task.needs),
            resources: { gpu: task.gpu, ram: task.ram },
            run: async (_, ctx) => {
              check(id);
              await ctx.sleep(task.ms);
              for (const one of joins) waits.get(id)?.add(one.id);
              if (joins.length > 0) await ctx.join(joins);
              for (const one of joins) waits.get(id)?.delete(one.id);
            },
          }),
        );
      },
      task.at + i / 100,
    );
  });
  scheduler.schedule(() => run.close(), 100);
  await advance(scheduler);
  assert.is((await result).status, 'succeeded');
}

test('at no start something more important that could have started waits, whatever is added, joined or needed', async () => {
  await fc.assert(fc.asyncProperty(plans, obeys), { numRuns: 300 });
});

/** When a task that needs both of two GPUs starts, ready at 120 ms, while others that need one come each 50 ms. */
async function heavy(priority: number, options: { aging?: number | false; policy?: 'fifo' }, light = 0) {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'heavy', resources: { gpu: 2 }, ...options });
  const run = flow.run({ keepOpen: true, scheduler });
  let at = Number.POSITIVE_INFINITY;
  let overtook = 0;
  const one = (_: unknown, ctx: { sleep(ms: number): Promise<void> }): Promise<void> => {
    if (scheduler.now() > 120 && at === Number.POSITIVE_INFINITY) overtook += 1;
    return ctx.sleep(100);
  };
  for (let i = 0; i < 400; i++)
    scheduler.schedule(() => run.task(`l${i}`, { priority: light, resources: { gpu: 1 }, run: one }), i * 50);
  const start = (): void => {
    at = scheduler.now();
  };
  scheduler.schedule(() => run.task('heavy', { priority, resources: { gpu: 2 }, run: start }), 120);
  scheduler.schedule(() => run.close(), 30_000);
  const result = run.result();
  await advance(scheduler, 150);
  const why = run.explain('l2');
  await advance(scheduler);
  assert.is((await result).status, 'succeeded');
  return { at, overtook, why };
}

test('a task that needs much of a resource is overtaken by none that is less important', async () => {
  for (const aging of [undefined, 1_000, false] as const) {
    const { at, overtook } = await heavy(1, aging === undefined ? {} : { aging });
    assert.equal({ at, overtook }, { at: 200, overtook: 0 });
  }
});

test('a task that needs much is overtaken by more important ones for as long as aging says', async () => {
  const less = await heavy(0, { aging: 5_000 }, 7);
  // As soon as what was running then has ended.
  assert.ok(less.at > 5_120 && less.at <= 5_320, `at ${less.at}`);
  const never = await heavy(0, { aging: false }, 7);
  assert.ok(never.at >= 20_000, 'after all of them');
});

test('a task that needs much is overtaken by equals 16 times, whatever aging says', async () => {
  for (const options of [{}, { policy: 'fifo' }, { aging: false }, { aging: 5_000 }] as const) {
    const { at, overtook, why } = await heavy(0, options);
    assert.equal({ at, overtook }, { at: 1_000, overtook: 16 });
    assert.match(why, /running/);
  }
});

const crowds = fc.record({
  gpu: fc.integer({ min: 2, max: 6 }),
  disk: fc.integer({ min: 1, max: 3 }),
  slots: fc.integer({ min: 2, max: 8 }),
  tasks: fc.array(
    fc.record({
      at: fc.integer({ min: 1, max: 40 }),
      ms: fc.integer({ min: 1, max: 20 }),
      gpu: fc.integer({ min: 0, max: 6 }),
      disk: fc.integer({ min: 0, max: 3 }),
    }),
    { minLength: 40, maxLength: 160, size: 'max' },
  ),
});

type Crowd = typeof crowds extends fc.Arbitrary<infer T> ? T : never;

/** Runs equals that need this much of two resources; returns how often the first that needs a whole one was overtaken by later ones. */
async function overtakes({ gpu, disk, slots, tasks }: Crowd): Promise<number> {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'crowd', concurrency: slots, policy: 'fifo', resources: { gpu, disk } });
  const run = flow.run({ keepOpen: true, scheduler });
  let waits = false;
  let count = 0;
  scheduler.schedule(() => {
    waits = true;
    run.task('whole', {
      resources: { gpu },
      run: () => {
        waits = false;
      },
    });
  }, 1);
  for (const [i, task] of tasks.entries()) {
    const needs = { gpu: Math.min(task.gpu, gpu), disk: Math.min(task.disk, disk) };
    const resources = Object.fromEntries(Object.entries(needs).filter(([, amount]) => amount > 0));
    scheduler.schedule(() => {
      const late = waits;
      run.task(`t${i}`, {
        resources,
        run: (_, ctx) => {
          if (late && waits && needs.gpu > 0) count += 1;
          return ctx.sleep(task.ms);
        },
      });
    }, task.at);
  }
  scheduler.schedule(() => run.close(), 50);
  const result = run.result();
  await advance(scheduler);
  assert.is((await result).status, 'succeeded');
  return count;
}

test('among equals with any needs everybody gets a turn, and nobody is overtaken more than 16 times at a resource', async () => {
  await fc.assert(
    fc.asyncProperty(crowds, async (crowd) => (await overtakes(crowd)) <= 16),
    { numRuns: 200 },
  );
});

test('explain names the task for which a resource is kept', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'kept', resources: { gpu: 2 } });
  flow.task('holds', { priority: 9, resources: { gpu: 1 }, run: () => timer(100, scheduler) });
  flow.task('training', { priority: 5, resources: { gpu: 2 }, run: () => 1 });
  flow.task('light', { resources: { gpu: 1 }, run: () => timer(10, scheduler) });
  const run = flow.run({ scheduler });
  const result = run.result();
  await advance(scheduler, 50);
  assert.is(
    run.explain('light'),
    'Task "light" has been ready for 0.1 s and waits for "gpu", which is kept for "training", which is more important and needs more than is free.',
  );
  run.cancelTask('training');
  assert.match(run.explain('light'), /has been running for 0\.0 s/);
  await advance(scheduler);
  assert.is((await result).status, 'partial');
});

/** The most results that were there and not used up yet, of a wide map whose 16 chains are summed up two by two. */
async function mostHeld(policy: 'depth-first' | 'critical-path' | 'fifo', spawned: boolean): Promise<number> {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'wide', concurrency: 2, policy });
  let held = 0;
  let most = 0;
  const make = (): void => {
    held += 1;
    most = Math.max(most, held);
  };
  const work = (uses: number) => async (_: unknown, ctx: Pick<TaskContext, 'sleep'>) => {
    await ctx.sleep(10);
    held -= uses;
    make();
  };
  let row: Task[] = Array.from({ length: 16 }, (_, i) => {
    const load = flow.task(`load ${i}`, { run: work(0) });
    if (!spawned) return flow.task(`shrink ${i}`, { dependencies: [load], run: work(1) });
    return flow.task(`adds ${i}`, {
      dependencies: [load],
      run: (_, ctx) => ctx.join(ctx.spawn(`shrink ${i}`, { run: work(1) })),
    });
  });
  while (row.length > 1)
    row = Array.from({ length: row.length / 2 }, (_, i) =>
      flow.task(`sum ${row.length}.${i}`, {
        dependencies: [row[2 * i] as Task, row[2 * i + 1] as Task],
        run: work(2),
      }),
    );
  const result = flow.run({ scheduler }).result();
  await advance(scheduler);
  assert.is((await result).status, 'succeeded');
  assert.is(held, 1);
  return most;
}

test('depth-first uses results up before it makes more', async () => {
  for (const spawned of [false, true]) {
    // Two at once, and one for each step of the sum.
    assert.ok((await mostHeld('depth-first', spawned)) <= 6, `spawned ${spawned}`);
    assert.is(await mostHeld('critical-path', spawned), 16);
    assert.is(await mostHeld('fifo', spawned), 16);
  }
});

test.run();
