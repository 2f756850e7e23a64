import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type LimiterSettings, workflow } from '../../lib/index.js';
import { Clock } from '../../lib/kernel/clock.js';
import { RxhiveError } from '../../lib/kernel/errors.js';
import { SharedLimiter } from '../../lib/limiters/shared-limiter.js';
import { sharedWindows } from '../../lib/limiters/shared-windows.js';
import type { SharedAnswer, SharedLimits } from '../../lib/model/shared-limits.js';
import { advance, limiterConformance, SimulationScheduler } from '../../lib/testing/index.js';
import { MemoryLimits } from '../support/memory-limits.js';

type Way = (work: () => SharedAnswer) => ReturnType<SharedLimits['exchange']>;

/** A server whose answers take some ms of virtual time, of which some messages or answers get lost. */
function farAway(
  scheduler: SimulationScheduler,
  ms: () => number,
  lost: () => 'way' | 'answer' | undefined,
): Way {
  return (work) =>
    new Promise((done, failed) => {
      const loss = lost();
      const say = (): void => {
        if (loss === 'way') return void scheduler.schedule(() => failed(new Error('away')), ms());
        const answer = work();
        scheduler.schedule(() => (loss === undefined ? done(answer) : failed(new Error('away'))), ms());
      };
      scheduler.schedule(say, ms());
    });
}

for (const check of limiterConformance({
  time: 'virtual',
  buckets: false,
  make: (settings) => {
    const limits = new MemoryLimits(() => 0);
    return new SharedLimiter(
      settings,
      limits.for((work) => work()),
      { from: 'a' },
    );
  },
}))
  if (check.skip === undefined) test(`in virtual time it is what virtual() is: ${check.name}`, check.run);
  else test.skip(check.name);

interface Job {
  readonly process: number;
  readonly after: number;
  readonly ms: number;
  readonly tokens: number;
  readonly used: number | undefined;
  readonly pauses: boolean;
}

interface Case {
  readonly settings: LimiterSettings;
  readonly jobs: readonly Job[];
  readonly delays: readonly number[];
  readonly losses: readonly ('way' | 'answer' | undefined)[];
  /** From when on until when the server is away, in ms, and what part each process goes on with. */
  readonly away?: { readonly from: number; readonly to: number; readonly share: number };
}

const jobs = fc.array(
  fc.record({
    process: fc.nat({ max: 2 }),
    after: fc.nat({ max: 90_000 }),
    ms: fc.nat({ max: 4_000 }),
    tokens: fc.integer({ min: 1, max: 40 }),
    used: fc.option(fc.integer({ min: 0, max: 40 }), { nil: undefined }),
    pauses: fc.boolean(),
  }),
  { minLength: 1, maxLength: 60, size: 'max' },
);
const settings: fc.Arbitrary<LimiterSettings> = fc.record(
  {
    requestsPerSecond: fc.integer({ min: 1, max: 4 }),
    requestsPerMinute: fc.integer({ min: 1, max: 20 }),
    tokensPerMinute: fc.integer({ min: 40, max: 120 }),
    maxConcurrent: fc.integer({ min: 1, max: 4 }),
    minTime: fc.nat({ max: 300 }),
  },
  { requiredKeys: [] },
);
const anyCase: fc.Arbitrary<Case> = fc.record({
  settings,
  jobs,
  delays: fc.array(fc.nat({ max: 60 }), { minLength: 1, maxLength: 5 }),
  losses: fc.array(
    fc.constantFrom(undefined, undefined, undefined, undefined, 'way' as const, 'answer' as const),
    {
      minLength: 1,
      maxLength: 9,
    },
  ),
});

/** Runs jobs in three processes and returns when they started and ended. */
async function play({ settings: of, jobs: all, delays, losses, away }: Case) {
  const scheduler = new SimulationScheduler();
  const server = new MemoryLimits(() => scheduler.now() + 5_000);
  let [d, l] = [0, 0];
  const seen: { at: number; tokens: number; process: number }[] = [];
  const places: { at: number; end: number }[] = [];
  const results = [0, 1, 2].map((process) => {
    let first = true;
    const lost = () => {
      // Who was never answered gives up; in the end somebody answers.
      const isFirst = first;
      first = false;
      const now = scheduler.now();
      if (away !== undefined && now >= away.from && now < away.to) return 'way';
      return isFirst || l >= 300 ? undefined : losses[l++ % losses.length];
    };
    const way = farAway(scheduler, () => delays[d++ % delays.length] as number, lost);
    const limiter = new SharedLimiter(of, server.for(way), {
      from: `p${process}`,
      share: away?.share,
      clock: new Clock({ seed: 0, scheduler }),
    });
    const groups = { g: { limiter } };
    const flow = workflow({ name: 'w', concurrency: Number.POSITIVE_INFINITY, groups });
    all.forEach((job, i) => {
      if (job.process !== process) return;
      const arrives = flow.task(`after ${i}`, { run: (_, ctx) => ctx.sleep(job.after) });
      flow.task(`t${i}`, {
        group: 'g',
        tokens: job.tokens,
        dependencies: [arrives],
        run: async (_, ctx) => {
          // Who used more than it said takes what nobody had kept: that is no fault of the limiter.
          const used = job.used === undefined ? undefined : Math.min(job.used, job.tokens);
          const tokens = used === undefined || used === 0 ? job.tokens : used;
          seen.push({ at: scheduler.now(), tokens, process });
          let place = { at: scheduler.now(), end: Number.POSITIVE_INFINITY };
          places.push(place);
          await ctx.sleep(job.ms);
          if (job.pauses) {
            place.end = scheduler.now();
            await ctx.join([ctx.spawn(`pause ${i}`, { run: (_, child) => child.sleep(100) })]);
            place = { at: scheduler.now(), end: Number.POSITIVE_INFINITY };
            places.push(place);
          }
          if (used !== undefined) ctx.usage({ inputTokens: used });
          place.end = scheduler.now();
        },
      });
    });
    return flow.run({ scheduler, seed: 1 }).result();
  });
  await advance(scheduler);
  const statuses = (await Promise.all(results)).map(({ status }) => status);
  return { seen, places, statuses };
}

test('processes together never use more than the limits, whatever gets lost on the way', async () => {
  await fc.assert(
    fc.asyncProperty(anyCase, async (one) => {
      const { seen, places, statuses } = await play(one);
      assert.equal(statuses, ['succeeded', 'succeeded', 'succeeded']);
      const { requestsPerSecond, requestsPerMinute, tokensPerMinute, maxConcurrent } = one.settings;
      // A start may be later than its permit; that this is told may be lost, and told again too late for a short window.
      const late = one.losses.every((loss) => loss === undefined) ? 0 : 350;
      for (const { at } of seen) {
        const within = (ms: number) => seen.filter((other) => other.at > at - ms + late && other.at <= at);
        assert.ok(within(1_000).length <= (requestsPerSecond ?? Number.POSITIVE_INFINITY), `second at ${at}`);
        assert.ok(
          within(60_000).length <= (requestsPerMinute ?? Number.POSITIVE_INFINITY),
          `minute at ${at}`,
        );
        const tokens = within(60_000).reduce((sum, other) => sum + other.tokens, 0);
        assert.ok(tokens <= (tokensPerMinute ?? Number.POSITIVE_INFINITY), `${tokens} tokens at ${at}`);
      }
      for (const { at } of places) {
        const running = places.filter((other) => other.at <= at && other.end > at).length;
        assert.ok(running <= (maxConcurrent ?? Number.POSITIVE_INFINITY), `${running} at once at ${at}`);
      }
    }),
    { numRuns: Number(process.env.RUNS ?? 25) },
  );
});

test('what was not used comes back, also of starts that are told ahead of the time of the server', async () => {
  const jobs = Array.from({ length: 30 }, (_, i) => ({
    process: i % 3,
    after: 0,
    ms: 500,
    tokens: 40,
    used: 1,
    pauses: false,
  }));
  const { seen, statuses } = await play({
    settings: { tokensPerMinute: 120 },
    jobs,
    delays: [60, 0, 31],
    losses: [undefined],
  });
  assert.equal(statuses, ['succeeded', 'succeeded', 'succeeded']);
  const last = Math.max(...seen.map(({ at }) => at));
  assert.ok(last < 25_000, `the last started after ${last} ms`);
});

/** Jobs of 50 ms that are there from the start, by turns in three processes. */
const brief = (length: number) =>
  Array.from({ length }, (_, i) => ({
    process: i % 3,
    after: 0,
    ms: 50,
    tokens: 1,
    used: undefined,
    pauses: false,
  }));

const small = (requestsPerMinute: number, jobs: number, delay: number) =>
  play({
    settings: { requestsPerMinute },
    jobs: brief(jobs),
    delays: [delay],
    losses: [undefined],
  });

test('the longer a message takes, the more permits it brings', async () => {
  const { seen } = await small(600, 600, 50);
  const last = Math.max(...seen.map(({ at }) => at));
  assert.is(seen.length, 600);
  assert.ok(last < 1_500, `600 that may start at once have all started after ${last} ms`);
});

test('no process takes a small window for itself, however long messages take', async () => {
  const { seen } = await small(24, 72, 50);
  const first = seen.filter(({ at }) => at < 1_000);
  assert.is(first.length, 24);
  for (const of of [0, 1, 2]) {
    const { length } = first.filter(({ process }) => process === of);
    assert.ok(length >= 6, `process ${of} has ${length}`);
  }
});

test('a window that is short beside the way to the server starts work, and is never too full', async () => {
  for (const delays of [[150], [900, 1_100], [20, 180, 600, 90]]) {
    const { seen, statuses } = await play({
      settings: { requestsPerSecond: 4 },
      jobs: brief(60),
      delays,
      losses: [undefined],
    });
    assert.equal(statuses, ['succeeded', 'succeeded', 'succeeded']);
    for (const { at } of seen) {
      const { length } = seen.filter((other) => other.at > at - 1_000 && other.at <= at);
      assert.ok(length <= 4, `${length} in the second up to ${at} ms, delays ${delays}`);
    }
    const last = Math.max(...seen.map(({ at }) => at));
    // 15 windows, each kept for the way of its answer and that of the next question.
    const bound = 15 * (1_000 + 6 * Math.max(...delays) + 200);
    assert.ok(last < bound, `the last started after ${last} ms, delays ${delays}`);
  }
});

test('a task that needs most of a window starts within two, among small ones of other processes', async () => {
  const small = Array.from({ length: 600 }, (_, i) => ({
    process: i % 2,
    after: i * 300,
    ms: 50,
    tokens: 1_000,
    used: undefined,
    pauses: false,
  }));
  const large = { process: 2, after: 20_000, ms: 50, tokens: 50_000, used: undefined, pauses: false };
  const { seen, statuses } = await play({
    settings: { tokensPerMinute: 60_000 },
    jobs: [...small, large],
    delays: [3, 1, 8],
    losses: [undefined],
  });
  assert.equal(statuses, ['succeeded', 'succeeded', 'succeeded']);
  const at = seen.find(({ tokens }) => tokens === 50_000)?.at ?? Number.POSITIVE_INFINITY;
  assert.ok(at <= large.after + 120_000, `it started after ${at - large.after} ms`);
});

test('while the server is away each process goes on with its share', async () => {
  const jobs = Array.from({ length: 60 }, (_, i) => ({
    process: i % 2,
    after: 0,
    ms: 10,
    tokens: 1,
    used: undefined,
    pauses: false,
  }));
  const away = { from: 30_000, to: 400_000, share: 2 };
  const { seen, statuses } = await play({
    settings: { requestsPerMinute: 10 },
    jobs,
    delays: [1],
    losses: [undefined],
    away,
  });
  assert.equal(statuses, ['succeeded', 'succeeded', 'succeeded']);
  const within = (from: number, to: number) => seen.filter(({ at }) => at >= from && at < to).length;
  assert.is(within(0, away.from), 10);
  for (let from = away.from; from < 300_000; from += 1_000)
    assert.ok(within(from, from + 60_000) <= 10, `${within(from, from + 60_000)} in the minute from ${from}`);
  assert.ok(within(away.from + 60_000, 300_000) >= 30, 'they do not stand still');
});

test('windows of any length are shared, token buckets are not', () => {
  const limits = new MemoryLimits(() => 0).for((work) => work());
  const make = (settings: LimiterSettings) => new SharedLimiter(settings, limits, { from: 'a' });
  const limiter = make({ windows: [{ requests: 5, tokens: 100, per: 2_000 }] });
  assert.equal(
    sharedWindows(limiter.settings, false).windows.map(({ name, max, size }) => [name, max, size]),
    [
      ['requests per 2000 ms', 5, 2_000],
      ['tokens per 2000 ms', 100, 2_000],
    ],
  );
  const refused = (error: unknown): boolean => error instanceof RxhiveError && /burst/.test(error.message);
  assert.throws(() => make({ windows: [{ requests: 5, per: 2_000, burst: 1 }] }), refused);
  assert.throws(() => limiter.update({ windows: [{ requests: 5, per: 2_000, burst: 1 }] }), refused);
});

test.run();
