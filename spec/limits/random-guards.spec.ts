import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Candidate } from '../../lib/entry/agents.js';
import {
  adaptive,
  fallback,
  type LimiterSettings,
  type Run,
  race,
  type Task,
  type TaskContext,
  virtual,
  workflow,
} from '../../lib/index.js';
import { seededRandom } from '../../lib/kernel/random.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000);
const rounds = Number(process.env.RUNS ?? 1_000);

const names = ['a', 'b', 'c'] as const;
type Name = (typeof names)[number];

/** What a call is told to need, and never needs more than. */
const mostTokens = 100;

/** What a provider sees of a call. */
interface Call {
  readonly at: number;
  /** What it uses; 0 where the answer is an error status. */
  readonly tokens: number;
  /** How much more that may be than anybody could know before. */
  readonly surprise: number;
}

/** A run that combines limiter, breaker, adaptive limit, fallback, hedge, race, each and limits changed meanwhile. */
async function check(roundSeed: number): Promise<void> {
  const random = seededRandom(roundSeed);
  const upTo = (n: number): number => Math.floor(random() * (n + 1));
  const chance = (share: number): boolean => random() < share;
  const pick = <T>(list: readonly T[]): T => list[upTo(list.length - 1)] as T;
  const scheduler = new SimulationScheduler();
  const calls: Record<Name, Call[]> = { a: [], b: [], c: [] };
  const most: Record<Name, { second: number; minute: number; tokens: number }> = {
    a: { second: 0, minute: 0, tokens: 0 },
    b: { second: 0, minute: 0, tokens: 0 },
    c: { second: 0, minute: 0, tokens: 0 },
  };
  /** Kinds of which an attempt has told what it used. */
  const known = new Set<string>();
  /** Each provider is down for a while. */
  const down = { a: upTo(3_000), b: upTo(500), c: 0 };
  const failure = (name: Name): unknown => {
    const error = (message: string, facts: object): Error => Object.assign(new Error(message), facts);
    if (scheduler.now() < down[name]) return error('down', { status: 503 });
    return pick([
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
      error('429', { response: { status: 429, headers: { 'retry-after': String(upTo(2)) } } }),
      error('x', { name: 'ThrottlingException', $metadata: { httpStatusCode: 400 } }),
      error('Overloaded', { status: 529 }),
      error('quota', { status: 429, code: 'insufficient_quota' }),
      error('a bug', {}),
    ]);
  };
  const work =
    (name: Name, after?: (ctx: TaskContext) => unknown, learnt?: 'candidate' | 'item') =>
    async (_: unknown, ctx: TaskContext): Promise<unknown> => {
      const wrong = failure(name);
      // Nobody is told what these need; all of a kind need the same.
      const tokens = learnt === undefined && chance(0.5) ? upTo(mostTokens) : mostTokens;
      // What is learnt follows the size of inputs, which differs here while the need does not.
      const unknown = known.has(`${name} ${learnt}`) ? mostTokens / 2 : mostTokens;
      const surprise = learnt === undefined ? 0 : unknown;
      const rejected = wrong !== undefined && !(wrong instanceof Error && wrong.message === 'a bug');
      calls[name].push({ at: scheduler.now(), tokens: rejected ? 0 : tokens, surprise });
      await ctx.sleep(upTo(400));
      if (wrong !== undefined) throw wrong;
      if (learnt !== undefined || chance(0.7)) {
        const input = upTo(tokens);
        ctx.usage({ inputTokens: input, outputTokens: tokens - input });
        known.add(`${name} ${learnt}`);
      }
      return after?.(ctx) ?? 1;
    };
  const limits = Object.fromEntries(
    names.map((name) => {
      const settings: LimiterSettings = {
        ...(chance(0.5) && { requestsPerSecond: 1 + upTo(6) }),
        ...(chance(0.5) && { requestsPerMinute: 10 + upTo(60) }),
        ...(chance(0.4) && { tokensPerMinute: 200 + upTo(800) }),
        ...(chance(0.3) && { maxConcurrent: 1 + upTo(3) }),
        backoff: { initial: 50, max: 500 },
      };
      most[name].second = settings.requestsPerSecond ?? Number.POSITIVE_INFINITY;
      most[name].minute = settings.requestsPerMinute ?? Number.POSITIVE_INFINITY;
      most[name].tokens = settings.tokensPerMinute ?? Number.POSITIVE_INFINITY;
      return [name, virtual(settings)];
    }),
  ) as Record<Name, ReturnType<typeof virtual>>;
  const groups = Object.fromEntries(
    names.map((name) => [
      name,
      {
        limiter: limits[name],
        ...(chance(0.5)
          ? { concurrency: adaptive({ max: 6, initial: 2 }) }
          : chance(0.7) && { concurrency: 1 + upTo(4) }),
        ...(chance(0.6) && {
          breaker: {
            failures: chance(0.7) ? 1 + upTo(2) : { rate: 0.5, window: 2_000, least: 3 },
            openFor: 50 + upTo(500),
            halfOpen: 1 + upTo(1),
            whenOpen: chance(0.8) ? ('wait' as const) : ('fail' as const),
          },
        }),
        ...(chance(0.1) && { budget: { calls: 5 + upTo(20) } }),
      },
    ]),
  );
  const flow = workflow({
    name: `run ${roundSeed}`,
    concurrency: 1 + upTo(8),
    retry: { count: upTo(3), backoff: { initial: 20, max: 300 }, maxRetryAfter: 5_000 },
    groups,
  });
  const tasks: Task<unknown>[] = [];
  const dependencies = (): Task<unknown>[] => (tasks.length > 0 && chance(0.4) ? [pick(tasks)] : []);
  for (let i = 0; i < 3 + upTo(9); i++) {
    const name = pick(names);
    const id = `t${i}`;
    const kind = pick(['plain', 'hedge', 'join', 'join', 'fallback', 'fallback', 'race', 'each'] as const);
    const usual = { group: name, priority: upTo(3), tokens: mostTokens };
    if (kind === 'fallback') {
      const candidates = names.slice(0, 2 + upTo(1)).map(
        (one): Candidate<unknown, unknown> => ({
          name: one,
          group: one,
          run: work(one, undefined, 'candidate'),
        }),
      );
      const order = chance(0.5) ? 'given' : 'spread';
      const options = { dependencies: dependencies(), run: fallback(candidates, { order }) };
      tasks.push(flow.task(id, chance(0.3) ? { ...options, group: name } : options) as Task<unknown>);
    } else if (kind === 'race') {
      const one = flow.task(`${id}.one`, { ...usual, run: work(name) });
      const elsewhere = pick(names);
      const other = flow.task(`${id}.other`, { group: elsewhere, tokens: mostTokens, run: work(elsewhere) });
      tasks.push(flow.task(id, { dependencies: { first: race([one, other]) }, run: ({ first }) => first }));
    } else if (kind === 'each')
      tasks.push(
        flow.each(id, {
          from: Array.from({ length: 1 + upTo(5) }, (_, item) => item),
          concurrency: 1 + upTo(2),
          group: name,
          run: (_item: number, ctx: TaskContext) => work(name, undefined, 'item')(undefined, ctx),
        } as never) as unknown as Task<unknown>,
      );
    else {
      const join = (ctx: TaskContext): unknown => {
        const child = ctx.spawn('child', { group: name, tokens: mostTokens, run: work(name) });
        return ctx.join(chance(0.5) ? [child] : [child, ctx.spawn('free', { run: () => 1 })]);
      };
      const hedge = kind === 'hedge' ? { hedge: { after: 50 + upTo(200) } } : {};
      const run = work(name, kind === 'join' ? join : undefined);
      tasks.push(flow.task(id, { ...usual, ...hedge, dependencies: dependencies(), run }));
    }
  }
  const run = flow.run({ scheduler, seed: roundSeed }) as Run;
  const change = (): void => {
    const name = pick(names);
    const more = 1 + upTo(8);
    if (chance(0.3)) run.setConcurrency(more);
    else if (chance(0.4)) run.setGroupConcurrency(name, more);
    else if (chance(0.35)) {
      const tokens = mostTokens * more;
      limits[name].update({ tokensPerMinute: tokens });
      if (calls[name].length > 0 || Number.isFinite(most[name].tokens))
        most[name].tokens = Math.max(most[name].tokens, tokens);
    } else {
      limits[name].update({ requestsPerSecond: more });
      if (calls[name].length > 0 || Number.isFinite(most[name].second))
        most[name].second = Math.max(most[name].second, more);
    }
  };
  for (let i = 0; i < upTo(4); i++) scheduler.schedule(change, upTo(4_000));
  if (chance(0.1)) scheduler.schedule(() => run.cancel(), upTo(5_000));
  let ended = false;
  const result = run.result().then((one) => {
    ended = true;
    return one;
  });
  await advance(scheduler);
  const told = `seed ${roundSeed}`;
  if (!ended) {
    const open = [...run.snapshot().tasks].filter(([, status]) =>
      /waiting|ready|running|suspended|backing/.test(status),
    );
    assert.unreachable(
      `${told}: hangs. ${run.stuck().join(' ')} ${open.map(([id]) => run.explain(id)).join(' ')}`,
    );
  }
  const { tasks: reports } = await result;
  for (const [id, { status }] of reports)
    assert.match(status, /^(succeeded|failed|skipped|cancelled)$/, `${told}: ${id}`);
  for (const { group, active, limiters } of run.limits()) {
    assert.is(active, 0, `${told}: ${group} has slots that nobody has`);
    for (const { inUse } of limiters) assert.is(inUse, 0, `${told}: places of ${group}`);
  }
  for (const name of names) {
    const within = (size: number, count: (call: Call) => number): number =>
      Math.max(
        0,
        ...calls[name].map(({ at }) =>
          calls[name]
            .filter((one) => one.at > at - size && one.at <= at)
            .reduce((sum, one) => sum + count(one), 0),
        ),
      );
    const reached = (size: number): number => within(size, () => 1);
    const { second, minute, tokens } = most[name];
    const used = within(60_000, (call) => call.tokens - Math.min(call.tokens, call.surprise));
    assert.ok(used <= tokens, `${told}: ${used} of ${tokens} tokens in a minute of ${name}`);
    assert.ok(reached(1_000) <= second, `${told}: ${reached(1_000)} of ${second} in a second of ${name}`);
    assert.ok(reached(60_000) <= minute, `${told}: ${reached(60_000)} of ${minute} in a minute of ${name}`);
  }
}

test(`guards together end, leak nothing and keep every window, in ${rounds} random runs (seed ${seed})`, async () => {
  for (let i = 0; i < rounds; i++) await check(seed + i);
});

test.run();
