import { ChoiceState } from '../graph/choice-state.js';
import type { TaskNode, WaitCause } from '../graph/node.js';
import { type AsyncValue, asyncValue } from '../kernel/async-context.js';
import { RxhiveError, truncate } from '../kernel/errors.js';

/** A place in the line for a shared thing. */
export interface LockTicket extends WaitCause {
  /** It is this task's turn. */
  readonly held: boolean;
  /** Calls the work it was taken for: what that waits for, it waits for. */
  use<T>(work: () => T): T;
  /** Gives the turn, or the place in the line, up; may be called twice. */
  release(): void;
}

/** Whose work is running: asked when it begins to wait. */
const current: AsyncValue<LockPlace> = asyncValue();

/** Who uses which shared thing, and who waits for it, in order of arrival. */
export class Locks {
  readonly #lines = new Map<string, LockPlace[]>();
  readonly #waitsFor = new Map<TaskNode, string>();

  /**
   * Joins the line for `name`; `granted` is called when the turn comes later than now, `fail` when it never comes.
   * @throws RxhiveError JOIN_CYCLE when the holder waits, directly or not, for `node`
   */
  acquire(name: string, node: TaskNode, granted: () => void, fail: (error: RxhiveError) => void): LockTicket {
    const line = this.#lines.get(name) ?? [];
    this.#refuseCycle(name, node);
    this.#lines.set(name, line);
    const place = new LockPlace(name, node, line, granted, fail, () => this.#release(place));
    if (!place.held) this.#waitsFor.set(node, name);
    line.push(place);
    return place;
  }

  /**
   * Work of `node` with a shared thing, if this is called by it, waits for the end of `targets` until the returned function is
   * called; undefined: there is no such work.
   */
  joins(node: TaskNode, targets: readonly (TaskNode | ChoiceState)[]): (() => void) | undefined {
    return useOf(node)?.waits(targets.filter((one): one is TaskNode => !(one instanceof ChoiceState)));
  }

  #release(place: LockPlace): void {
    const { name, line } = place;
    const i = line.indexOf(place);
    if (i < 0) return;
    line.splice(i, 1);
    if (!place.held) this.#waitsFor.delete(place.node);
    place.held = false;
    const next = line[i];
    if (next !== undefined) next.by = line[i - 1]?.node;
    if (line.length === 0) this.#lines.delete(name);
    else if (next !== undefined && next.by === undefined) {
      next.held = true;
      this.#waitsFor.delete(next.node);
      next.granted();
    }
  }

  #refuseCycle(name: string, node: TaskNode): void {
    for (let wanted: string | undefined = name; wanted !== undefined; ) {
      const holder: TaskNode | undefined = this.#lines.get(wanted)?.[0]?.node;
      if (holder === node) {
        const message = `Task "${truncate(node.id)}" waits for shared "${truncate(name)}", whose user waits for it; use shared things in one order and not within themselves.`;
        throw new RxhiveError('JOIN_CYCLE', message, { details: { taskId: node.id, name } });
      }
      wanted = holder === undefined ? undefined : this.#waitsFor.get(holder);
    }
  }
}

class LockPlace implements LockTicket {
  held: boolean;
  /** Who came just before it, and is still there. */
  by: TaskNode | undefined;
  readonly name: string;
  readonly node: TaskNode;
  readonly line: LockPlace[];
  readonly granted: () => void;
  readonly fail: (error: RxhiveError) => void;
  readonly release: () => void;
  /** What its work waits for. */
  readonly #waits = new Set<readonly TaskNode[] | LockPlace>();
  readonly #within: (() => void) | undefined;

  constructor(
    name: string,
    node: TaskNode,
    line: LockPlace[],
    granted: () => void,
    fail: (error: RxhiveError) => void,
    leave: () => void,
  ) {
    this.name = name;
    this.node = node;
    this.line = line;
    this.held = line.length === 0;
    this.by = line.at(-1)?.node;
    this.granted = granted;
    this.fail = fail;
    this.#within = useOf(node)?.waits(this);
    this.release = () => {
      this.#within?.();
      leave();
    };
  }

  get what(): string {
    return `shared "${truncate(this.name)}"`;
  }

  /** What those it waits for, directly or not, are known to wait for. */
  needs(): TaskNode[] {
    const found: TaskNode[] = [];
    const places = new Set<LockPlace>([this]);
    // A set hands out what is added while it is walked through.
    for (const place of places) {
      const holder = place.held ? place : place.line[0];
      for (const wait of holder?.waited ?? [])
        if (wait instanceof LockPlace) places.add(wait);
        else found.push(...wait);
    }
    return found;
  }

  get waited(): Iterable<readonly TaskNode[] | LockPlace> {
    return this.#waits;
  }

  use<T>(work: () => T): T {
    return current.run(this, work);
  }

  waits(wait: readonly TaskNode[] | LockPlace): () => void {
    this.#waits.add(wait);
    return () => this.#waits.delete(wait);
  }
}

/** Children run where they were added: a use is only of the task that has it. */
function useOf(node: TaskNode): LockPlace | undefined {
  const place = current.getStore();
  return place?.node === node ? place : undefined;
}
