import type { AdaptiveOptions } from '../model/adaptive.js';

/** Share of the limit that has to be in use before it grows: an idle limit learns nothing. */
const inUseToGrow = 0.8;
/** What a decrease leaves of the limit, and one that is the third or later in a row. */
const kept = 0.8;
const keptWhenRepeated = 0.7;
/** Least ms between two decreases, where round trips are shorter. */
const leastPause = 1_000;
/** Share of refused calls that is no reason to do less, and weight of one call in it. */
const tolerated = 0.05;
const toleratedPaced = 0.15;
const refusedWeight = 0.02;
/** How many times longer a limit at which refusals began is kept before the next is tried. */
const leastPatience = 8;
const mostPatience = 64;
/** Round trips this many times as long as the shortest known mean say that calls queue up somewhere. */
const tolerance = 2;
/** The same for slow start, which would be far beyond the knee before twice as long was seen. */
const hurry = 1.5;
/** Weight of one round trip in the mean, and how many make one: single long calls are no queue. */
const weight = 0.05;
const enough = 10;
/** How fast the shortest known mean follows a longer one, per round trip: work may have become longer for good. */
const drift = 0.0001;
/** What a refusal makes of the gap between starts, and what a second leaves of it. */
const slower = 1.05;
const faster = 0.995;

/** A call as the limit sees it. */
export interface LimitedCall {
  readonly startedAt: number;
  /** Calls under way when it started, itself included. */
  readonly level: number;
}

/**
 * Finds a limit, and the pace of starts, from round trips and refusals alone. Pure: it is told the time.
 *
 * A provider refuses for one of two reasons. It takes so many calls at once: then no call that started among as many
 * others as a refused one is answered, and the limit goes down. Or it takes so many in some time: then such calls are
 * answered, and the starts are spread by the mean time between answers. Refusals that go on take the limit down too.
 *
 * Sources: V. Jacobson, "Congestion Avoidance and Control", SIGCOMM 1988 (slow start, additive increase,
 * multiplicative decrease); L. Brakmo, L. Peterson, "TCP Vegas", 1995 (round-trip guard); N. Cardwell et al., "BBR",
 * ACM Queue 14(5), 2016 (pacing by delivery rate). Constants: docs/decisions.
 */
export class AdaptiveLimit {
  /** Ms between two starts at least. */
  gap = 0;
  readonly #min: number;
  readonly #max: () => number;
  #limit: number;
  #slowStart = true;
  /** Mean round trip, and the shortest that mean has been; ms. */
  #mean = 0;
  #shortest = Number.POSITIVE_INFINITY;
  #seen = 0;
  /** Mean ms between two answers. */
  #interval = 0;
  #answeredAt = Number.NEGATIVE_INFINITY;
  /** Share of refusals among recent calls. */
  #refused = 0;
  #spreadAt = Number.NEGATIVE_INFINITY;
  #decreasedAt = Number.NEGATIVE_INFINITY;
  /** Decreases one after the other. */
  #repeated = 0;
  /** Calls that were under way when the last one was refused. */
  #ceiling = Number.POSITIVE_INFINITY;
  #patience = leastPatience;
  /** The answered call of late that started among the most others. */
  #highest: LimitedCall = { startedAt: Number.NEGATIVE_INFINITY, level: 0 };

  /** `max`: the most it may be at this moment; somebody may change it by hand. */
  constructor({ min = 1, initial = 4 }: AdaptiveOptions, max: () => number) {
    this.#min = min;
    this.#max = max;
    this.#limit = Math.max(min, initial);
  }

  /** What was found; whoever set `max` lower may keep it from being used. */
  get limit(): number {
    return Math.floor(this.#limit);
  }

  /** Ms until a change has shown its effect. */
  get pause(): number {
    return Math.max(leastPause, this.#mean);
  }

  /** A call was answered at `now` after `ms`, while `active` were under way, itself included. */
  answered(call: LimitedCall, now: number, ms: number, active: number): void {
    this.#observe(ms);
    this.#pace(now);
    this.#refused -= refusedWeight * this.#refused;
    if (call.level >= this.#highest.level || this.#isOld(this.#highest, now)) this.#highest = call;
    // Calls that end together are few by the time the last is heard, but were not when it started.
    if (Math.max(active, call.level) < inUseToGrow * Math.min(this.limit, this.#max())) return;
    const queued = this.#mean / this.#shortest;
    if (queued > hurry) this.#slowStart = false;
    const most = this.#max();
    // While somebody pauses the group, `most` is 0: what was learnt is kept.
    if (queued <= tolerance && this.#limit < most) this.#limit = Math.min(most, this.#limit + this.#growth());
  }

  /** A call took `ms` and was given up: slower than those that were answered, yet no refusal. */
  timedOut(ms: number): void {
    this.#observe(ms);
  }

  /** A call was refused at `now`; `held`: ms for which the provider wants no other. */
  refused(call: LimitedCall, now: number, retryAfter = 0): void {
    this.#refused += refusedWeight * (1 - this.#refused);
    const tooFast = call.level <= this.#highest.level && !this.#isOld(this.#highest, now);
    if (tooFast) this.#spread(now);
    else this.#bump(Math.max(this.#min, call.level - 1), retryAfter);
    if (this.#slowStart || this.#refused >= (tooFast ? toleratedPaced : tolerated)) this.#decrease(now);
    this.#slowStart = false;
  }

  /**
   * Remembers where refusals began, and is twice as patient where they have begun before, and the more from the start the
   * more round trips one costs.
   */
  #bump(ceiling: number, retryAfter: number): void {
    const same = Math.abs(ceiling - this.#ceiling) <= 1;
    const least = retryAfter > this.#mean ? (leastPatience * retryAfter) / this.#mean : leastPatience;
    this.#patience = Math.min(mostPatience, same ? Math.max(least, this.#patience * 2) : least);
    this.#ceiling = ceiling;
  }

  /** Puts more time between starts, once in a while: calls that started before know nothing of it. */
  #spread(now: number): void {
    this.#ceiling = Number.POSITIVE_INFINITY;
    if (now - this.#spreadAt < leastPause) return;
    this.#spreadAt = now;
    this.gap = this.gap === 0 ? this.#interval : this.gap * slower;
  }

  #decrease(now: number): void {
    const since = now - this.#decreasedAt;
    if (since < this.pause) return;
    this.#repeated = since < 2 * this.pause ? this.#repeated + 1 : 0;
    this.#decreasedAt = now;
    const factor = this.#repeated < 2 ? kept : keptWhenRepeated;
    this.#limit = Math.max(this.#min, Math.min(this.#limit, this.#max()) * factor);
  }

  /** What one answer adds: one a call in slow start, then one a round trip or second, less where refusals began. */
  #growth(): number {
    if (this.#slowStart) return 1;
    const step = Math.min(1, this.#mean / leastPause) / this.#limit;
    const above = this.#limit - this.#ceiling;
    return above >= 0 && above < 1 ? step / this.#patience : step;
  }

  #isOld(call: LimitedCall, now: number): boolean {
    return now - call.startedAt > 3 * Math.max(leastPause / 10, this.#mean);
  }

  #observe(ms: number): void {
    this.#seen += 1;
    this.#mean += Math.max(weight, 1 / this.#seen) * (ms - this.#mean);
    if (this.#seen < enough) return;
    if (this.#mean < this.#shortest) this.#shortest = this.#mean;
    else this.#shortest += drift * (this.#mean - this.#shortest);
  }

  /** Measures how fast answers come, and lets starts come faster again, the longer none was refused the more. */
  #pace(now: number): void {
    const spent = Math.min(now - this.#answeredAt, this.pause);
    const known = this.#answeredAt > Number.NEGATIVE_INFINITY;
    this.#answeredAt = now;
    if (known) this.#interval += Math.max(weight, 1 / this.#seen) * (spent - this.#interval);
    if (this.gap === 0) return;
    const quiet = (now - this.#spreadAt) / leastPause;
    this.gap *= faster ** ((quiet * spent) / leastPause);
    if (this.gap < this.#interval / 2) this.gap = 0;
  }
}
