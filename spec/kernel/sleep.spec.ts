import { interval, map, NEVER, take, timer } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { human, RxhiveError, typed, virtual, type WorkflowEvent, workflow } from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

const hour = 3_600_000;
const codeOf = (error: unknown): string | undefined =>
  error instanceof RxhiveError ? error.code : undefined;

test('what came due while the process slept comes once, in order, when it wakes', async () => {
  const scheduler = new SimulationScheduler();
  const log: string[] = [];
  const note = (what: string): void => {
    log.push(`${what}@${scheduler.now()}`);
  };
  const flow = workflow({ name: 'sleeps' });
  flow.task('ticks', {
    run: () =>
      interval(1_000, scheduler).pipe(
        take(4),
        map((i) => note(`tick ${i}`)),
      ),
  });
  flow.task('second', { run: (_, ctx) => ctx.sleep(9_000).then(() => note('second')) });
  flow.task('first', { run: (_, ctx) => ctx.sleep(8_000).then(() => note('first')) });
  flow.task('retries', {
    retry: { count: 3, backoff: { initial: 5_000, jitter: 'none' } },
    run: (_, ctx) => {
      note(`attempt ${ctx.attempt}`);
      if (ctx.attempt === 1) throw new Error('once');
    },
  });
  flow.task('late', { timeout: 20_000, run: () => NEVER });
  flow.task('asks', {
    run: (_, ctx) =>
      ctx.ask(human(typed<string>(), { prompt: 'Name?', deadline: 30_000, default: 'nobody' })),
  });
  flow.task('hedged', {
    hedge: { after: 4_000 },
    run: (_, ctx) => {
      note('hedged');
      return ctx.sleep(2 * hour);
    },
  });
  const run = flow.run({ scheduler });
  const result = run.result();
  await advance(scheduler, 2_500);
  scheduler.sleep(hour);
  const woke = 2_500 + hour;
  await advance(scheduler);
  const { tasks, results } = await result;
  assert.equal(log, [
    'attempt 1@0',
    'hedged@0',
    'tick 0@1000',
    'tick 1@2000',
    `tick 2@${woke}`,
    `hedged@${woke}`,
    `attempt 2@${woke}`,
    `first@${woke}`,
    `second@${woke}`,
    `tick 3@${woke + 1_000}`,
  ]);
  assert.is(codeOf(tasks.get('late')?.error), 'TASK_TIMEOUT');
  assert.is(tasks.get('late')?.status, 'failed');
  assert.is(results.get({ id: 'asks' } as never), 'nobody');
});

test('windows hold after a sleep, and nobody waits longer for it', async () => {
  const settings = { requestsPerSecond: 3, requestsPerMinute: 10, tokensPerMinute: 500 };
  for (const at of [0, 500, 1_000, 59_999, 60_000, 90_000]) {
    const scheduler = new SimulationScheduler();
    const starts: number[] = [];
    const flow = workflow({ name: 'window', limiter: virtual(settings) });
    for (let i = 0; i < 40; i++)
      flow.task(`t${i}`, {
        tokens: 60,
        run: (_, ctx) => {
          starts.push(scheduler.now());
          ctx.usage({ inputTokens: 60 });
          return timer(700, scheduler);
        },
      });
    const result = flow.run({ scheduler }).result();
    await advance(scheduler, at);
    const before = starts.length;
    scheduler.sleep(hour);
    await advance(scheduler);
    assert.is((await result).status, 'succeeded');
    const within = (ms: number): number =>
      Math.max(...starts.map((end) => starts.filter((one) => one > end - ms && one <= end).length));
    assert.ok(within(1_000) <= 3, `${at}: ${within(1_000)} in a second`);
    assert.ok(within(60_000) <= 8, `${at}: ${within(60_000)} in a minute`);
    const next = starts[before] as number;
    assert.ok(next <= at + hour + 1_000, `${at}: the next one at ${next}`);
  }
});

test('a hold, an open breaker and a lowered limit end once, and let one burst through that keeps to the limits', async () => {
  const scheduler = new SimulationScheduler();
  const events: WorkflowEvent[] = [];
  const flow = workflow({
    name: 'guards',
    retry: { count: 5, backoff: { initial: 100, jitter: 'none' } },
    groups: {
      held: { concurrency: 2 },
      broken: { concurrency: 2, breaker: { failures: 2, openFor: 10_000 } },
    },
  });
  let running = 0;
  let most = 0;
  const work = (error: object) => async (_: unknown, ctx: { sleep(ms: number): Promise<void> }) => {
    running += 1;
    most = Math.max(most, running);
    await ctx.sleep(10);
    running -= 1;
    if (scheduler.now() < 1_000) throw Object.assign(new Error('no'), error);
  };
  for (let i = 0; i < 6; i++) {
    flow.task(`held ${i}`, { group: 'held', run: work({ status: 429, headers: { 'retry-after': '20' } }) });
    flow.task(`broken ${i}`, { group: 'broken', run: work({ status: 503 }) });
  }
  const run = flow.run({ scheduler });
  run.events$.subscribe((event) => events.push(event));
  const result = run.result();
  await advance(scheduler, 1_000);
  scheduler.sleep(hour);
  await advance(scheduler);
  assert.is((await result).status, 'succeeded');
  assert.ok(most <= 4, `${most} at once`);
  const states = events.flatMap((event) => (event.type === 'breaker' ? [event.reason] : []));
  assert.equal(states, ['open', 'half-open', 'closed']);
});

test.run();
