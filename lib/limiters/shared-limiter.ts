import { Clock } from '../kernel/clock.js';
import { RxhiveError } from '../kernel/errors.js';
import { checkLimiter, type LimiterSettings, windowsOf } from '../model/limiter.js';
import type { SharedLimits } from '../model/shared-limits.js';
import { ClockCounter, type ConcurrencyCounter } from './concurrency.js';
import { SharedCounter } from './shared-counter.js';
import { WindowLimiter } from './window-limiter.js';

/** How a {@link SharedLimiter} is set up. */
export interface SharedLimiterOptions {
  /** Id of this limiter among all that share the limits. */
  readonly from: string;
  /** Number of processes that each go on with their part while nobody answers. Default: they wait. */
  readonly share?: number | undefined;
  /** Shares the limits in the time of this clock, also where that is virtual. Default: in real time alone. */
  readonly clock?: Clock;
}

/**
 * A limiter whose limits several processes share. What a process may do by itself, its own ledger knows: who goes first, how
 * long a refusal holds, that it alone never uses more than all may. The rest is asked for. In virtual time it is what
 * `virtual(settings)` is.
 */
export class SharedLimiter extends WindowLimiter {
  readonly #limits: SharedLimits;
  readonly #options: SharedLimiterOptions;

  /** @throws RxhiveError INVALID_OPTION with everything that makes no sense */
  constructor(settings: LimiterSettings, limits: SharedLimits, options: SharedLimiterOptions) {
    super(withoutBuckets(settings));
    this.#limits = limits;
    this.#options = options;
  }

  override update(settings: LimiterSettings): void {
    super.update(withoutBuckets(settings));
  }

  protected override concurrencyCounter(
    real: boolean,
    freed: () => void,
    failed: (cause: unknown) => void,
  ): ConcurrencyCounter {
    const { from, share, clock } = this.#options;
    if (!real && clock === undefined) return new ClockCounter();
    return new SharedCounter(
      this.#limits,
      clock ?? new Clock({ seed: 0 }),
      { from, share, real },
      freed,
      failed,
    );
  }
}

/** Processes share windows alone. @throws RxhiveError INVALID_OPTION for a token bucket */
function withoutBuckets(settings: LimiterSettings): LimiterSettings {
  const bucket = windowsOf(checkLimiter(settings)).find(({ refill }) => refill !== undefined);
  if (bucket === undefined) return settings;
  const message = `The window "${bucket.name}" is a token bucket, which processes cannot share; leave burst out, or use virtual(...).`;
  throw new RxhiveError('INVALID_OPTION', message);
}
