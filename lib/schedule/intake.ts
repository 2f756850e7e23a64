import type { TaskNode } from '../graph/node.js';
import type { Recalled, SchedulerPorts } from '../graph/ports.js';
import type { Announcer } from './announcer.js';
import type { Dependents } from './dependents.js';

/** What {@link Intake} may ask of the scheduler, the only writer of status. */
export interface IntakeMoves {
  finish(node: TaskNode, status: Recalled): void;
  /** A failure of an earlier process counts as one of this. */
  failFast(node: TaskNode): void;
  ready(node: TaskNode): void;
}

/** Takes tasks in: what ended before ends at once, what waits for nothing is ready. */
export class Intake {
  readonly #ports: Pick<SchedulerPorts, 'resumed' | 'recall'>;
  readonly #moves: IntakeMoves;
  readonly #dependents: Dependents;
  readonly #announcer: Announcer;
  /** Tasks that have come and are not taken in. */
  #coming: TaskNode[] = [];

  constructor(
    ports: Pick<SchedulerPorts, 'resumed' | 'recall'>,
    moves: IntakeMoves,
    dependents: Dependents,
    announcer: Announcer,
  ) {
    this.#ports = ports;
    this.#moves = moves;
    this.#dependents = dependents;
    this.#announcer = announcer;
  }

  /** The tasks a run begins with. */
  begin(nodes: readonly TaskNode[]): void {
    this.#recall(nodes);
    for (const node of nodes) if (node.pending === 0 && node.status === 'waiting') this.#moves.ready(node);
  }

  /** Tasks are about to be taken in: those that come one after the other in a turn are asked for their past together. */
  expect(nodes: readonly TaskNode[]): void {
    if (this.#ports.resumed()) this.#coming.push(...nodes);
  }

  /** Tasks that come while the run goes on: some of what they wait for may have ended. */
  add(nodes: readonly TaskNode[]): void {
    const coming = this.#coming;
    this.#coming = [];
    this.#recall(coming);
    for (const node of nodes) {
      if (node.ended) continue;
      this.#dependents.catchUp(node);
      if (node.pending === 0 && node.status === 'waiting') this.#moves.ready(node);
      else if (node.status === 'waiting') this.#announcer.task(node);
    }
  }

  /** Ends what an earlier process has ended, all of it before any dependent hears of one. */
  #recall(nodes: Iterable<TaskNode>): void {
    if (!this.#ports.resumed()) return;
    const ended: TaskNode[] = [];
    for (const node of nodes) {
      const status = node.ended ? undefined : this.#ports.recall(node);
      if (status === undefined) continue;
      this.#moves.finish(node, status);
      ended.push(node);
    }
    for (const node of ended) this.#dependents.deliverAll(node);
    this.#dependents.skipAll();
    for (const node of ended) this.#moves.failFast(node);
  }
}
