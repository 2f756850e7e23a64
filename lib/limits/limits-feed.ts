import type { Watch } from '../graph/ports.js';
import type { Clock } from '../kernel/clock.js';
import type { GroupLimits } from '../model/limiter.js';

/** Ms between two looks. */
const every = 500;

/**
 * Tells how limits, budgets and permits are used while somebody listens. No timer of its own: it looks when a task ends,
 * at most twice a second, and when the run does. Says nothing of runs that have none of them.
 */
export class LimitsFeed {
  readonly #watch: Watch;
  readonly #clock: Pick<Clock, 'elapsed'>;
  readonly #readLimits: () => readonly GroupLimits[];
  #next = 0;
  #emitted = '';

  constructor(watch: Watch, clock: Pick<Clock, 'elapsed'>, look: () => readonly GroupLimits[]) {
    this.#watch = watch;
    this.#clock = clock;
    this.#readLimits = look;
  }

  /** A task has ended. */
  readonly step = (): void => {
    if (this.#next === Number.POSITIVE_INFINITY || !this.#watch.active) return;
    const now = this.#clock.elapsed();
    if (now < this.#next) return;
    this.#next = now + every;
    this.emit();
  };

  /** Tells what is different from what was told last. */
  emit(): void {
    if (!this.#watch.active || this.#next === Number.POSITIVE_INFINITY) return;
    const groups = this.#readLimits().filter(isUsed);
    if (groups.length === 0) {
      this.#next = Number.POSITIVE_INFINITY;
      return;
    }
    const told = JSON.stringify(groups);
    if (told === this.#emitted) return;
    this.#emitted = told;
    this.#watch.emit({ type: 'limits', reason: 'used', groups });
  }
}

/** Is there more to it than tasks at work, which other events tell? */
function isUsed({ target, budgets, limiters }: GroupLimits): boolean {
  return (
    target !== undefined ||
    budgets !== undefined ||
    limiters.some(({ windows, maxConcurrent }) => windows.length > 0 || maxConcurrent !== undefined)
  );
}
