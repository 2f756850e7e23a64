import { getOrInsert } from '../kernel/get-or-insert.js';
import { Spending } from '../model/usage.js';
import { isDecided, isTolerated } from './choice-state.js';
import type { TaskNode } from './node.js';

/** Failed items that are kept, so that a report can tell of them. */
const mostKept = 100;

/** Tasks that have ended and are no part of the graph any more, in numbers. */
export class ForgottenTasks {
  readonly counts = { succeeded: 0, failed: 0, skipped: 0, cancelled: 0, restored: 0 };
  total = 0;
  /** Those among them that are no failure of the run: tolerated, or skipped because that was decided. */
  tolerated = 0;
  workMs = 0;
  retries = 0;
  /** Attempts that were lost with their workers. */
  lost = 0;
  /** By group; undefined: without one. */
  readonly usage = new Map<string | undefined, Spending>();
  #kept = 0;

  /** Counts a task that has ended; false: it is one to remember, and not counted. */
  record(node: TaskNode): boolean {
    if (node.status === 'failed' && this.#kept < mostKept) {
      this.#kept += 1;
      return false;
    }
    this.counts[node.status as keyof ForgottenTasks['counts']] += 1;
    this.total += 1;
    if (isTolerated(node) || isDecided(node)) this.tolerated += 1;
    this.workMs += node.runningMs;
    this.retries += retriesOf(node);
    this.lost += node.extra?.lost ?? 0;
    const { group } = node.definition;
    const spending = getOrInsert(this.usage, group, () => new Spending());
    // Most have used nothing but calls.
    if (node.extra?.spent === undefined) spending.calls += node.calls;
    else spending.add(node.usage);
    return true;
  }
}

/** Attempts of a task after the first, but for those that followed lost ones. */
export function retriesOf({ attempt, extra }: TaskNode): number {
  return Math.max(0, attempt - 1 - (extra?.lost ?? 0));
}
