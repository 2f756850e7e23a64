import type { Random } from './random.js';

/** After a hold twice as many may have started after each step: a sixteenth of the hold, between these ms. */
const shortestStep = 5;
const longestStep = 125;
/** Steps until starts are no longer paced: 2 ** 10 have started by then. */
const steps = 10;

/**
 * What a group knows of a provider that said "not now": until when nobody starts, and that not everybody starts at
 * once then, all in whole ms. One refusal speaks for all attempts that were under way with it.
 */
export class Cooldown {
  #until = Number.NEGATIVE_INFINITY;
  #since = Number.NEGATIVE_INFINITY;
  #started = 0;
  #step = 0;
  /** Holds in a row, without a success between them. */
  #strikes = 0;

  /**
   * An attempt that began at `startedAt` was refused; `asked`: ms the provider named, `delay(n)`: ms to wait where it
   * named none, for the n-th time in a row. Returns the ms everybody now waits, or undefined when this is no news.
   */
  refused(
    now: number,
    startedAt: number,
    retryAfter: number | undefined,
    delay: (strikes: number) => number,
  ): number | undefined {
    // It was on its way when another one was refused: that has been heard.
    const old = startedAt <= this.#since;
    if (old && retryAfter === undefined) return undefined;
    const until = Math.ceil(now + (retryAfter ?? delay(this.#strikes + 1)));
    if (until <= this.#until) return undefined;
    if (old && until - now <= (this.#until - now) * 1.1) {
      // The same, said by the next one a little later.
      this.#until = until;
      return undefined;
    }
    if (!old) this.#strikes += 1;
    this.#since = now;
    this.#until = until;
    this.#started = 0;
    this.#step = Math.min(longestStep, Math.max(shortestStep, (until - now) / 16));
    return until - now;
  }

  /** An attempt that began at `startedAt` came through. */
  passed(startedAt: number): void {
    if (startedAt >= this.#until) this.#strikes = 0;
  }

  /** When the next one may start; now or earlier: at once. */
  opensAt(now: number): number {
    if (now < this.#until) return this.#until;
    if (now >= this.#until + this.#step * steps || this.#started === 0) return now;
    return Math.ceil(this.#until + this.#step * Math.log2(this.#started + 1));
  }

  started(now: number): void {
    if (now < this.#until + this.#step * steps) this.#started += 1;
  }

  /** Ms nobody may start for. */
  left(now: number): number {
    return Math.max(0, this.#until - now);
  }
}

/** Half of a delay for certain, the other half by chance: several processes must not come back as one. */
export function spread(delay: number, random: Random): number {
  return Math.round(delay / 2 + (random() * delay) / 2);
}
