import { defer, map, Observable, type SchedulerLike, throwError, timer } from 'rxjs';
import { type Random, seededRandom } from '../../kernel/random.js';
import { SlidingWindow } from '../../kernel/sliding-window.js';

/** What a fake provider allows, how slow it is, and how it says no. */
export interface ProviderOptions {
  /** Requests it takes within any second, minute, day. Default: no limit. */
  readonly requestsPerSecond?: number;
  readonly requestsPerMinute?: number;
  readonly requestsPerDay?: number;
  /** Tokens (in and out) it takes within any minute. Default: no limit. */
  readonly tokensPerMinute?: number;
  /** Hidden: requests it works on at once; more are refused. Default: no limit. */
  readonly capacity?: number;
  /** Hidden: above this many at once everything gets slower, in proportion; nothing is refused. Default: never. */
  readonly knee?: number;
  /** Ms a request takes, or [least, most]: seeded, evenly spread. Default 20. */
  readonly latency?: number | readonly [least: number, most: number];
  /** How a 429 says when to come back. Default `seconds` (whole ones, rounded up). */
  readonly retryAfter?: 'seconds' | 'ms' | 'date' | 'none';
  /** Rate-limit headers on every answer. Default `openai`. */
  readonly headers?: 'openai' | 'anthropic' | 'none';
  /** Do refused requests count against the windows, as with some providers? Default false. */
  readonly countRefused?: boolean;
  /** Seed of latencies. Default 1. */
  readonly seed?: number;
}

/** What a fake provider has seen. */
export interface ProviderStats {
  readonly requests: number;
  readonly accepted: number;
  /** Answered with 429. */
  readonly refused: number;
  /** Of those: because a window was full, which a good limiter never lets happen. */
  readonly violations: number;
  /** Tokens of accepted requests. */
  readonly tokens: number;
  readonly inFlight: number;
  readonly mostInFlight: number;
  /** Ms of the first and of the last accepted arrival. */
  readonly firstAt: number;
  readonly lastAt: number;
}

/** A provider's answer at the door. */
export interface Verdict {
  readonly accepted: boolean;
  /** Ms it will take; with a refusal 0. */
  readonly latency: number;
  /** Rate-limit headers, and Retry-After with a refusal. */
  readonly headers: Readonly<Record<string, string>>;
}

/** The error a refused {@link VirtualProvider.call} ends with; shaped as SDKs shape theirs. */
export class ProviderError extends Error {
  readonly status = 429;
  readonly headers: Readonly<Record<string, string>>;

  constructor(headers: Readonly<Record<string, string>>) {
    super('429 Too Many Requests');
    this.name = 'ProviderError';
    this.headers = headers;
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * The books of a fake provider: sliding windows, a hidden capacity, counts. Knows no time of its own, so that the
 * same books serve over HTTP and in virtual time. Written apart from rxhive's limiters on purpose, but for the window.
 */
export class ProviderLedger {
  /** Hidden parallel limit; change it to let it drop. */
  capacity: number;
  readonly #options: ProviderOptions;
  readonly #random: Random;
  readonly #now: () => number;
  readonly #requests: SlidingWindow[] = [];
  readonly #tokens: SlidingWindow[] = [];
  readonly #stats: Mutable<ProviderStats> = {
    requests: 0,
    accepted: 0,
    refused: 0,
    violations: 0,
    tokens: 0,
    inFlight: 0,
    mostInFlight: 0,
    firstAt: 0,
    lastAt: 0,
  };

  /** `now`: ms, must not go back. */
  constructor(options: ProviderOptions, now: () => number) {
    this.#options = options;
    this.#now = now;
    this.#random = seededRandom(options.seed ?? 1);
    this.capacity = options.capacity ?? Number.POSITIVE_INFINITY;
    const { requestsPerSecond, requestsPerMinute, requestsPerDay, tokensPerMinute } = options;
    if (requestsPerSecond !== undefined) this.#requests.push(new SlidingWindow(1_000, requestsPerSecond));
    if (requestsPerMinute !== undefined) this.#requests.push(new SlidingWindow(60_000, requestsPerMinute));
    if (requestsPerDay !== undefined) this.#requests.push(new SlidingWindow(86_400_000, requestsPerDay));
    if (tokensPerMinute !== undefined) this.#tokens.push(new SlidingWindow(60_000, tokensPerMinute));
  }

  /** Counts so far, copied. */
  get stats(): ProviderStats {
    return { ...this.#stats };
  }

  /** A request has arrived that will use `tokens`. Call {@link ProviderLedger.leave} when it was accepted and is done. */
  arrive(tokens: number): Verdict {
    const now = this.#now();
    const stats = this.#stats;
    stats.requests += 1;
    let opensAt = now;
    for (const window of this.#requests) opensAt = Math.max(opensAt, window.opensAt(now, 1));
    for (const window of this.#tokens) opensAt = Math.max(opensAt, window.opensAt(now, tokens));
    const full = opensAt > now;
    if (full || stats.inFlight >= this.capacity) {
      stats.refused += 1;
      if (full) stats.violations += 1;
      if (this.#options.countRefused === true) this.#take(now, tokens);
      const wait = full ? opensAt - now : this.#latency();
      return { accepted: false, latency: 0, headers: { ...this.#headers(now), ...this.#retryAfter(wait) } };
    }
    this.#take(now, tokens);
    if (stats.accepted === 0) stats.firstAt = now;
    stats.lastAt = now;
    stats.accepted += 1;
    stats.tokens += tokens;
    stats.inFlight += 1;
    stats.mostInFlight = Math.max(stats.mostInFlight, stats.inFlight);
    const slower = Math.max(1, stats.inFlight / (this.#options.knee ?? Number.POSITIVE_INFINITY));
    return { accepted: true, latency: this.#latency() * slower, headers: this.#headers(now) };
  }

  /** An accepted request is done. */
  leave(): void {
    this.#stats.inFlight -= 1;
  }

  #take(now: number, tokens: number): void {
    for (const window of this.#requests) window.take(now, 1);
    for (const window of this.#tokens) window.take(now, tokens);
  }

  #latency(): number {
    const latency = this.#options.latency ?? 20;
    if (typeof latency === 'number') return latency;
    return latency[0] + this.#random() * (latency[1] - latency[0]);
  }

  #retryAfter(ms: number): Record<string, string> {
    const { retryAfter = 'seconds' } = this.#options;
    if (retryAfter === 'none') return {};
    if (retryAfter === 'ms') return { 'retry-after-ms': String(Math.ceil(ms)) };
    const seconds = Math.ceil(ms / 1_000);
    // A date has no fractions of a second, so the next whole one.
    const date = new Date(Math.ceil((this.#now() + ms) / 1_000) * 1_000).toUTCString();
    return { 'retry-after': retryAfter === 'date' ? date : String(seconds) };
  }

  #headers(now: number): Record<string, string> {
    const { headers: style = 'openai' } = this.#options;
    const found: Record<string, string> = {};
    if (style === 'none') return found;
    for (const [kind, windows] of [
      ['requests', this.#requests],
      ['tokens', this.#tokens],
    ] as const) {
      const window = windows[0];
      if (window === undefined) continue;
      const left = String(Math.max(0, Math.floor(window.max - window.used(now))));
      const back = window.nextBack(now);
      const ms = Number.isFinite(back) ? Math.max(0, back - now) : 0;
      if (style === 'openai') {
        found[`x-ratelimit-limit-${kind}`] = String(window.max);
        found[`x-ratelimit-remaining-${kind}`] = left;
        found[`x-ratelimit-reset-${kind}`] = ms < 1_000 ? `${Math.ceil(ms)}ms` : `${ms / 1_000}s`;
      } else {
        found[`anthropic-ratelimit-${kind}-limit`] = String(window.max);
        found[`anthropic-ratelimit-${kind}-remaining`] = left;
        found[`anthropic-ratelimit-${kind}-reset`] = new Date(now + ms).toISOString();
      }
    }
    return found;
  }
}

/** What a call of a {@link VirtualProvider} gives. */
export interface ProviderAnswer {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * A fake provider on a scheduler, for whole workflows in virtual time: the body of a task is
 * `() => provider.call({ inputTokens: 900, outputTokens: 100 })`. A refused call errors at once with a
 * {@link ProviderError}; one that is unsubscribed is given up and no longer counts as in flight.
 */
export class VirtualProvider {
  readonly ledger: ProviderLedger;
  readonly #scheduler: SchedulerLike;

  constructor(options: ProviderOptions, scheduler: SchedulerLike) {
    this.ledger = new ProviderLedger(options, () => scheduler.now());
    this.#scheduler = scheduler;
  }

  /** Counts so far. */
  get stats(): ProviderStats {
    return this.ledger.stats;
  }

  /** One request; nothing happens before somebody subscribes. */
  call(
    usage: { readonly inputTokens?: number; readonly outputTokens?: number } = {},
  ): Observable<ProviderAnswer> {
    const { inputTokens = 0, outputTokens = 0 } = usage;
    return defer(() => {
      const { accepted, latency, headers } = this.ledger.arrive(inputTokens + outputTokens);
      if (!accepted) return throwError(() => new ProviderError(headers));
      const answer = { inputTokens, outputTokens, headers };
      return new Observable<ProviderAnswer>((subscriber) => {
        subscriber.add(() => this.ledger.leave());
        subscriber.add(
          timer(latency, this.#scheduler)
            .pipe(map(() => answer))
            .subscribe(subscriber),
        );
      });
    });
  }
}
