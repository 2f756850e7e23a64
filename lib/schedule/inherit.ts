import { contestOf } from '../model/contest.js';
import type { TaskNode } from '../model/node.js';

/** What {@link lend} may ask of the scheduler. */
export interface LendMoves {
  /** Ranks count: equal priorities do not just go by age. */
  readonly ranked: boolean;
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
export function lend(lender: TaskNode, moves: LendMoves): void {
  const stack = [lender];
  const raise = (from: TaskNode, to: TaskNode, rank: number): void => {
    const priority = Math.max(from.priority, to.priority);
    if (to.ended || (priority === to.priority && rank <= to.rank)) return;
    moves.raise(to, priority, Math.max(rank, to.rank));
    stack.push(to);
  };
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    // Waits of running tasks may go round in circles, which would raise a rank for ever.
    const ranked = moves.ranked && node.status === 'waiting';
    for (const edge of node.inEdges) {
      if ((contestOf(edge)?.state ?? 'open') !== 'open') continue;
      raise(node, edge.from, ranked ? edge.from.expected + node.rank : edge.from.rank);
    }
    const { join, hearing, items } = node.extra ?? {};
    for (const other of join?.targets ?? []) raise(node, other, other.rank);
    for (const other of join?.behind ?? []) raise(node, other, other.rank);
    for (const other of items ?? []) raise(node, other, other.rank);
    for (const { from } of hearing ?? [])
      for (const id of from ?? []) {
        const other = moves.find(id);
        if (other !== undefined) raise(node, other, other.rank);
      }
  }
}
