import { delay, of, timer } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  AgentTask,
  memory,
  type RunOptions,
  type Task,
  WorkflowOrchestrator,
  type WorkflowResult,
  workflow,
} from '../../lib/index.js';
import { Ewma } from '../../lib/kernel/ewma.js';
import { seededRandom } from '../../lib/kernel/random.js';
import { Durations } from '../../lib/observe/durations.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

test('an Ewma begins as a plain mean, then follows', () => {
  const ewma = new Ewma(0.2);
  for (const value of [10, 20, 30]) ewma.add(value);
  assert.is(Math.round(ewma.mean), 20);
  assert.is(Math.round(ewma.variance), 67);
  for (let i = 0; i < 60; i++) ewma.add(100);
  assert.ok(Math.abs(ewma.mean - 100) < 0.1, String(ewma.mean));
  assert.ok(ewma.variance < 1);
  const random = seededRandom(7);
  const noisy = new Ewma(0.02);
  for (let i = 0; i < 20_000; i++) noisy.add(random() * 12);
  assert.ok(Math.abs(noisy.mean - 6) < 0.9, String(noisy.mean));
  assert.ok(Math.abs(noisy.variance - 12) < 3, String(noisy.variance));
});

/** One short task before a long one in order of definition; who goes first shows what is known. */
function twoKinds(order: string[]) {
  const flow = workflow({ name: 'kinds', concurrency: 1 });
  const body = (id: string, ms: number) => (_: unknown, ctx: { sleep(ms: number): Promise<void> }) => {
    order.push(id);
    return ctx.sleep(ms);
  };
  flow.task('short', { type: 'quick', run: body('short', 10) });
  flow.task('long', { type: 'slow', run: body('long', 90) });
  return flow;
}

async function virtually(
  flow: ReturnType<typeof twoKinds>,
  options: RunOptions = {},
): Promise<WorkflowResult> {
  const scheduler = new SimulationScheduler();
  const result = flow.run({ scheduler, learn: true, ...options } as never).result();
  await advance(scheduler);
  return result;
}

test('a workflow learns durations by type, and the next run is ranked by them', async () => {
  const order: string[] = [];
  const flow = twoKinds(order);
  await virtually(flow, { learn: false });
  assert.is(flow.durations.size, 0);
  await virtually(flow);
  assert.equal(order, ['short', 'long', 'short', 'long']);
  assert.equal(flow.durations.get('slow'), { meanMs: 90, deviationMs: 0, count: 1 });
  await virtually(flow);
  assert.equal(order.slice(4), ['long', 'short']);
  await virtually(flow, { learn: false });
  assert.equal(order.slice(6), ['short', 'long']);
});

test('what is learnt is kept in a store for other processes, one that answers later included', async () => {
  const store = memory();
  const later = {
    open: async (id: string) => store.open(id),
    read: (id: string) => store.read(id),
    runs: () => store.runs(),
    remove: (id: string) => store.remove(id),
    get: async (key: string) => store.get(key),
    put: async (key: string, text: string) => store.put(key, text),
  };
  for (const each of [store, later]) {
    const first = twoKinds([]);
    await virtually(first, { store: each, runId: `first ${each === later}` });
    const order: string[] = [];
    const second = twoKinds(order);
    await virtually(second, { store: each, runId: `second ${each === later}` });
    assert.equal(order, ['long', 'short']);
    assert.is(second.durations.get('quick')?.count, 2 + (each === later ? 2 : 0));
  }
});

test('a store that fails, or holds nonsense, teaches nothing and harms nobody', async () => {
  const store = memory();
  for (const text of ['{', '[]', '{"slow":[1,"x",2]}', '{"slow":[1,-5,2]}', '{"slow":[]}', 'null', '7']) {
    store.put('durations kinds', text);
    const order: string[] = [];
    assert.is((await virtually(twoKinds(order), { store, runId: text })).status, 'succeeded');
    assert.equal(order, ['short', 'long'], text);
  }
  const broken = {
    open: (id: string) => store.open(id),
    read: (id: string) => store.read(id),
    runs: () => store.runs(),
    remove: (id: string) => store.remove(id),
    get: () => {
      throw new Error('planned');
    },
    put: () => Promise.reject(new Error('planned')),
  };
  assert.is((await virtually(twoKinds([]), { store: broken, runId: 'broken' })).status, 'succeeded');
});

test('an orchestrator learns by agent type', async () => {
  const order: string[] = [];
  const agent =
    (ms: number) =>
    ({ id }: { id: string }) => {
      order.push(id);
      return of(id).pipe(delay(ms));
    };
  const orchestrator = new WorkflowOrchestrator({
    agents: { quick: agent(1), slow: agent(40) },
    maxConcurrentTasks: 1,
  });
  orchestrator.addTask(new AgentTask({ id: 'a', agentType: 'quick', data: {} }));
  orchestrator.addTask(new AgentTask({ id: 'b', agentType: 'slow', data: {} }));
  await orchestrator.executeWorkflow();
  await orchestrator.executeWorkflow();
  assert.equal(order, ['a', 'b', 'b', 'a']);
});

test('ids of tasks added at run time are not learnt, their types are', async () => {
  const flow = workflow({ name: 'added' });
  flow.task('parent', {
    run: (_, ctx) => {
      ctx.spawn('child 1', { run: () => 1 });
      ctx.spawn('child 2', { type: 'child', run: () => 1 });
    },
  });
  await flow.run().result();
  assert.equal([...flow.durations.keys()].sort(), ['child', 'parent']);
  assert.is(new Durations().expected('x', { run: () => 1, estimate: 5 }), 5);
});

test('eta counts what is left, by paths, slots and groups, and grows with a task that takes longer', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'eta', concurrency: 2, groups: { one: { concurrency: 1 } } });
  const take = (ms: number) => ({ estimate: ms, run: () => timer(ms, scheduler) });
  const head = flow.task('head', take(100));
  for (let i = 0; i < 4; i++) flow.task(`leaf ${i}`, { ...take(50), dependencies: [head] });
  for (let i = 0; i < 3; i++) flow.task(`grouped ${i}`, { ...take(80), group: 'one' });
  const late = flow.task('late', { estimate: 100, dependencies: [head], run: () => timer(400, scheduler) });
  const run = flow.run({ scheduler });
  const done = run.result();
  // 640 ms of work on two slots is more than the longest path of 200 and the group's 240.
  assert.is(run.eta(), 320);
  scheduler.run(50);
  assert.is(run.eta(), 270);
  scheduler.run(499);
  assert.is(run.snapshot().tasks.get('late'), 'running');
  const spent = 499 - 100;
  assert.is(run.eta(), Math.round(spent / 10));
  run.setConcurrency(0);
  scheduler.flush();
  assert.is((await done).status, 'succeeded');
  assert.is(run.eta(), 0);
  assert.ok(late);
});

test('eta of a large run is counted now and then, and right within a twentieth all the time', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'large', concurrency: 10 });
  let reads = 0;
  for (let i = 0; i < 2_000; i++)
    flow.task(`t${i}`, {
      get estimate() {
        reads += 1;
        return 10;
      },
      run: () => timer(10, scheduler),
    });
  const run = flow.run({ scheduler });
  const result = run.result();
  reads = 0;
  for (let at = 0; at < 2_000; at += 5)
    scheduler.schedule(() => {
      const left = 2_000 - at;
      const eta = run.eta() ?? -1;
      assert.ok(Math.abs(eta - left) <= Math.max(10, left / 20), `${eta} ms at ${at}`);
    }, at);
  scheduler.run(996);
  assert.ok(reads < 40_000, `${reads} reads in 200 calls for 2,000 tasks`);
  // What changes limits changes it at once.
  run.setConcurrency(1);
  assert.ok((run.eta() ?? 0) > 9_900);
  run.setConcurrency(10);
  scheduler.flush();
  assert.is((await result).status, 'succeeded');
});

test('eta is unknown while nothing is known, and known as soon as a task of the type has ended', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'first run', concurrency: 2 });
  for (let i = 0; i < 10; i++) flow.task(`call ${i}`, { type: 'call', run: () => timer(100, scheduler) });
  const run = flow.run({ scheduler, learn: true });
  const done = run.result();
  assert.is(run.eta(), undefined);
  scheduler.run(100);
  assert.is(run.eta(), 400);
  run.setConcurrency(0);
  assert.is(run.eta(), undefined);
  run.setConcurrency(2);
  scheduler.flush();
  await done;
});

/** What a run would have taken with one task halved, by running it again. */
async function makespan(
  times: ReadonlyMap<string, number>,
  edges: readonly [string, string[]][],
  slots: number,
) {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'again', concurrency: slots, policy: 'fifo' });
  const tasks = new Map<string, Task<number>>();
  for (const [id, deps] of edges) {
    const dependencies = deps.map((dep) => tasks.get(dep) as Task<number>);
    tasks.set(id, flow.task(id, { dependencies, run: () => timer(times.get(id) as number, scheduler) }));
  }
  const done = flow.run({ scheduler }).result();
  scheduler.flush();
  return done;
}

test('the three tasks to speed up save what they promise', async () => {
  const edges: [string, string[]][] = [
    ['plan', []],
    ['search', ['plan']],
    ['read', ['plan']],
    ['write', ['search', 'read']],
    ['check', ['write']],
  ];
  const times = new Map([
    ['plan', 100],
    ['search', 400],
    ['read', 300],
    ['write', 250],
    ['check', 20],
  ]);
  const { report } = await makespan(times, edges, 4);
  assert.is(report.wallMs, 770);
  // Half of search is 200 ms, but then read decides.
  assert.equal(report.speedUps, [
    { task: 'write', runningMs: 250, savesMs: 125 },
    { task: 'search', runningMs: 400, savesMs: 100 },
    { task: 'plan', runningMs: 100, savesMs: 50 },
  ]);
  for (const { task, runningMs, savesMs } of report.speedUps) {
    const halved = await makespan(new Map([...times, [task, runningMs / 2]]), edges, 4);
    assert.is(report.wallMs - halved.report.wallMs, savesMs);
  }
  assert.not.match(String(report), 'to speed up');
  const slower = await makespan(new Map([...times].map(([id, ms]) => [id, ms * 2])), edges, 4);
  assert.match(
    String(slower.report),
    'to speed up; in half its time each saves: "write" 250 ms, "search" 200 ms, "plan" 100 ms',
  );
});

test('speeding up counts slots and added tasks', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'joined', concurrency: 1 });
  const parent = flow.task('parent', {
    run: async (_, ctx) => {
      await ctx.sleep(10);
      await ctx.join([0, 1].map((i) => ctx.spawn(`child ${i}`, { run: () => timer(100, scheduler) })));
      await ctx.sleep(10);
    },
  });
  flow.task('last', { dependencies: [parent], run: () => timer(60, scheduler) });
  const done = flow.run({ scheduler }).result();
  await advance(scheduler);
  const { report } = await done;
  assert.is(report.wallMs, 280);
  // One slot: half of any task is half of it off the run.
  assert.equal(
    report.speedUps.map(({ task, savesMs }) => [task, savesMs]),
    [
      ['last', 30],
      ['parent', 10],
    ],
  );
});

/** A DAG of layers with types whose tasks vary around their mean. */
function graph(seed: number) {
  const random = seededRandom(seed);
  const upTo = (n: number): number => Math.floor(random() * (n + 1));
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const means = Array.from({ length: 8 }, () => 20 * Math.exp(1.2 * normal()));
  const tasks: { id: string; type: string; ms: number; deps: number[] }[] = [];
  const count = 60 + upTo(100);
  for (let i = 0; i < count; i++) {
    const deps = new Set<number>();
    if (i > 5) for (let k = upTo(2); k >= 0; k--) deps.add(Math.max(0, i - 1 - upTo(25)));
    const kind = upTo(7);
    tasks.push({
      id: `t${i}`,
      type: `kind ${kind}`,
      ms: Math.max(1, (means[kind] as number) * Math.exp(0.4 * normal())),
      deps: [...deps],
    });
  }
  return tasks;
}

async function play(
  tasks: ReturnType<typeof graph>,
  policy: 'fifo' | 'critical-path',
  learnt?: ReadonlyMap<string, number>,
) {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'seeded', concurrency: 8, policy, aging: false });
  const handles: Task[] = [];
  for (const { id, type, ms, deps } of tasks) {
    const estimate = learnt?.get(type);
    handles.push(
      flow.task(id, {
        type,
        dependencies: deps.map((dep) => handles[dep] as Task),
        run: () => timer(ms, scheduler),
        ...(estimate !== undefined && { estimate }),
      }),
    );
  }
  const done = flow.run({ scheduler, learn: true }).result();
  scheduler.flush();
  return {
    wallMs: (await done).report.wallMs,
    learnt: new Map([...flow.durations].map(([t, d]) => [t, d.meanMs])),
  };
}

test('learnt ranks are no worse than FIFO on 95 % of 200 seeded graphs', async () => {
  let noWorse = 0;
  let gain = 0;
  let worst = 0;
  for (let seed = 1; seed <= 200; seed++) {
    const tasks = graph(seed);
    const fifo = await play(tasks, 'fifo');
    // Ranks from what the first run taught, a mean per type, not from the durations themselves.
    const ranked = await play(tasks, 'critical-path', fifo.learnt);
    const ratio = ranked.wallMs / fifo.wallMs;
    if (ratio <= 1 + 1e-9) noWorse += 1;
    gain += (1 - ratio) / 200;
    worst = Math.max(worst, ratio);
  }
  console.log(
    `no worse on ${noWorse} of 200, ${(gain * 100).toFixed(1)} % sooner in the mean, worst ${worst.toFixed(3)}`,
  );
  assert.ok(noWorse >= 190, `only ${noWorse}`);
});

test.run();
