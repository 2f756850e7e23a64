import type { TaskNode } from '../graph/node.js';
import type { Replay } from '../graph/replay.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import { Task } from '../model/dependency.js';
import type { AddedTask } from '../model/record.js';
import type { TaskDefinition, TypeMaker } from '../model/task.js';
import { made, placeholder } from './added.js';
import type { Added, ReplayedLog } from './resume.js';

/** A task that comes back from a log. */
export interface Revived {
  readonly handle: Task;
  readonly definition: TaskDefinition;
  /** Id of who had added it. */
  readonly parent: string | undefined;
  readonly item: boolean;
}

/** What bringing tasks back needs of the run. */
export interface RevivalPorts {
  readonly nodes: ReadonlyMap<string, TaskNode>;
  readonly groups: { has(name: string): boolean };
  readonly types: ReadonlyMap<string, TypeMaker>;
  /** Whom handles of tasks that are added belong to. */
  readonly owner: object;
  inputsOf(node: TaskNode): unknown;
  /** Takes tasks into the graph. */
  bringBack(tasks: readonly Revived[]): void;
}

/** Brings tasks back that were added at run time: by their data, in a replay of who added them, or as what has ended. */
export class Revival {
  readonly #past: ReplayedLog;
  readonly #ports: RevivalPorts;
  /** What the log says of tasks that were added. */
  added: ReadonlyMap<string, Added> = new Map();
  /** Tasks that were compared with the log already. */
  known = new Set<string>();
  /** By who added them. */
  readonly #children = new Map<string | undefined, Added[]>();
  readonly #replays = new Map<string, { body: boolean; handlers: boolean; readonly wanted: Set<string> }>();
  /** Tasks that cannot be there before one that they depend on. */
  readonly #deferred = new Map<string, Added[]>();
  /** Whose children have been brought back. */
  readonly #expanded = new Set<string>();

  constructor(past: ReplayedLog, ports: RevivalPorts) {
    this.#past = past;
    this.#ports = ports;
  }

  /** Reads again who added whom. */
  read(): ReadonlyMap<string, Added> {
    this.added = this.#past.added();
    return this.added;
  }

  /** Brings back what belongs to ends that hold. */
  begin(): void {
    const { nodes } = this.#ports;
    for (const one of this.read().values()) {
      getOrInsert(this.#children, one.parent, () => []).push(one);
    }
    for (const one of this.added.values()) this.#want(one);
    this.known = new Set(nodes.keys());
    // A loop has decided for the turns there are: it goes on behind them.
    const holds = ([id, { definition }]: [string, TaskNode]): boolean =>
      this.#past.has(id) || definition.loop !== undefined;
    this.bringBack([undefined, ...[...nodes].filter(holds).map(([id]) => id)]);
  }

  /** The task as it would be made today, to be compared with its record; undefined for a closure. */
  comparable(one: Added): TaskDefinition | undefined {
    const item = one.item === undefined ? undefined : this.#feed(one.parent);
    return item?.(one.item?.data, () => undefined) ?? this.#made(one);
  }

  /** What a task that has ended is called again for; undefined: nothing. */
  replayOf(id: string): Omit<Replay, 'end' | 'error'> | undefined {
    return this.#replays.get(id);
  }

  /** The replay of a task has begun. */
  forget(id: string): void {
    this.#replays.delete(id);
  }

  /** Puts tasks without a body in place of those that do not come back. */
  standIn(ids: readonly string[], parent: string): void {
    this.#ports.bringBack(
      ids.map((id) => {
        this.known.add(id);
        const definition = placeholder({ id }, this.#ports.groups, (name) => this.#handle(name));
        return { handle: this.#handle(id), definition, parent, item: false };
      }),
    );
  }

  #made(added: AddedTask): TaskDefinition | undefined {
    return made(added, this.#ports.types, (id) => this.#handle(id));
  }

  #handle(id: string): Task {
    return new Task(id, this.#ports.owner);
  }

  /**
   * A closure that has not ended comes back by a replay of who added it, and that one, where it is a closure, the same way.
   * Handlers cost little: they are called for closures that have ended too, whose code may have changed.
   */
  #want(one: Added): void {
    const isNeeded = !this.#past.has(one.id) || one.by === 'handler';
    if (!isNeeded || one.candidate === true || this.#comesByItself(one)) return;
    let child = one;
    for (let { parent } = child; parent !== undefined && this.#past.has(parent); parent = child.parent) {
      const known = this.#replays.get(parent);
      const replay = known ?? { body: false, handlers: false, wanted: new Set<string>() };
      this.#replays.set(parent, replay);
      replay.wanted.add(child.id);
      if (child.by === 'handler') replay.handlers = true;
      else replay.body = true;
      const above = this.added.get(parent);
      if (known !== undefined || above === undefined || this.#comesByItself(above)) return;
      child = above;
    }
  }

  /** It needs nobody to define it again. */
  #comesByItself({ id, item, type, parent }: Added): boolean {
    const { nodes, types } = this.#ports;
    if (nodes.has(id)) return true;
    if (item !== undefined) return this.#feed(parent) !== undefined && 'data' in item;
    return type !== undefined && types.has(type);
  }

  /** How the items of a task are made. */
  #feed(parent: string | undefined): TaskDefinition['item'] {
    return parent === undefined ? undefined : this.#ports.nodes.get(parent)?.definition.item;
  }

  /**
   * Takes what was added by `roots`, and by those that come with them, into the graph. `endedAlone`: nobody is called for
   * closures any more; those that have not ended are returned.
   */
  bringBack(roots: readonly (string | undefined)[], endedAlone = false): Added[] {
    // Most have added nothing.
    const queue = roots.filter((id) => this.#children.has(id));
    if (queue.length === 0) return [];
    const batch = new Map<string, Added>();
    const gone: Added[] = [];
    for (let i = 0; i < queue.length; i++) {
      const adder = queue[i];
      if (adder !== undefined && this.#expanded.has(adder)) continue;
      if (adder !== undefined) this.#expanded.add(adder);
      for (const one of this.#children.get(adder) ?? []) {
        if (endedAlone && !this.#ports.nodes.has(one.id)) {
          this.#replays.delete(one.id);
          if (!this.#past.has(one.id) && one.candidate !== true) gone.push(one);
        }
        const comes = this.#comesNow(one) && (!endedAlone || this.#past.has(one.id));
        if (comes) batch.set(one.id, one);
        // What a closure has added that comes back later does so with it.
        if (this.#past.has(one.id) && (comes || one.item !== undefined)) queue.push(one.id);
      }
    }
    this.#add(batch);
    return gone;
  }

  /** Is it to be in the graph now? */
  #comesNow(one: Added): boolean {
    const { id, item } = one;
    if (this.#ports.nodes.has(id)) return false;
    // Items that ended were counted and forgotten, but for those that failed.
    const end = this.#past.failures.get(id);
    const isForgotten = this.#past.commits.has(id) || (end !== undefined && end.status !== undefined);
    if (item !== undefined && isForgotten && !this.#replays.has(id)) return false;
    return this.#comesByItself(one) || (this.#past.has(id) && !this.#replays.has(id) && !this.#isWanted(one));
  }

  /** Does who added it bring it back? */
  #isWanted({ id, parent }: Added): boolean {
    return parent !== undefined && this.#replays.get(parent)?.wanted.has(id) === true;
  }

  #add(batch: Map<string, Added>): void {
    const { nodes } = this.#ports;
    const isThere = ({ id }: { readonly id: string }): boolean => nodes.has(id) || batch.has(id);
    for (let before = -1; before !== batch.size; ) {
      before = batch.size;
      for (const [id, one] of batch) {
        const absent = this.#past.has(id) ? undefined : one.dependencies?.find((on) => !isThere(on));
        if (absent === undefined) continue;
        batch.delete(id);
        // Who adds it again keeps the order; else it comes as soon as it can.
        const replay = one.parent === undefined ? undefined : this.#replays.get(one.parent);
        if (one.by === 'handler' ? replay?.handlers : replay?.body) replay?.wanted.add(id);
        getOrInsert(this.#deferred, absent.id, () => []).push(one);
      }
    }
    const back = [...batch.values()].map((one): Revived => {
      this.known.add(one.id);
      // What has ended needs its dependencies for reports alone.
      const dependencies = one.dependencies?.filter(isThere);
      const definition = this.#definitionOf({ ...one, ...(dependencies && { dependencies }) });
      return { handle: this.#handle(one.id), definition, parent: one.parent, item: one.item !== undefined };
    });
    if (back.length > 0) this.#ports.bringBack(back);
  }

  #definitionOf(one: Added): TaskDefinition {
    const { nodes, groups, inputsOf } = this.#ports;
    const feed = one.item === undefined ? undefined : this.#feed(one.parent);
    const parent = nodes.get(String(one.parent)) as TaskNode;
    return (
      feed?.(one.item?.data, () => inputsOf(parent), one.item?.keys) ??
      this.#made(one) ??
      placeholder(one, groups, (id) => this.#handle(id))
    );
  }

  /** Those that waited for a task to be there again. */
  comeWith({ id }: TaskNode): void {
    const list = this.#deferred.get(id);
    if (list === undefined) return;
    this.#deferred.delete(id);
    const absent = list.filter((one) => !this.#ports.nodes.has(one.id));
    this.#add(new Map(absent.map((one) => [one.id, one])));
  }

  /** Tasks of the log that are not in the graph, and that nobody will bring back. */
  missing(): string[] {
    const { nodes } = this.#ports;
    const ids = new Set([...this.#past.commits.keys(), ...this.added.keys()]);
    return [...ids].filter((id) => {
      if (nodes.has(id)) return false;
      for (let one = this.added.get(id); one !== undefined; one = this.added.get(one.parent as string)) {
        if (one.item !== undefined || one.candidate === true) return false;
        if (one.parent === undefined) return true;
        if (nodes.has(one.parent)) return false;
      }
      return true;
    });
  }

  /** A task and all that goes back to it of what was added, as far as it has ended and is not there. */
  withAdded(id: string): string[] {
    const found = [id];
    for (const one of found) {
      this.#expanded.add(one);
      this.#replays.delete(one);
      for (const child of this.#children.get(one) ?? [])
        if (this.#past.has(child.id) && !this.#ports.nodes.has(child.id)) found.push(child.id);
    }
    return found;
  }
}
