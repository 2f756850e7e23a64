import { Edge, type TaskNode } from '../model/node.js';

/** What {@link Dependents} may ask of the scheduler, the only writer of status. */
export interface DependentMoves {
  /** All its dependencies have delivered. */
  ready(node: TaskNode): void;
  /** It can never start: ends it. */
  skip(node: TaskNode): void;
  /** All it joined have ended. */
  wake(node: TaskNode): void;
  /** A stream it reads has something new. */
  refresh(node: TaskNode): void;
}

/** Tells dependents that a dependency has ended or has a value: the counters that decide when a task is ready. */
export class Dependents {
  readonly #moves: DependentMoves;
  readonly #skips: TaskNode[] = [];

  constructor(moves: DependentMoves) {
    this.#moves = moves;
  }

  /** `node` has ended; what that makes impossible is skipped when {@link Dependents.skipAll} is called. */
  deliverAll(node: TaskNode): void {
    for (let edge = node.firstOut; edge !== undefined; edge = edge.nextOut) this.deliver(edge);
  }

  /** Skips what the last ends made impossible; a list, not recursion, so a chain of any length is safe. */
  skipAll(): void {
    for (let node = this.#skips.pop(); node !== undefined; node = this.#skips.pop()) {
      if (node.ended || node.committing) continue;
      this.#moves.skip(node);
      this.deliverAll(node);
    }
  }

  /** A stream has a new value. */
  show(node: TaskNode): void {
    for (let edge = node.firstOut; edge !== undefined; edge = edge.nextOut)
      if (edge.mode === 'latest' && !edge.to.ended) this.satisfy(edge);
  }

  /** Delivers to a new task what was there before it. */
  catchUp(node: TaskNode): void {
    for (const edge of node.inEdges) {
      if (edge.from.ended) this.deliver(edge);
      else if (edge.mode === 'latest' && edge.from.extra?.live !== undefined) this.satisfy(edge);
    }
    this.skipAll();
  }

  /** `node` waits for the success of `holder`, which adds it, without reading its result. */
  hold(node: TaskNode, holder: TaskNode): void {
    node.pending += 1;
    new Edge(holder, node, 'value', undefined, undefined);
  }

  /** Tells one dependent that its dependency has ended. */
  deliver(edge: Edge): void {
    const { to, from } = edge;
    if (to.ended) return;
    if (edge.mode === 'join') {
      const join = to.extra?.join;
      if (join === undefined || join !== edge.fallback) return;
      join.pending -= 1;
      if (join.pending === 0) this.#moves.wake(to);
      return;
    }
    const usable =
      from.status === 'succeeded' ||
      from.status === 'restored' ||
      (edge.mode !== 'value' && edge.mode !== 'latest');
    if (usable) this.satisfy(edge);
    else this.#skips.push(to);
  }

  /** The dependency has something to read. */
  satisfy(edge: Edge): void {
    const { to } = edge;
    if (edge.satisfied) {
      if (edge.mode === 'latest') this.#moves.refresh(to);
      return;
    }
    edge.satisfied = true;
    to.pending -= 1;
    if (to.pending === 0 && to.status === 'waiting') this.#moves.ready(to);
  }
}
