import { TaskSkippedError, truncate, WorkflowCancelledError } from '../kernel/errors.js';
import { type ChoiceMode, isChoice, needsSuccess } from '../model/dependency.js';
import { isSuccess } from '../model/status.js';
import type { Edge, Join, TaskNode } from './node.js';

/** A choice in a run, such as a race: tasks of which one dependent, or one join, needs the first few that succeed. */
export class ChoiceState {
  readonly mode: ChoiceMode;
  /** So many have to succeed. */
  readonly need: number;
  /** One from each task that takes part. */
  readonly edges: Edge[] = [];
  /** In the order in which they succeeded. */
  readonly winners: TaskNode[] = [];
  state: 'open' | 'won' | 'failed' = 'open';
  /** The wait it is part of, where it is joined by a running task. */
  join: Join | undefined = undefined;
  /** Those that have ended without success. */
  readonly #out = new Set<TaskNode>();

  constructor(mode: ChoiceMode, need: number) {
    this.mode = mode;
    this.need = need;
  }

  /** Notes how one of its tasks ended; true when that decides it. */
  note(node: TaskNode): boolean {
    const isOpen = this.state === 'open';
    if (!isSuccess(node.status)) this.#out.add(node);
    else if (isOpen) this.winners.push(node);
    if (!isOpen) return false;
    if (this.winners.length === this.need) this.state = 'won';
    else if (this.edges.length - this.#out.size < this.need) this.state = 'failed';
    return (this.state as string) !== 'open';
  }

  /** Those it has failed for; who has lost was not needed any more. */
  get causes(): readonly TaskNode[] {
    return [...this.#out].filter((node) => !isLost(node));
  }

  /** Does who wins stop the others? */
  get stopsOthers(): boolean {
    return this.mode !== 'any';
  }

  /** What the dependent receives, once it is won. */
  get value(): unknown {
    // Those of an earlier process ended in the order of its log, and before all others.
    const place = ({ extra }: TaskNode): number => extra?.place ?? Number.MAX_SAFE_INTEGER;
    const winners = [...this.winners].sort((a, b) => place(a) - place(b));
    return this.mode === 'quorum' ? winners.map((node) => node.value) : winners[0]?.value;
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
  let isNeeded = false;
  for (let edge = node.firstOut; edge !== undefined; edge = edge.nextOut) {
    if (edge.mode === 'ended') continue;
    if ((choiceOf(edge)?.state ?? 'failed') === 'failed') return false;
    isNeeded = true;
  }
  return isNeeded;
}

/**
 * Has a task that handles its failure succeeded, or one that handles the failure of the nested workflow it is part of? With
 * `open`: or may one still.
 */
export function isHandled(node: TaskNode, open = false): boolean {
  if (node.status !== 'failed' && (!open || node.ended)) return false;
  for (let edge = node.firstOut; edge !== undefined; edge = edge.nextOut)
    if (edge.mode === 'failed' && (isSuccess(edge.to.status) || (open && !edge.to.ended))) return true;
  const end = endAround(node);
  return end !== undefined && isHandled(end, open);
}

/** The end of the nested workflow that a task is part of: it depends on each. */
function endAround({ definition: { scope }, firstOut }: TaskNode): TaskNode | undefined {
  for (let edge = firstOut; edge !== undefined && scope !== undefined; edge = edge.nextOut)
    if (`${edge.to.id}/` === scope.prefix) return edge.to;
  return undefined;
}

/** Was it decided that the task does not run: by a condition of its own, or of one that it needs? */
export function isDecided({ status, error }: TaskNode): boolean {
  return status === 'skipped' && error instanceof TaskSkippedError;
}

/** The decision that the dependent is skipped for; undefined: it is skipped for something that went wrong. */
export function decisionBy(edge: Edge): TaskSkippedError | undefined {
  const { from, to, mode } = edge;
  if (mode === 'failed' && isSuccess(from.status))
    return new TaskSkippedError(to.id, `"${truncate(from.id)}" has not failed`);
  const causes = choiceOf(edge)?.causes ?? [from];
  return causes.every(isDecided) ? (causes[0]?.error as TaskSkippedError | undefined) : undefined;
}

/** Was it stopped because another one was first? */
export function isLost({ status, error }: TaskNode): boolean {
  // What else was thrown may be anything, also something that cannot be asked what it is.
  return status === 'cancelled' && error instanceof WorkflowCancelledError && error.reason === 'lost';
}

/** The choice an edge is part of. */
export function choiceOf(edge: Edge): ChoiceState | undefined {
  const { mode, fallback } = edge;
  const may = mode !== 'value' && (mode === 'join' || isChoice(mode));
  return may && fallback instanceof ChoiceState ? fallback : undefined;
}
