import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Executor, RemoteContext } from '../../lib/entry/types.js';
import { memory, type RxhiveError, type Task, type WorkflowResult, workflow } from '../../lib/index.js';
import { advance, type FakeRemote, fakeRemote, SimulationScheduler } from '../../lib/testing/index.js';

type WorkContext = Pick<RemoteContext, 'attempt' | 'sleep'>;
interface Work {
  readonly ms: number;
  readonly failures: number;
}

/** Takes `ms`, fails so often, and gives the sum of what it is given. */
async function work(inputs: { work: Work; [name: string]: unknown }, ctx: WorkContext): Promise<number> {
  const { work: own, ...others } = inputs;
  await ctx.sleep(own.ms);
  if (ctx.attempt <= own.failures) throw new Error(`wrong ${ctx.attempt}`);
  return Object.values(others).reduce<number>((sum, one) => sum + Number(one), 1);
}

async function nap(_: unknown, ctx: WorkContext): Promise<number> {
  await ctx.sleep(10_000);
  return ctx.attempt;
}

async function* values(_: unknown, ctx: WorkContext): AsyncGenerator<number> {
  for (let i = 1; i <= 30; i++) {
    await ctx.sleep(100);
    yield i;
  }
}

/** More values than a worker keeps for a controller that takes over. */
async function* many(_: unknown, ctx: WorkContext): AsyncGenerator<number> {
  for (let i = 1; i <= 3_000; i++) {
    if (i % 100 === 0) await ctx.sleep(100);
    yield i;
  }
}

const agents = { work, nap, values, many };

test('a condition is asked here, once; no worker hears of a task that does not run', async () => {
  const scheduler = new SimulationScheduler();
  const remote = fakeRemote({ scheduler, agents, workers: 1, slots: 1, latency: 20 });
  const flow = workflow({ name: 'conditions' });
  const asked: string[] = [];
  const when =
    (id: string, answer: boolean) => async (_: unknown, ctx: { sleep(ms: number): Promise<void> }) => {
      await ctx.sleep(500);
      asked.push(id);
      return answer;
    };
  const no = flow.task('no', { when: when('no', false), executor: remote.agent('nap') });
  const yes = flow.task('yes', { when: when('yes', true), executor: remote.agent('nap') });
  // Its clock begins with the worker: the condition does not count.
  flow.task('timed', {
    dependencies: [yes],
    when: when('timed', true),
    timeout: 10_200,
    executor: remote.agent('nap'),
  });
  flow.task('behind', { dependencies: [no], executor: remote.agent('nap') });
  const ended = flow.run({ scheduler }).result();
  await advance(scheduler, 5_000);
  remote.kill(0);
  await advance(scheduler);
  const { status, tasks, results, report } = await ended;
  assert.equal([status, results.get('yes'), report.lost], ['succeeded', 2, 1]);
  assert.equal([tasks.get('no')?.decided, tasks.get('behind')?.decided], [true, true]);
  assert.equal(asked, ['no', 'yes', 'timed']);
  assert.equal(remote.begun, ['yes#1', 'yes#2', 'timed#1']);
});

test('attempts of a worker that is killed run elsewhere; one that kills its workers fails alone', async () => {
  const scheduler = new SimulationScheduler();
  const remote = fakeRemote({ scheduler, agents, workers: 2, slots: 3, latency: 20 });
  const flow = workflow({ name: 'killed' });
  const tasks = Array.from({ length: 5 }, (_, i) => flow.task(`t${i}`, { executor: remote.agent('nap') }));
  const ended = flow.run({ scheduler }).result();
  await advance(scheduler, 5_000);
  remote.kill(0);
  await advance(scheduler);
  const { status, report, results } = await ended;
  assert.is(status, 'succeeded');
  assert.is(report.lost, 3);
  assert.is(report.retries, 0);
  assert.equal(tasks.map((task) => results.get(task)).sort(), [1, 1, 2, 2, 2]);
  const poison = new SimulationScheduler();
  const farm = fakeRemote({ scheduler: poison, agents, workers: 1, slots: 1 });
  const one = workflow({ name: 'poison' });
  one.task('a', { executor: farm.agent('nap') });
  const failed = one.run({ scheduler: poison }).result();
  for (let at = 2_000; at < 40_000; at += 5_000) {
    await advance(poison, at);
    farm.kill(0);
  }
  await advance(poison);
  const { error, attempts } = (await failed).tasks.get('a') ?? {};
  assert.is((error as RxhiveError).code, 'WORKER_LOST');
  assert.is(attempts?.length, 3);
});

test('a controller that goes on attaches to what is under way: nothing begins twice, and values go on', async () => {
  const scheduler = new SimulationScheduler();
  const remote = fakeRemote({ scheduler, agents, latency: 30, duplicate: 0.2 });
  const store = memory();
  const make = (by: Pick<FakeRemote, 'agent'>) => {
    const flow = workflow({ name: 'attach' });
    flow.task('nap', { executor: by.agent('nap') });
    flow.task('values', { executor: by.agent('values') });
    return flow;
  };
  make(remote).run({ store, runId: 'r', scheduler }).result();
  await advance(scheduler, 1_000);
  // What a process leaves that ends now; that one says nothing to the workers any more.
  const second = make(remote.beside()).run({ store: memory(store.dump()), runId: 'r', scheduler });
  const seen: unknown[] = [];
  second.events$.subscribe((event) => {
    if (event.type === 'value' && event.taskId === 'values') seen.push(event.value);
  });
  const ended = second.result();
  await advance(scheduler);
  const { status, results, tasks } = await ended;
  assert.is(status, 'succeeded');
  assert.equal(
    [...tasks.keys()].map((id) => results.get(id as never)),
    [1, 30],
  );
  assert.equal([...remote.begun].sort(), ['nap#1', 'values#1']);
  assert.equal(
    seen,
    Array.from({ length: 30 }, (_, i) => i + 1),
  );
});

test('a run of an id that was there before, without its log, has attempts of its own', async () => {
  for (const [first, latency] of [
    ['ended', 20],
    ['under way', 20],
    ['under way', 500],
  ] as const) {
    const scheduler = new SimulationScheduler();
    let calls = 0;
    const count = async (_: unknown, ctx: WorkContext) => {
      const call = ++calls;
      if (call === 1 && first === 'under way') await ctx.sleep(60_000);
      return call;
    };
    const remote = fakeRemote({ scheduler, agents: { count }, latency });
    const live = (by: Pick<FakeRemote, 'agent'>) => {
      const flow = workflow({ name: 'lives' });
      const task = flow.task('a', { executor: by.agent<typeof count>('count') });
      const ended = flow.run({ runId: 'r', scheduler }).result();
      return ended.then(({ results }) => results.get(task));
    };
    void live(remote);
    await advance(scheduler, 5_000);
    const second = live(remote.beside());
    await advance(scheduler, 20_000);
    assert.is(await second, 2);
  }
});

/** Takes a run over at a time, and gives what the second controller sees of task `a`. */
async function takenOver(agent: string, at: number, latency: number) {
  const scheduler = new SimulationScheduler();
  const remote = fakeRemote({ scheduler, agents, latency });
  const store = memory();
  const make = (by: Pick<FakeRemote, 'agent'>) => {
    const flow = workflow({ name: 'taken over' });
    flow.task('a', { executor: by.agent(agent) });
    return flow;
  };
  make(remote).run({ store, runId: 'r', scheduler }).result();
  await advance(scheduler, at);
  const seen: unknown[] = [];
  const logged: string[] = [];
  const second = make(remote.beside()).run({ store: memory(store.dump()), runId: 'r', scheduler });
  second.events$.subscribe((event) => {
    if (event.type === 'value') seen.push(event.value);
    if (event.type === 'log') logged.push(event.message);
  });
  const ended = second.result();
  // Before the end: values are not held back until then.
  await advance(scheduler, at + 1_500);
  const live = seen.length;
  await advance(scheduler);
  return { status: (await ended).status, seen, live, logged, begun: remote.begun };
}

test('an attempt that was handed over a moment before its controller died is not begun again', async () => {
  for (const at of [11, 50, 150]) {
    const { status, begun, seen } = await takenOver('values', at, 10);
    assert.is(status, 'succeeded');
    assert.equal(begun, ['a#1'], `${at} ms`);
    assert.equal(
      seen,
      Array.from({ length: 30 }, (_, i) => i + 1),
    );
  }
});

test('of more values than a worker keeps, a later controller gets the newest, in order and as they come', async () => {
  const { status, seen, live, logged, begun } = await takenOver('many', 2_000, 20);
  assert.is(status, 'succeeded');
  assert.equal(begun, ['a#1']);
  assert.ok(live >= 1_000 && live < 2_500, `${live} at once`);
  const [first] = seen as number[];
  assert.ok(first !== undefined && first > 1 && first <= 1_200, `from ${first} on`);
  assert.equal(
    seen,
    Array.from({ length: 3_001 - first }, (_, i) => first + i),
  );
  assert.match(logged.join(), /^The first \d+ words of the attempt are not kept any more by its worker\.$/);
});

test('where runs of two controllers queue for workers, the most important tasks go first', async () => {
  const scheduler = new SimulationScheduler();
  const remote = fakeRemote({ scheduler, agents, workers: 1, slots: 2 });
  const run = (by: Pick<FakeRemote, 'agent'>, name: string, priorities: readonly number[]) => {
    const flow = workflow({ name });
    for (const [i, priority] of priorities.entries())
      flow.task(`${name}${i}`, { executor: by.agent('nap'), priority });
    return flow.run({ scheduler }).result();
  };
  const low = run(remote, 'low', [0, 0, 0, 0]);
  await advance(scheduler, 15_000);
  const lower = run(remote.beside(), 'lower', [-1, -0.5]);
  const high = run(remote.beside(), 'high', [3, 3.5]);
  await advance(scheduler);
  for (const { status } of await Promise.all([low, high, lower])) assert.is(status, 'succeeded');
  const [, , third, fourth, ...then] = remote.begun;
  assert.equal([third, fourth].sort(), ['low2#1', 'low3#1'], 'what has begun goes on');
  assert.equal(then, ['high1#1', 'high0#1', 'lower1#1', 'lower0#1']);
});

test('an order that waits in the queue goes where the priority of its task is now', async () => {
  for (const takesOver of [false, true]) {
    const scheduler = new SimulationScheduler();
    const remote = fakeRemote({ scheduler, agents, workers: 1, slots: 2 });
    const store = memory();
    const make = (by: Pick<FakeRemote, 'agent'>, priority = 0) => {
      const flow = workflow({ name: 'two' });
      const a = flow.task('a', { executor: by.agent('nap') });
      flow.task('b', { executor: by.agent('nap'), priority });
      flow.task('more', { dependencies: [a], run: () => 1 });
      return flow;
    };
    const busy = workflow({ name: 'busy' });
    for (const id of ['x', 'y', 'z']) busy.task(id, { executor: remote.agent('nap'), priority: 1 });
    const first = busy.run({ scheduler }).result();
    await advance(scheduler, 1_000);
    const one = workflow({ name: 'one' });
    one.task('c', { executor: remote.beside().agent('nap'), priority: 2 });
    const second = one.run({ scheduler }).result();
    const by = remote.beside();
    let run = make(by).run({ scheduler, store, runId: 'r' });
    let third = run.result();
    await advance(scheduler, 2_000);
    if (takesOver) {
      const crashed = memory(store.dump());
      run = make(remote.beside(), 3).run({ scheduler, store: crashed, runId: 'r' });
      third = run.result();
    } else run.setPriority('b', 3);
    // What waits for it lends it what it has.
    run.setPriority('more', 0.5);
    await advance(scheduler);
    for (const { status } of await Promise.all([first, second, third])) assert.is(status, 'succeeded');
    assert.equal(remote.begun.slice(2), ['b#1', 'c#1', 'z#1', 'a#1']);
  }
});

test('random workflows over a bad way and workers that are killed end as they do in this process', async () => {
  const task = fc.record({
    ms: fc.integer({ min: 0, max: 3_000 }),
    failures: fc.integer({ min: 0, max: 3 }),
    needs: fc.array(fc.nat(20), { maxLength: 3 }),
  });
  const way = fc.record({
    seed: fc.nat(),
    latency: fc.integer({ min: 0, max: 500 }),
    duplicate: fc.constantFrom(0, 0.1),
    lose: fc.constantFrom(0, 0.1),
    late: fc.constantFrom(0, 0.1),
    reorder: fc.boolean(),
    kills: fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 3 }),
  });
  const ends = async (
    program: readonly { ms: number; failures: number; needs: readonly number[] }[],
    scheduler: SimulationScheduler,
    executor: Executor<never, number>,
  ): Promise<WorkflowResult> => {
    // A lost attempt has a number too: so that both fail as often, failures are told by what the task has tried.
    const flow = workflow({ name: 'random', retry: { count: 2, lost: 100, backoff: () => 5 } });
    const tasks: Task<number>[] = [];
    for (const [i, { ms, failures, needs }] of program.entries()) {
      const own = flow.task(`work${i}`, { run: (): Work => ({ ms, failures: failures > 2 ? 999 : 0 }) });
      const from = [...new Set(needs.map((one) => one % (i + 1)))].filter((one) => one < i);
      const dependencies = Object.fromEntries(from.map((one) => [`t${one}`, tasks[one] as Task<number>]));
      tasks.push(
        flow.task(`t${i}`, {
          dependencies: { ...dependencies, work: own },
          executor: executor as never,
        }) as Task<number>,
      );
    }
    const result = flow.run({ scheduler }).result();
    await advance(scheduler);
    return result;
  };
  await fc.assert(
    fc.asyncProperty(
      fc.array(task, { minLength: 1, maxLength: 8 }),
      way,
      async (program, { kills, ...how }) => {
        const here = await ends(program, new SimulationScheduler(), {
          version: '1',
          run: (inputs: never, ctx) => work(inputs, ctx),
        });
        const scheduler = new SimulationScheduler();
        const remote = fakeRemote({ scheduler, agents, ...how });
        for (const [i, at] of kills.entries()) scheduler.schedule(() => remote.kill(i % 2), at);
        const there = await ends(program, scheduler, remote.agent('work') as Executor<never, number>);
        assert.is(there.status, here.status);
        for (const [id, { status }] of here.tasks) {
          assert.is(there.tasks.get(id)?.status, status, id);
          assert.equal(there.results.has(id as never), here.results.has(id as never), id);
          if (here.results.has(id as never))
            assert.equal(there.results.get(id as never), here.results.get(id as never), id);
        }
        assert.is(there.report.retries, here.report.retries, 'retries');
      },
    ),
    { numRuns: 60 },
  );
});

test.run();
