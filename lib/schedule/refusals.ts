import type { Gate, Refusal } from '../graph/gate.js';
import type { Group } from '../graph/lane.js';
import type { TaskNode } from '../graph/node.js';
import type { RxhiveError } from '../kernel/errors.js';
import type { Lifecycle } from './lifecycle.js';
import type { Outcomes } from './outcomes.js';

/** Ends tasks that gates will not let in, instead of letting them wait for ever. */
export class Refusals {
  readonly #nodes: ReadonlyMap<string, TaskNode>;
  readonly #lifecycle: Lifecycle;
  readonly #outcomes: Outcomes;

  constructor(nodes: ReadonlyMap<string, TaskNode>, lifecycle: Lifecycle, outcomes: Outcomes) {
    this.#nodes = nodes;
    this.#lifecycle = lifecycle;
    this.#outcomes = outcomes;
    lifecycle.gated = (node) => {
      // Later, not here: a chain of refusals must not grow the stack.
      if (refusalOf(node) !== undefined) lifecycle.command(() => this.#check(node));
    };
  }

  /** Asks again about the tasks that wait at `gate`. */
  refuse(gate: Gate): void {
    this.#lifecycle.command(() => {
      for (const node of this.#nodes.values())
        if (node.lane.gates.some((gates) => gates.includes(gate))) this.#check(node);
    });
  }

  /** Stops what is under way in a group; what has not begun is left to its gates. */
  abort(group: Group, error: RxhiveError): void {
    this.#lifecycle.command(() => {
      for (const node of this.#nodes.values())
        if (
          node.lane.group === group &&
          node.attempt > 0 &&
          node.definition.always !== true &&
          !node.ended &&
          !node.committing
        )
          this.#outcomes.abandon(node, 'cancelled', error);
    });
  }

  /** Ends a task that a gate cannot serve, wherever it is by now. */
  turnAway(node: TaskNode, refusal: Refusal): void {
    this.#lifecycle.command(() => {
      if (node.ended || node.committing) return;
      if (node.status === 'ready' && node.running === undefined) this.#outcomes.turnAway(node, refusal);
      else this.#outcomes.abandon(node, 'failed', refusal.error);
    });
  }

  #check(node: TaskNode): void {
    const refusal = node.status === 'ready' ? refusalOf(node) : undefined;
    if (refusal !== undefined) this.#outcomes.turnAway(node, refusal);
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
