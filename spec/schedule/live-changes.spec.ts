import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { act } from '../../lib/dashboard/actions.js';
import {
  controller,
  RxhiveError,
  type TaskContext,
  type WorkflowCancelledError,
  type WorkflowEvent,
  workflow,
} from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';
import { RunView } from '../../lib/views/run-view.js';

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

test('a group is paused and goes on, while the rest of the run works; it is told, and explained', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'groups', groups: { llm: {}, web: {} }, concurrency: 2 });
  const began: string[] = [];
  const add = (id: string, group: 'llm' | 'web', more: object = {}) =>
    flow.task(id, {
      group,
      ...more,
      run: (_: unknown, ctx: TaskContext) => {
        began.push(`${id} ${scheduler.now()}`);
        return ctx.sleep(10);
      },
    });
  for (const n of [1, 2, 3]) add(`llm ${n}`, 'llm');
  for (const n of [1, 2]) add(`web ${n}`, 'web', { priority: -1 });
  const run = flow.run({ scheduler });
  const events: WorkflowEvent[] = [];
  run.events$.subscribe((event) => events.push(event));
  const ended = run.result();
  let stuck: readonly string[] = [];
  scheduler.schedule(() => {
    run.pause('llm');
    run.pause('llm');
  }, 5);
  scheduler.schedule(() => {
    assert.not.ok(run.paused);
    assert.match(
      run.explain('llm 3'),
      'waits for group "llm", which is paused; run.resume("llm") lets it go on',
    );
    stuck = run.stuck();
  }, 40);
  scheduler.schedule(() => run.resume('llm'), 50);
  await advance(scheduler);
  assert.is((await ended).status, 'succeeded');
  assert.equal(began, ['llm 1 0', 'llm 2 0', 'web 1 10', 'web 2 10', 'llm 3 50']);
  assert.match(stuck.join(), 'group "llm", which is paused');
  const told = events.flatMap((event) =>
    event.type === 'run' && event.group !== undefined ? [[event.reason, event.group, event.at]] : [],
  );
  assert.equal(told, [
    ['paused', 'llm', 5],
    ['continued', 'llm', 50],
  ]);
  assert.throws(() => run.pause('nothing' as never), refused);
  const view = new RunView();
  for (const event of events.filter(({ at }) => at < 45)) view.apply(event);
  assert.is(view.groups.get('llm')?.paused, true);
  assert.is(view.paused, undefined);
});

test('priorities and resources that were changed are shown as they are now', async () => {
  const { run, scheduler, events, ended } = tasks({ concurrency: 1 }, ['a', 'b'], 1);
  scheduler.schedule(() => {
    run.setPriority('b', 5);
    run.setResource('gpu', 7);
  }, 5);
  await advance(scheduler);
  await ended;
  const view = new RunView();
  for (const event of events) {
    view.apply(event);
    if (event.type === 'plan') assert.is(view.all.facts.get('resource gpu'), 2);
  }
  assert.is(view.tasks.get('b')?.priority, 5);
  assert.is(view.all.facts.get('resource gpu'), 7);
});

test('a page may do the same, and what makes no sense is refused', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'page', groups: { llm: {} }, resources: { gpu: 1 } });
  for (const id of ['a', 'b'])
    flow.task(id, { group: 'llm', resources: { gpu: 1 }, run: (_, ctx) => ctx.sleep(10) });
  const run = flow.run({ scheduler });
  const told: unknown[] = [];
  run.events$.subscribe((event) => {
    if (event.type === 'run' && event.seq > 2)
      told.push([event.reason, event.group ?? event.taskId ?? event.resource]);
  });
  const ended = run.result();
  const wish = (one: object): unknown => act(run as never, one);
  scheduler.schedule(() => {
    wish({ action: 'pause', group: 'llm' });
    wish({ action: 'setPriority', taskId: 'b', priority: 3 });
    wish({ action: 'setResource', resource: 'gpu', amount: 2 });
    wish({ action: 'resume', group: 'llm' });
    for (const wrong of [
      { action: 'pause', group: 'nothing' },
      { action: 'pause', group: 3 },
      { action: 'resume', group: {} },
      { action: 'setPriority', taskId: 'nobody', priority: 1 },
      { action: 'setPriority', taskId: 'a', priority: 'high' },
      { action: 'setResource', resource: 'gpu', amount: -1 },
      { action: 'setResource', resource: '__proto__', amount: 1 },
    ])
      assert.throws(() => wish(wrong), refused);
    assert.throws(() => act({ cancel: () => undefined }, { action: 'pause', group: 'llm' }), refused);
  }, 5);
  await advance(scheduler);
  assert.is((await ended).status, 'succeeded');
  assert.equal(told, [
    ['paused', 'llm'],
    ['priority', 'b'],
    ['resource', 'gpu'],
    ['continued', 'llm'],
    ['ended', undefined],
  ]);
});

test.run();
