import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  controller,
  RxhiveError,
  type TaskContext,
  type WorkflowCancelledError,
  type WorkflowEvent,
  workflow,
} from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

const refused = (error: unknown): boolean => error instanceof RxhiveError && error.code === 'INVALID_OPTION';

/** Tasks of 10 ms, in the order in which they began. */
function tasks(settings: Partial<Parameters<typeof workflow>[0]>, ids: readonly string[], gpu = 0) {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'live', resources: { gpu: 2 }, ...settings });
  const began: string[] = [];
  for (const id of ids)
    flow.task(id, {
      ...(gpu > 0 && { resources: { gpu } }),
      run: (_: unknown, ctx: TaskContext) => {
        began.push(`${id} ${scheduler.now()}`);
        return ctx.sleep(10);
      },
    });
  const run = flow.run({ scheduler });
  const events: WorkflowEvent[] = [];
  run.events$.subscribe((event) => events.push(event));
  return { run, scheduler, began, events, ended: run.result() };
}

test('a task is given another priority while the run goes on, higher or lower', async () => {
  const { run, scheduler, began, events, ended } = tasks({ concurrency: 1 }, ['a', 'b', 'c', 'd']);
  scheduler.schedule(() => {
    run.setPriority('d', 5);
    run.setPriority('b', -5);
    run.setPriority('a', 1);
  }, 5);
  await advance(scheduler);
  assert.is((await ended).status, 'succeeded');
  assert.equal(began, ['a 0', 'd 10', 'c 20', 'b 30']);
  const told = events.flatMap((event) =>
    event.type === 'run' && event.reason === 'priority' ? [[event.taskId, event.priority]] : [],
  );
  assert.equal(told, [
    ['d', 5],
    ['b', -5],
    ['a', 1],
  ]);
  assert.throws(() => run.setPriority('nobody', 1), refused);
  assert.throws(() => run.setPriority('a', Number.NaN), refused);
});

test('what a task that waits for it lends still counts, and it lends what it is given', async () => {
  const scheduler = new SimulationScheduler();
  const began: string[] = [];
  const flow = workflow({ name: 'lends', concurrency: 1 });
  const add = (id: string, needs: readonly ReturnType<typeof flow.task>[], priority = 0) =>
    flow.task(id, {
      dependencies: needs,
      priority,
      run: (_: unknown, ctx: TaskContext) => {
        began.push(id);
        return ctx.sleep(10);
      },
    });
  add('first', [], 99);
  const low = add('low', []);
  add('other', []);
  add('behind low', [low], 3);
  const base = add('base', []);
  add('behind base', [base]);
  const run = flow.run({ scheduler });
  const ended = run.result();
  scheduler.schedule(() => {
    run.setPriority('low', -9);
    run.setPriority('behind base', 7);
  }, 5);
  await advance(scheduler);
  await ended;
  assert.equal(began, ['first', 'base', 'behind base', 'low', 'behind low', 'other']);
});

test('there is more or less of a resource while the run goes on', async () => {
  const more = tasks({}, ['a', 'b', 'c', 'd'], 1);
  more.scheduler.schedule(() => more.run.setResource('gpu', 4), 5);
  await advance(more.scheduler);
  assert.is((await more.ended).status, 'succeeded');
  assert.equal(more.began, ['a 0', 'b 0', 'c 5', 'd 5']);
  assert.ok(
    more.events.some((event) => event.type === 'run' && event.reason === 'resource' && event.capacity === 4),
  );
  const less = tasks({}, ['a', 'b', 'c', 'd'], 1);
  less.scheduler.schedule(() => less.run.setResource('gpu', 1), 5);
  await advance(less.scheduler);
  await less.ended;
  assert.equal(less.began, ['a 0', 'b 0', 'c 10', 'd 20']);
  assert.throws(() => less.run.setResource('tpu', 1), refused);
  assert.throws(() => less.run.setResource('gpu', -1), refused);
});

test('a resource of the controller is not one of the run', () => {
  const hive = controller({ resources: { gpu: 1 } });
  const run = workflow({ name: 'one', controller: hive }).run();
  assert.throws(() => run.setResource('gpu', 2), refused);
});

test('a run is paused and resumed', async () => {
  const { run, scheduler, began, ended } = tasks({ concurrency: 1 }, ['a', 'b']);
  scheduler.schedule(() => run.pause(), 5);
  scheduler.schedule(() => run.resume(), 50);
  await advance(scheduler);
  await ended;
  assert.equal(began, ['a 0', 'b 50']);
});

test('the signal of a task cancels that task alone, whatever it does', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'signals', concurrency: 2, failurePolicy: 'fail-fast' });
  const ends = new AbortController();
  const late = new AbortController();
  const never = AbortSignal.abort('before');
  const reasons: unknown[] = [];
  const run = async (_: unknown, ctx: TaskContext) => {
    ctx.signal.addEventListener('abort', () => reasons.push(`${ctx.taskId} ${ctx.signal.reason.reason}`));
    await ctx.sleep(30);
  };
  const running = flow.task('running', { signal: ends.signal, run });
  flow.task('behind', { dependencies: { running }, run });
  const other = flow.task('other', { run });
  flow.task('waiting', { dependencies: { other }, signal: ends.signal, run });
  flow.task('ready', { signal: ends.signal, run });
  flow.task('never', { signal: never, run });
  flow.task('ends first', { signal: late.signal, run });
  const type = flow.taskType('typed', { run: (_: string, ctx) => run(undefined, ctx) });
  const one = flow.run({ scheduler });
  const ended = one.result();
  scheduler.schedule(() => {
    one.task(type, 'added', 'x', { signal: ends.signal });
    one.task('added too', { run });
  }, 5);
  scheduler.schedule(() => ends.abort('enough'), 10);
  await advance(scheduler);
  late.abort();
  const { status, tasks } = await ended;
  const found = Object.fromEntries([...tasks].map(([id, task]) => [id, task.status]));
  assert.equal(found, {
    running: 'cancelled',
    behind: 'skipped',
    other: 'succeeded',
    waiting: 'cancelled',
    ready: 'cancelled',
    never: 'cancelled',
    'ends first': 'succeeded',
    added: 'cancelled',
    'added too': 'succeeded',
  });
  assert.is(status, 'partial');
  assert.equal(reasons, ['running signal']);
  const { error } = tasks.get('waiting') ?? {};
  assert.is((error as WorkflowCancelledError).reason, 'signal');
  assert.match((error as WorkflowCancelledError).message, /enough/);
});

test('a backoff is given the error that it is the delay for', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'delays' });
  const began: number[] = [];
  flow.task('t', {
    retry: { count: 2, backoff: (retry, _, error) => (error as { wait: number }).wait * retry },
    run: (_, ctx) => {
      began.push(scheduler.now());
      if (ctx.attempt < 3) throw Object.assign(new Error('busy'), { wait: 10 * ctx.attempt });
    },
  });
  const ended = flow.run({ scheduler }).result();
  await advance(scheduler);
  assert.is((await ended).status, 'succeeded');
  assert.equal(began, [0, 10, 50]);
});

test.run();
