import type { Taken } from '../kernel/sliding-window.js';

/**
 * A bucket that holds `max` at most, is full at first, and fills evenly: never more than `max`, and what comes back meanwhile, within
 * any time. What was taken comes back in the order in which it was taken. `now` must not go back from call to call.
 */
export class TokenBucket {
  max: number;
  /** Ms by which what has to wait waits longer: so much earlier it may reach the provider than another one. */
  least: number;
  /** What comes back in a ms. */
  #rate = 0;
  /** What has not come back so far, the oldest first; `amount` is what is left of it. */
  readonly #entries: Taken[] = [];
  #used = 0;
  #now = Number.NEGATIVE_INFINITY;
  /** What would have come back while nothing was taken; and how much that was when an entry had come back. */
  #wasted = 0;
  readonly #wastedBefore = new WeakMap<Taken, number>();

  constructor(max: number, margin: number) {
    this.max = max;
    this.least = margin;
  }

  /** So much comes back in each `ms`. */
  refill(amount: number, ms: number): void {
    this.#rate = amount / ms;
  }

  /** Ms in which an empty bucket fills. */
  get size(): number {
    return this.max / this.#rate;
  }

  get margin(): number {
    return this.least;
  }

  used(now: number): number {
    this.#drain(now);
    return this.#used;
  }

  /** When `amount` fits; now or earlier: at once. More than `max` needs a full bucket. */
  opensAt(now: number, amount: number): number {
    const over = this.used(now) + Math.min(amount, this.max) - this.max;
    return over <= rounding ? now : Math.ceil(now + (over - rounding) / this.#rate + this.least);
  }

  take(now: number, amount: number): Taken {
    this.#drain(now);
    const entry = { at: now, amount, since: now, late: 0, gone: false };
    this.#entries.push(entry);
    this.#used += amount;
    return entry;
  }

  /** Corrects what was taken, as if it had been so from the start; what has come back is not given back again. */
  change(entry: Taken, by: number): void {
    if (entry.gone) {
      if (by <= 0) return;
      // What it took more has come back meanwhile, as far as nothing else did; each part of that time counts once.
      const back = Math.min(by, Math.max(0, this.#wasted - (this.#wastedBefore.get(entry) ?? 0)));
      this.#wasted -= back;
      if (by > back) this.take(this.#now, by - back);
      return;
    }
    const change = Math.max(by, -entry.amount);
    entry.amount += change;
    this.#used += change;
  }

  /** What was taken from `since` on came `ms` later: nothing came back meanwhile. */
  delay(since: number, ms: number, _slack: number, now: number): void {
    this.#drain(now);
    const last = this.#entries.at(-1);
    if (last === undefined || last.since < since) return;
    last.amount += this.#rate * ms;
    this.#used += this.#rate * ms;
  }

  /** Somebody who knows says that `left` can still be had now. */
  correct(now: number, left: number): void {
    const missing = this.max - this.used(now) - Math.min(left, this.max);
    if (missing > 0) this.take(now, missing);
  }

  /** When something next comes back; Infinity: nothing is taken. */
  nextBack(now: number): number {
    const used = this.used(now);
    return used > 0 ? Math.ceil(now + Math.min(1, used) / this.#rate) : Number.POSITIVE_INFINITY;
  }

  /** A refusal says nothing about how late requests are: nothing leaves a bucket at once. */
  explains(): boolean {
    return false;
  }

  grow(): number {
    return 0;
  }

  calm(): boolean {
    return false;
  }

  #drain(now: number): void {
    let back = now > this.#now ? this.#rate * (now - this.#now) : 0;
    if (this.#used === 0) this.#wasted += Number.isFinite(back) ? back : 0;
    this.#now = now;
    let gone = 0;
    for (const entry of this.#entries) {
      if (entry.amount > back + rounding) {
        entry.amount -= back;
        this.#used -= back;
        break;
      }
      back -= entry.amount;
      this.#used -= entry.amount;
      entry.gone = true;
      this.#wastedBefore.set(entry, this.#wasted);
      gone += 1;
    }
    if (gone === 0) return;
    this.#entries.splice(0, gone);
    if (this.#entries.length > 0) return;
    this.#used = 0;
    this.#wasted += Math.max(0, back);
  }
}

/** Amounts below this are none: what comes back in parts does not add up exactly. */
const rounding = 1e-9;
