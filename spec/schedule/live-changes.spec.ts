import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { controller, RxhiveError, type TaskContext, type WorkflowEvent, workflow } from '../../lib/index.js';
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

test.run();
