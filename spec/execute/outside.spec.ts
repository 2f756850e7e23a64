import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { memory, type RunOptions, RxhiveError, type TaskContext, workflow } from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

/** A service elsewhere that is done after `ms` of virtual time. */
function service(scheduler: SimulationScheduler) {
  return <T>(ms: number, value: T): Promise<T> =>
    new Promise((done, failed) => {
      scheduler.schedule(() => (value instanceof Error ? failed(value) : done(value)), ms);
    });
}

/** Three tasks that do the same, one at a time, within a group, a resource and a limit. */
async function three(
  body: (ctx: TaskContext, done: ReturnType<typeof service>) => unknown,
  options: Partial<RunOptions<undefined>> = {},
  at: (
    run: { explain(id: string): string; cancel(): void; drain(): unknown },
    scheduler: SimulationScheduler,
  ) => void = () => undefined,
) {
  const scheduler = new SimulationScheduler();
  const flow = workflow({
    name: 'three',
    concurrency: 1,
    groups: { api: { concurrency: 1, limiter: { maxConcurrent: 1 } } },
    resources: { gpu: 1 },
  });
  for (const id of ['a', 'b', 'c'])
    flow.task(id, { group: 'api', resources: { gpu: 1 }, run: (_, ctx) => body(ctx, service(scheduler)) });
  const run = flow.run({ scheduler, ...options });
  const ended = run.result();
  at(run, scheduler);
  await advance(scheduler);
  return ended;
}

test('work elsewhere holds neither slot nor place, resource or permit', async () => {
  const held = await three((_, done) => done(10, 'x'));
  assert.is(held.report.wallMs, 30);
  for (const wait of [
    (ctx: TaskContext, done: ReturnType<typeof service>) => ctx.outside(() => done(10, 'x')),
    (ctx: TaskContext, done: ReturnType<typeof service>) => ctx.outside(done(10, 'x')),
    (ctx: TaskContext) => ctx.sleep(10, { slot: 'free' }).then(() => 'x'),
  ]) {
    let sentence = '';
    const result = await three(wait, {}, (run, scheduler) =>
      scheduler.schedule(() => {
        sentence = run.explain('a');
      }, 5),
    );
    assert.is(result.status, 'succeeded');
    assert.is(result.report.wallMs, 10);
    assert.is(result.results.get('b'), 'x');
    assert.is(result.tasks.get('a')?.waits.suspended, 10);
    assert.match(sentence, 'gave its slot back');
    assert.match(sentence, 'something outside of the run');
  }
});

test('a sleep holds its slot, unless it takes a day', async () => {
  const hour = 3_600_000;
  assert.is((await three((ctx) => ctx.sleep(hour))).report.wallMs, 3 * hour);
  assert.is((await three((ctx) => ctx.sleep(24 * hour))).report.wallMs, 24 * hour);
  assert.is((await three((ctx) => ctx.sleep(24 * hour, { slot: 'hold' }))).report.wallMs, 72 * hour);
});

test('it goes on once it has a slot again, with the value or the error', async () => {
  const order: string[] = [];
  const result = await three(async (ctx, done) => {
    try {
      await ctx.outside(done(10, new Error('lost')));
    } catch (error) {
      order.push(`${ctx.taskId} ${(error as Error).message}`);
    }
    await ctx.sleep(5);
    order.push(`${ctx.taskId} ends`);
  });
  assert.is(result.report.wallMs, 25);
  assert.equal(order, ['a lost', 'a ends', 'b lost', 'b ends', 'c lost', 'c ends']);
});

test('what is no promise, or throws, fails the task; a late answer of an attempt that is over is ignored', async () => {
  const codes: unknown[] = [];
  await three(async (ctx, done) => {
    for (const wrong of [5, () => 5]) {
      const error = await ctx.outside(wrong as never).then(
        () => undefined,
        (one: unknown) => one,
      );
      codes.push(error instanceof RxhiveError && error.code);
    }
    await assertRejects(
      ctx.outside(() => {
        throw new Error('at once');
      }),
      'at once',
    );
    await done(1, undefined);
  });
  assert.equal(new Set(codes), new Set(['INVALID_OPTION']));
  const timed = workflow({ name: 'timed' });
  const scheduler = new SimulationScheduler();
  timed.task('a', { timeout: 5, run: (_, ctx) => ctx.outside(service(scheduler)(10, 1)) });
  const ended = timed.run({ scheduler }).result();
  await advance(scheduler);
  assert.is((await ended).tasks.get('a')?.status, 'failed');
  assert.is((await ended).report.wallMs, 5, 'the clock of the attempt goes on');
});

async function assertRejects(promise: Promise<unknown>, message: string): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (one: unknown) => one,
  );
  assert.is((error as Error | undefined)?.message, message);
}

test('a run that drains waits for it, and one that is cancelled does not', async () => {
  const drained = await three(
    (ctx, done) => ctx.outside(done(10, 1)),
    { store: memory() },
    (run, scheduler) => scheduler.schedule(() => void run.drain(), 5),
  );
  assert.is(drained.status, 'succeeded', 'all had begun');
  const cancelled = await three(
    (ctx, done) => ctx.outside(done(10, 1)),
    {},
    (run, scheduler) => scheduler.schedule(() => run.cancel(), 5),
  );
  assert.is(cancelled.status, 'cancelled');
  assert.is(cancelled.report.wallMs, 5);
});

test.run();
