import type { SharedChange } from '../model/shared-limits.js';

interface Amount {
  readonly requests: number;
  readonly tokens: number;
}

/** A permit of the shared limits that no task has taken so far. */
export interface InHand {
  /** Ms of the server, and of this process before the message that brought it was sent and when it came. */
  readonly at: number;
  readonly sent: number;
  readonly came: number;
  readonly tokens: number;
  readonly again: boolean;
}

/** A start that the shared limits know of, or are to hear of. */
export class Started {
  /** Ms of this process. */
  readonly since: number;
  /** Ms it left later than it started. */
  late = 0;
  readonly #touched: (start: Started) => void;
  /** From the time of this process to that of the server, rather too late than too early; undefined: nobody knows. */
  #ahead: number | undefined;
  /** When it counts, in ms of the server, and how much. */
  #at: number | undefined;
  #amount: Amount;
  /** What the server was told of that. */
  #toldAt: number | undefined;
  #told: Amount;

  /** `permit`: what it was given; undefined: nobody answered, and it started all the same. `touched`: there is more to tell. */
  constructor(now: number, tokens: number, permit: InHand | undefined, touched: (start: Started) => void) {
    this.since = now;
    this.#touched = touched;
    this.#at = permit?.at;
    this.#ahead = permit === undefined ? undefined : permit.at - permit.sent;
    this.#amount = { requests: 1, tokens };
    this.#toldAt = permit?.at;
    this.#told = { requests: 1, tokens: permit?.tokens ?? tokens };
    if (permit !== undefined && permit.tokens > tokens) touched(this);
  }

  get isUntold(): boolean {
    return this.#at === undefined;
  }

  /** It has left at `at`, in ms of this process, rather than when it was permitted. What is below `slack` does not count. */
  postpone(at: number, slack: number): void {
    if (this.#at === undefined || this.#ahead === undefined) return;
    const later = Math.ceil(at + this.#ahead);
    if (later - this.#at <= slack) return;
    this.#at = later;
    this.#touched(this);
  }

  /** Somebody answers again, whose time is `ahead` of that of this process. */
  tell(ahead: number): void {
    if (this.#at !== undefined) return;
    this.#ahead = ahead;
    this.#at = Math.ceil(this.since + ahead);
    this.#touched(this);
  }

  settle(tokens: number | 'none'): void {
    this.#amount =
      tokens === 'none' ? { requests: 0, tokens: 0 } : { requests: 1, tokens: Math.ceil(tokens) };
    this.#touched(this);
  }

  /** What the server is to be told; it knows then. */
  changes(): SharedChange[] {
    const [at, amount, toldAt, told] = [this.#at, this.#amount, this.#toldAt, this.#told];
    if (at === undefined) return [];
    this.#toldAt = at;
    this.#told = amount;
    if (toldAt === undefined) return [{ at, ...amount, take: true }];
    if (toldAt !== at)
      return [
        { at: toldAt, requests: -told.requests, tokens: -told.tokens },
        { at, ...amount, take: true },
      ];
    const [requests, tokens] = [amount.requests - told.requests, amount.tokens - told.tokens];
    return requests === 0 && tokens === 0 ? [] : [{ at, requests, tokens }];
  }
}

/** Ms for which it may still be found that a start was late. */
const remembered = 5_000;
/** Those that are older are forgotten when there are so many. */
const many = 64;

/** The newest starts of this process, and those the shared limits have not heard of. */
export class Starts {
  #all: Started[] = [];

  add(one: Started): void {
    const [first] = this.#all;
    const old = one.since - remembered;
    if (first !== undefined && this.#all.length > many && first.since < old && !first.isUntold)
      this.#all = this.#all.filter(({ since, isUntold }) => since >= old || isUntold);
    this.#all.push(one);
  }

  /** Somebody answers whose time is `ahead` of that of this process. */
  tell(ahead: number): void {
    for (const one of this.#all) one.tell(ahead);
  }

  /** Those from `since` on left `ms` later; what is below `slack` does not count. */
  delay(since: number, ms: number, slack: number, now: number): void {
    for (let i = this.#all.length - 1; i >= 0; i--) {
      const one = this.#all[i] as Started;
      if (one.since < since) return;
      one.late += ms;
      one.postpone(Math.min(now, one.since + one.late - slack), 0);
    }
  }
}
