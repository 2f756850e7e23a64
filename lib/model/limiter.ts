import type { Clock } from '../kernel/clock.js';
import { inspect } from '../kernel/errors.js';
import type { ProviderLimit } from '../kernel/http-headers.js';
import { bag, checked, isBag, isFunction, type Rule, required, rule } from '../kernel/option-rules.js';
import type { BudgetState } from './budget.js';
import { type Backoff, backoffRule, type ExponentialOptions } from './policy.js';
import type { OrderedTask } from './task-order.js';

/** A window of any length, or a token bucket. */
export interface LimiterWindow {
  /** Starts within any `per` ms. Whole number from 1. Default: no limit. */
  readonly requests?: number;
  /** Tokens, in and out, within any `per` ms. Whole number from 1. Default: no limit. */
  readonly tokens?: number;
  /** Ms. Whole number from 1. */
  readonly per: number;
  /**
   * A token bucket in place of a window: it holds so many requests, or tokens, at most, is full at first, and fills evenly, with what
   * `requests` or `tokens` says in each `per` ms. So no more than that start at once, and what is left of a quiet time is not lost.
   * Not for limits that processes share. Whole number from 1. Default: a sliding window.
   */
  readonly burst?: number;
}

/**
 * What a provider allows. Several windows hold at once, each a true sliding one: never more than so many starts, or
 * tokens, within any second, minute or day. Every number is above 0 and may be changed while runs go on.
 */
export interface LimiterSettings {
  /** Starts within any second. Whole number from 1. Default: no limit. */
  readonly requestsPerSecond?: number;
  /** Starts within any minute. Whole number from 1. Default: no limit. */
  readonly requestsPerMinute?: number;
  /** Starts within any 24 hours. Whole number from 1. Default: no limit. */
  readonly requestsPerDay?: number;
  /** Tokens, in and out, within any minute. Whole number from 1. Default: no limit. */
  readonly tokensPerMinute?: number;
  /** Tokens, in and out, within any 24 hours. Whole number from 1. Default: no limit. */
  readonly tokensPerDay?: number;
  /** More windows, of any length, and token buckets: `[{ requests: 100, tokens: 50_000, per: 10_000 }]`. Default: none. */
  readonly windows?: readonly LimiterWindow[];
  /** Attempts at once, over everything that shares the limiter. Whole number from 1. Default: no limit. */
  readonly maxConcurrent?: number;
  /** Ms from one start to the next at least. Default 0. */
  readonly minTime?: number;
  /**
   * Tokens of a text, where the estimate by characters / 4 is too rough. Gets the inputs of a task as JSON; what it
   * says is still corrected by what `ctx.usage` told of tasks of that type.
   */
  readonly countTokens?: (text: string) => number;
  /** How long everybody waits after a 429 that does not say so, longer each time in a row. Default `exponential()`. */
  readonly backoff?: Backoff | ExponentialOptions;
  /**
   * Ms added to each window in real time: requests reach the provider later or sooner than they were sent. Default
   * 1 % of the window, at least 20 and at most 500. It doubles, up to a tenth of the window and 6 s, when the provider
   * refuses what only just fitted, and goes back in small steps. In virtual time there is none.
   */
  readonly margin?: number;
}

/** How far one window is used. */
export interface WindowState {
  readonly name: WindowName;
  readonly used: number;
  readonly max: number;
  /** Ms until something next comes back; 0: nothing is taken. */
  readonly resetsIn: number;
  /** With a token bucket: ms in which an empty one fills. */
  readonly fills?: number;
}

/** Names of the windows among the {@link LimiterSettings}. */
export type WindowName =
  | 'requestsPerSecond'
  | 'requestsPerMinute'
  | 'requestsPerDay'
  | 'tokensPerMinute'
  | 'tokensPerDay'
  | `${'requests' | 'tokens'} per ${number} ms`
  | `${'requests' | 'tokens'} per ${number} ms, burst ${number}`;

/** A limiter at one moment. */
export interface LimiterState {
  /** Attempts that hold a permit, over everything that shares the limiter. */
  readonly inUse: number;
  /** Undefined: no limit. */
  readonly maxConcurrent: number | undefined;
  readonly windows: readonly WindowState[];
  /** Ms nobody may start for, because a provider said so; 0: it did not. */
  readonly heldFor: number;
  /** Where processes share it: ms for which the server that keeps it has not answered. Undefined: it answers. */
  readonly awayFor?: number;
}

/** How a group, or the run as a whole, uses what it may; see `run.limits()`. */
export interface GroupLimits {
  /** Name of the group; undefined: the run. */
  readonly group: string | undefined;
  /** Tasks running. */
  readonly active: number;
  /** How many may. */
  readonly limit: number;
  /** Where the limit is `adaptive`: how many it would let run by what it has learnt; other bounds may be lower. */
  readonly target?: number;
  /** Limiters it has to pass. */
  readonly limiters: readonly LimiterState[];
  /** Where there is a budget: how much of it is spent. */
  readonly budgets?: readonly BudgetState[];
}

/** One attempt that wants to start, or to go on after a pause. */
export interface PermitRequest {
  readonly node: OrderedTask;
  /** Estimate for the whole attempt. */
  readonly tokens: number;
  /** It has started before and gave its place back: it needs a place, but is no new request. */
  readonly again: boolean;
  /** Tasks that are ready and wait behind it for the same: so many more permits would be used at once. Default 0. */
  readonly behind?: number;
}

/** What was given for one attempt. */
export interface Permit {
  /** Ms of the clock. */
  readonly at: number;
  /** The attempt waits for something else and needs no place meanwhile. */
  pause(): void;
  /**
   * The attempt has ended. `tokens`: what it really used; undefined: nobody knows, the estimate stays; `none`: the
   * provider was not even called.
   */
  release(tokens: number | 'none' | undefined): void;
}

/** Who asks a limiter: one group of one run. */
export interface LimiterClient {
  readonly clock: Clock;
  /** The same for all groups of a run: among them the better task goes first, runs take turns. */
  readonly run: object;
  /**
   * There may be permits: whoever waits is to ask again. With `node` only that one: `take`, `wait` or `unwait` tells what
   * became of it.
   */
  opened(node?: OrderedTask): void;
  /** There will be no permit for this task: it fails with `LIMITER_FAILED`, whose cause is `cause`. */
  failed(node: OrderedTask, cause: unknown): void;
}

/**
 * A place at a limiter. Permits are anonymous and bound late: a client asks for the best task it has at the moment
 * one may be there, and a permit that was asked for is not kept for a task that no longer wants it.
 */
export interface LimiterSeat {
  /** May it start now? Without effect. */
  admits(request: PermitRequest): boolean;
  /** It was not admitted and waits; `opened` is called when it is worth asking again. */
  wait(request: PermitRequest): void;
  /** It waits no longer: it was cancelled, or a better one took its place. */
  unwait(node: OrderedTask): void;
  /** Takes what `admits` has just promised; for a request that comes again, the same `permit`. */
  take(request: PermitRequest, permit?: Permit): Permit;
  /** Ms until `request` may start when `ahead` others go first, as far as known; undefined: when another one ends. */
  delay(request: PermitRequest, ahead: number): number | undefined;
  /**
   * The attempt of `permit` was refused by the provider; `asked`: ms it named. Returns the ms everybody now waits;
   * undefined: this is no news.
   */
  refused(permit: Permit, retryAfter: number | undefined): number | undefined;
  /** The attempt of `permit` succeeded. */
  passed(permit: Permit): void;
  /** What the provider says is left of its limits. */
  told(limits: readonly ProviderLimit[]): void;
  state(): LimiterState;
  /** The run has ended. */
  close(): void;
}

/**
 * The port of everything that gives permits: `virtual(...)`, `bottleneck(...)`, or one of your own. One object may be
 * shared by groups, workflows and runs of the process: its limits hold over all of them. Who implements it owns its
 * timers; they must not keep the process alive.
 */
export interface Limiter {
  readonly settings: LimiterSettings;
  seat(client: LimiterClient): LimiterSeat;
  /** Changes settings while runs go on. @throws RxhiveError INVALID_OPTION, and nothing has changed */
  update(settings: LimiterSettings): void;
}

/** Is it a limiter, rather than settings of one? */
export function isLimiter(value: unknown): value is Limiter {
  return typeof value === 'object' && value !== null && typeof (value as Limiter).seat === 'function';
}

/** A window as its settings say. */
export interface WindowLimit {
  readonly name: WindowName;
  readonly kind: 'requests' | 'tokens';
  /** Ms. */
  readonly size: number;
  readonly max: number;
  /** With a token bucket of `max`: so much comes back in each `size` ms. */
  readonly refill?: number;
}

/** Windows that have an option of their own: what they count, and their size in ms. */
const windowSizes = {
  requestsPerSecond: { kind: 'requests', size: 1_000 },
  requestsPerMinute: { kind: 'requests', size: 60_000 },
  requestsPerDay: { kind: 'requests', size: 86_400_000 },
  tokensPerMinute: { kind: 'tokens', size: 60_000 },
  tokensPerDay: { kind: 'tokens', size: 86_400_000 },
} as const;
const windowNames = Object.keys(windowSizes) as (keyof typeof windowSizes)[];

/** What a window counts, and its size in ms; undefined: there is none with that name. */
export function windowOf(name: string): Pick<WindowLimit, 'kind' | 'size'> | undefined {
  if (Object.hasOwn(windowSizes, name)) return windowSizes[name as keyof typeof windowSizes];
  const [, kind, size] = /^(requests|tokens) per (\d+) ms(?:, burst \d+)?$/.exec(name) ?? [];
  return kind === undefined ? undefined : { kind: kind as WindowLimit['kind'], size: Number(size) };
}

/** What one attempt takes of a window. */
export function amountOf(name: WindowName, { tokens }: Pick<PermitRequest, 'tokens'>): number {
  return windowOf(name)?.kind === 'tokens' ? tokens : 1;
}

/** All windows of settings, each name once: of equal ones the narrower. */
export function windowsOf(settings: LimiterSettings): readonly WindowLimit[] {
  const found: WindowLimit[] = [];
  for (const name of windowNames) {
    const max = settings[name];
    if (max !== undefined) found.push({ name, ...windowSizes[name], max });
  }
  for (const { per: size, burst, ...amounts } of settings.windows ?? [])
    for (const kind of ['requests', 'tokens'] as const) {
      const amount = amounts[kind];
      if (amount === undefined) continue;
      const plain = `${kind} per ${size} ms` as const;
      const one: WindowLimit =
        burst === undefined
          ? { name: plain, kind, size, max: amount }
          : { name: `${plain}, burst ${burst}`, kind, size, max: burst, refill: amount };
      const at = found.findIndex(({ name }) => name === one.name);
      const known = found[at];
      if (known === undefined) found.push(one);
      else if (amount < (known.refill ?? known.max)) found[at] = one;
    }
  return found;
}

const wholeNumber = rule(
  (value) => Number.isInteger(value) && Number(value) >= 1,
  'give a whole number from 1, or leave it out',
);
const ms = rule((value) => Number.isFinite(value) && Number(value) >= 0, 'give ms from 0');

const windowRule = bag<LimiterWindow>('{ requests, tokens, per }', {
  requests: wholeNumber,
  tokens: wholeNumber,
  per: required((value) => Number.isInteger(value) && Number(value) >= 1, 'give whole ms from 1'),
  burst: wholeNumber,
});

const windows: Rule = (list, where, fault) => {
  if (list === undefined) return;
  if (!Array.isArray(list)) {
    fault(
      'bad-option',
      `${where} is ${inspect(list)}; give a list such as [{ requests: 100, per: 10_000 }].`,
    );
    return;
  }
  list.forEach((one: unknown, i) => {
    const at = `${where}[${i}]`;
    windowRule(one, at, fault);
    if (!isBag(one)) return;
    const { requests, tokens, burst } = one;
    if (requests === undefined && tokens === undefined)
      fault('bad-option', `${at} counts nothing; give requests, tokens or both.`);
    if (requests !== undefined && tokens !== undefined && burst !== undefined)
      fault('bad-option', `${at} has a burst of two things; give each a window of its own.`);
  });
};

/** What settings of a limiter may be. */
export const limiterRule = bag<LimiterSettings>('settings such as { requestsPerMinute: 600 }, or a limiter', {
  ...Object.fromEntries(windowNames.map((name) => [name, wholeNumber])),
  windows,
  maxConcurrent: wholeNumber,
  minTime: ms,
  margin: ms,
  countTokens: rule(isFunction, 'give a function of a text'),
  backoff: backoffRule,
});

/** @throws RxhiveError INVALID_OPTION with everything that makes no sense */
export function checkLimiter(settings: LimiterSettings): LimiterSettings {
  return checked(settings, 'limiter', limiterRule);
}

/** The smallest window of tokens; a job that needs more can never start. */
export function mostTokens(settings: LimiterSettings): { name: WindowName; max: number } | undefined {
  let least: WindowLimit | undefined;
  for (const one of windowsOf(settings))
    if (one.kind === 'tokens' && (least === undefined || one.max < least.max)) least = one;
  return least;
}
