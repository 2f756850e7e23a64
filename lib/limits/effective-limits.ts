import type { Group } from '../graph/lane.js';
import { getOrInsert } from '../kernel/get-or-insert.js';

/** What bounds the number of tasks that run at once. */
export type Bound = 'user' | 'learnt' | 'load';

/** Whose limit it is: that of a group, or without one that of the run. */
export interface LimitedRun {
  readonly limit: number;
  setLimit(group: Group | undefined, limit: number): void;
}

/** Limits from several sides: of the run and of each group the smallest counts. */
export class EffectiveLimits {
  readonly #scheduler: LimitedRun;
  /** What the scheduler was told last; it does as told at the next turn of its loop. */
  readonly #applied = new Map<Group | undefined, number>();
  readonly #bounds = new Map<Group | undefined, Map<Bound, number>>();

  constructor(scheduler: LimitedRun) {
    this.#scheduler = scheduler;
  }

  /** What `bound` says about a group, or without one about the run; Infinity: nothing (any more). */
  set(group: Group | undefined, bound: Bound, limit: number): void {
    const bounds = this.#of(group);
    bounds.set(bound, limit);
    const smallest = Math.min(...bounds.values());
    // What the user says is always shown, even when it changes nothing.
    if (smallest === this.#applied.get(group) && bound !== 'user') return;
    this.#applied.set(group, smallest);
    this.#scheduler.setLimit(group, smallest);
  }

  get(group: Group | undefined, bound: Bound): number {
    return this.#of(group).get(bound) ?? Number.POSITIVE_INFINITY;
  }

  /** The smallest of the others. */
  others(group: Group | undefined, bound: Bound): number {
    return Math.min(
      ...[...this.#of(group)].map(([one, limit]) => (one === bound ? Number.POSITIVE_INFINITY : limit)),
    );
  }

  #of(group: Group | undefined): Map<Bound, number> {
    return getOrInsert(this.#bounds, group, () => {
      const { limit } = group ?? this.#scheduler;
      this.#applied.set(group, limit);
      return new Map([['user', limit]]);
    });
  }
}
