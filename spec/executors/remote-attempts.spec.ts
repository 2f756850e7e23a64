import { Observable } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { inspectTask } from '../../lib/dashboard/index.js';
import { WorkerLostError } from '../../lib/entry/agents.js';
import type { Executor, Place, RemoteContext, WorkerFacts } from '../../lib/entry/types.js';
import { memory, type RxhiveError, type WorkflowEvent, workflow } from '../../lib/index.js';
import { advance, drawTimeline, SimulationScheduler, timelineOf } from '../../lib/testing/index.js';

const worker: WorkerFacts = { id: 'w1', host: 'here', pid: 1, labels: [], version: '1' };

/** An executor whose worker begins after `begin` ms and takes `work` ms. */
function slow(begin: number, work: number, place?: Place): Executor<unknown, string> {
  return {
    version: '1',
    remote: true,
    ...(place !== undefined && { place }),
    run: async (_, ctx) => {
      await ctx.sleep(begin);
      ctx.begun(worker);
      ctx.begun({ ...worker, id: 'w2' });
      await ctx.sleep(work);
      return 'done';
    },
  };
}

/** Loses its first attempts with their workers. */
function losing(times: number): Executor<unknown, number> {
  return {
    version: '1',
    remote: true,
    run: async (_, { attempt, taskId }) => {
      if (attempt <= times) throw new WorkerLostError(taskId, attempt, 'w1', 'gone');
      return attempt;
    },
  };
}

/** A place of which the test says how many slots it has. */
class TestPlace implements Place {
  readonly name = 'farm';
  slots = 0;
  /** What runs said that they could use, one after the other. */
  readonly told: string[] = [];
  open = 0;
  readonly #changed = new Set<() => void>();

  watch(changed: () => void): { demand(ready: number, running: number): void; close(): void } {
    this.open += 1;
    this.#changed.add(changed);
    return {
      demand: (ready, running) => this.told.push(`${ready}+${running}`),
      close: () => {
        this.open -= 1;
        this.#changed.delete(changed);
      },
    };
  }

  set(slots: number): void {
    this.slots = slots;
    for (const changed of this.#changed) changed();
  }
}

test('the clock of an attempt starts when a worker begins, and the time before is a wait for a slot', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'remote' });
  const task = flow.task('a', { executor: slow(500, 80), timeout: { attempt: 100, total: 90 } });
  const run = flow.run({ scheduler });
  const events: WorkflowEvent[] = [];
  run.events$.subscribe((event) => events.push(event));
  const ended = run.result();
  await advance(scheduler, 400);
  assert.match(run.explain('a'), /was handed over 0.4 s ago, attempt 1, and waits for a worker\.$/);
  await advance(scheduler);
  const { tasks, results } = await ended;
  assert.is(results.get(task), 'done');
  const report = tasks.get(task);
  assert.is(report?.waits.slot, 500);
  assert.is(report?.runningMs, 80);
  assert.equal(report?.attempts, [{ startedAt: 500, endedAt: 580, worker: 'w1' }]);
  const begun = events.filter((event) => event.type === 'attempt' && event.reason === 'begun');
  assert.equal(
    begun.map((event) => event.type === 'attempt' && [event.at, event.worker]),
    [[500, worker]],
  );
});

test('pictures draw the wait for a worker as a wait', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'remote' });
  const task = flow.task('a', {
    executor: {
      version: '1',
      remote: true,
      run: async (_: unknown, ctx: RemoteContext) => {
        await ctx.sleep(30);
        // The first is lost before a worker has begun, the second while one is at work.
        if (ctx.attempt > 1) {
          ctx.begun(worker);
          await ctx.sleep(20);
        }
        if (ctx.attempt < 3) throw new WorkerLostError('a', ctx.attempt, 'w1', 'gone');
      },
    },
  });
  const run = flow.run({ scheduler });
  const events: WorkflowEvent[] = [];
  run.events$.subscribe((event) => events.push(event));
  const ended = run.result();
  await advance(scheduler);
  assert.is((await ended).tasks.get(task)?.waits.slot, 90);
  const spans = inspectTask(events, 'a')?.spans.filter(({ from, to }) => to !== from);
  assert.equal(
    spans?.map(({ kind, from, to, attempt, end }) => [kind, from, to, attempt, end].join(' ').trim()),
    ['slot 0 30', 'slot 30 60', 'running 60 80 2 failed', 'slot 80 110', 'running 110 130 3 succeeded'],
  );
  assert.is(drawTimeline(timelineOf([], events), 10), 'a  ::::::==:::==|');
});

test('an attempt that takes too long after a worker has begun times out', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'remote' });
  const task = flow.task('a', { executor: slow(500, 200), timeout: 100 });
  const ended = flow.run({ scheduler }).result();
  await advance(scheduler);
  const report = (await ended).tasks.get(task);
  assert.match(String(report?.error), /one attempt took longer than 100 ms/);
  assert.is(report?.attempts[0]?.endedAt, 600);
});

test('waiting for a worker counts towards timeout.queue', async () => {
  for (const [begin, ok] of [
    [90, true],
    [110, false],
  ] as const) {
    const scheduler = new SimulationScheduler();
    const flow = workflow({ name: 'remote' });
    const task = flow.task('a', { executor: slow(begin, 500), timeout: { queue: 100 } });
    const ended = flow.run({ scheduler }).result();
    await advance(scheduler);
    const { status, error } = (await ended).tasks.get(task) ?? {};
    assert.is(status, ok ? 'succeeded' : 'failed');
    if (!ok) assert.match(String(error), /it waited for a slot longer than 100 ms/);
  }
});

test('a sign of life is as good as a value for timeout.idle', async () => {
  for (const every of [80, 120]) {
    const scheduler = new SimulationScheduler();
    const flow = workflow({ name: 'remote' });
    const task = flow.task('a', {
      timeout: { idle: 100 },
      executor: {
        version: '1',
        remote: true,
        run: async (_: unknown, ctx: RemoteContext) => {
          await ctx.sleep(1_000);
          ctx.begun(worker);
          for (let i = 0; i < 4; i++) {
            await ctx.sleep(every);
            ctx.beat();
          }
          return 1;
        },
      },
    });
    const ended = flow.run({ scheduler }).result();
    await advance(scheduler);
    assert.is((await ended).tasks.get(task)?.status, every < 100 ? 'succeeded' : 'failed');
  }
});

test('a value says that a worker has begun, where nobody has', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'remote' });
  const task = flow.task('a', {
    timeout: { attempt: 50 },
    executor: {
      version: '1',
      remote: true,
      run: (_: unknown, ctx: RemoteContext) =>
        new Observable<number>((subscriber) => {
          void ctx.sleep(200).then(() => {
            subscriber.next(1);
            void ctx.sleep(40).then(() => subscriber.complete());
          });
        }),
    },
  });
  const ended = flow.run({ scheduler }).result();
  await advance(scheduler);
  const report = (await ended).tasks.get(task);
  assert.is(report?.status, 'succeeded');
  assert.is(report?.runningMs, 40);
});

test('lost attempts run again at once, without retry, and count as nothing else', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({
    name: 'remote',
    retryBudget: 0,
    groups: { g: { breaker: { failures: 1, openFor: 60_000 } } },
  });
  const task = flow.task('a', { group: 'g', executor: losing(2) });
  const events: WorkflowEvent[] = [];
  const run = flow.run({ scheduler });
  run.events$.subscribe((event) => events.push(event));
  const ended = run.result();
  await advance(scheduler);
  const { results, report, tasks } = await ended;
  assert.is(results.get(task), 3);
  assert.is(report.retries, 0);
  assert.is(report.lost, 2);
  assert.is(report.wallMs, 0);
  assert.not(events.some((event) => event.type === 'task' && event.reason === 'backing-off'));
  assert.match(String(report), /retries 0, lost 2\)/);
  const codes = tasks.get(task)?.attempts.map(({ error }) => (error as RxhiveError | undefined)?.code);
  assert.equal(codes, ['WORKER_LOST', 'WORKER_LOST', undefined]);
  const failed = events.filter((event) => event.type === 'attempt' && event.reason === 'failed');
  assert.equal(
    failed.map((event) => event.type === 'attempt' && (event.error as RxhiveError).code),
    ['WORKER_LOST', 'WORKER_LOST'],
  );
  assert.not(events.some(({ type }) => type === 'breaker'));
});

test('a task that ends its workers has failed after retry.lost of them; retries are counted beside', async () => {
  const ends = async (retry: number | { count: number; lost?: number } | undefined): Promise<number> => {
    const flow = workflow({ name: 'remote' });
    flow.task('a', { executor: losing(99), ...(retry !== undefined && { retry }) });
    const { tasks } = await flow.run().result();
    const { error, attempts = [] } = tasks.get('a') ?? {};
    assert.ok(error instanceof WorkerLostError);
    assert.is(error.attempt, attempts.length);
    return attempts.length;
  };
  assert.is(await ends(undefined), 3);
  assert.is(await ends(1), 3);
  assert.is(await ends(4), 5);
  assert.is(await ends({ count: 0, lost: 1 }), 1);
  const flow = workflow({ name: 'mixed', retry: { count: 2, backoff: () => 0 } });
  let calls = 0;
  flow.task('a', {
    executor: {
      version: '1',
      run: (_: unknown, { taskId, attempt }: RemoteContext) => {
        calls += 1;
        if (calls % 2 === 1) throw new WorkerLostError(taskId, attempt, undefined, 'stalled');
        throw new Error('wrong');
      },
    },
  });
  const { tasks, report } = await flow.run().result();
  // Lost, wrong, lost, wrong, lost for the third time.
  assert.is(calls, 5);
  assert.ok(tasks.get('a')?.error instanceof WorkerLostError);
  assert.is(report.retries, 1);
});

test('the log tells a later process what was lost and what may be under way', async () => {
  const store = memory();
  const seen: string[] = [];
  const make = (lose: boolean) => {
    const flow = workflow({ name: 'remote', retry: { count: 1, backoff: () => 0 } });
    flow.task('done', { executor: { version: '1', remote: true, run: () => 1 } });
    flow.task('a', {
      executor: {
        version: '1',
        remote: true,
        run: (_: unknown, ctx: RemoteContext) => {
          seen.push(`${ctx.attempt}${ctx.again ? ' again' : ''}`);
          if (lose && ctx.attempt < 3) throw new WorkerLostError('a', ctx.attempt, 'w1', 'gone');
          if (lose) return ctx.sleep(60_000);
          if (ctx.attempt < 5) throw new Error('wrong');
          return ctx.attempt;
        },
      },
    });
    return flow;
  };
  const scheduler = new SimulationScheduler();
  const first = make(true).run({ store, runId: 'r', scheduler });
  const ended = first.result();
  await advance(scheduler, 1_000);
  const crashed = memory(store.dump());
  first.cancel();
  await ended;
  assert.equal(seen.splice(0), ['1', '2', '3']);
  const result = await make(false).run({ store: crashed, runId: 'r' }).result();
  // Two attempts were lost: the third is tried again, and retried once.
  // The log of a process that dies may lack its newest failures.
  assert.equal(seen, ['3 again', '4 again']);
  assert.is(result.report.lost, 2);
  assert.is(result.report.retries, 1);
  seen.length = 0;
  await make(false).run({ store: crashed, runId: 'r', retry: 'failed' }).result();
  assert.equal(seen, ['1', '2'], 'it had ended: nothing of it is under way');
});

test('a process that dies over and over does not fail what runs elsewhere', async () => {
  let store = memory();
  for (let i = 0; i < 6; i++) {
    const scheduler = new SimulationScheduler();
    const flow = workflow({ name: 'remote' });
    flow.task('a', { executor: slow(0, 60_000) });
    const run = flow.run({ store, runId: 'r', scheduler });
    const ended = run.result();
    await advance(scheduler, 1_000);
    const left = memory(store.dump());
    run.cancel();
    await ended;
    store = left;
  }
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'remote' });
  flow.task('a', { executor: slow(0, 60_000) });
  const ended = flow.run({ store, runId: 'r', scheduler }).result();
  await advance(scheduler);
  assert.is((await ended).status, 'succeeded');
});

test('slots of a place come and go, and tasks wait while there are none', async () => {
  const scheduler = new SimulationScheduler();
  const place = new TestPlace();
  const flow = workflow({ name: 'remote' });
  for (let i = 0; i < 6; i++) flow.task(`t${i}`, { executor: slow(0, 100, place) });
  const run = flow.run({ scheduler });
  let active: number[] = [];
  run.events$.subscribe((event) => {
    if (event.type !== 'task') return;
    const { tasks } = run.snapshot();
    active.push([...tasks.values()].filter((status) => status === 'running').length);
  });
  const ended = run.result();
  await advance(scheduler, 1_000);
  assert.is(Math.max(...active), 0);
  assert.match(run.explain('t0'), /waits for a worker of "farm", which has none now\.$/);
  place.set(2);
  await advance(scheduler, 1_050);
  assert.is(Math.max(...active), 2);
  active = [];
  place.set(1);
  await advance(scheduler, 1_350);
  assert.is(active.at(-1), 1);
  place.set(0);
  await advance(scheduler, 5_000);
  place.set(10);
  await advance(scheduler);
  const result = await ended;
  assert.is(result.status, 'succeeded');
  assert.is(place.open, 0, 'it is not watched any more');
  assert.is(place.told[0], '6+0');
  assert.ok(place.told.includes('4+2'));
});

test('two runs of a controller share a place, and each tells what it could use', async () => {
  const { controller } = await import('../../lib/index.js');
  const scheduler = new SimulationScheduler();
  const place = new TestPlace();
  const hive = controller({ scheduler });
  const results = [1, 2].map((count) => {
    const flow = workflow({ name: `remote-${count}` });
    for (let i = 0; i < count; i++) flow.task(`t${i}`, { executor: slow(0, 100, place) });
    return flow.run({ controller: hive }).result();
  });
  await advance(scheduler, 500);
  assert.equal(place.told, ['1+0', '2+0']);
  place.set(1);
  await advance(scheduler);
  for (const result of await Promise.all(results)) assert.is(result.status, 'succeeded');
  assert.is(scheduler.now(), 800, 'one at a time');
  assert.is(place.open, 0);
});

test('who waits for a place without workers keeps nothing from others', async () => {
  for (const goes of [false, true]) {
    const scheduler = new SimulationScheduler();
    const place = new TestPlace();
    place.slots = goes ? 1 : 0;
    const flow = workflow({ name: 'remote', resources: { gpu: 1 }, aging: 100 });
    // Where there was a worker, it has gone by the time others need what is kept for this one.
    if (goes) flow.task('first', { priority: 9, executor: slow(0, 5_000, place) });
    flow.task('holder', { priority: 9, resources: { gpu: 1 }, run: (_, ctx) => ctx.sleep(500) });
    flow.task('stuck', { priority: 5, resources: { gpu: 1 }, executor: slow(0, 10, place) });
    const before = flow.task('before', { run: (_, ctx) => ctx.sleep(1_000) });
    const resources = { gpu: 1 };
    const other = flow.task('other', { dependencies: [before], resources, run: () => 'ran' });
    const run = flow.run({ scheduler });
    const ended = run.result();
    await advance(scheduler, 900);
    place.set(0);
    await advance(scheduler, 2_000);
    assert.is(run.snapshot().tasks.get('other'), 'succeeded');
    place.set(1);
    await advance(scheduler);
    assert.is((await ended).results.get(other), 'ran');
  }
});

test.run();
