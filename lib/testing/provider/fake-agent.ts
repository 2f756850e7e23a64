import { inspect, RxhiveError } from '../../kernel/errors.js';
import { fnv1a } from '../../kernel/hash.js';
import { type Random, seededRandom } from '../../kernel/random.js';
import type { TaskContext, Usage } from '../../model/context.js';
import { errorFrom } from '../explore/outcome.js';

/** A number, or one drawn for each attempt. */
export type Drawn = number | ((random: Random) => number);

/** What a {@link fakeAgent} does. */
export interface FakeOptions<V> {
  /** Ms an attempt takes: a number, or a distribution such as `lognormal(800)`. Default 0. */
  readonly duration?: Drawn;
  /** Share of attempts that fail, 0 to 1. Default 0. */
  readonly failure?: number;
  /** What they fail with: an error, or its code. Default an error of code `error`. */
  readonly error?: unknown;
  /** The result, or a function of the inputs. Default: the id of the task. */
  readonly value?: V | ((inputs: never, ctx: TaskContext, random: Random) => V);
  /** Tokens an attempt reports. */
  readonly usage?: Usage;
}

/**
 * An agent for simulations: takes its time, fails now and then, and returns something. What an attempt does depends on
 * run id, task and number of the attempt alone, so it is the same whatever else changes: limits, priorities, order.
 */
export function fakeAgent<V = string>(
  options: FakeOptions<V> = {},
): (inputs: unknown, ctx: TaskContext) => Promise<V> {
  const { duration = 0, failure = 0, error, value, usage } = options;
  if (!(failure >= 0 && failure <= 1))
    throw new RxhiveError('INVALID_OPTION', `failure is ${inspect(failure)}; give a share from 0 to 1.`);
  return async (inputs, ctx) => {
    const random = seededRandom(fnv1a(`${ctx.idempotencyKey}/${ctx.attempt}`));
    // The first numbers of similar seeds are alike.
    random();
    const ms = typeof duration === 'number' ? duration : duration(random);
    const fails = random() < failure;
    await ctx.sleep(Math.max(0, Math.round(ms)));
    if (usage !== undefined) ctx.usage(usage);
    if (fails) throw errorFrom(error);
    if (typeof value !== 'function') return value ?? (ctx.taskId as V);
    return (value as (inputs: never, ctx: TaskContext, random: Random) => V)(inputs as never, ctx, random);
  };
}

/** Ms anywhere between two bounds. */
export function uniform(least: number, most: number): (random: Random) => number {
  return (random) => least + random() * (most - least);
}

/**
 * Ms as answers of models take them: half of them longer than `median`, some much longer. `sigma` 0.5 puts one in a
 * hundred above 3.2 times the median. Source: G. Box, M. Muller, "A Note on the Generation of Random Normal Deviates",
 * 1958.
 */
export function lognormal(median: number, sigma = 0.5): (random: Random) => number {
  return (random) => {
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    return median * Math.exp(sigma * normal);
  };
}
