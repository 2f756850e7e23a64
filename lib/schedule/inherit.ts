import { choiceOf } from '../graph/choice-state.js';
import type { TaskNode } from '../graph/node.js';
import type { SchedulingPolicy } from '../model/workflow.js';
import type { ReadyQueue } from './ready-queue.js';

/**
 * Who waits lends its priority to all it waits for, directly or not, in whatever state that is; the rank goes on to
 * what it depends on. Stops where nothing changes, so equals cost one look at each. What was lent is kept: nobody asks
 * whether the lender still waits.
 * Source: L. Sha, R. Rajkumar, J. P. Lehoczky, "Priority Inheritance Protocols", IEEE Trans. Computers 39(9), 1990.
 */
export class PriorityInheritance {
  readonly #nodes: ReadonlyMap<string, TaskNode>;
  readonly #queue: ReadyQueue;
  /** Ranks count: equal priorities do not just go by age. */
  readonly #ranked: boolean;

  constructor(nodes: ReadonlyMap<string, TaskNode>, queue: ReadyQueue, policy: SchedulingPolicy) {
    this.#nodes = nodes;
    this.#queue = queue;
    this.#ranked = policy === 'critical-path';
  }

  /** They wait now for what they wait for. */
  lend(lenders: Iterable<TaskNode>): void {
    const stack: TaskNode[] = [];
    for (const node of lenders)
      if ((node.inEdges.length > 0 || node.extra !== undefined) && !node.ended) stack.push(node);
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) this.#lendOf(node, stack);
  }

  /** Raises what `node` waits for; those that changed have to lend in turn. */
  #lendOf(node: TaskNode, changed: TaskNode[]): void {
    const raise = (to: TaskNode, rank: number): void => {
      const priority = Math.max(node.priority, to.priority);
      if (to.ended || (priority === to.priority && rank <= to.rank)) return;
      this.#queue.raise(to, priority, Math.max(rank, to.rank));
      changed.push(to);
    };
    // Waits of running tasks may go round in circles, which would raise a rank for ever.
    const ranked = node.status === 'waiting' && this.#ranked;
    for (const edge of node.inEdges) {
      if ((choiceOf(edge)?.state ?? 'open') !== 'open') continue;
      raise(edge.from, ranked ? edge.from.expected + node.rank : edge.from.rank);
    }
    for (const other of helpersOf(node, this.#nodes)) raise(other, other.rank);
  }
}

/** The tasks that a running one waits for: those it has joined, asks or hears, who has what it wants, and its items. */
export function helpersOf({ extra }: TaskNode, nodes: ReadonlyMap<string, TaskNode>): TaskNode[] {
  if (extra === undefined) return [];
  const { join, messageWaits, items } = extra;
  const found = [...(join?.targets ?? []), ...(items ?? [])];
  for (const { by } of join?.causes ?? []) if (by !== undefined) found.push(by);
  for (const { from } of messageWaits ?? [])
    for (const id of from ?? []) {
      const other = nodes.get(id);
      if (other !== undefined) found.push(other);
    }
  return found;
}
