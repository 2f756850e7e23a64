import type { Gate, Refusal } from '../graph/gate.js';
import type { Group } from '../graph/lane.js';
import type { TaskNode } from '../graph/node.js';
import type { RxhiveError } from '../kernel/errors.js';

/** What {@link Turnstile} may ask of the scheduler, the only writer of status. */
export interface TurnstileMoves {
  /** Runs `work` in the drain loop. */
  command(work: () => void): void;
  /** Ends a ready task. */
  turnAway(node: TaskNode, refusal: Refusal): void;
  /** Ends a task that is under way. */
  abandon(node: TaskNode, status: 'failed' | 'cancelled', error: RxhiveError): void;
}

/** Ends tasks that gates will not let in, instead of letting them wait for ever. */
export class Turnstile {
  readonly #nodes: ReadonlyMap<string, TaskNode>;
  readonly #moves: TurnstileMoves;

  constructor(nodes: ReadonlyMap<string, TaskNode>, moves: TurnstileMoves) {
    this.#nodes = nodes;
    this.#moves = moves;
  }

  /** The task has become ready. */
  check(node: TaskNode): void {
    if (!node.lane.gated || refusalOf(node) === undefined) return;
    // Later, not here: a chain of refusals must not grow the stack.
    this.#moves.command(() => this.#ask(node));
  }

  /** Asks again about the tasks that wait at `gate`. */
  refuse(gate: Gate): void {
    this.#moves.command(() => {
      for (const node of this.#nodes.values())
        if (node.lane.gates.some((gates) => gates.includes(gate))) this.#ask(node);
    });
  }

  /** Stops what is under way in a group; what has not begun is left to its gates. */
  abort(group: Group, error: RxhiveError): void {
    this.#moves.command(() => {
      for (const node of this.#nodes.values())
        if (node.lane.group === group && node.attempt > 0 && !node.ended && !node.committing)
          this.#moves.abandon(node, 'cancelled', error);
    });
  }

  /** Ends a task that a gate cannot serve, wherever it is by now. */
  end(node: TaskNode, refusal: Refusal): void {
    this.#moves.command(() => {
      if (node.ended || node.committing) return;
      if (node.status === 'ready' && node.running === undefined) this.#moves.turnAway(node, refusal);
      else this.#moves.abandon(node, 'failed', refusal.error);
    });
  }

  #ask(node: TaskNode): void {
    const refusal = node.status === 'ready' ? refusalOf(node) : undefined;
    if (refusal !== undefined) this.#moves.turnAway(node, refusal);
  }
}

/** How a ready task ends because a gate will not let it in. What has begun is let in again. */
function refusalOf(node: TaskNode): Refusal | undefined {
  if (node.running !== undefined) return undefined;
  for (const gates of node.lane.gates) {
    for (const gate of gates) {
      const refusal = gate.refuses?.(node);
      if (refusal !== undefined) return refusal;
    }
  }
  return undefined;
}
