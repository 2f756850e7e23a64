import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Clock } from '../../lib/kernel/clock.js';
import type { Taken } from '../../lib/kernel/sliding-window.js';
import { ClockCounter } from '../../lib/limiters/concurrency.js';
import { TokenBucket } from '../../lib/limiters/token-bucket.js';
import { WindowLedger } from '../../lib/limiters/window-ledger.js';
import {
  amountOf,
  type LimiterClient,
  type LimiterSettings,
  type Permit,
  type PermitRequest,
  type WindowName,
  windowOf,
  windowsOf,
} from '../../lib/model/limiter.js';
import type { TaskStatus } from '../../lib/model/status.js';
import { runsBefore } from '../../lib/model/task-order.js';
import { SimulationScheduler } from '../../lib/testing/index.js';

type Step =
  | { readonly do: 'ask'; readonly run: number; readonly urgency: number; readonly tokens: number }
  | { readonly do: 'end'; readonly at: number; readonly tokens: number | 'none' | undefined }
  | { readonly do: 'pause' | 'again' | 'cancel'; readonly at: number }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'update'; readonly settings: LimiterSettings }
  | { readonly do: 'refused'; readonly at: number; readonly ms: number };

const names: readonly WindowName[] = [
  'requestsPerSecond',
  'requestsPerMinute',
  'tokensPerMinute',
  'requests per 2500 ms',
  'tokens per 7000 ms',
];
const sizeOf = (name: WindowName): number => windowOf(name)?.size ?? 0;
const small = fc.integer({ min: 1, max: 4 });
const settings: fc.Arbitrary<LimiterSettings> = fc.record(
  {
    requestsPerSecond: small,
    requestsPerMinute: fc.integer({ min: 1, max: 12 }),
    tokensPerMinute: fc.integer({ min: 1, max: 60 }),
    windows: fc.tuple(small, fc.integer({ min: 1, max: 40 })).map(([requests, tokens]) => [
      { requests, per: 2_500 },
      { tokens, per: 7_000 },
    ]),
    maxConcurrent: small,
    minTime: fc.nat({ max: 300 }),
  },
  { requiredKeys: [] },
);
const at = fc.nat({ max: 99 });
const tokens = fc.integer({ min: 1, max: 30 });
const one: Readonly<Record<Step['do'], fc.Arbitrary<Step>>> = {
  ask: fc.record({ do: fc.constant('ask'), run: fc.nat({ max: 1 }), urgency: fc.nat({ max: 2 }), tokens }),
  end: fc.record({
    do: fc.constant('end'),
    at,
    tokens: fc.oneof(tokens, fc.constantFrom(undefined, 'none')),
  }),
  pause: fc.record({ do: fc.constant('pause'), at }),
  again: fc.record({ do: fc.constant('again'), at }),
  cancel: fc.record({ do: fc.constant('cancel'), at }),
  pass: fc.record({ do: fc.constant('pass'), ms: fc.oneof(fc.nat({ max: 900 }), fc.nat({ max: 30_000 })) }),
  update: fc.record({ do: fc.constant('update'), settings }),
  refused: fc.record({ do: fc.constant('refused'), at, ms: fc.nat({ max: 3_000 }) }),
};
const { refused, ...others } = one;
const { ask, end, pass } = one;
const list = (kinds: readonly fc.Arbitrary<Step>[]): fc.Arbitrary<Step[]> =>
  fc.array(fc.oneof(...kinds), { maxLength: 100, size: 'max' });
const without = list([ask, ask, ask, end, end, pass, pass, ...Object.values(others)]);
const withRefusals = list([ask, ask, ask, end, end, pass, pass, refused, ...Object.values(others)]);

class Job {
  readonly id: string;
  readonly rank = 0;
  heapIndex = 0;
  status: TaskStatus = 'ready';
  permit: Permit | undefined;
  paused = false;
  readonly run: number;
  readonly urgency: number;
  readonly seq: number;
  readonly tokens: number;

  constructor(seq: number, { run, urgency, tokens }: Step & { do: 'ask' }) {
    this.id = `j${seq}`;
    this.seq = seq;
    this.run = run;
    this.urgency = urgency;
    this.tokens = tokens;
  }
}

/** What was taken, kept for ever and added up for each question. */
class Ledger {
  readonly taken: { readonly at: number; readonly job: Job; tokens: number; requests: number }[] = [];
  readonly running = new Set<Job>();
  readonly settings: LimiterSettings;
  heldUntil = 0;
  #last = Number.NEGATIVE_INFINITY;
  /** When each run last took: the number of takings before. */
  readonly turns = [0, 0];
  #turn = 0;

  constructor(settings: LimiterSettings) {
    this.settings = settings;
  }

  take(now: number, job: Job, again: boolean): void {
    if (!again) {
      this.taken.push({ at: now, job, tokens: job.tokens, requests: 1 });
      this.#last = now;
    }
    this.running.add(job);
    this.turns[job.run] = ++this.#turn;
  }

  end(now: number, job: Job, tokens: number | 'none' | undefined): void {
    this.running.delete(job);
    const one = this.taken.find((other) => other.job === job) as Ledger['taken'][number];
    // What has left its window is not corrected.
    if (tokens !== undefined && one.at + 60_000 > now) one.tokens = tokens === 'none' ? 0 : tokens;
    if (tokens === 'none') one.requests = 0;
  }

  used(name: WindowName, now: number): number {
    const { kind = 'requests', size = 0 } = windowOf(name) ?? {};
    return this.taken.filter((one) => one.at + size > now).reduce((sum, one) => sum + one[kind], 0);
  }

  /** When it may start: the first of all moments at which something changes. */
  opensAt(now: number, job: Job, again: boolean): number {
    const { maxConcurrent = Number.POSITIVE_INFINITY, minTime = 0 } = this.settings;
    if (this.running.size >= maxConcurrent) return Number.POSITIVE_INFINITY;
    if (again) return now;
    const moments = [now, this.#last + minTime];
    for (const { at } of this.taken) for (const name of names) moments.push(at + sizeOf(name));
    const fits = (moment: number): boolean =>
      moment >= now &&
      moment >= this.#last + minTime &&
      names.every((name) => {
        const { max = Number.POSITIVE_INFINITY } =
          windowsOf(this.settings).find((one) => one.name === name) ?? {};
        const amount = amountOf(name, job);
        return this.used(name, moment) + Math.min(amount, max) <= max;
      });
    return Math.min(...moments.filter(fits));
  }
}

/** One who waits, and when its run began to wait. */
interface Waiting {
  readonly job: Job;
  readonly again: boolean;
  readonly since: number;
}

/**
 * Plays steps on a ledger and on one that adds everything up. `exact`: each starts when it is due, in turn; else, with
 * refusals, none starts too early.
 */
function play(given: LimiterSettings, all: readonly Step[], exact: boolean): void {
  const scheduler = new SimulationScheduler();
  const clock = new Clock({ scheduler, seed: 1 });
  // Which windows there are stays: a new one knows nothing of what was before.
  const settings: LimiterSettings = { ...given };
  const model = new Ledger(settings);
  const ledger = new WindowLedger(
    () => settings,
    false,
    () => new ClockCounter(),
  );
  let waiting: Waiting[] = [];
  const paused = new Set<Job>();
  let seq = 0;
  const requestOf = (job: Job, again: boolean): PermitRequest => ({ node: job, tokens: job.tokens, again });

  /** Who is next: those who come back; then the run that took a permit longest ago; within it the better one. */
  const next = (): Waiting | undefined => {
    const [again, starting] = [waiting.filter((one) => one.again), waiting.filter((one) => !one.again)];
    const line = again.length > 0 ? again : starting;
    const turn = ({ job }: Waiting): number => model.turns[job.run] as number;
    return [...line].sort(
      (a, b) =>
        turn(a) - turn(b) || a.since - b.since || (a.job === b.job ? 0 : runsBefore(a.job, b.job) ? -1 : 1),
    )[0];
  };
  const take = (job: Job, again: boolean): void => {
    const now = scheduler.now();
    assert.ok(model.opensAt(now, job, again) <= now, `${job.id} starts too early`);
    assert.ok(again || now >= model.heldUntil, `${job.id} starts while everybody waits`);
    model.take(now, job, again);
    paused.delete(job);
    job.status = 'running';
    job.permit = ledger.take(clients[job.run] as LimiterClient, requestOf(job, again), job.permit);
  };
  const clients = [0, 1].map(
    (run): LimiterClient => ({
      clock,
      run: { run },
      opened: (node) => {
        const called = waiting.find(({ job }) => job === node) as Waiting;
        if (exact) assert.is(next()?.job.id, called.job.id, 'it is the turn of another one');
        const { job, again } = called;
        assert.ok(ledger.admits(clients[run] as LimiterClient, requestOf(job, again)), 'called for nothing');
        waiting = waiting.filter((one) => one !== called);
        take(job, again);
      },
      failed: () => assert.unreachable(),
    }),
  );
  let came = 0;
  const ask = (job: Job, again: boolean): void => {
    const client = clients[job.run] as LimiterClient;
    const request = requestOf(job, again);
    const admitted = ledger.admits(client, request);
    if (exact) {
      const now = scheduler.now();
      const own = waiting.filter((one) => one.job.run === job.run && !one.again);
      const ahead =
        !again &&
        (own.some((one) => runsBefore(one.job, job)) ||
          waiting.some(
            (one) =>
              !one.again &&
              one.job.run !== job.run &&
              (model.turns[one.job.run] as number) < (model.turns[job.run] as number),
          ));
      assert.is(admitted, model.opensAt(now, job, again) <= now && !ahead, `${job.id} may start`);
      const opensAt = model.opensAt(now, job, again);
      const wait = ledger.delay(client, request, 0);
      // It asks one thing after the other: the first that is in the way says when that is over.
      if (wait === undefined) assert.is(opensAt, Number.POSITIVE_INFINITY);
      else assert.ok(opensAt === now ? wait === 0 : wait > 0 && wait <= opensAt - now, `${wait} ms`);
    }
    if (admitted) {
      take(job, again);
      return;
    }
    const others = waiting.find((one) => one.again === again && one.job.run === job.run);
    job.status = 'ready';
    waiting.push({ job, again, since: others?.since ?? came++ });
    ledger.wait(client, request);
  };
  /** Lets time pass, and looks whether each starts at the moment at which it may. */
  const pass = (until: number): void => {
    for (let first = next(); exact && first !== undefined; first = next()) {
      const due = model.opensAt(scheduler.now(), first.job, first.again);
      if (due > until) break;
      scheduler.run(due);
      assert.is.not(next(), first, `${first.job.id} starts too late`);
    }
    scheduler.run(until);
  };
  for (const step of all) {
    const runs = 'at' in step ? [...model.running][step.at % Math.max(1, model.running.size)] : undefined;
    if (step.do === 'ask') ask(new Job(seq++, step), false);
    else if (step.do === 'pass') pass(scheduler.now() + step.ms);
    else if (step.do === 'update') {
      for (const [name, value] of Object.entries(step.settings))
        if (name in given) Object.assign(settings, { [name]: value });
      ledger.apply();
    } else if (step.do === 'again') {
      const job = [...paused].filter((one) => one.status === 'running')[step.at % Math.max(1, paused.size)];
      if (job !== undefined) ask(job, true);
    } else if (step.do === 'cancel') {
      const gone = waiting[step.at % Math.max(1, waiting.length)];
      if (gone === undefined) continue;
      waiting = waiting.filter((one) => one !== gone);
      paused.delete(gone.job);
      gone.job.status = 'cancelled';
      ledger.unwait(clients[gone.job.run] as LimiterClient, gone.job);
    } else if (runs === undefined) continue;
    else if (step.do === 'refused') {
      const held = ledger.refused(clients[runs.run] as LimiterClient, runs.permit as Permit, step.ms);
      if (held !== undefined) model.heldUntil = Math.max(model.heldUntil, scheduler.now() + step.ms);
    } else if (step.do === 'pause') {
      model.running.delete(runs);
      paused.add(runs);
      runs.permit?.pause();
    } else {
      const { tokens } = step as Step & { do: 'end' };
      model.end(scheduler.now(), runs, tokens);
      runs.permit?.release(tokens);
    }
    const now = scheduler.now();
    const state = ledger.state(clients[0] as LimiterClient);
    assert.is(state.inUse, model.running.size);
    for (const { name, used } of state.windows) assert.is(used, model.used(name, now), name);
    const first = next();
    if (exact && first !== undefined)
      assert.ok(model.opensAt(now, first.job, first.again) > now, `${first.job.id} could start`);
  }
  clock.dispose();
}

const numRuns = Number(process.env.RUNS ?? 500);

test('each starts when everything taken so far, added up, leaves room, and in turn', () => {
  fc.assert(
    fc.property(settings, without, (given, all) => play(given, all, true)),
    { numRuns },
  );
});

test('with refusals no window is ever too full, and nobody starts while everybody waits', () => {
  fc.assert(
    fc.property(settings, withRefusals, (given, all) => play(given, all, false)),
    { numRuns },
  );
});

type Move =
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'take'; readonly amount: number }
  | { readonly do: 'change'; readonly at: number; readonly by: number };

const moves = fc.array(
  fc.oneof<fc.Arbitrary<Move>[]>(
    fc.record({ do: fc.constant('pass'), ms: fc.nat({ max: 400 }) }),
    fc.record({ do: fc.constant('take'), amount: fc.integer({ min: 1, max: 12 }) }),
    fc.record({ do: fc.constant('take'), amount: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ do: fc.constant('change'), at: fc.nat(), by: fc.integer({ min: -12, max: 12 }) }),
  ),
  { maxLength: 60, size: 'max' },
);

test('a token bucket opens to the ms when one that is filled step by step has enough, corrections included', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10 }),
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 300 }),
      moves,
      (max, amount, per, all) => {
        const bucket = new TokenBucket(max, 0);
        bucket.refill(amount, per);
        let now = 0;
        const taken: { readonly at: number; amount: number }[] = [];
        const entries: Taken[] = [];
        /** Of what was taken, as much as has not come back, as if all had been known from the start. */
        const level = (at: number): number => {
          let used = 0;
          let since = 0;
          for (const one of taken) {
            if (one.at > at) break;
            used = Math.max(0, used - ((one.at - since) * amount) / per) + one.amount;
            since = one.at;
          }
          return Math.max(0, used - ((at - since) * amount) / per);
        };
        let corrected = false;
        for (const move of all) {
          if (move.do === 'pass') now += move.ms;
          else if (move.do === 'change') {
            const i = move.at % Math.max(1, taken.length);
            const one = taken[i];
            if (one === undefined) continue;
            const by = Math.max(move.by, -one.amount);
            bucket.change(entries[i] as Taken, by);
            one.amount += by;
            corrected = true;
          } else {
            const wants = Math.min(move.amount, max);
            const fits = (at: number): boolean => level(at) + wants <= max + 1e-6;
            const opens = bucket.opensAt(now, move.amount);
            assert.ok(fits(opens), 'it opens too early');
            if (!corrected) assert.ok(opens === now || !fits(opens - 1), 'it opens too late');
            now = opens;
            taken.push({ at: now, amount: move.amount });
            entries.push(bucket.take(now, move.amount));
          }
          const used = bucket.used(now);
          assert.ok(used >= level(now) - 1e-6, `${used} are used, not ${level(now)}`);
          if (!corrected) assert.ok(Math.abs(used - level(now)) < 1e-6);
        }
        assert.is(bucket.used(now + 1_000_000), 0);
      },
    ),
    { numRuns },
  );
});

test.run();
