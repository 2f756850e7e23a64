import { interval } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type TaskContext, workflow } from '../lib/index.js';

function timers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'Timeout' || name === 'Immediate').length;
}

for (const way of ['cancel', 'unsubscribe', 'signal', 'fail-fast'] as const) {
  test(`after ${way} nothing is left: no timer, listener or event, and every body saw its signal`, async () => {
    // The runner's own timer of this turn has to be gone first.
    await new Promise((tick) => setTimeout(tick, 5));
    const before = timers();
    const controller = new AbortController();
    const flow = workflow({
      name: way,
      concurrency: 100,
      failurePolicy: way === 'fail-fast' ? 'fail-fast' : 'continue',
    });
    let saw = 0;
    const watch = (ctx: TaskContext<undefined, undefined>): void => {
      ctx.signal.addEventListener('abort', () => {
        saw += 1;
      });
    };
    for (let i = 0; i < 20; i++) {
      flow.task(`sleeper${i}`, {
        timeout: { attempt: 60_000, total: 60_000, idle: 60_000 },
        run: (_, ctx) => {
          watch(ctx);
          return ctx.sleep(60_000);
        },
      });
      flow.task(`stream${i}`, {
        run: (_, ctx) => {
          watch(ctx);
          return interval(1_000);
        },
      });
    }
    flow.task('retrying', {
      retry: { count: 9, backoff: () => 60_000 },
      run: () => {
        throw new Error('again');
      },
    });
    const run = flow.run({ signal: controller.signal });
    let after = 0;
    let ended = false;
    const watching = run.subscribe((event) => {
      if (ended) after += 1;
      if (event.type === 'run' && event.reason === 'ended') ended = true;
    });
    const done = run.result();
    await new Promise((tick) => setTimeout(tick, 5));
    assert.ok(timers() > before, 'there were timers to clean up');
    if (way === 'cancel') run.cancel();
    else if (way === 'signal') controller.abort(new Error('enough'));
    else if (way === 'unsubscribe') watching.unsubscribe();
    else run.task('bad', { run: () => Promise.reject(new Error('bad')) });
    const result = await done;
    assert.is(result.status, way === 'fail-fast' ? 'failed' : 'cancelled');
    assert.is(
      result.error?.details.reason,
      way === 'cancel' ? 'cancelled' : way === 'unsubscribe' ? 'unsubscribed' : way,
    );
    assert.is(saw, 40);
    await new Promise((tick) => setTimeout(tick, 5));
    assert.is(after, 0);
    assert.is(timers(), before);
  });
}

test.run();
