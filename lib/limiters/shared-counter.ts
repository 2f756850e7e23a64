import type { Clock, Timer } from '../kernel/clock.js';
import { RxhiveError } from '../kernel/errors.js';
import type { LimiterSettings, PermitRequest } from '../model/limiter.js';
import type {
  SharedAnswer,
  SharedChange,
  SharedLimits,
  SharedMessage,
  SharedRequest,
  SharedWindow,
} from '../model/shared-limits.js';
import type { ConcurrencyCounter, Place, SharedPart } from './concurrency.js';
import { LocalShare } from './local-share.js';
import { type InHand, Started, Starts } from './shared-start.js';
import { deadline, SharedWay } from './shared-way.js';
import { keptFor, permitsAtOnce, sharedWindows } from './shared-windows.js';

/** Ms for which a permit is kept that nobody takes. */
const longestHeld = 100;
/** Ms for which corrections wait for others. */
const gathering = 20;
/** Ms after which a process that waits asks again at the latest: what others give back is not told. */
const longestWait = 1_000;
/** Ms after which a process that has places says so again. */
const renewal = 2_500;
/** Ms between tries when nobody answers. */
const betweenTries = 500;

/** How a limiter shares its limits. */
export interface SharedOptions {
  readonly from: string;
  /** Number of processes, where each goes on with its part while nobody answers; undefined: it waits. */
  readonly share: number | undefined;
  /** In real time requests need a while to the provider. */
  readonly real: boolean;
}

/**
 * The limits that several processes share, as far as this one knows. The engine asks at once and the server answers later: so
 * what is in hand may start, and what is missing is asked for. One message at a time is under way, with all that has
 * gathered since the one before; it comes again, with its number, until it is answered.
 */
export class SharedCounter implements ConcurrencyCounter {
  inUse = 0;
  readonly #limits: SharedLimits;
  readonly #clock: Clock;
  readonly #way: SharedWay;
  readonly #options: SharedOptions;
  readonly #freed: () => void;
  readonly #failed: (cause: unknown) => void;
  readonly #share: LocalShare | undefined;
  #settings: LimiterSettings = {};
  #windows: readonly SharedWindow[] = [];
  #margin = 0;
  #hand: InHand[] = [];
  /** What whoever is first needs; undefined: nobody waits. */
  #want: SharedRequest | undefined;
  /** The need that was not met, and when it is worth asking again. */
  #unmet: SharedRequest | undefined;
  #askAt = 0;
  #changes: SharedChange[] = [];
  readonly #touched = new Set<Started>();
  #changed = Number.POSITIVE_INFINITY;
  #told: SharedMessage['told'] = [];
  #hold = 0;
  readonly #starts = new Starts();
  #lastStart = Number.NEGATIVE_INFINITY;
  #seq = 0;
  /** Ms from the last message to its answer. */
  #trip = 0;
  /** The longest of late. */
  #slow = 0;
  /** Ms that its answer with permits may take. */
  #longestTrip = 0;
  /** Not answered so far. */
  #message: SharedMessage | undefined;
  /** When it was sent for the first time: the server has read it since then. */
  #firstSent = 0;
  /** What the server was told last: this process waits, or has so many places. */
  #known = { waits: false, held: 0 };
  #answer: SharedAnswer | undefined;
  #heldUntil = 0;
  /** Since when nobody answers. */
  #away: number | undefined;
  /** Why there is nobody whom to ask. */
  #broken: unknown;
  #timer: Timer | undefined;
  #sweep: Timer | undefined;
  #leave: Timer | undefined;

  constructor(
    limits: SharedLimits,
    clock: Clock,
    options: SharedOptions,
    freed: () => void,
    failed: (cause: unknown) => void,
  ) {
    this.#limits = limits;
    this.#clock = clock;
    this.#way = new SharedWay(limits, clock);
    this.#options = options;
    this.#freed = freed;
    this.#failed = failed;
    this.#share = options.share === undefined ? undefined : new LocalShare(options.share);
  }

  readonly shared: SharedPart = this.#part();

  update(settings: LimiterSettings): void {
    this.#settings = settings;
    const { windows, margin } = sharedWindows(settings, this.#options.real);
    this.#windows = windows;
    this.#margin = margin;
    this.#share?.update(settings, this.#windows);
    this.#unmet = undefined;
    if (this.#want !== undefined) this.#exchange();
  }

  freeAt(now: number, request: PermitRequest): number {
    const { maxConcurrent, minTime = 0 } = this.#settings;
    if (request.again && maxConcurrent === undefined) return now;
    const apart = request.again ? now : Math.ceil(this.#lastStart + minTime);
    if (apart > now) return apart;
    if (this.#find(request) >= 0) return now;
    const share = this.#away === undefined ? undefined : this.#share;
    return share?.freeAt(now, request, this.inUse) ?? Number.POSITIVE_INFINITY;
  }

  request(first: PermitRequest): void {
    const { again, tokens, behind = 0 } = first;
    const { maxConcurrent: places = Number.POSITIVE_INFINITY } = this.#settings;
    if (again && places === Number.POSITIVE_INFINITY) return;
    const atOnce = permitsAtOnce(this.#windows, places, tokens, this.#trip);
    this.#want = { again, tokens, count: again ? 1 : Math.min(atOnce, 1 + behind) };
    if (this.#find(first) >= 0) return;
    this.#limits.busy(true);
    if (this.#broken !== undefined) this.#clock.after(0, () => this.#fail());
    const { now } = this;
    const same = this.#unmet?.tokens === tokens && this.#unmet.again === again;
    if (same && now < this.#askAt) this.#plan();
    else this.#exchange();
  }

  take(now: number, request: PermitRequest): Place {
    this.inUse += 1;
    const { again } = request;
    const shareTaken = this.#share?.take(now, request);
    const found = this.#find(request);
    const [permit] = found < 0 ? [] : this.#hand.splice(found, 1);
    if (!again) this.#lastStart = now;
    let started: Started | undefined;
    if (!again) {
      started = new Started(this.now, request.tokens, permit, (start) => this.#touch(start));
      started.postpone(this.now, this.#margin / 4);
      this.#starts.add(started);
    }
    this.#plan();
    return {
      free: () => {
        this.inUse -= 1;
        if (this.#settings.maxConcurrent !== undefined) this.#exchange();
        else this.#plan();
      },
      settle: (tokens) => {
        shareTaken?.(tokens);
        started?.settle(tokens);
      },
    };
  }

  idle(): void {
    if (this.#want === undefined && this.#hand.length === 0) return;
    this.#want = undefined;
    // Whoever is next may come in this turn.
    this.#leave ??= this.#clock.after(0, () => {
      this.#leave = undefined;
      if (this.#want !== undefined) return;
      this.#unmet = undefined;
      this.#giveBack(0);
      if (this.#known.waits) this.#exchange();
      else this.#plan();
    });
  }

  get now(): number {
    return this.#clock.now();
  }

  /** Places this process has, or keeps. */
  get #held(): number {
    return this.inUse + this.#hand.length;
  }

  #find({ again, tokens }: Pick<PermitRequest, 'again' | 'tokens'>): number {
    return this.#hand.findIndex((one) => one.again === again && one.tokens >= tokens);
  }

  /** There is something to tell of a start. */
  #touch(start: Started): void {
    this.#touched.add(start);
    this.#changed = Math.min(this.#changed, this.now);
    this.#plan();
  }

  /** Gives back what has been in hand for `ms`. */
  #giveBack(ms: number): void {
    const { now } = this;
    const [stay, go]: [InHand[], InHand[]] = [[], []];
    for (const one of this.#hand) (now - one.came >= ms ? go : stay).push(one);
    this.#hand = stay;
    this.#untake(go);
    // Somebody else may wait for it: at once.
    if (go.length === 0) return;
    this.#changed = Math.min(this.#changed, this.now);
    this.#exchange();
  }

  /** Takes permits back out of the windows. */
  #untake(permits: readonly InHand[]): void {
    for (const { at, tokens, again } of permits)
      if (!again) this.#changes.push({ at, requests: -1, tokens: -tokens });
  }

  /** Says what has gathered and asks for what is missing, as soon as the message before is answered. */
  #exchange(): void {
    if (this.#way.underWay || this.#away !== undefined) {
      this.#plan();
      return;
    }
    if (this.#message === undefined) {
      const ask = this.#want;
      const open = ask !== undefined && this.#find(ask) < 0;
      const { windows, longestTrip } = keptFor(this.#windows, this.#slow, 2 * longestHeld);
      this.#longestTrip = Math.min(longestTrip, deadline);
      // What is in hand and does not fit goes back, for what is needed is asked for as a whole.
      if (open) this.#untake(this.#hand.splice(0));
      const message: SharedMessage = {
        from: this.#options.from,
        seq: ++this.#seq,
        windows,
        places: this.#settings.maxConcurrent ?? 0,
        gap: this.#settings.minTime ?? 0,
        held: this.#held,
        changes: [...this.#changes.splice(0), ...[...this.#touched].flatMap((start) => start.changes())],
        told: this.#told,
        hold: Math.ceil(this.#hold),
      };
      this.#message = open ? { ...message, ask } : message;
      this.#firstSent = this.now;
      this.#touched.clear();
      this.#changed = Number.POSITIVE_INFINITY;
      this.#told = [];
      this.#hold = 0;
    }
    this.#send(this.#message);
  }

  #send(message: SharedMessage): void {
    this.#clock.cancel(this.#timer);
    this.#timer = undefined;
    this.#way.send(
      message,
      (answer) => this.#answered(message, answer),
      (error) => this.#unanswered(error),
    );
  }

  #answered({ ask, held }: SharedMessage, answer: SharedAnswer): void {
    const { now } = this;
    const { granted } = answer;
    this.#trip = now - this.#firstSent;
    this.#slow = Math.max(now - this.#way.sent, this.#slow * 0.9);
    this.#message = undefined;
    this.#broken = undefined;
    this.#answer = answer;
    this.#heldUntil = now + answer.hold;
    const wasAway = this.#away !== undefined;
    this.#away = undefined;
    this.#known = { waits: ask !== undefined && granted === 0, held: held + granted };
    this.#starts.tell(answer.now - this.#firstSent);
    this.#unmet = granted === 0 ? ask : undefined;
    this.#askAt = granted === 0 ? now + Math.min(Math.max(1, answer.wait), longestWait) : now;
    if (ask !== undefined && granted > 0) {
      const { tokens, again } = ask;
      // What came so late counts from a time that is too long ago. It goes back.
      const came = this.#trip > this.#longestTrip ? Number.NEGATIVE_INFINITY : now;
      const permit = { at: answer.now, sent: this.#firstSent, came, tokens, again };
      for (let i = 0; i < granted; i++) this.#hand.push(permit);
      this.#sweep ??= this.#clock.after(longestHeld, () => this.#sweepHand());
      if (came < now) this.#giveBack(longestHeld);
      else if (this.#want === undefined) this.idle();
    }
    if (this.#hand.length > 0 || wasAway) this.#freed();
    if (!this.#way.underWay) this.#next();
  }

  /** What came up while the message was under way. */
  #next(): void {
    const want = this.#want;
    const open = want !== undefined && this.#find(want) < 0;
    const other = this.#unmet?.tokens !== want?.tokens || this.#unmet?.again !== want?.again;
    const limited = this.#settings.maxConcurrent !== undefined;
    const left = want === undefined && this.#known.waits;
    if (this.#hold > 0 || left || (open && other) || (limited && this.#held !== this.#known.held))
      this.#exchange();
    else this.#plan();
  }

  #sweepHand(): void {
    this.#sweep = undefined;
    this.#giveBack(longestHeld);
    if (this.#hand.length > 0) this.#sweep = this.#clock.after(longestHeld, () => this.#sweepHand());
  }

  #unanswered(error: unknown): void {
    const wrong = error instanceof RxhiveError && error.code === 'INVALID_OPTION';
    const { now } = this;
    if (this.#away === undefined) {
      this.#away = this.#way.sent;
      this.#share?.begin(now, (name) => this.#answer?.used[name] ?? 0);
    }
    const never = this.#answer === undefined && this.#share === undefined && now - this.#away >= deadline;
    if (wrong || never) {
      this.#broken = error;
      this.#fail();
    } else this.#freed();
    this.#plan();
  }

  /** There will be no permit for those who wait. */
  #fail(): void {
    while (this.#broken !== undefined && this.#want !== undefined) {
      this.#want = undefined;
      this.#failed(this.#broken);
      if (this.#want === undefined) this.#freed();
    }
  }

  /** Arms the one timer, for whatever comes next. */
  #plan(): void {
    if (this.#way.underWay) return;
    const limited = this.#settings.maxConcurrent !== undefined && (this.#held > 0 || this.#known.held > 0);
    const waits = this.#want !== undefined || this.#known.waits;
    const at = this.#away === undefined ? this.#due(limited, waits) : this.#way.sent + betweenTries;
    this.#clock.cancel(this.#timer);
    this.#timer = undefined;
    const needed = this.#want !== undefined || (limited && this.inUse > 0);
    // While nobody answers, what is left to say is no reason to live on.
    const matters =
      needed || (this.#away === undefined && (waits || limited || this.#changed < Number.POSITIVE_INFINITY));
    this.#limits.busy(needed);
    if (at === Number.POSITIVE_INFINITY || !matters) {
      // A timer that nobody needs any more would keep the process alive.
      if (this.#sweep === undefined && this.#leave === undefined) this.#clock.dispose();
      return;
    }
    this.#timer = this.#clock.after(at - this.now, () => {
      this.#timer = undefined;
      if (this.#away === undefined) this.#exchange();
      else if (!this.#way.underWay) this.#send(this.#message as SharedMessage);
    });
  }

  #due(limited: boolean, waits: boolean): number {
    const renewed = limited || this.#known.waits ? this.#way.sent + renewal : Number.POSITIVE_INFINITY;
    const asked = waits && this.#unmet !== undefined ? this.#askAt : Number.POSITIVE_INFINITY;
    return Math.min(renewed, asked, this.#changed + gathering);
  }

  #part(): SharedPart {
    const counter = this;
    return {
      get margin() {
        return counter.#margin;
      },
      get inUse() {
        return counter.inUse + Math.max(0, (counter.#answer?.inUse ?? 0) - counter.#known.held);
      },
      used: (name) => this.#answer?.used[name] ?? 0,
      heldFor: (now) => Math.max(0, this.#heldUntil - now),
      awayFor: (now) => (this.#away === undefined ? undefined : Math.max(0, now - this.#away)),
      opensIn: (now) => (this.#unmet === undefined ? undefined : Math.max(0, this.#askAt - now)),
      hold: (ms) => {
        this.#hold = Math.max(this.#hold, ms);
        this.#exchange();
      },
      told: (name, left, ms) => {
        this.#told = [...this.#told.filter((one) => one.name !== name), { name, left, ms: Math.ceil(ms) }];
        this.#changed = Math.min(this.#changed, this.now);
        this.#plan();
      },
      delay: (...late) => this.#starts.delay(...late),
    };
  }
}
