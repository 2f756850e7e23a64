import { brief, RxhiveError } from '../kernel/errors.js';
import type { TaskNode } from '../model/node.js';

/** A place in the line for a shared thing. */
export interface Ticket {
  /** It is this task's turn. */
  held: boolean;
  /** Who came just before it. */
  readonly behind: TaskNode | undefined;
  /** Gives the turn, or the place in the line, up; may be called twice. */
  leave(): void;
}

interface Place extends Ticket {
  readonly node: TaskNode;
  readonly granted: () => void;
}

/** Who uses which shared thing, and who waits for it, in order of arrival. */
export class Locks {
  readonly #lines = new Map<string, Place[]>();
  readonly #waitsFor = new Map<TaskNode, string>();

  /**
   * Joins the line for `name`; `granted` is called when the turn comes later than now.
   * @throws RxhiveError JOIN_CYCLE when the holder waits, directly or not, for `node`
   */
  enter(name: string, node: TaskNode, granted: () => void): Ticket {
    const line = this.#lines.get(name) ?? [];
    this.#refuseCycle(name, node);
    this.#lines.set(name, line);
    const place: Place = {
      node,
      granted,
      held: line.length === 0,
      behind: line.at(-1)?.node,
      leave: () => this.#leave(name, place),
    };
    if (!place.held) this.#waitsFor.set(node, name);
    line.push(place);
    return place;
  }

  #leave(name: string, place: Place): void {
    const line = this.#lines.get(name);
    const i = line?.indexOf(place) ?? -1;
    if (line === undefined || i < 0) return;
    line.splice(i, 1);
    if (!place.held) this.#waitsFor.delete(place.node);
    place.held = false;
    const next = line[0];
    if (next === undefined) this.#lines.delete(name);
    else if (!next.held) {
      next.held = true;
      this.#waitsFor.delete(next.node);
      next.granted();
    }
  }

  #refuseCycle(name: string, node: TaskNode): void {
    for (let wanted: string | undefined = name; wanted !== undefined; ) {
      const holder: TaskNode | undefined = this.#lines.get(wanted)?.[0]?.node;
      if (holder === node) {
        const message = `Task "${brief(node.id)}" waits for shared "${brief(name)}", whose user waits for it; use shared things in one order and not within themselves.`;
        throw new RxhiveError('JOIN_CYCLE', message, { details: { taskId: node.id, name } });
      }
      wanted = holder === undefined ? undefined : this.#waitsFor.get(holder);
    }
  }
}
