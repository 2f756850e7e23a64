import type { ProbingGate } from '../graph/gate.js';
import type { Lane } from '../graph/lane.js';
import type { TaskNode } from '../graph/node.js';
import { helpersOf } from './inherit.js';

/**
 * Attempts that try a provider may need others of the same group: children, tasks they join or hear. Those pass as well,
 * also from behind tasks that do not, or nobody would ever go on.
 */
export class Probing {
  readonly #nodes: () => ReadonlyMap<string, TaskNode>;
  readonly #command: (work: () => void) => void;
  readonly #relane: (node: TaskNode, lane: Lane) => void;
  readonly #gates = new Set<ProbingGate>();

  /** `command` runs work in the drain loop, `relane` puts a ready task into another lane. */
  constructor(
    nodes: () => ReadonlyMap<string, TaskNode>,
    command: (work: () => void) => void,
    relane: (node: TaskNode, lane: Lane) => void,
  ) {
    this.#nodes = nodes;
    this.#command = command;
    this.#relane = relane;
  }

  begin(gate: ProbingGate): void {
    this.#gates.add(gate);
  }

  end(gate: ProbingGate): void {
    this.#gates.delete(gate);
  }

  /** Where a task waits that has become ready. */
  laneOf(node: TaskNode): Lane {
    const free = node.running !== undefined || (this.#gates.size > 0 && this.#passes(node));
    return free ? node.lane.resumeLane : node.lane.origin;
  }

  /** A task has begun to wait for something: who can help it may be waiting behind others. */
  recheck(): void {
    if (this.#gates.size === 0) return;
    this.#command(() => {
      for (const node of this.#nodes().values())
        if (node.status === 'ready' && node.lane === node.lane.origin && this.#passes(node))
          this.#relane(node, node.lane.resumeLane);
    });
  }

  /** Is `node` one that an attempt of `gate` needs, directly or not? */
  helps({ probes }: Pick<ProbingGate, 'probes'>, node: TaskNode): boolean {
    if (probes.size === 0) return false;
    const needed = new Set<TaskNode>();
    for (const probe of probes) needed.add(probe.principal);
    // A set hands out what is added while it is walked through.
    for (const one of needed) for (const other of this.#needs(one)) if (!other.ended) needed.add(other);
    for (let one: TaskNode | undefined = node; one !== undefined; one = one.parent)
      if (needed.has(one.principal)) return true;
    return false;
  }

  #passes(node: TaskNode): boolean {
    if (!node.lane.gated) return false;
    for (const gate of this.#gates)
      if (node.lane.gates.some((list) => list.includes(gate))) return this.helps(gate, node);
    return false;
  }

  #needs(node: TaskNode): TaskNode[] {
    const found = helpersOf(node, this.#nodes());
    if (node.status === 'waiting')
      found.push(...node.inEdges.filter(({ satisfied }) => !satisfied).map(({ from }) => from));
    return found;
  }
}
