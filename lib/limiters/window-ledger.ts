import type { Timer } from '../kernel/clock.js';
import { Cooldown, spread } from '../kernel/cooldown.js';
import { callForNumber } from '../kernel/guard.js';
import type { ProviderLimit } from '../kernel/http-headers.js';
import { SlidingWindow, type Taken } from '../kernel/sliding-window.js';
import {
  amountOf,
  type LimiterClient,
  type LimiterSettings,
  type LimiterState,
  type Permit,
  type PermitRequest,
  type WindowName,
  type WindowState,
  windowOf,
  windowsOf,
} from '../model/limiter.js';
import { exponential } from '../model/policy.js';
import type { OrderedTask } from '../model/task-order.js';
import type { ConcurrencyCounter, Place, Postponed } from './concurrency.js';
import { Departures } from './departures.js';
import { PermitQueue, type Waiting } from './permit-queue.js';
import { TokenBucket } from './token-bucket.js';
import { WideWindow } from './wide-window.js';

type Window = WideWindow | TokenBucket;
type Named = readonly [name: WindowName, window: Window];

/** A permit with what it took. */
class LedgerPermit implements Permit {
  readonly at: number;
  readonly tokens: number;
  readonly taken: readonly (readonly [name: WindowName, window: Window, taken: Taken])[];
  /** Undefined: it has none at present. */
  place: Place | undefined;
  /** The one it started with. */
  first: Place | undefined;
  readonly #after: () => void;

  constructor(at: number, tokens: number, taken: LedgerPermit['taken'], after: () => void) {
    this.at = at;
    this.tokens = tokens;
    this.taken = taken;
    this.#after = after;
  }

  pause(): void {
    const { place } = this;
    this.place = undefined;
    place?.free();
    this.#after();
  }

  release(tokens: number | 'none' | undefined): void {
    for (const [name, window, taken] of this.taken) {
      if (windowOf(name)?.kind === 'requests') {
        if (tokens === 'none') window.change(taken, -1);
      } else if (tokens !== undefined) window.change(taken, (tokens === 'none' ? 0 : tokens) - this.tokens);
    }
    if (tokens !== undefined) this.first?.settle?.(tokens);
    this.pause();
  }
}

/**
 * What one limiter has given, in one time: windows, places, holds, and who waits. Time never goes back in it, whatever
 * the clock does. Who is first in the queue is woken when it may start, and nobody behind it overtakes it, so a job
 * that needs many tokens is not starved by small ones. Within a run the better task is first; runs take turns.
 */
export class WindowLedger {
  readonly #settings: () => LimiterSettings;
  readonly #real: boolean;
  readonly #concurrency: ConcurrencyCounter;
  readonly #cooldown = new Cooldown();
  #windows: readonly Named[] = [];
  /**
   * Those who want to start, and those who come back from a pause: they need a place only, so no window holds them up. Made
   * when the first one waits: where each group has a limiter, most are never waited for.
   */
  #starting: PermitQueue | undefined;
  #again: PermitQueue | undefined;
  /** When each run last took a permit. */
  readonly #turns = new WeakMap<object, number>();
  #turn = 0;
  #serving = false;
  #armed: { readonly client: LimiterClient; readonly timer: Timer; readonly at: number } | undefined;
  #pace: SlidingWindow | undefined;
  /** Made when the first request starts under a window. */
  #departures: Departures | undefined;
  /** When a margin last grew: who started before is no news. */
  #widened = Number.NEGATIVE_INFINITY;
  #now = Number.NEGATIVE_INFINITY;
  #behind = 0;

  /** `real`: in real time requests need a while to the provider. `places` gets a function to call when one is free. */
  constructor(
    settings: () => LimiterSettings,
    real: boolean,
    places: (freed: () => void, failed: (cause: unknown) => void) => ConcurrencyCounter,
  ) {
    this.#settings = settings;
    this.#real = real;
    this.#concurrency = places(
      () => this.serve(),
      (cause) => this.#fail(cause),
    );
    this.apply();
  }

  /** Takes the settings over as they are now. */
  apply(): void {
    const settings = this.#settings();
    this.#windows = windowsOf(settings).map(({ name, size, max, refill }): Named => {
      const margin = this.#real ? (settings.margin ?? Math.min(500, Math.max(20, size / 100))) : 0;
      const [, known] = this.#windows.find(([one]) => one === name) ?? [];
      const window =
        known ?? (refill === undefined ? new WideWindow(size, max, margin) : new TokenBucket(max, margin));
      window.max = max;
      window.least = margin;
      if (refill !== undefined && window instanceof TokenBucket) window.refill(refill, size);
      return [name, window];
    });
    this.#pace = this.#real ? paceOf(settings) : undefined;
    this.#concurrency.update(settings);
    this.serve();
  }

  /** Ms, never less than before. */
  now(client: LimiterClient): number {
    const now = client.clock.now() + this.#behind;
    if (now < this.#now) this.#behind += this.#now - now;
    else this.#now = now;
    return this.#now;
  }

  admits(client: LimiterClient, request: PermitRequest): boolean {
    const now = this.now(client);
    if (this.#opensAt(request, now) > now) return false;
    return request.again || this.#starting?.isAhead(client, request.node) !== true;
  }

  wait(client: LimiterClient, request: PermitRequest): void {
    this.#forget(client, request.node);
    if (request.again) this.#again ??= this.#queue();
    else this.#starting ??= this.#queue();
    (request.again ? this.#again : this.#starting)?.wait(client, request);
    this.serve();
  }

  unwait(client: LimiterClient, node: OrderedTask): void {
    if (this.#forget(client, node)) this.serve();
  }

  take(client: LimiterClient, request: PermitRequest, permit: Permit | undefined): Permit {
    const now = this.now(client);
    let ticket = permit as LedgerPermit | undefined;
    if (ticket === undefined) {
      const taken = this.#windows.map(
        ([name, window]) => [name, window, window.take(now, amountOf(name, request))] as const,
      );
      ticket = new LedgerPermit(now, request.tokens, taken, () => this.serve());
      this.#cooldown.started(now);
      this.#pace?.take(now, 1);
    }
    ticket.place = this.#concurrency.take(now, request);
    ticket.first ??= ticket.place;
    if (permit === undefined && this.#real && this.#windows.length > 0) {
      this.#departures ??= new Departures(
        () => this.#postponed(),
        (one) => this.now(one),
      );
      this.#departures.started(client, now, this.#concurrency.inUse);
    }
    this.#turns.set(client.run, ++this.#turn);
    if (this.#isWaitedFor) {
      this.#forget(client, request.node);
      this.#starting?.took(client.run, permit === undefined ? request.node : undefined);
      this.#again?.took(client.run);
    }
    if (this.#first() === undefined) this.#concurrency.idle();
    else this.serve();
    return ticket;
  }

  /** Ms until `request` may start when `ahead` others go first; undefined: when another one ends. */
  delay(client: LimiterClient, request: PermitRequest, ahead: number): number | undefined {
    const now = this.now(client);
    let at = this.#opensAt(request, now);
    if (!request.again && ahead > 0) {
      for (const [name, window] of this.#windows) {
        const amount = amountOf(name, request) * (ahead + 1);
        const rounds = Math.floor((amount - 1) / window.max);
        at = Math.max(at, window.opensAt(now, amount - rounds * window.max) + rounds * window.size);
      }
    }
    return at < Number.POSITIVE_INFINITY ? Math.max(0, at - now) : this.#concurrency.shared?.opensIn(now);
  }

  refused(client: LimiterClient, permit: Permit, retryAfter: number | undefined): number | undefined {
    const { backoff } = this.#settings();
    const { random } = client.clock;
    const now = this.now(client);
    const late = this.#real ? this.#late(now, permit, retryAfter) : undefined;
    if (late === 0) return undefined;
    const held = this.#cooldown.refused(now, permit.at, late ?? retryAfter, (strikes) => {
      const bound = typeof backoff === 'function' ? backoff : exponential({ ...backoff, jitter: 'none' });
      const ms = callForNumber('limiter.backoff', () => bound(strikes, random));
      return typeof backoff === 'function' ? ms : spread(ms, random);
    });
    if (held === undefined) return undefined;
    this.#concurrency.shared?.hold(held);
    this.serve();
    return held;
  }

  passed(permit: Permit): void {
    this.#cooldown.passed(permit.at);
    let calmer = false;
    for (const [, window] of this.#windows) calmer = window.calm(permit.at) || calmer;
    if (calmer) this.serve();
  }

  told(client: LimiterClient, limits: readonly ProviderLimit[]): void {
    const now = this.now(client);
    for (const { kind, limit, remaining, resetMs } of limits) {
      const [name, window] = this.#meant(kind, limit) ?? [];
      if (name === undefined || window === undefined) continue;
      const { shared } = this.#concurrency;
      // What others use is known where they tell; it is not theirs and unknown at once.
      if (shared === undefined) window.correct(now, remaining, resetMs ?? window.size);
      else shared.told(name, remaining, resetMs ?? window.size);
    }
    this.serve();
  }

  /** All places are with other code, and have been for some time. */
  get stalled(): boolean {
    return this.#concurrency.stalled === true;
  }

  state(client: LimiterClient): LimiterState {
    const now = this.now(client);
    const { shared, inUse } = this.#concurrency;
    const windows = this.#windows.map(([name, window]): WindowState => {
      const back = window.nextBack(now);
      const resetsIn = Number.isFinite(back) ? back - now : 0;
      const used = Math.max(window.used(now), shared?.used(name) ?? 0);
      const fills = window instanceof TokenBucket && { fills: window.size };
      return { name, used, max: window.max, resetsIn, ...fills };
    });
    const { maxConcurrent } = this.#settings();
    const heldFor = Math.max(this.#cooldown.left(now), shared?.heldFor(now) ?? 0);
    const awayFor = shared?.awayFor(now);
    const state = { inUse: shared?.inUse ?? inUse, maxConcurrent, windows, heldFor };
    return awayFor === undefined ? state : { ...state, awayFor };
  }

  close(client: LimiterClient): void {
    this.#starting?.close(client);
    this.#again?.close(client);
    if (this.#armed?.client === client) this.#disarm();
    this.#departures?.closed(client);
    if (this.#first() === undefined) this.#concurrency.idle();
    this.serve();
  }

  /**
   * Was it refused because those before it came late? Then the margin grows, and nobody has to wait longer than by that.
   * Returns those ms, 0 where this is no news; undefined: that is no reason.
   */
  #late(now: number, permit: Permit, retryAfter = 0): number | undefined {
    const windows = this.#windows
      .map(([, window]) => window)
      .filter((window) => window.explains(permit.at, retryAfter));
    if (windows.length > 0 && permit.at <= this.#widened) return 0;
    const ms = Math.max(0, ...windows.map((window) => window.grow(now)));
    if (ms === 0) return undefined;
    this.#widened = now;
    return retryAfter === 0 ? ms : Math.min(ms, retryAfter);
  }

  /** Wakes those who may start, the first of the queue first, and sets the alarm for the next one. */
  serve(): void {
    if (this.#serving) return;
    if (!this.#isWaitedFor && this.#armed === undefined) return;
    this.#serving = true;
    try {
      while (this.#serveOne());
    } finally {
      this.#serving = false;
    }
  }

  /** There is no place for whoever is first. */
  #fail(cause: unknown): void {
    const first = this.#first();
    if (first === undefined) return;
    this.#forget(first.client, first.request.node);
    first.client.failed(first.request.node, cause);
  }

  #serveOne(): boolean {
    const first = this.#first();
    if (first === undefined) {
      this.#disarm();
      return false;
    }
    const { client, request } = first;
    if (request.again) this.#concurrency.request(request);
    const now = this.now(client);
    const at = this.#opensAt(request, now);
    if (at > now) {
      if (at === Number.POSITIVE_INFINITY) this.#concurrency.request(request);
      else this.#arm(client, at, now);
      return false;
    }
    // Its lane asks again with the best it has by now; whoever is refused again waits again.
    (request.again ? this.#again : this.#starting)?.call(first);
    client.opened(request.node);
    return true;
  }

  #queue(): PermitQueue {
    return new PermitQueue((run) => this.#turns.get(run) ?? 0);
  }

  get #isWaitedFor(): boolean {
    return (this.#starting?.size ?? 0) + (this.#again?.size ?? 0) > 0;
  }

  /** Who goes next. */
  #first(): Waiting | undefined {
    return this.#isWaitedFor ? (this.#again?.first() ?? this.#starting?.first()) : undefined;
  }

  #opensAt(request: PermitRequest, now: number): number {
    if (request.again) return this.#concurrency.freeAt(now, request);
    let at = this.#cooldown.opensAt(now);
    for (const [name, window] of this.#windows)
      at = Math.max(at, window.opensAt(now, amountOf(name, request)));
    if (this.#pace !== undefined) at = Math.max(at, this.#pace.opensAt(now, 1));
    return at > now ? at : this.#concurrency.freeAt(now, request);
  }

  /** The window a provider speaks of: the one with that limit, or else the shortest. */
  #meant(kind: 'requests' | 'tokens', limit: number | undefined): Named | undefined {
    let best: Named | undefined;
    const off = (window: Window): number =>
      limit === undefined || limit === 0 ? window.size : Math.abs(Math.log(window.max / limit));
    for (const [name, window] of this.#windows)
      if (windowOf(name)?.kind === kind && (best === undefined || off(window) < off(best[1])))
        best = [name, window];
    return best;
  }

  /** What is to hear that starts were late. */
  #postponed(): Iterable<Postponed> {
    const { shared } = this.#concurrency;
    const windows = this.#windows.map(([, window]) => window);
    return shared === undefined ? windows : [...windows, shared];
  }

  #forget(client: LimiterClient, node: OrderedTask): boolean {
    const started = this.#starting?.forget(client, node) === true;
    return this.#again?.forget(client, node) === true || started;
  }

  #arm(client: LimiterClient, at: number, now: number): void {
    if (this.#armed !== undefined && this.#armed.client === client && this.#armed.at === at) return;
    this.#disarm();
    const timer = client.clock.after(at - now, () => {
      this.#armed = undefined;
      this.serve();
    });
    this.#armed = { client, timer, at };
  }

  #disarm(): void {
    this.#armed?.client.clock.cancel(this.#armed.timer);
    this.#armed = undefined;
  }
}

/** Requests of a second go in small parts, so that one that leaves late makes few others late. In real time only. */
function paceOf({ requestsPerSecond: max }: LimiterSettings): SlidingWindow | undefined {
  return max === undefined ? undefined : new SlidingWindow(10, Math.ceil(max / 10));
}
