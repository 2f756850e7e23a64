import type { Observable, SchedulerLike } from 'rxjs';
import type { Below } from '../kernel/read-once.js';
import type { Adaptive } from './adaptive.js';
import type { BudgetOptions } from './budget.js';
import type { Limiter, LimiterSettings } from './limiter.js';
import type { LoadSample } from './load.js';
import type { MemoryOptions } from './memory.js';
import type { GroupOptions, SchedulingPolicy } from './workflow.js';

/** A task, as the option `fair` of a controller sees it. */
export interface FairTask {
  readonly id: string;
  /** Its type; without one its id. */
  readonly type: string;
  readonly group: string | undefined;
  /** Name of its workflow. */
  readonly workflow: string;
  readonly runId: string;
  /** Those of its run; see `RunOptions.tags`. */
  readonly tags: Readonly<Record<string, string>>;
}

/** What all runs that are given a controller share. All limits can be changed while they go on. */
export interface ControllerOptions<G extends string = string, X extends string = string> {
  /** Name in events and errors. Default `controller`. */
  readonly name?: string;
  /** Tasks running at once, of all runs. Whole number from 1, Infinity, or `adaptive(...)`. Default 16. */
  readonly concurrency?: number | Adaptive;
  /** Concurrency groups by name; tasks of all runs may be in them. */
  readonly groups?: { readonly [name in G]: GroupOptions };
  /** Capacities of resources by name. Finite, above 0. */
  readonly resources?: { readonly [name in X]: number };
  /** What one provider allows the tasks of all runs together. Default: none. */
  readonly limiter?: Limiter | LimiterSettings;
  /** Most all runs together may use, from now on. Default: no limit. */
  readonly budget?: BudgetOptions;
  /**
   * Who takes turns: among tasks of equal priority those of the key that has had the fewest starts for its weight go first.
   * Called once for each task, when it is made; returns a text or a number, such as a tenant. Default: nobody takes
   * turns, and the older run goes first.
   */
  readonly fair?: (task: FairTask) => string | number;
  /** Weights by key of `fair`: with 2 a key gets twice as many starts as one with 1. Above 0. Default 1 each. */
  readonly weights?: Readonly<Record<string, number>>;
  /** Who goes first among tasks of equal priority and share; see the same option of a workflow. Default `critical-path`. */
  readonly policy?: SchedulingPolicy;
  /** See the same option of a workflow; it holds for the tasks of all runs. Default 60,000. */
  readonly aging?: number | false;
  /** How busy the machine is; see the same option of a run. Subscribed while there are runs. Default: nobody asks. */
  readonly load$?: Observable<LoadSample>;
  /**
   * Marks from which memory holds back the tasks of all runs; see the same option of a workflow. Needs `load$`.
   * `spillAbove` is an option of workflows alone. Default: none.
   */
  readonly memory?: Pick<MemoryOptions, 'soft' | 'hard'>;
  /** Source of time of all its runs. Default: rxjs `asyncScheduler`, virtual inside `TestScheduler.run`. */
  readonly scheduler?: SchedulerLike;
}

/** Options of a controller that consist of options. */
export const belowController: Below = {
  groups: { '*': { budget: { hard: {} }, breaker: { failures: {} } } },
  budget: { hard: {} },
  resources: {},
  memory: {},
  weights: {},
};
