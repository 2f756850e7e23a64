import type { TaskNode } from '../graph/node.js';
import type { Timer } from '../kernel/clock.js';

/** A further attempt beside one that is slow. The first success counts, the others are stopped and charged. */
export interface HedgeOptions {
  /**
   * Ms after which the next attempt starts beside the first, or `p95`: what 95 % of the successful attempts of the same
   * `type` took so far in this run. Before there are 20 of them nothing is hedged.
   */
  readonly after: number | 'p95';
  /** Most attempts beside the first. Default 1. */
  readonly max?: number;
}

/** The hedging of one attempt of a task. */
export interface Hedge {
  readonly node: TaskNode;
  /** Attempts beside the first that are under way; each has a node of its own, so that it takes slot, permits and budget. */
  readonly rivals: TaskNode[];
  /** How many there have been. */
  made: number;
  timer: Timer | undefined;
}
