import type { LimiterClient } from '../model/limiter.js';
import type { Postponed } from './concurrency.js';

/** Ms between looks at the event loop after a start; a timer may be late by so many ms of itself. */
const lookEvery = 5;
const lateAnyway = 2;
/** Ms for which a connection is kept without use, and which a request on a new one may take to leave. */
const longestWarm = 4_000;
const longestCold = 200;

/**
 * How late requests leave the process, in real time. A burst of them keeps the event loop busy, the more so when
 * connections are new, and so does other work. What started counts later by as much as the loop was late at the next
 * two looks, or the next ones would follow too soon. Half of the margin is there for that; the way to the provider needs
 * the other half.
 */
export class Departures {
  readonly #windows: () => Iterable<Postponed>;
  readonly #now: (client: LimiterClient) => number;
  /** Whose clock is used to look at the event loop now. */
  #client: LimiterClient | undefined;
  /** When a request last started. */
  #last = Number.NEGATIVE_INFINITY;
  /** Connections there may be: as many as requests were under way at once. */
  #warm = 0;
  /** When the first request that may still wait for a new connection started: the loop was never on time since then. */
  #cold: number | undefined;

  constructor(windows: () => Iterable<Postponed>, now: (client: LimiterClient) => number) {
    this.#windows = windows;
    this.#now = now;
  }

  /** A request starts, one of `underWay`. More than before need new connections, and so do the first after a while. */
  started(client: LimiterClient, now: number, underWay: number): void {
    if (now - this.#last > longestWarm) this.#warm = 0;
    this.#last = now;
    if (underWay > this.#warm) {
      this.#warm = underWay;
      this.#cold ??= now;
    }
    if (this.#client === undefined) this.#look(client, now, now);
  }

  /** Its clock stands still from now on. */
  closed(client: LimiterClient): void {
    if (this.#client === client) this.#client = undefined;
  }

  /** Looks whether the loop is on time after `since`; `from` is when it looked before. */
  #look(client: LimiterClient, from: number, since: number): void {
    this.#client = client;
    client.clock.after(lookEvery, () => {
      const now = this.#now(client);
      const late = now - since - lookEvery;
      if (late > lateAnyway) this.#delay(from, late, now);
      if (late <= lateAnyway || now - (this.#cold ?? now) > longestCold) this.#cold = undefined;
      if (this.#last >= since) this.#look(client, since, now);
      else this.#client = undefined;
    });
  }

  #delay(from: number, late: number, now: number): void {
    for (const window of this.#windows()) {
      if (this.#cold === undefined) window.delay(from, late, window.margin / 2, now);
      else window.delay(Math.min(from, this.#cold), late, 0, now);
    }
  }
}
