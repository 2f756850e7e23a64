import { seededRandom } from '../../kernel/random.js';
import type { Limiter, LimiterSettings } from '../../model/limiter.js';
import type { ConformanceCheck } from './check.js';
import { type Job, must, LimiterRig as Rig } from './limiter-rig.js';

/** What is tested, and in which time. */
export interface LimiterConformanceOptions {
  /** Makes a fresh limiter. */
  make(settings: LimiterSettings): Limiter;
  /** `virtual`: under a `SimulationScheduler`; `real`: on the wall clock, a few seconds in all. */
  readonly time: 'virtual' | 'real';
  /** Seed of arrivals and durations. Default 1. */
  readonly seed?: number;
  /**
   * Ms that are forgiven in real time over the 5 % that are allowed anyway, beside those by which the timers of a busy
   * machine were seen to be late. Default 250.
   */
  readonly slack?: number;
  /** Has it token buckets (`burst`)? Default true. */
  readonly buckets?: boolean;
}

/** The platform's timers come up to a ms early. */
const realEarly = 1.5;

/**
 * The contract of a limiter as a list of checks for any test runner, by invariants rather than instants: never more
 * than `maxConcurrent`, distances of `minTime`, no window ever too full, the better task first, no time lost, nothing
 * wasted by cancelled tasks, changes while running.
 *
 * ```ts
 * for (const check of limiterConformance({ make: virtual, time: 'virtual' })) test(check.name, check.run);
 * ```
 */
export function limiterConformance(options: LimiterConformanceOptions): ConformanceCheck[] {
  const real = options.time === 'real';
  const early = real ? realEarly : 0;
  const random = seededRandom(options.seed ?? 1);
  const upTo = (n: number): number => Math.floor(random() * (n + 1));
  const rig = (settings: LimiterSettings): Rig => new Rig(options.make(settings), real, options.slack ?? 250);
  const minutes = real ? { skip: 'a minute of real time is too long' } : {};
  return [
    {
      name: 'never more than maxConcurrent at once, and no time lost',
      run: async () => {
        const trial = rig({ maxConcurrent: 8 });
        await trial.run(Array.from({ length: 40 }, (_, i) => ({ id: `t${i}`, ms: 100 })));
        must(trial.most() === 8 || (real && trial.most() < 8), `${trial.most()} at once, not 8`);
        within(trial.wall(), 500, trial.slack);
      },
    },
    {
      name: 'starts are minTime apart, and no time lost',
      run: async () => {
        const trial = rig({ minTime: 30 });
        await trial.run(Array.from({ length: 25 }, (_, i) => ({ id: `t${i}`, ms: upTo(60) })));
        // In real time a start may be seen late: over several starts that may take away one distance, not more.
        const [over, least] = real ? [5, 4 * 30 - early] : [1, 30];
        must(trial.gap(over) >= least, `${over + 1} starts are ${trial.gap(over)} ms apart, not ${least}`);
        within(trial.lastStart(), 24 * 30, trial.slack);
      },
    },
    {
      name: 'never more than N starts in any window, whatever the arrivals, and no time lost',
      run: async () => {
        const trial = rig({ requestsPerSecond: 20 });
        await trial.run(
          Array.from({ length: 70 }, (_, i) => ({ id: `t${i}`, ms: upTo(40), after: upTo(900) })),
        );
        must(
          trial.inWindow(1_000 - early) <= 20,
          `${trial.inWindow(1_000 - early)} starts in a second, not 20`,
        );
        must(trial.lastStart() >= 3_000 - early, `the last started at ${trial.lastStart()}, too early`);
        within(trial.lastStart(), 3_900, trial.slack);
      },
    },
    {
      name: 'windows of any length hold, whatever the arrivals',
      run: async () => {
        const trial = rig({
          windows: [
            { requests: 7, per: 300 },
            { requests: 15, per: 1_100 },
          ],
        });
        await trial.run(
          Array.from({ length: 40 }, (_, i) => ({ id: `t${i}`, ms: upTo(40), after: upTo(500) })),
        );
        must(trial.inWindow(300 - early) <= 7, `${trial.inWindow(300 - early)} starts in 300 ms, not 7`);
        must(
          trial.inWindow(1_100 - early) <= 15,
          `${trial.inWindow(1_100 - early)} starts in 1,100 ms, not 15`,
        );
        within(trial.lastStart(), 500 + 2 * 1_100 + 300, trial.slack);
      },
    },
    {
      name: 'a token bucket lets its burst start at once, and the others as it fills',
      ...(options.buckets === false && { skip: 'it has none' }),
      run: async () => {
        const trial = rig({ windows: [{ requests: 10, per: 500, burst: 3 }] });
        await trial.run(Array.from({ length: 20 }, (_, i) => ({ id: `t${i}`, ms: upTo(40) })));
        for (const ms of [1, 100, 400, 700]) {
          const most = 3 + Math.floor((ms + early) / 50);
          must(trial.inWindow(ms) <= most, `${trial.inWindow(ms)} starts in ${ms} ms, not ${most}`);
        }
        must(trial.lastStart() >= 17 * 50 - early, `the last started at ${trial.lastStart()}, too early`);
        within(trial.lastStart(), 17 * 50, trial.slack);
      },
    },
    {
      name: 'several windows of requests and tokens hold at once',
      ...minutes,
      run: async () => {
        const trial = rig({ requestsPerSecond: 10, requestsPerMinute: 120, tokensPerMinute: 6_000 });
        const jobs = Array.from({ length: 400 }, (_, i) => ({
          id: `t${i}`,
          ms: upTo(3_000),
          after: upTo(100_000),
          tokens: 1 + upTo(150),
        }));
        await trial.run(jobs);
        const tokens = new Map(jobs.map((job) => [job.id, job.tokens]));
        must(trial.inWindow(1_000) <= 10, 'a second is too full');
        must(trial.inWindow(60_000) <= 120, 'a minute is too full');
        must(trial.inWindow(60_000, (id) => tokens.get(id) ?? 0) <= 6_000, 'too many tokens in a minute');
      },
    },
    {
      name: 'among those that wait the better one goes first, also one that came late',
      run: async () => {
        const trial = rig({ maxConcurrent: 1 });
        const jobs: Job[] = Array.from({ length: 12 }, (_, i) => ({
          id: `t${i}`,
          ms: 30,
          priority: upTo(1_000),
        }));
        const late = { id: 'late', ms: 30, priority: 2_000, after: 100 };
        await trial.run([...jobs, late]);
        const order = trial.starts.map((one) => one.id);
        const want = [...jobs].sort((a, b) => (b.priority ?? 0) - (a.priority ?? 0)).map((one) => one.id);
        must(
          order.filter((id) => id !== 'late').join() === want.join(),
          `started in the order ${order.join()}, not ${want.join()}`,
        );
        must(
          order.indexOf('late') <= 5,
          `the late and important one was number ${order.indexOf('late') + 1}`,
        );
      },
    },
    {
      name: 'cancelled tasks waste no permits',
      run: async () => {
        const trial = rig({ minTime: 100 });
        const jobs = Array.from({ length: 8 }, (_, i) => ({ id: `t${i}`, ms: 1, priority: -i }));
        await trial.run(jobs, (run) => {
          for (let i = 1; i < 7; i++) run.cancelTask(`t${i}`);
        });
        must(
          trial.starts.map((one) => one.id).join() === 't0,t7',
          `started: ${trial.starts.map((one) => one.id)}`,
        );
        within(trial.lastStart(), 100, trial.slack);
      },
    },
    {
      name: 'a task that waits for its children holds no place',
      run: async () => {
        const trial = rig({ maxConcurrent: 1 });
        await trial.run([{ id: 'parent', ms: 5, children: 3 } as Job]);
        must(trial.starts.length === 4, `${trial.starts.length} tasks started, not 4`);
        must(trial.most() === 1, 'more than one at once');
      },
    },
    {
      name: 'one limiter holds over several groups',
      run: async () => {
        const trial = rig({ maxConcurrent: 3, requestsPerSecond: 25 });
        await trial.run(
          Array.from({ length: 30 }, (_, i) => ({
            id: `t${i}`,
            ms: 20,
            group: i % 2 === 0 ? ('a' as const) : ('b' as const),
          })),
        );
        must(trial.most() <= 3, `${trial.most()} at once, not 3`);
        must(trial.inWindow(1_000 - early) <= 25, `${trial.inWindow(1_000 - early)} starts in a second`);
      },
    },
    {
      name: 'settings can be changed while it works',
      run: async () => {
        const trial = rig({ maxConcurrent: 1, requestsPerSecond: 5 });
        const jobs = Array.from({ length: 24 }, (_, i) => ({ id: `t${i}`, ms: 50 }));
        await trial.run(jobs, undefined, (limiter) =>
          limiter.update({ maxConcurrent: 4, requestsPerSecond: 1_000 }),
        );
        must(trial.most() === 4, `${trial.most()} at once after the change, not 4`);
        within(trial.wall(), 200 + 5 * 50, trial.slack + 50);
      },
    },
    {
      name: 'settings that make no sense are refused, and change nothing',
      run: async () => {
        for (const bad of [
          { maxConcurrent: 0 },
          { requestsPerMinute: -1 },
          { requestsPerSecond: 1.5 },
          { tokensPerMinute: Number.NaN },
          { minTime: -1 },
          { requestsPerHour: 5 },
          { windows: { requests: 5, per: 100 } },
          { windows: [{ requests: 5 }] },
          { windows: [{ per: 100 }] },
          { windows: [{ requests: 1, tokens: 1, per: 100, burst: 5 }] },
        ]) {
          must(
            throws(() => options.make(bad as LimiterSettings)),
            `accepted ${JSON.stringify(bad)}`,
          );
          const limiter = options.make({ maxConcurrent: 2 });
          must(
            throws(() => limiter.update(bad as LimiterSettings)),
            `changed to ${JSON.stringify(bad)}`,
          );
          must(limiter.settings.maxConcurrent === 2, 'settings changed by a refused update');
        }
      },
    },
  ];
}

/** At most 5 % over what is possible. */
function within(ms: number, bound: number, slack: number): void {
  must(ms <= bound * 1.05 + slack, `took ${Math.round(ms)} ms where ${bound} are possible`);
}

function throws(work: () => unknown): boolean {
  try {
    work();
    return false;
  } catch {
    return true;
  }
}
