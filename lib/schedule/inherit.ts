import { choiceOf } from '../graph/choice-state.js';
import type { TaskNode } from '../graph/node.js';

/** What {@link PriorityInheritance} may ask of the scheduler. */
export interface InheritanceMoves {
  /** Ranks count: equal priorities do not just go by age. */
  ranked(): boolean;
  find(id: string): TaskNode | undefined;
  /** Puts a task where it belongs with this priority and rank, if it is in the queue. */
  raise(node: TaskNode, priority: number, rank: number): void;
}

/**
 * Who waits lends its priority to all it waits for, directly or not, in whatever state that is; the rank goes on to
 * what it depends on. Stops where nothing changes, so equals cost one look at each. What was lent is kept: nobody asks
 * whether the lender still waits.
 * Source: L. Sha, R. Rajkumar, J. P. Lehoczky, "Priority Inheritance Protocols", IEEE Trans. Computers 39(9), 1990.
 */
export class PriorityInheritance {
  readonly #moves: InheritanceMoves;

  constructor(moves: InheritanceMoves) {
    this.#moves = moves;
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
      this.#moves.raise(to, priority, Math.max(rank, to.rank));
      changed.push(to);
    };
    // Waits of running tasks may go round in circles, which would raise a rank for ever.
    const ranked = node.status === 'waiting' && this.#moves.ranked();
    for (const edge of node.inEdges) {
      if ((choiceOf(edge)?.state ?? 'open') !== 'open') continue;
      raise(edge.from, ranked ? edge.from.expected + node.rank : edge.from.rank);
    }
    const { join, messageWaits, items } = node.extra ?? {};
    for (const other of join?.targets ?? []) raise(other, other.rank);
    for (const { by } of join?.causes ?? []) if (by !== undefined) raise(by, by.rank);
    for (const other of items ?? []) raise(other, other.rank);
    for (const { from } of messageWaits ?? [])
      for (const id of from ?? []) {
        const other = this.#moves.find(id);
        if (other !== undefined) raise(other, other.rank);
      }
  }
}
