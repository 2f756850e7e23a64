import { monitorEventLoopDelay } from 'node:perf_hooks';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { workflow } from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';
import { leastOf } from '../support/event-loop.js';

test('eight tasks that compute leave the event loop responsive', async () => {
  const p99 = await leastOf(6, async () => {
    const flow = workflow({ name: 'busy', concurrency: 8 });
    for (let i = 0; i < 8; i++) {
      flow.task(`busy ${i}`, {
        run: async (_, ctx) => {
          const until = performance.now() + 1_600;
          let sum = 0;
          while (performance.now() < until) {
            for (let k = 0; k < 2_000; k++) sum += Math.sqrt(k);
            await ctx.breathe();
          }
          return sum;
        },
      });
    }
    assert.is((await flow.run().result()).status, 'succeeded');
  });
  assert.ok(p99 < 50, `p99 of the event loop's delay is ${p99} ms`);
});

test('breathing is cheap, and gives the event loop back all the same', async () => {
  let turns = 0;
  const ticking = setInterval(() => {
    turns += 1;
  }, 1);
  const flow = workflow({ name: 'cheap' });
  let ms = 0;
  const calls = 200_000;
  flow.task('cheap', {
    run: async (_, ctx) => {
      const begun = performance.now();
      for (let i = 0; i < calls; i++) await ctx.breathe();
      ms = performance.now() - begun;
    },
  });
  await flow.run().result();
  clearInterval(ticking);
  // A 0 ms timer each would be 200 s.
  assert.ok(ms < 4_000, `${(ms * 1_000) / calls} us a call`);
  assert.ok(turns > 0);
});

test('in virtual time breathing takes no time, is the same each time, and lets others go on', async () => {
  const logs = new Set<string>();
  for (let time = 0; time < 3; time++) {
    const scheduler = new SimulationScheduler();
    const log: string[] = [];
    const flow = workflow({ name: 'virtual' });
    for (const id of ['a', 'b']) {
      flow.task(id, {
        run: async (_, ctx) => {
          for (let i = 0; i < 2_500; i++) {
            await ctx.breathe();
            if (i % 500 === 0) log.push(`${id}${i}@${scheduler.now()}`);
          }
        },
      });
    }
    let told = false;
    flow.task('waits', {
      // Would never end if breathing only went on with promises.
      run: async (_, ctx) => {
        while (!told) await ctx.breathe();
      },
    });
    flow.task('tells', {
      run: async (_, ctx) => {
        await ctx.sleep(0);
        await ctx.sleep(0);
        told = true;
      },
    });
    const result = flow.run({ scheduler }).result();
    await advance(scheduler);
    assert.is((await result).report.wallMs, 0);
    logs.add(log.join(' '));
  }
  assert.is(logs.size, 1);
});

test('a computation stops at its next breath when its attempt has ended', async () => {
  let stoppedBy: unknown;
  const flow = workflow({ name: 'stopped' });
  flow.task('endless', {
    timeout: 30,
    run: async (_, ctx) => {
      try {
        for (;;) await ctx.breathe();
      } catch (error) {
        stoppedBy = error;
        throw error;
      }
    },
  });
  const result = await flow.run().result();
  assert.is(result.status, 'failed');
  await new Promise((done) => setTimeout(done, 5));
  assert.ok(
    ['TASK_TIMEOUT', 'ATTEMPT_ENDED'].includes((stoppedBy as { code: string }).code),
    String(stoppedBy),
  );
});

test('the measure itself sees a blocked event loop', async () => {
  const histogram = monitorEventLoopDelay({ resolution: 10 });
  assert.ok(histogram !== undefined);
  const p99 = await leastOf(1, async () => {
    for (let i = 0; i < 3; i++) {
      const until = performance.now() + 500;
      while (performance.now() < until);
      await new Promise((done) => setTimeout(done, 1));
    }
  });
  assert.ok(p99 > 80, String(p99));
});

test.run();
