import { firstValueFrom } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  controller,
  human,
  memory,
  RxhiveError,
  typed,
  type Workflow,
  type WorkflowResult,
  workflow,
} from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';
import { driven, statuses } from '../support/driven-run.js';

/** Four tasks of 10 ms one after the other, and one of 25 ms beside them. */
function five(did: string[]): Workflow {
  const flow = workflow({ name: 'five' });
  const work =
    (ms: number) => async (_: unknown, ctx: { taskId: string; sleep(ms: number): Promise<void> }) => {
      did.push(`${ctx.taskId} begins`);
      await ctx.sleep(ms);
      did.push(`${ctx.taskId} ends`);
      return ctx.taskId;
    };
  let before = flow.task('a', { run: work(10) });
  for (const id of ['b', 'c', 'd']) before = flow.task(id, { dependencies: { before }, run: work(10) });
  flow.task('long', { run: work(25) });
  return flow as unknown as Workflow;
}

test('a run that drains begins nothing new, ends suspended when what ran has ended, and goes on', async () => {
  const store = memory();
  const did: string[] = [];
  let told: WorkflowResult | undefined;
  const { result, events } = await driven(five(did), { store }, (run, scheduler) =>
    scheduler.schedule(() => {
      run.drain().then((one) => {
        told = one;
      });
      assert.throws(
        () => run.task('late', { run: () => 1 }),
        (error: unknown) => error instanceof RxhiveError && error.code === 'RUN_ENDED',
      );
      assert.match(run.explain('c'), 'waits for');
    }, 15),
  );
  assert.is(result.status, 'suspended');
  assert.is(told, result);
  assert.is(result.report.wallMs, 25);
  assert.equal(did, ['a begins', 'long begins', 'a ends', 'b begins', 'b ends', 'long ends']);
  assert.equal(result.questions, []);
  assert.is(result.report.counts.succeeded, 3);
  assert.is(result.report.counts.waiting, 2);
  assert.ok(events.some((event) => event.type === 'run' && event.reason === 'draining'));
  did.length = 0;
  const second = await driven(five(did), { store });
  assert.is(second.result.status, 'succeeded');
  assert.equal(did, ['c begins', 'c ends', 'd begins', 'd ends']);
});

test('at the deadline what still runs is stopped and left, without having failed', async () => {
  const store = memory();
  const did: string[] = [];
  const { result } = await driven(five(did), { store }, (run, scheduler) =>
    scheduler.schedule(() => void run.drain({ deadline: 7 }), 15),
  );
  assert.is(result.status, 'suspended');
  assert.is(result.report.wallMs, 22);
  assert.is(did.includes('long ends'), false);
  assert.is(result.report.counts.failed, 0);
  const second = await driven(five(did), { store });
  assert.is(second.result.status, 'succeeded');
  assert.is(second.result.tasks.get('long')?.attempts.length, 1, 'no attempt was lost');
  assert.is(did.filter((one) => one === 'b begins').length, 1);
});

test('where all is done by then, or fails, the run ends as ever', async () => {
  const flow = workflow({ name: 'one', failurePolicy: 'fail-fast' });
  flow.task('a', { run: (_, ctx) => ctx.sleep(10) });
  const good = await driven(flow as unknown as Workflow, {}, (run, scheduler) =>
    scheduler.schedule(() => void run.drain(), 5),
  );
  assert.is(good.result.status, 'succeeded');
  flow.task('b', {
    run: async (_, ctx) => {
      await ctx.sleep(8);
      throw new Error('no');
    },
  });
  const bad = await driven(flow as unknown as Workflow, {}, (run, scheduler) =>
    scheduler.schedule(() => void run.drain(), 5),
  );
  assert.is(bad.result.status, 'failed');
  const kept = workflow({ name: 'open' });
  kept.task('a', { run: (_, ctx) => ctx.sleep(10) });
  const open = await driven(kept as unknown as Workflow, { keepOpen: true }, (run, scheduler) =>
    scheduler.schedule(() => void run.drain(), 5),
  );
  assert.is(open.result.status, 'succeeded', 'nobody adds anything any more');
});

test('a run that is drained before it begins leaves all', async () => {
  const did: string[] = [];
  const { result } = await driven(five(did), { store: memory() }, (run) => void run.drain());
  assert.is(result.status, 'suspended');
  assert.is(did.length, 4, 'what the first turn had begun, has ended');
  const cold = five(did).run({ scheduler: new SimulationScheduler() });
  const drained = await cold.drain();
  assert.is(drained.status, 'suspended');
  assert.is(drained.report.counts.waiting, 5);
});

test('what waits for people, for a retry, or for tasks that have not begun is left; who wants its slot back gets it', async () => {
  const store = memory();
  const make = (): Workflow => {
    const flow = workflow({ name: 'mixed', concurrency: 2 });
    flow.task('asks', { run: (_, ctx) => ctx.ask(human(typed<number>(), { key: 'n' })) });
    flow.task('tries', {
      retry: { count: 1, backoff: () => 1_000 },
      run: (_, ctx) => {
        if (ctx.attempt === 1) throw new Error('once');
        return 'tried';
      },
    });
    flow.task('joins', {
      run: async (_, ctx) => {
        await ctx.sleep(6);
        const child = ctx.spawn('child', { run: () => 1 });
        return ctx.join(child);
      },
    });
    flow.task('uses', { run: (_, ctx) => ctx.shared('file').use(() => ctx.sleep(8)) });
    flow.task('waits', { run: (_, ctx) => ctx.shared('file').use(() => ctx.sleep(8)) });
    return flow as unknown as Workflow;
  };
  const { result } = await driven(make(), { store }, (run, scheduler) =>
    scheduler.schedule(() => void run.drain(), 5),
  );
  assert.is(result.status, 'suspended');
  assert.equal(
    result.questions.map(({ id }) => id),
    ['asks?n'],
  );
  const seen = statuses(result);
  assert.is(seen.uses, 'succeeded');
  assert.is(seen.joins, 'suspended');
  assert.is(seen.tries, 'backing-off');
  const second = await driven(make(), { store }, (run) => void run.answer('asks?n', 7));
  assert.is(second.result.status, 'succeeded');
  assert.is(second.result.results.get('asks'), 7);
});

test('a run of a controller drains alone', async () => {
  const scheduler = new SimulationScheduler();
  const hive = controller({ concurrency: 1, scheduler });
  const make = (name: string) => {
    const flow = workflow({ name, controller: hive });
    for (const id of ['a', 'b']) flow.task(id, { run: (_, ctx) => ctx.sleep(10) });
    return flow.run();
  };
  const [one, other] = [make('one'), make('other')];
  const ended = Promise.all([one.result(), other.result()]);
  scheduler.schedule(() => void one.drain(), 5);
  await advance(scheduler);
  const [first, second] = await ended;
  assert.is(first.status, 'suspended');
  assert.is(first.report.counts.succeeded, 1);
  assert.is(second.status, 'succeeded');
});

test('a cancel while the run drains cancels it; a deadline that makes no sense is refused', async () => {
  const { result } = await driven(five([]), {}, (run, scheduler) => {
    assert.throws(
      () => run.drain({ deadline: -1 }),
      (error: unknown) => error instanceof RxhiveError && error.code === 'INVALID_OPTION',
    );
    scheduler.schedule(() => void run.drain(), 5);
    scheduler.schedule(() => run.cancel(), 8);
  });
  assert.is(result.status, 'cancelled');
  assert.is(result.report.wallMs, 8);
});

test('a breakpoint drains the run where it is to exit, and who runs it again leaves it out', async () => {
  const store = memory();
  const did: string[] = [];
  const { result } = await driven(five(did), { store, pauseBefore: ['c'], atBreakpoint: 'exit' });
  assert.is(result.status, 'suspended');
  assert.is(result.report.wallMs, 25, 'what ran has ended');
  assert.is(did.includes('c begins'), false);
  const second = await driven(five(did), { store });
  assert.is(second.result.status, 'succeeded');
});

test('streams of a task that is left tell so', async () => {
  const flow = workflow({ name: 'streams' });
  const first = flow.task('first', { run: (_, ctx) => ctx.sleep(10) });
  const left = flow.task('left', { dependencies: { first }, run: () => 1 });
  const scheduler = new SimulationScheduler();
  const run = flow.run({ scheduler });
  const seen = firstValueFrom(run.result$(left)).then(
    () => undefined,
    (error: unknown) => error,
  );
  void run.drain();
  await advance(scheduler);
  const error = await seen;
  assert.is(error instanceof RxhiveError && error.code, 'RUN_SUSPENDED');
});

test.run();
