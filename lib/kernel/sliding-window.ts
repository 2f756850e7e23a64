/** Windows for which it is known what was taken. */
const remembered = 1.5;

/** What was taken from a window at one time. */
export interface Taken {
  /** Ms; what came within one grain is one entry with the time of its last part. */
  at: number;
  amount: number;
  readonly since: number;
  /** Ms it came later than it was taken, as far as is known. */
  late: number;
  gone: boolean;
}

/**
 * A true sliding window: never more than `max` within any `size` ms, so no double burst at a border. What was taken
 * at `t` counts until `t + size`, exclusively. Amounts come back in the order in which they were taken; takings
 * within one grain (size / 86,400: a second for a day) are kept as one that leaves with the last, which bounds
 * memory at 86,400 entries, and half as many that have left. O(1) amortised.
 *
 * `now` must not go back from call to call.
 */
export class SlidingWindow {
  /** Ms. */
  size: number;
  max: number;
  readonly #grain: number;
  #entries: Taken[] = [];
  #head = 0;
  /** What comes before is not even remembered. */
  #forgotten = 0;
  #used = 0;
  /** What others have used of the same window, as far as somebody told. */
  #foreign = 0;
  #foreignUntil = 0;

  constructor(size: number, max: number) {
    this.size = size;
    this.max = max;
    this.#grain = size / 86_400;
  }

  /** Amount within the window that ends now. */
  used(now: number): number {
    this.#expire(now);
    return this.#used + this.#foreign;
  }

  /** When `amount` fits; now or earlier: at once. More than `max` needs an empty window. */
  opensAt(now: number, amount: number): number {
    this.#expire(now);
    let over = this.#used + this.#foreign + Math.min(amount, this.max) - this.max;
    if (over <= 0) return now;
    let foreign = this.#foreign;
    for (let i = this.#head; i < this.#entries.length; i++) {
      const { at, amount: leaves } = this.#entries[i] as Taken;
      if (foreign > 0 && this.#foreignUntil <= at + this.size) {
        over -= foreign;
        foreign = 0;
        if (over <= 0) return this.#foreignUntil;
      }
      over -= leaves;
      if (over <= 0) return at + this.size;
    }
    return foreign > 0 ? this.#foreignUntil : now;
  }

  take(now: number, amount: number): Taken {
    this.#expire(now);
    this.#used += amount;
    const last = this.#entries.at(-1);
    if (last !== undefined && this.#head < this.#entries.length && now - last.since < this.#grain) {
      last.at = now;
      last.amount += amount;
      return last;
    }
    const entry = { at: now, amount, since: now, late: 0, gone: false };
    this.#entries.push(entry);
    return entry;
  }

  /** What was taken from `since` on is `ms` later than it was, yet not later than `now`; what is over `slack` counts. */
  delay(since: number, ms: number, slack: number, now: number): void {
    for (let i = this.#entries.length - 1; i >= this.#head; i--) {
      const entry = this.#entries[i] as Taken;
      if (entry.since < since) return;
      entry.late += ms;
      entry.at = Math.max(entry.at, Math.min(now, entry.since + entry.late - slack));
    }
  }

  /** Amount taken within the `span` ms before `at`, also what has left the window since then, for half a window. */
  takenBefore(at: number, span: number): number {
    let amount = 0;
    for (let i = this.#entries.length - 1; i >= this.#forgotten; i--) {
      const entry = this.#entries[i] as Taken;
      if (entry.at <= at - span) break;
      if (entry.since <= at) amount += entry.amount;
    }
    return amount;
  }

  /** Corrects what was taken, as if it had been so from the start; without effect when it has left the window. */
  change(entry: Taken, by: number): void {
    if (entry.gone) return;
    const change = Math.max(by, -entry.amount);
    entry.amount += change;
    this.#used += change;
  }

  /** Somebody who knows says that `left` can still be had now, and that all is back after `ms`. */
  correct(now: number, left: number, ms: number): void {
    const missing = this.max - this.used(now) - Math.min(left, this.max);
    if (missing > 0) {
      this.#foreign += missing;
      this.#foreignUntil = Math.max(this.#foreignUntil, now + Math.min(ms, this.size));
    } else this.#foreign = Math.max(0, this.#foreign + missing);
  }

  /** When something next comes back; Infinity: nothing is taken. */
  nextBack(now: number): number {
    this.#expire(now);
    const first = this.#entries[this.#head];
    const own = first === undefined ? Number.POSITIVE_INFINITY : first.at + this.size;
    return this.#foreign > 0 ? Math.min(own, this.#foreignUntil) : own;
  }

  #expire(now: number): void {
    if (this.#foreign > 0 && this.#foreignUntil <= now) this.#foreign = 0;
    for (let entry = this.#entries[this.#head]; entry !== undefined; entry = this.#entries[this.#head]) {
      if (entry.at + this.size > now) break;
      entry.gone = true;
      this.#used -= entry.amount;
      this.#head += 1;
    }
    while (this.#forgotten < this.#head) {
      if ((this.#entries[this.#forgotten] as Taken).at + this.size * remembered > now) break;
      this.#forgotten += 1;
    }
    if (this.#forgotten > 1_000 && this.#forgotten * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#forgotten);
      this.#head -= this.#forgotten;
      this.#forgotten = 0;
    }
  }
}
