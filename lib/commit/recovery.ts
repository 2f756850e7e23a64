import { brief, RxhiveError, shown, WorkflowCancelledError } from '../kernel/errors.js';
import { after, type Late } from '../kernel/late.js';
import type { Replay, TaskNode } from '../model/node.js';
import type { RetryOptions } from '../model/policy.js';
import type { Recalled } from '../model/ports.js';
import type { AddedTask, CommitRecord, FailedRecord, LogRecord, RunRecord } from '../model/record.js';
import { Task, type TaskDefinition, type TypeMaker } from '../model/task.js';
import { made, placeholder } from './added.js';
import { canonical } from './canonical.js';
import { Ledger } from './ledger.js';
import type { RunFacts } from './log.js';
import { type Added, Past, type Resumed, stateOf, versionFrom } from './resume.js';
import { staleTasks } from './staleness.js';
import type { State } from './state.js';
import { Tries } from './tries.js';

/** A task that comes back from a log. */
export interface Revived {
  readonly handle: Task;
  readonly definition: TaskDefinition;
  /** Id of who had added it. */
  readonly parent: string | undefined;
  readonly item: boolean;
}

/** What bringing tasks back needs of the run. */
export interface RecoveryPorts {
  readonly nodes: ReadonlyMap<string, TaskNode>;
  readonly groups: { has(name: string): boolean };
  readonly types: ReadonlyMap<string, TypeMaker>;
  /** Retry of tasks that say nothing. */
  readonly retry: number | RetryOptions | undefined;
  /** Whom handles of tasks that are added belong to. */
  readonly owner: object;
  inputsOf(node: TaskNode): unknown;
  /** Takes tasks into the graph. */
  bringBack(tasks: readonly Revived[]): void;
  /** Ms as the run's clock counts. */
  time(): number;
  /** Tasks that had finished run again. */
  again(tasks: readonly string[], because: string): void;
  /** Results that are not used any more; `stays`: what they had written is not taken back. */
  drop(tasks: readonly string[], stays: boolean): void;
}

/** A run that goes on: what of its log holds, what runs again, and what comes back of tasks that were added. */
export class Recovery {
  readonly past: Past;
  readonly ledger: Ledger;
  readonly tries: Tries;
  readonly #ports: RecoveryPorts;
  #added = new Map<string, Added>();
  /** By who added them. */
  readonly #children = new Map<string | undefined, Added[]>();
  /** Tasks that were compared with the log already. */
  #known = new Set<string>();
  readonly #replays = new Map<string, { body: boolean; handlers: boolean; readonly wanted: Set<string> }>();
  /** Closures that did not come back, and why. */
  readonly #lost = new Map<string, RxhiveError>();
  /** Tasks that cannot be there before one that they depend on. */
  readonly #deferred = new Map<string, Added[]>();
  /** Whose children have been brought back. */
  readonly #expanded = new Set<string>();

  constructor(records: readonly LogRecord[], ports: RecoveryPorts) {
    this.past = new Past(records);
    this.ledger = new Ledger(records);
    this.tries = new Tries(records);
    this.#ports = ports;
  }

  /**
   * Compares the log with the run that goes on, restores the state, and brings tasks back.
   * @throws RxhiveError INVALID_INPUT, INVALID_OPTION; CheckpointCorruptError
   */
  begin(records: readonly LogRecord[], facts: RunFacts, state: State): Late<Resumed> {
    const { workflow, input } = facts;
    const first = records[0] as RunRecord;
    if (first.workflow !== workflow) {
      const message = `The log is of workflow ${shown(first.workflow)}, this is "${brief(workflow)}"; use another runId.`;
      throw new RxhiveError('INVALID_OPTION', message);
    }
    if (input !== undefined && canonical(first.input) !== canonical(input.value)) {
      throw new RxhiveError(
        'INVALID_INPUT',
        'The run began with another input; give the same, or another runId.',
      );
    }
    const { nodes } = this.#ports;
    this.#added = this.past.added();
    const unknown = facts.rerun.find(
      (id) =>
        !nodes.has(id) &&
        !this.#added.has(id) &&
        !records.some((one) => one.kind === 'commit' && one.task === id),
    );
    if (unknown !== undefined)
      throw new RxhiveError(
        'INVALID_OPTION',
        `rerun names ${shown(unknown)}, which is no task; check the id.`,
      );
    return after(this.past.check(nodes), () => this.#compared(records, facts, state));
  }

  #compared(
    records: readonly LogRecord[],
    { runId, state: initial, retryFailed, rerun }: RunFacts,
    state: State,
  ): Resumed {
    const { past } = this;
    const { nodes } = this.#ports;
    const failures = retryFailed ? [...past.failures.values()] : [];
    const retried = new Set(failures.filter((one) => this.#mayRetry(one)).map(({ task }) => task));
    const own = (id: string, record: CommitRecord | FailedRecord): string | undefined =>
      this.#changed(id, record);
    past.drop(staleTasks(past, { nodes, added: this.#added, own, rerun, retried }));
    // Noted before anything runs: a crash before they have all run again must not bring old results back.
    if (past.stale.size > 0) this.#ports.drop([...past.stale.keys()], false);
    for (const id of retried) if (!past.failures.delete(id)) retried.delete(id);
    // Noted too: who suspends or crashes while it runs again has not failed.
    if (retried.size > 0) this.#ports.drop([...retried], false);
    state.restore(stateOf(runId, records, initial, past));
    const restored = past.commits.size;
    this.#added = past.added();
    for (const one of this.#added.values()) {
      const list = this.#children.get(one.parent);
      if (list === undefined) this.#children.set(one.parent, [one]);
      else list.push(one);
    }
    for (const one of this.#added.values()) this.#want(one);
    this.#known = new Set(nodes.keys());
    this.#bringBack([undefined, ...[...nodes.keys()].filter((id) => past.has(id))]);
    return {
      restored,
      rerun: [...past.stale].map(([taskId, { because }]) => ({ taskId, because })),
      spent: this.ledger.groups,
      questions: past.questions,
      messages: records.filter(
        (one) => one.kind === 'message' || one.kind === 'reply' || one.kind === 'reader',
      ),
      retried,
      missing: this.#missing(),
      retries: this.tries.retries,
      input: (records[0] as RunRecord).input,
    };
  }

  /** A competitor of a race has lost for good, and so has a candidate where another one won. */
  #mayRetry({ task, reason }: FailedRecord): boolean {
    const { candidate, parent = '' } = this.#added.get(task) ?? {};
    return reason !== 'lost' && !(candidate === true && this.past.commits.has(parent));
  }

  #changed(id: string, record: CommitRecord | FailedRecord): string | undefined {
    const node = this.#ports.nodes.get(id);
    if (node !== undefined) return this.past.changed(node);
    const added = this.#added.get(id);
    const item = added?.item === undefined ? undefined : this.#feed(added.parent);
    const definition = item?.(undefined, () => undefined) ?? (added && this.#made(added));
    if (definition === undefined) return undefined;
    return versionFrom(definition, added?.dependencies ?? []) === record.version
      ? undefined
      : 'it has changed';
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
    const isNeeded = !this.past.has(one.id) || one.by === 'handler';
    if (!isNeeded || one.candidate === true || this.#comesByItself(one)) return;
    let child = one;
    for (let { parent } = child; parent !== undefined && this.past.has(parent); parent = child.parent) {
      const known = this.#replays.get(parent);
      const replay = known ?? { body: false, handlers: false, wanted: new Set<string>() };
      this.#replays.set(parent, replay);
      replay.wanted.add(child.id);
      if (child.by === 'handler') replay.handlers = true;
      else replay.body = true;
      const above = this.#added.get(parent);
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

  /** Takes what was added by `roots`, and by those that come with them, into the graph. */
  #bringBack(roots: readonly (string | undefined)[], endedAlone = false): void {
    const batch = new Map<string, Added>();
    const queue = [...roots];
    for (let i = 0; i < queue.length; i++) {
      const adder = queue[i];
      if (adder !== undefined && this.#expanded.has(adder)) continue;
      if (adder !== undefined) this.#expanded.add(adder);
      for (const one of this.#children.get(adder) ?? []) {
        // Then nobody is called for what they had added.
        if (endedAlone && !this.#ports.nodes.has(one.id)) this.#replays.delete(one.id);
        const comes = this.#comesNow(one) && (!endedAlone || this.past.has(one.id));
        if (comes) batch.set(one.id, one);
        // What a closure has added that comes back later does so with it.
        if (this.past.has(one.id) && (comes || one.item !== undefined)) queue.push(one.id);
      }
    }
    this.#add(batch);
  }

  /** Is it to be in the graph now? */
  #comesNow(one: Added): boolean {
    const { id, item } = one;
    if (this.#ports.nodes.has(id)) return false;
    // Items that succeeded were counted and forgotten.
    if (item !== undefined && this.past.commits.has(id) && !this.#replays.has(id)) return false;
    return this.#comesByItself(one) || (this.past.has(id) && !this.#replays.has(id) && !this.#isWanted(one));
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
        const absent = this.past.has(id) ? undefined : one.dependencies?.find((on) => !isThere(on));
        if (absent === undefined) continue;
        batch.delete(id);
        // Who adds it again keeps the order; else it comes as soon as it can.
        const replay = one.parent === undefined ? undefined : this.#replays.get(one.parent);
        if (one.by === 'handler' ? replay?.handlers : replay?.body) replay?.wanted.add(id);
        const list = this.#deferred.get(absent.id);
        if (list === undefined) this.#deferred.set(absent.id, [one]);
        else list.push(one);
      }
    }
    const back = [...batch.values()].map((one): Revived => {
      this.#known.add(one.id);
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
      feed?.(one.item?.data, () => inputsOf(parent)) ??
      this.#made(one) ??
      placeholder(one, groups, (id) => this.#handle(id))
    );
  }

  /** Those that waited for a task to be there again. */
  #comeWith({ id }: TaskNode): void {
    const list = this.#deferred.get(id);
    if (list === undefined) return;
    this.#deferred.delete(id);
    const absent = list.filter((one) => !this.#ports.nodes.has(one.id));
    this.#add(new Map(absent.map((one) => [one.id, one])));
  }

  /** Tasks of the log that are not in the graph, and that nobody will bring back. */
  #missing(): string[] {
    const { nodes } = this.#ports;
    const ids = new Set([...this.past.commits.keys(), ...this.#added.keys()]);
    return [...ids].filter((id) => {
      if (nodes.has(id)) return false;
      for (let one = this.#added.get(id); one !== undefined; one = this.#added.get(one.parent as string)) {
        if (one.item !== undefined || one.candidate === true) return false;
        if (one.parent === undefined) return true;
        if (nodes.has(one.parent)) return false;
      }
      return true;
    });
  }

  /** Gives a task the end it had before; undefined when it has to run, if only to bring back what it had added. */
  recall(node: TaskNode): Recalled | undefined {
    this.ledger.bill(node);
    const end = this.#endOf(node);
    const replay = this.#replays.get(node.id);
    this.#comeWith(node);
    if (end !== undefined && !this.#expanded.has(node.id)) this.#bringBack([node.id]);
    if (end !== undefined && (replay === undefined || end === 'skipped')) return end;
    if (node.calls > 0) node.more().loggedCalls = node.calls;
    if (end !== undefined) {
      this.#replays.delete(node.id);
      const { error } = node;
      node.more().replay = { ...(replay as Omit<Replay, 'end' | 'error'>), end: end as Replay['end'], error };
      return undefined;
    }
    const poison = this.tries.take(node, this.#ports.time(), this.#ports.retry);
    if (poison !== undefined) node.error = poison;
    return poison && 'failed';
  }

  #endOf(node: TaskNode): Recalled | undefined {
    const { past } = this;
    const lost = this.#lost.get(node.id);
    if (lost !== undefined) {
      node.error = lost;
      return 'failed';
    }
    if (!past.has(node.id)) return undefined;
    const above = node.inEdges.find((edge) => past.stale.has(edge.from.id));
    const why =
      above !== undefined
        ? `"${above.from.id}" runs again`
        : this.#known.has(node.id)
          ? undefined
          : past.recheck(node);
    if (why !== undefined) {
      // What they had written is in the state already, and others may have built on it.
      const again = this.#withAdded(node.id);
      this.#ports.drop(again, true);
      this.#ports.again(again, why);
      for (const id of again) {
        past.commits.delete(id);
        past.failures.delete(id);
        past.stale.set(id, { because: why, keeps: false });
      }
      return undefined;
    }
    const failure = past.failures.get(node.id);
    if (failure === undefined) return 'restored';
    const { status = 'failed', reason, error } = failure;
    node.error = status === 'cancelled' ? new WorkflowCancelledError(reason ?? 'cancelled', error) : error;
    return status;
  }

  /** A task has ended without adding again what it had added before: it lost, say. What has ended of that comes back. */
  ended({ id }: TaskNode): void {
    if (this.#children.has(id) && !this.#expanded.has(id)) this.#bringBack([id], true);
  }

  /** A task and all that goes back to it of what was added, as far as it has ended and is not there. */
  #withAdded(id: string): string[] {
    const found = [id];
    for (const one of found) {
      this.#expanded.add(one);
      this.#replays.delete(one);
      for (const child of this.#children.get(one) ?? [])
        if (this.past.has(child.id) && !this.#ports.nodes.has(child.id)) found.push(child.id);
    }
    return found;
  }

  /** The replay of `node` is over. What has not come back has failed, where the run goes on. */
  replayed(node: TaskNode, goesOn: boolean, cause: unknown): void {
    const { wanted = new Set<string>() } = node.extra?.replay ?? {};
    node.more().replay = undefined;
    const back = [...(goesOn ? wanted : [])].filter((id) => !this.#ports.nodes.has(id));
    if (back.length === 0) return;
    for (const id of back) {
      // Its result holds all the same.
      if (this.past.has(id)) continue;
      const message = `Task "${brief(id)}" had not finished, and "${brief(node.id)}", which had added it, was called again and did not add it. Let it add the same tasks again (ctx.replaying holds its result), or make it a flow.taskType.`;
      this.#lost.set(
        id,
        new RxhiveError('CHILD_MISSING', message, { cause, details: { taskId: id, parent: node.id } }),
      );
    }
    this.#ports.bringBack(
      back.map((id) => {
        this.#known.add(id);
        const definition = placeholder({ id }, this.#ports.groups, (name) => this.#handle(name));
        return { handle: this.#handle(id), definition, parent: node.id, item: false };
      }),
    );
  }
}
