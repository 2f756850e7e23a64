import { NEVER, timer } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { latest, workflow } from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

test('explain says in one sentence what each kind of wait is for', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({
    name: 'waits',
    concurrency: 20,
    aging: 100,
    groups: { one: { concurrency: 1 } },
    resources: { gpu: 4 },
  });
  const forever = () => NEVER;
  const long = flow.task('long', { run: forever });
  flow.task('dependent', { dependencies: [long], run: forever });
  flow.task('inside', { group: 'one', run: forever });
  flow.task('outside', { group: 'one', run: forever });
  flow.task('failing', {
    retry: { count: 3, backoff: { initial: 60_000, jitter: 'none' } },
    run: () => {
      throw new Error('planned');
    },
  });
  flow.task('holds', { run: (_, ctx) => ctx.shared('browser').use(() => ctx.sleep(1e6)) });
  flow.task('shares', { run: (_, ctx) => ctx.shared('browser').use(() => 1) });
  const joins = flow.task('joins', {
    run: async function* (_, ctx) {
      yield 1;
      await ctx.join([ctx.spawn('child', { run: forever })]);
    },
  });
  flow.task('reads', { dependencies: [latest(joins)], run: (inputs$) => inputs$ });
  // Takes half, then again and again a quarter: what needs all four waits until they are kept for it.
  flow.task('half', { resources: { gpu: 2 }, run: () => timer(1e6, scheduler) });
  flow.task('all', { resources: { gpu: 4 }, run: forever });
  flow.task('quarter', { resources: { gpu: 1 }, run: () => timer(300, scheduler) });
  flow.task('next', {
    dependencies: [flow.task('pause', { run: () => timer(400, scheduler) })],
    resources: { gpu: 1 },
    run: forever,
  });
  const run = flow.run({ scheduler });
  const ended = run.result();
  await advance(scheduler, 2_000);
  const said = (id: string): string => run.explain(id);
  assert.is(said('long'), 'Task "long" has been running for 2.0 s, attempt 1.');
  assert.is(said('dependent'), 'Task "dependent" waits for "long" (running).');
  assert.match(said('outside'), /ready for 2\.0 s and waits for a place in group "one" \(1 of 1 in use\)\.$/);
  assert.match(said('failing'), /has failed 1 of its attempts, 2\.0 s ago, and waits before the next one\.$/);
  assert.match(said('shares'), /gave its slot back 2\.0 s ago and waits for something that another task has/);
  assert.match(said('joins'), /waits for "child" \(running\), which it joined\.$/);
  assert.match(said('reads'), /waits for the stream of "joins", which is suspended too\.$/);
  assert.match(said('all'), /waits for 4 of "gpu" \(\d of 4 free\)\.$/);
  assert.match(
    said('next'),
    /waits for "gpu", which is kept for a task that needs more and has waited longer\.$/,
  );
  for (const id of run.snapshot().tasks.keys()) assert.match(said(id), /^[^\n]+\.$/);
  run.cancel();
  assert.is((await ended).status, 'cancelled');
});

test.run();
