import type { LimiterSettings, PermitRequest, WindowName } from '../model/limiter.js';

/** A place that was taken. */
export interface Place {
  free(): void;
  /** Tokens its attempt really used; `none`: the provider was not even called. */
  settle?(tokens: number | 'none'): void;
}

/** Something to tell that starts were late, as of a window. */
export interface Postponed {
  readonly margin: number;
  delay(since: number, ms: number, slack: number, now: number): void;
}

/** What is known of limits that other processes share. */
export interface SharedPart extends Postponed {
  /** Over all processes. */
  readonly inUse: number;
  used(name: WindowName): number;
  /** Ms nobody may start for. */
  heldFor(now: number): number;
  /** Ms for which nobody has answered; undefined: somebody does. */
  awayFor(now: number): number | undefined;
  /** A provider said "not now": all processes wait so many ms. */
  hold(ms: number): void;
  /** What a provider said is left of a window, and when all is back. */
  told(name: WindowName, left: number, ms: number): void;
  /** Ms until it asks again. */
  opensIn(now: number): number | undefined;
}

/** The part of a limiter that knows how many run at once, how far apart they start, and what other processes do. */
export interface ConcurrencyCounter {
  /** Places taken. */
  readonly inUse: number;
  /** Other code has had all places for some time, and nothing says when it gives one back. */
  readonly stalled?: boolean;
  readonly shared?: SharedPart;
  /** When `request` may start; now or earlier: at once; Infinity: it will be told. */
  freeAt(now: number, request: PermitRequest): number;
  /** `first` waits for nothing else. */
  request(first: PermitRequest): void;
  take(now: number, request: PermitRequest): Place;
  /** Nobody waits any more. */
  idle(): void;
  update(settings: LimiterSettings): void;
}

/** Counts places on the clock of the run. */
export class ClockCounter implements ConcurrencyCounter {
  inUse = 0;
  #most = Number.POSITIVE_INFINITY;
  #gap = 0;
  #last = Number.NEGATIVE_INFINITY;

  freeAt(now: number, { again }: Pick<PermitRequest, 'again'>): number {
    if (this.inUse >= this.#most) return Number.POSITIVE_INFINITY;
    return again ? now : Math.ceil(this.#last + this.#gap);
  }

  request(): void {}

  idle(): void {}

  take(now: number, { again }: Pick<PermitRequest, 'again'>): Place {
    this.inUse += 1;
    if (!again) this.#last = now;
    return {
      free: () => {
        this.inUse -= 1;
      },
    };
  }

  update(settings: Pick<LimiterSettings, 'maxConcurrent' | 'minTime'>): void {
    this.#most = settings.maxConcurrent ?? Number.POSITIVE_INFINITY;
    this.#gap = settings.minTime ?? 0;
  }
}
