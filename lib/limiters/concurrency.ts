import type { LimiterSettings } from '../model/limiter.js';

/** The part of a limiter that knows how many run at once, and how far apart they start. */
export interface ConcurrencyCounter {
  /** Places taken. */
  readonly inUse: number;
  /** Other code has had all places for some time, and nothing says when it gives one back. */
  readonly stalled?: boolean;
  /** When one is free; now or earlier: at once; Infinity: it will be told. `again`: it is no new start. */
  freeAt(now: number, again: boolean): number;
  /** Somebody waits for nothing else. */
  request(): void;
  /** Takes a place; the returned function gives it back. */
  take(now: number, again: boolean): () => void;
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

  freeAt(now: number, again: boolean): number {
    if (this.inUse >= this.#most) return Number.POSITIVE_INFINITY;
    return again ? now : Math.ceil(this.#last + this.#gap);
  }

  request(): void {}

  idle(): void {}

  take(now: number, again: boolean): () => void {
    this.inUse += 1;
    if (!again) this.#last = now;
    return () => {
      this.inUse -= 1;
    };
  }

  update(settings: LimiterSettings): void {
    this.#most = settings.maxConcurrent ?? Number.POSITIVE_INFINITY;
    this.#gap = settings.minTime ?? 0;
  }
}
