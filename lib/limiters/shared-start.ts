import type { SharedChange } from '../model/shared-limits.js';

/** A start that the shared limits know of, or are to hear of. */
export class Started {
  /** Ms of this process. */
  readonly since: number;
  /** Ms it left later than it started. */
  late = 0;
  readonly #tokens: number;
  readonly #correct: (change: SharedChange) => void;
  /** From the time of this process to that of the server, rather too late than too early; undefined: nobody knows. */
  #ahead: number | undefined;
  /** When it counts, in ms of the server; undefined: it was not told. */
  #at: number | undefined;
  #settled: number | 'none' | undefined;

  /** `permit`: what it was given; undefined: nobody answered, and it started all the same. */
  constructor(
    now: number,
    tokens: number,
    permit: { readonly at: number; readonly sent: number } | undefined,
    correct: (change: SharedChange) => void,
  ) {
    this.since = now;
    this.#tokens = tokens;
    this.#correct = correct;
    this.#at = permit?.at;
    this.#ahead = permit === undefined ? undefined : permit.at - permit.sent;
  }

  get isUntold(): boolean {
    return this.#at === undefined;
  }

  /** It has left at `at`, in ms of this process, rather than when it was permitted. What is below `slack` does not count. */
  postpone(at: number, slack: number): void {
    if (this.#at === undefined || this.#ahead === undefined) return;
    const later = Math.ceil(at + this.#ahead);
    if (later - this.#at <= slack) return;
    const amount = this.#amount;
    this.#correct({ at: this.#at, requests: -amount.requests, tokens: -amount.tokens });
    this.#correct({ at: later, ...amount, take: true });
    this.#at = later;
  }

  /** Somebody answers again, whose time is `ahead` of that of this process: tells what nobody was told. */
  tell(ahead: number): void {
    if (this.#at !== undefined) return;
    this.#ahead = ahead;
    this.#at = Math.ceil(this.since + ahead);
    this.#correct({ at: this.#at, ...this.#amount, take: true });
  }

  settle(tokens: number | 'none'): void {
    if (this.#settled !== undefined) return;
    const before = this.#amount;
    this.#settled = tokens;
    const { requests, tokens: used } = this.#amount;
    if (this.#at !== undefined)
      this.#correct({ at: this.#at, requests: requests - before.requests, tokens: used - before.tokens });
  }

  get #amount(): { requests: number; tokens: number } {
    if (this.#settled === 'none') return { requests: 0, tokens: 0 };
    return { requests: 1, tokens: Math.ceil(this.#settled ?? this.#tokens) };
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
