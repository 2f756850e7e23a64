import type { Edge, TaskNode } from '../graph/node.js';

/** A task that was added from outside, with all that it has added, and they have. */
interface Family {
  readonly members: TaskNode[];
  /** Members that have not ended. */
  open: number;
}

const noEdges: readonly Edge[] = [];

/** Says which tasks that were added from outside may be forgotten: those that have ended, with all they have added, but for the newest. */
export class FinishedFamilies {
  /** So many that have ended stay. */
  readonly #keep: number;
  readonly #familyOf = new Map<TaskNode, Family>();
  /** Those that have ended, the oldest first. */
  readonly #finished = new Set<Family>();

  constructor(keep: number) {
    this.#keep = keep;
  }

  /** A task was added from outside. */
  begin(node: TaskNode): void {
    this.#add({ members: [], open: 0 }, node);
  }

  /** `parent` has added a task; those of the workflow itself are no families. */
  join(parent: TaskNode, node: TaskNode): void {
    const family = this.#familyOf.get(parent);
    if (family === undefined || this.#familyOf.has(node)) return;
    this.#add(family, node);
    this.#finished.delete(family);
  }

  #add(family: Family, node: TaskNode): void {
    family.members.push(node);
    if (!node.ended) family.open += 1;
    this.#familyOf.set(node, family);
  }

  /** A task has ended. Gives those that are to be forgotten now: nothing leads to them any more. */
  ended(node: TaskNode): readonly TaskNode[] {
    const family = this.#familyOf.get(node);
    if (family !== undefined) family.open -= 1;
    // What it depended on may have waited for nothing but its end.
    for (const { from } of node.inEdges) this.#finish(this.#familyOf.get(from));
    this.#finish(family);
    const gone: TaskNode[] = [];
    for (const oldest of this.#finished) {
      if (this.#finished.size <= this.#keep) break;
      this.#finished.delete(oldest);
      // One that came since may depend on it: then its end is the next occasion.
      if (isFree(oldest)) gone.push(...this.#release(oldest));
    }
    return gone;
  }

  #finish(family: Family | undefined): void {
    if (family !== undefined && isFree(family)) this.#finished.add(family);
  }

  #release({ members }: Family): readonly TaskNode[] {
    for (const node of members) {
      this.#familyOf.delete(node);
      // Or those that depend on it would hold it, and all it has depended on.
      node.inEdges = noEdges;
      node.firstOut = undefined;
      node.parent = undefined;
    }
    return members;
  }
}

/** Have all of it ended, and all that depends on them? */
function isFree({ members, open }: Family): boolean {
  if (open > 0) return false;
  for (const node of members)
    for (let edge = node.firstOut; edge !== undefined; edge = edge.nextOut) if (!edge.to.ended) return false;
  return true;
}
