import { WorkflowCancelledError } from '../kernel/errors.js';
import { needsSuccess } from '../model/dependency.js';
import type { Edge, Join, TaskNode } from './node.js';

/** A race or a quorum in a run: tasks of which one dependent, or one join, needs the first few that succeed. */
export class ChoiceState {
  readonly mode: 'race' | 'quorum';
  /** So many have to succeed. */
  readonly need: number;
  /** One from each task that takes part. */
  readonly edges: Edge[] = [];
  /** In the order in which they succeeded. */
  readonly winners: TaskNode[] = [];
  state: 'open' | 'won' | 'failed' = 'open';
  /** The wait it is part of, where it is joined by a running task. */
  join: Join | undefined = undefined;
  #out = 0;

  constructor(mode: 'race' | 'quorum', need: number) {
    this.mode = mode;
    this.need = need;
  }

  /** Notes how one of its tasks ended; true when that decides it. */
  note(node: TaskNode): boolean {
    if (this.state !== 'open') return false;
    if (node.status === 'succeeded' || node.status === 'restored') this.winners.push(node);
    else this.#out += 1;
    if (this.winners.length === this.need) this.state = 'won';
    else if (this.edges.length - this.#out < this.need) this.state = 'failed';
    return this.state !== 'open';
  }

  /** What the dependent receives, once it is won. */
  get value(): unknown {
    // Those of an earlier process ended in the order of its log, and before all others.
    const place = ({ extra }: TaskNode): number => extra?.place ?? Number.MAX_SAFE_INTEGER;
    const winners = [...this.winners].sort((a, b) => place(a) - place(b));
    return this.mode === 'race' ? winners[0]?.value : winners.map((node) => node.value);
  }
}

/** Has it failed, as it may: that was declared, and all who depend on it can do without? */
export function isTolerated(node: TaskNode): boolean {
  if (node.status !== 'failed' || node.definition.tolerate !== true) return false;
  for (let edge = node.firstOut; edge !== undefined; edge = edge.nextOut)
    if (needsSuccess(edge.mode) || choiceOf(edge)?.state === 'failed') return false;
  return true;
}

/**
 * Is a failure of the task no failure of the run? So where it is tolerated, where it was a candidate, whose parent tells,
 * and where only choices depend on it that can still be won, or are.
 */
export function isForgiven(node: TaskNode): boolean {
  if (node.definition.candidate === true || isTolerated(node)) return true;
  for (let edge = node.firstOut; edge !== undefined; edge = edge.nextOut)
    if ((choiceOf(edge)?.state ?? 'failed') === 'failed') return false;
  return node.firstOut !== undefined;
}

/** Was it stopped because another one was first? */
export function isLost({ status, error }: TaskNode): boolean {
  // What else was thrown may be anything, also something that cannot be asked what it is.
  return status === 'cancelled' && error instanceof WorkflowCancelledError && error.reason === 'lost';
}

/** The choice an edge is part of. */
export function choiceOf(edge: Edge): ChoiceState | undefined {
  const { mode, fallback } = edge;
  const may = mode === 'race' || mode === 'quorum' || mode === 'join';
  return may && fallback instanceof ChoiceState ? fallback : undefined;
}
