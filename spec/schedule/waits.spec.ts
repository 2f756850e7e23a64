import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { human, optional, type Task, typed, workflow } from '../../lib/index.js';
import { seededRandom } from '../../lib/kernel/random.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000);
const rounds = Number(process.env.RUNS ?? 150);

/** Ms by kind, so that the property cannot come to speak of nothing. */
const seen = new Map<string, number>();

/** A run with everything that can make a task wait; every ms of every task has to be booked once. */
async function check(roundSeed: number): Promise<void> {
  const random = seededRandom(roundSeed);
  const upTo = (n: number): number => Math.floor(random() * (n + 1));
  const scheduler = new SimulationScheduler();
  const flow = workflow({
    name: 'waits',
    concurrency: 1 + upTo(6),
    retry: { count: 2, backoff: random() < 0.5 ? { initial: 300, max: 3_000 } : (n) => 100.3 * n + random() },
    ...(random() < 0.2 && { budget: { calls: 20 } }),
    resources: { unit: 2 },
    groups: {
      llm: {
        limiter: {
          requestsPerSecond: 1 + upTo(5),
          tokensPerMinute: 400,
          maxConcurrent: 1 + upTo(3),
          ...(random() < 0.3 && { minTime: 33.3 }),
        },
      },
      web: { concurrency: 1 + upTo(2), breaker: { failures: 3, openFor: 700 } },
    },
  });
  const tasks: Task<unknown>[] = [];
  for (let i = 0; i < 25; i++) {
    const [steps, kind, length] = [1 + upTo(3), upTo(9), upTo(800) + (i % 3) * 0.3];
    const before =
      random() < 0.6 && tasks.length > 0 ? [optional(tasks[upTo(tasks.length - 1)] as Task)] : [];
    const group = (['llm', 'web', undefined] as const)[upTo(2)];
    tasks.push(
      flow.task(`t${i}`, {
        dependencies: before,
        priority: upTo(2),
        ...(group && { group }),
        ...(group === 'llm' && { tokens: 1 + upTo(40) }),
        ...(random() < 0.2 && { resources: { unit: 1 + upTo(1) } }),
        ...(random() < 0.2 && { timeout: { attempt: 900, queue: 20_000 } }),
        ...(random() < 0.15 && kind < 7 && { hedge: { after: 100 + upTo(300) } }),
        run: async (_, ctx) => {
          for (let step = 0; step < steps; step++) await ctx.sleep(length);
          if (kind === 0)
            throw Object.assign(new Error('429'), {
              status: 429,
              ...(random() < 0.5 && { retryAfter: 0.4567 }),
            });
          if (kind === 1 && ctx.attempt < 3) throw new Error('again');
          if (kind === 7) await ctx.shared('browser').use(() => ctx.sleep(150));
          if (kind === 8) await ctx.join(ctx.spawn(`child of ${i}`, { run: (_, inner) => inner.sleep(250) }));
          if (kind === 9) return ctx.ask(human(typed<number>(), `How many for ${i}?`));
          return i;
        },
      }),
    );
  }
  const run = flow.run({ scheduler, seed: roundSeed });
  const ends = new Map<string, number>();
  const begins = new Map<string, number>();
  const fractions: string[] = [];
  run.events$.subscribe((event) => {
    if ('delay' in event && event.delay !== undefined && !Number.isInteger(event.delay))
      fractions.push(`${event.type} ${event.delay}`);
    if (event.type === 'plan') for (const { id } of event.tasks) begins.set(id, event.at);
    if (event.type === 'task' && /succeeded|failed|skipped|cancelled/.test(event.reason))
      ends.set(event.taskId, event.at);
  });
  run.questions$.subscribe((open) => {
    for (const { id } of open)
      scheduler.schedule(() => run.answer(id, 1).catch(() => undefined), 40 + upTo(4_000));
  });
  if (random() < 0.3) scheduler.schedule(() => run.setConcurrency(0), 2_000);
  if (random() < 0.5) scheduler.schedule(() => run.setConcurrency(3), 5_000);
  scheduler.schedule(() => run.setConcurrency(8), 9_000);
  const done = run.result();
  await advance(scheduler);
  const { tasks: reports, report } = await done;
  for (const { id, waits, runningMs } of reports.values()) {
    const { dependencies, slot, permit, backoff, suspended } = waits;
    const wall = (ends.get(id) ?? Number.NaN) - (begins.get(id) ?? Number.NaN);
    for (const [kind, ms] of Object.entries({ ...waits, runningMs }))
      seen.set(kind, (seen.get(kind) ?? 0) + ms);
    const booked = dependencies + slot + permit + backoff + suspended + runningMs;
    assert.is(booked, wall, `seed ${roundSeed}: ${id} ${JSON.stringify({ ...waits, runningMs })}`);
    for (const [kind, ms] of Object.entries({ ...waits, runningMs }))
      assert.ok(Number.isInteger(ms) && ms >= 0, `seed ${roundSeed}: ${id} ${kind} ${ms}`);
  }
  assert.equal(fractions, [], `seed ${roundSeed}: delays`);
  assert.ok(Number.isInteger(report.wallMs), `seed ${roundSeed}: wall ${report.wallMs}`);
}

test(`waits and running add up to the time in the run, exactly, in ${rounds} runs (seed ${seed})`, async () => {
  for (let i = 0; i < rounds; i++) await check(seed + i);
  for (const [kind, ms] of seen) assert.ok(ms > 1_000, `${kind}: ${ms} ms in all runs`);
});

test.run();
