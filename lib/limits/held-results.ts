import type { AttemptEnd } from '../graph/gate.js';
import { ClosingGate, type Gate } from '../graph/gate.js';
import type { TaskNode } from '../graph/node.js';

/**
 * Bounds how many results wait for tasks that use them: while there are as many, no task begins that would make one more, but for
 * one that uses up another, and for one where nothing else runs, so that the run goes on whatever its graph is.
 */
export class HeldResults extends ClosingGate implements Gate {
  readonly waitsFor = 'slot';
  readonly #most: number;
  /** Tasks that have succeeded, and how many of those that use them have not begun. */
  readonly #held = new Map<TaskNode, number>();
  readonly #begun = new WeakSet<TaskNode>();
  readonly #running = new Set<TaskNode>();
  /** Those among them whose results others will use. */
  readonly #producing = new Set<TaskNode>();
  /** Somebody was not admitted. */
  #refused = false;
  /** Something has happened since it was last counted: users may have ended without having begun. */
  #changed = false;

  constructor(most: number) {
    super();
    this.#most = most;
  }

  admits(node: TaskNode): boolean {
    if (node.running !== undefined || this.#running.size === 0 || this.#fits()) return true;
    if (!isUsed(node) || this.#usesUp(node)) return true;
    if (this.#changed) {
      this.#changed = false;
      for (const one of this.#held.keys()) this.#count(one);
      if (this.#fits()) return true;
    }
    this.#refused = true;
    return false;
  }

  override acquire(node: TaskNode): void {
    this.#running.add(node);
    this.#changed = true;
    if (isUsed(node)) this.#producing.add(node);
    if (this.#begun.has(node)) return;
    this.#begun.add(node);
    for (const { from } of node.inEdges) {
      const users = this.#held.get(from);
      if (users !== undefined && users > 1) this.#held.set(from, users - 1);
      else this.#held.delete(from);
    }
    this.#wake();
  }

  override pause(node: TaskNode): void {
    this.#running.delete(node);
    this.#changed = true;
    this.#wake();
  }

  override release(node: TaskNode, { kind }: AttemptEnd): void {
    this.#producing.delete(node);
    if (kind === 'succeeded') this.#count(node);
    this.pause(node);
  }

  reason(): string {
    return `heldResults: ${this.#held.size} results wait for tasks that use them, and ${this.#producing.size} more are made; ${this.#most} may`;
  }

  #fits(): boolean {
    return this.#held.size + this.#producing.size < this.#most;
  }

  /** Does a result that is held have no other user than `node` left? */
  #usesUp(node: TaskNode): boolean {
    return node.inEdges.some(({ from }) => this.#held.get(from) === 1);
  }

  #count(node: TaskNode): void {
    let users = 0;
    for (let edge = node.firstOut; edge !== undefined; edge = edge.nextOut)
      if (edge.mode !== 'join' && !edge.to.ended && !this.#begun.has(edge.to)) users += 1;
    if (users > 0) this.#held.set(node, users);
    else this.#held.delete(node);
  }

  #wake(): void {
    if (!this.#refused) return;
    this.#refused = false;
    this.opened();
  }
}

/** Does another task use its result? */
function isUsed({ firstOut }: TaskNode): boolean {
  for (let edge = firstOut; edge !== undefined; edge = edge.nextOut)
    if (edge.mode !== 'join' && !edge.to.ended) return true;
  return false;
}
