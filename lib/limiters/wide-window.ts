import { SlidingWindow } from '../kernel/sliding-window.js';

/** A window is kept at most this share of it longer, and at most so many ms. */
const most = 1 / 10;
const mostMs = 6_000;
/** What the margin grew by goes back in steps of a quarter of the least, one for so many windows without a refusal. */
const windowsToCalm = 2;
/** Ms by which requests may have been late beyond the widest margin, e.g. those on new connections. */
const latest = 200;

/**
 * A window that is kept longer than it is, by a margin: what reached the provider late leaves its window late, and the next
 * ones must not come before. The margin starts small, doubles where the provider refuses what only just fitted, and
 * goes back in small steps.
 */
export class WideWindow extends SlidingWindow {
  /** Ms of the provider's window. */
  readonly #given: number;
  #least = 0;
  #grown = 0;
  /** When the margin last changed. */
  #since = Number.NEGATIVE_INFINITY;

  constructor(size: number, max: number, margin: number) {
    super(size, max);
    this.#given = size;
    this.least = margin;
  }

  /** Ms of the margin while nothing was refused. */
  set least(ms: number) {
    this.#least = ms;
    this.#fit();
  }

  /** Ms by which it is kept longer. */
  get margin(): number {
    return this.#least + this.#grown;
  }

  /**
   * Can a request that was permitted at `at` have been refused because those of the window before came late, rather than
   * because others use the window too? `asked`: ms the provider wants it to wait; it counts in whole seconds.
   */
  explains(at: number, retryAfter: number): boolean {
    const widest = this.#widest;
    return (
      retryAfter <= Math.max(1_000, widest) && this.takenBefore(at, this.#given + widest + latest) > this.max
    );
  }

  /** Such a request came. Returns by how many ms the margin grew; 0: by so few that this cannot be the answer. */
  grow(now: number): number {
    const { margin } = this;
    this.#grown = Math.min(2 * margin, this.#widest) - this.#least;
    this.#since = now;
    this.#fit();
    const grown = this.margin - margin;
    return grown < this.#least ? 0 : grown;
  }

  /** A request that was permitted at `at` came through. Returns whether the margin is smaller now. */
  calm(at: number): boolean {
    if (this.#grown === 0 || at - this.#since < windowsToCalm * this.#given) return false;
    this.#grown = Math.max(0, this.#grown - this.#least / 4);
    this.#since = at;
    this.#fit();
    return true;
  }

  /** Ms of the largest margin. */
  get #widest(): number {
    return Math.max(this.#least, Math.min(mostMs, this.#given * most));
  }

  #fit(): void {
    this.size = this.#given + this.margin;
  }
}
