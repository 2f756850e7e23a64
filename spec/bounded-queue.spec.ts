import { firstValueFrom } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  AgentTask,
  LimitExceededError,
  memory,
  type RunOptions,
  RxhiveError,
  type TaskContext,
  type WorkflowEvent,
  WorkflowOrchestrator,
  workflow,
} from '../lib/index.js';
import type { MemoryStore } from '../lib/stores/memory.js';
import { advance, SimulationScheduler } from '../lib/testing/index.js';

const codeOf = (error: unknown): string | undefined =>
  error instanceof RxhiveError ? error.code : undefined;

/** A service with one slot whose jobs take 10 ms each. */
function service(options: Partial<RunOptions<undefined>> & { readonly maxTasks?: number } = {}) {
  const scheduler = new SimulationScheduler();
  const { maxTasks, ...more } = options;
  const flow = workflow({ name: 'service', concurrency: 1, ...(maxTasks !== undefined && { maxTasks }) });
  const began: string[] = [];
  const job = flow.taskType('job', {
    run: async (ms: number, ctx: TaskContext) => {
      began.push(ctx.taskId);
      await ctx.sleep(ms);
      return ctx.taskId;
    },
  });
  const run = flow.run({ scheduler, keepOpen: true, ...more });
  const events: WorkflowEvent[] = [];
  run.events$.subscribe((event) => events.push(event));
  const ended = run.result();
  const add = (id: string, priority = 0) => run.task(job, id, 10, { priority });
  return { flow, run, job, scheduler, began, events, ended, add };
}

test('a full queue refuses what comes, and takes more once one has begun', async () => {
  const { scheduler, add, began, run, ended } = service({ queue: { limit: 2 } });
  add('a');
  await advance(scheduler, 0);
  add('b');
  add('c');
  for (const id of ['d', 'e']) {
    try {
      add(id);
      assert.unreachable();
    } catch (error) {
      assert.is(codeOf(error), 'QUEUE_FULL');
      assert.match((error as Error).message, /2 tasks wait already/);
    }
  }
  scheduler.schedule(() => add('d'), 11);
  scheduler.schedule(() => run.close(), 12);
  await advance(scheduler);
  assert.equal(began, ['a', 'b', 'c', 'd']);
  assert.is((await ended).status, 'succeeded');
});

for (const [onFull, left, dropped] of [
  ['drop-oldest', ['first', 'c', 'd'], ['a', 'b']],
  ['drop-lowest', ['first', 'a', 'b'], ['c', 'd']],
] as const)
  test(`${onFull}: one too many is skipped, with a reason of its own`, async () => {
    const { scheduler, add, began, run, ended, events } = service({ queue: { limit: 2, onFull } });
    add('first');
    await advance(scheduler, 0);
    add('a', 3);
    add('b', 2);
    add('c', 2);
    add('d', 1);
    run.close();
    await advance(scheduler);
    assert.equal(began, left);
    const { tasks, status } = await ended;
    assert.is(status, 'partial');
    for (const id of dropped) {
      const task = tasks.get(id);
      assert.is(task?.status, 'skipped');
      assert.equal(task?.skippedBecause, ['queue']);
      assert.ok(task?.error instanceof LimitExceededError);
      const told = events.find(
        (event) => event.type === 'task' && event.taskId === id && event.reason === 'skipped',
      ) as { error?: LimitExceededError } | undefined;
      assert.is(told?.error?.limitName, 'queue');
    }
  });

test('offers wait for room in their order; who gives up, or comes too late, hears of it', async () => {
  const { scheduler, run, job, began, add } = service({ queue: { limit: 1, onFull: 'wait' } });
  const taken: string[] = [];
  const gives = new AbortController();
  const offer = (id: string, signal?: AbortSignal) =>
    run.offer(job, id, 10, signal && { signal }).then(
      (task) => void taken.push(`${task.id} ${scheduler.now()}`),
      (error) => void taken.push(`${id} ${codeOf(error) ?? error}`),
    );
  add('a');
  await advance(scheduler, 0);
  const all = [offer('b'), offer('c'), offer('gone', gives.signal), offer('d'), offer('late')];
  try {
    add('x');
    assert.unreachable();
  } catch (error) {
    assert.is(codeOf(error), 'QUEUE_FULL');
    assert.match((error as Error).message, /run\.offer/);
  }
  gives.abort('enough');
  scheduler.schedule(() => run.close(), 25);
  scheduler.schedule(() => run.cancel(), 26);
  await advance(scheduler);
  await Promise.all(all);
  assert.equal(taken, ['b 0', 'gone enough', 'c 10', 'd 20', 'late RUN_ENDED']);
  assert.equal(began, ['a', 'b', 'c']);
});

test('idle$ emits when nothing runs and nothing waits, at once where that is so', async () => {
  const { scheduler, run, add, ended } = service();
  const idle: number[] = [];
  let completed = false;
  run.idle$.subscribe({
    next: () => idle.push(scheduler.now()),
    complete: () => {
      completed = true;
    },
  });
  add('a');
  add('b');
  const first = firstValueFrom(run.idle$).then(() => scheduler.now());
  scheduler.schedule(() => add('c'), 50);
  scheduler.schedule(() => run.idle$.subscribe(() => idle.push(-scheduler.now())).unsubscribe(), 70);
  scheduler.schedule(() => run.close(), 80);
  await advance(scheduler);
  assert.is(await first, 20);
  assert.equal(idle, [0, 20, 60, -70]);
  assert.ok(completed);
  assert.is((await ended).status, 'succeeded');
});

test('maxTasks counts open tasks in a run kept open', async () => {
  const { scheduler, run, add, ended } = service({ maxTasks: 2 });
  for (let i = 0; i < 10; i++) {
    add(`a${i}`);
    add(`b${i}`);
    assert.throws(
      () => add('more'),
      (error: unknown) =>
        codeOf(error) === 'LIMIT_EXCEEDED' && /have not ended/.test((error as Error).message),
    );
    await advance(scheduler, scheduler.now() + 20);
  }
  run.close();
  await advance(scheduler);
  assert.is((await ended).report.counts.succeeded, 20);
});

test('keep: the newest that have ended stay, with all they have added; who is depended on stays until that has ended', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'keeps', concurrency: 4 });
  const run = flow.run({ scheduler, keepOpen: true, keep: 1 });
  const known = (): string[] => [...run.snapshot().tasks.keys()];
  const ended = run.result();
  const parent = run.task('parent', {
    run: (_, ctx) => {
      ctx.spawn('child', { run: (_, child) => child.sleep(20) });
    },
  });
  await advance(scheduler, scheduler.now() + 5);
  run.task('other', { run: () => 1 });
  await advance(scheduler, scheduler.now() + 5);
  assert.equal(known(), ['parent', 'child', 'other']);
  await advance(scheduler, scheduler.now() + 20);
  assert.equal(known(), ['parent', 'child']);
  const behind = run.task('behind', { dependencies: { parent }, run: (_, ctx) => ctx.sleep(10) });
  run.task('next', { run: () => 1 });
  run.task('last', { run: () => 1 });
  await advance(scheduler, scheduler.now() + 5);
  assert.equal(known(), ['parent', 'child', 'behind', 'last']);
  await advance(scheduler, scheduler.now() + 10);
  assert.equal(known(), ['behind']);
  assert.throws(() => run.task('x', { dependencies: [parent], run: () => 1 }), /parent/);
  run.task('y', {
    dependencies: [behind],
    run: () => {
      throw new Error('bad');
    },
  });
  run.close();
  await advance(scheduler);
  const { report, status, tasks } = await ended;
  assert.is(status, 'partial');
  assert.equal([...tasks.keys()], ['y']);
  assert.is(report.counts.succeeded, 6);
  assert.is(report.counts.failed, 1);
});

test('100,000 tasks go through a run kept open, and little of them is held', async () => {
  const flow = workflow({ name: 'months', concurrency: 50 });
  const job = flow.taskType('job', {
    run: async (n: number, ctx: TaskContext) => {
      if (n % 10 === 0) ctx.spawn(job, `${ctx.taskId}/child`, n + 1);
      return n;
    },
  }) as ReturnType<typeof flow.taskType<number, Promise<number>>>;
  const run = flow.run({ keepOpen: true, keep: 10 });
  const ended = run.result();
  let most = 0;
  let results = 0;
  let before: ReturnType<typeof run.task> | undefined;
  for (let i = 0; i < 100_000; i++) {
    const options = before !== undefined && i % 100 > 0 ? { dependencies: { before } } : {};
    before = i % 1_000 < 500 ? run.task(job, `t${i}`, i, options) : run.task(job, `t${i}`, i);
    if (i % 100 === 0)
      run.result$(before).subscribe(() => {
        results += 1;
      });
    if (i % 100 < 99) continue;
    most = Math.max(most, run.snapshot().tasks.size);
    await firstValueFrom(run.idle$);
    assert.ok(run.snapshot().tasks.size <= 200, `${run.snapshot().tasks.size} tasks are held`);
  }
  run.close();
  const { status, report } = await ended;
  assert.is(status, 'succeeded');
  assert.is(report.counts.succeeded, 110_000);
  assert.is(results, 1_000);
  assert.ok(most <= 400, `${most} tasks were held`);
});

/** A process of a service with a log; it dies at `until` ms. */
async function serve(
  store: MemoryStore,
  begin: (add: (id: string) => unknown, run: ReturnType<typeof service>['run']) => unknown,
  { until, ...options }: Partial<RunOptions<undefined>> & { readonly until?: number } = {},
) {
  const { scheduler, run, add, began, ended } = service({
    store,
    runId: 's',
    durability: 'sync',
    ...options,
  });
  begin(add, run);
  await advance(scheduler, until);
  return { began, store: memory(store.dump()), run, ended };
}

for (const keep of [1, 1_000])
  test(`a run that is killed goes on with the tasks that waited, and runs no finished one again, log of ${keep}`, async () => {
    const options = { keep: 0, queue: { limit: 3, onFull: 'drop-oldest' as const }, compact: { keep } };
    const first = await serve(
      memory(),
      (add, run) => {
        for (const id of ['a', 'b', 'c', 'd', 'e']) add(id);
        run.cancelTask('c');
      },
      { ...options, until: 15 },
    );
    assert.equal(first.began, ['a', 'd']);
    const second = await serve(first.store, (_, run) => run.close(), options);
    assert.equal(second.began, ['d', 'e']);
    const { report } = await second.ended;
    const { skipped, cancelled, restored, succeeded } = report.counts;
    assert.is(succeeded, 2);
    // What was compacted is not known any more.
    if (keep > 1) assert.equal([skipped, cancelled, restored], [1, 1, 1]);
  });

test('the log of a service is short, whatever it has done, and knows what was used', async () => {
  let store = memory();
  let lines = 0;
  for (let process = 0; process < 5; process++) {
    const { began, store: after } = await serve(
      store,
      (add, run) => {
        for (let i = 0; i < 200; i++) add(`p${process} ${i}`);
        run.close();
      },
      { keep: 5, compact: { keep: 10 } },
    );
    assert.is(began.length, 200);
    store = after;
    const now = store.dump().s?.length ?? 0;
    lines = Math.max(lines, now);
    assert.ok(now < 150, `${now} records`);
  }
  assert.ok(lines > 0);
  const { run } = service({ store, runId: 's', keep: 5 });
  run.close();
  const { report } = await run.result();
  assert.is(report.usage.calls, 1_000);
});

test('options that make no sense are refused, and the facade has all of it', async () => {
  const flow = workflow({ name: 'refused' });
  for (const bad of [
    { queue: { limit: 0 }, keepOpen: true },
    { queue: { limit: 1, onFull: 'explode' }, keepOpen: true },
    { queue: { limit: 1 } },
    { keep: 1 },
    { keep: -1, keepOpen: true },
  ])
    assert.throws(
      () => flow.run(bad as RunOptions<undefined>),
      (error: unknown) => codeOf(error) === 'INVALID_OPTION',
    );
  const orchestrator = new WorkflowOrchestrator({ agents: { work: () => 1 }, maxConcurrentTasks: 1 });
  const ended = orchestrator.executeWorkflow({ keepOpen: true, queue: { limit: 1, onFull: 'wait' } });
  const task = (id: string) => new AgentTask({ id, agentType: 'work' });
  await Promise.all(['a', 'b', 'c'].map((id) => orchestrator.offerTask(task(id))));
  orchestrator.currentRun?.close();
  assert.is((await ended).report.counts.succeeded, 3);
});

test.run();
