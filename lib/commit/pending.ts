import type { TaskNode } from '../graph/node.js';
import type { RxhiveError } from '../kernel/errors.js';
import type { State } from './state.js';

/** A commit that counts when its record is durable. */
interface Pending {
  /** Number of its record. */
  readonly seq: number;
  readonly changed: boolean;
  readonly node: TaskNode;
}

/** Commits that are being written, in order, and who waits to see what comes of them. */
export class PendingCommits {
  readonly #state: State;
  readonly #durable: (node: TaskNode, error?: RxhiveError) => void;
  #line: Pending[] = [];
  #behind: { readonly commit: number; readonly again: () => void }[] = [];

  /** `durable`: told of each commit that it counts, or why it never will. */
  constructor(state: State, durable: (node: TaskNode, error?: RxhiveError) => void) {
    this.#state = state;
    this.#durable = durable;
  }

  add(pending: Pending): void {
    this.#line.push(pending);
  }

  /** Calls `again` once commit number `commit` of the state is written, or lost. */
  behind(commit: number, again: () => void): void {
    this.#behind.push({ commit, again });
  }

  /** Records up to `seq` are durable: their commits count, one after the other. */
  written(seq: number): void {
    for (let next = this.#line[0]; next !== undefined && next.seq <= seq; next = this.#line[0]) {
      this.#line.shift();
      if (next.changed) this.#state.publish();
      this.#durable(next.node);
    }
    this.#goOn();
  }

  /** No commit can count any more: each was made on the state that the one before leaves. True if there was one. */
  lost(error: RxhiveError): boolean {
    const lost = this.#line;
    this.#line = [];
    this.#state.withdraw();
    for (const { node } of lost) this.#durable(node, error);
    this.#goOn();
    return lost.length > 0;
  }

  #goOn(): void {
    const { seq } = this.#state;
    const free = this.#behind.filter(({ commit }) => commit <= seq);
    if (free.length === 0) return;
    this.#behind = this.#behind.filter(({ commit }) => commit > seq);
    for (const { again } of free) again();
  }
}
