import { ForgottenTasks } from '../graph/forgotten-tasks.js';
import { ItemsEdge } from '../graph/items-edge.js';
import type { ItemWatch, Spawned, TaskNode } from '../graph/node.js';
import {
  inspect,
  LimitExceededError,
  RxhiveError,
  truncate,
  WorkflowDefinitionError,
} from '../kernel/errors.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import type { Task } from '../model/dependency.js';
import type { RunOptions } from '../model/run-options.js';
import type { TaskDefinition } from '../model/task.js';
import { FinishedFamilies } from './finished-families.js';
import type { Graph } from './graph.js';

const none: readonly never[] = [];

/** An item that comes back alone: nobody takes its place. */
const unwatched: ItemWatch = { started: () => undefined, ended: () => undefined };

/** Adds tasks to the graph of a run, up to the workflow's `maxTasks`. */
export class Growth {
  readonly #graph: Graph;
  readonly #most: number;
  readonly forgotten = new ForgottenTasks();
  /** Tasks that came back before those who had added them, by their ids. */
  readonly #apart = new Map<string, TaskNode[]>();

  /** Tasks that came back from a log, by id. */
  readonly back = new Map<string, TaskNode>();
  readonly #types: { has(name: string): boolean };
  /** Tasks that have ended and are in the graph. */
  #ended = 0;
  /** Only tasks that have not ended count towards `maxTasks`. */
  readonly #keepOpen: boolean;
  readonly #families: FinishedFamilies | undefined;

  /**
   * `types`: names of registered bodies; `keep`: so many tasks that were added from outside stay when they have ended.
   * @throws LimitExceededError where there are more tasks from the beginning
   */
  constructor(
    graph: Graph,
    types: { has(name: string): boolean },
    { keepOpen = false, keep = Number.POSITIVE_INFINITY }: Pick<RunOptions, 'keepOpen' | 'keep'> = {},
  ) {
    this.#graph = graph;
    this.#types = types;
    this.#keepOpen = keepOpen;
    if (keep < Number.POSITIVE_INFINITY) this.#families = new FinishedFamilies(keep);
    this.#most = graph.settings.maxTasks ?? graph.nodes.size + 100_000;
    this.#checkSize(0);
  }

  /** Makes nodes of tasks, but for those `parent` has added before. @throws LimitExceededError, WorkflowDefinitionError */
  add(tasks: readonly Spawned[], parent: TaskNode | undefined): TaskNode[] {
    const { nodes } = this.#graph;
    const fresh: Spawned[] = [];
    const definitions: TaskDefinition[] = [];
    const handles: Task[] = [];
    for (const task of tasks) {
      const { handle, definition } = task;
      this.#checkType(definition);
      if (
        parent === undefined ? this.#isBack(handle.id, definition) : nodes.get(handle.id)?.parent === parent
      )
        continue;
      this.#checkId(handle.id, undefined);
      fresh.push(task);
      definitions.push(definition);
      handles.push(handle);
    }
    this.#checkSize(fresh.length);
    const added = this.#graph.add(definitions, handles);
    for (const [i, node] of added.entries()) {
      node.context = fresh[i]?.context;
      if (parent !== undefined) this.#adopt(parent, node, false);
      else this.#families?.begin(node);
      for (const child of this.#apart.get(node.id) ?? []) this.#adopt(node, child, false);
    }
    return added;
  }

  /** Makes the node of an item, which is no child to remember. @throws LimitExceededError, WorkflowDefinitionError */
  addItem(
    { handle, definition }: Spawned,
    parent: TaskNode,
    watch: ItemWatch,
    known: (node: TaskNode) => void,
  ): TaskNode[] {
    const back = this.back.get(handle.id);
    if (back?.item === unwatched && back.parent === parent) {
      // It has failed in an earlier process, where its task had ended.
      back.item = watch;
      known(back);
      if (back.ended) watch.ended(back);
      return [];
    }
    this.#checkSize(1);
    this.#checkId(handle.id, parent);
    const added = this.#graph.add([definition], [handle]);
    const extra = parent.more();
    extra.items ??= new Set();
    for (const node of added) {
      node.parent = parent;
      node.priority = Math.max(node.priority, parent.priority);
      node.context = parent.context;
      node.item = watch;
      extra.items.add(node);
      known(node);
    }
    return added;
  }

  /** Makes the node of a task nobody depends on, to be forgotten like an item. @throws LimitExceededError, WorkflowDefinitionError */
  addAlone({ handle, definition, context }: Spawned, watch: ItemWatch): TaskNode {
    this.#checkSize(1);
    const node = this.#graph.addAlone(handle, definition);
    node.context = context;
    node.item = watch;
    return node;
  }

  /** A task has ended: an item is counted and forgotten, others as `keep` says. Gives the ids of those others. */
  ended(node: TaskNode): readonly string[] {
    this.#ended += 1;
    if (node.definition.stage !== undefined)
      for (const edge of node.inEdges) if (edge instanceof ItemsEdge) edge.row.close();
    if (node.item === undefined) {
      const gone = this.#families?.ended(node) ?? none;
      return gone.length === 0 ? none : gone.filter((one) => this.#forget(one)).map(({ id }) => id);
    }
    node.parent?.extra?.items?.delete(node);
    node.item.ended(node);
    this.#forget(node);
    return none;
  }

  /** Counts a task that has ended, and takes it out of the graph; false: it is one to remember. */
  #forget(node: TaskNode): boolean {
    if (!this.forgotten.record(node)) return false;
    this.#graph.nodes.delete(node.id);
    this.back.delete(node.id);
    this.#ended -= 1;
    return true;
  }

  /** Makes nodes of tasks of an earlier process. */
  bringBack(
    tasks: readonly (Spawned & { readonly parent: string | undefined; readonly item: boolean })[],
  ): TaskNode[] {
    const added = this.#graph.add(
      tasks.map(({ definition }) => definition),
      tasks.map(({ handle }) => handle),
    );
    for (const [i, node] of added.entries()) {
      this.back.set(node.id, node);
      const { parent = '', item } = tasks[i] as (typeof tasks)[number];
      if (item) node.item = unwatched;
      const adder = this.#graph.nodes.get(parent);
      if (parent === '' && !item) this.#families?.begin(node);
      if (adder !== undefined) this.#adopt(adder, node, item);
      else if (parent !== '') {
        getOrInsert(this.#apart, parent, () => []).push(node);
      }
    }
    return added;
  }

  #adopt(parent: TaskNode, node: TaskNode, item: boolean): void {
    node.parent = parent;
    if (item) return;
    this.#families?.join(parent, node);
    const extra = parent.more();
    extra.children ??= [];
    extra.children.push(node);
  }

  /** Was a task from outside added in an earlier process, and came back by itself? */
  #isBack(id: string, { stored }: TaskDefinition): boolean {
    const known = this.back.get(id);
    if (stored?.type === undefined || known === undefined) return false;
    return known.parent === undefined && known.definition.stored?.type === stored.type;
  }

  /** @throws RxhiveError INVALID_OPTION for a type of another workflow */
  #checkType({ stored }: TaskDefinition): void {
    if (stored?.type === undefined || stored.lenient === true || this.#types.has(stored.type)) return;
    const { name } = this.#graph.settings;
    const message = `There is no task type ${inspect(stored.type)} in workflow "${truncate(name)}"; use one that its flow.taskType() made.`;
    throw new RxhiveError('INVALID_OPTION', message);
  }

  /** Items are forgotten: their ids are not in the graph, but in a log they are, and no other task may have them. */
  #checkId(id: unknown, feed: TaskNode | undefined): void {
    if (typeof id !== 'string') return;
    for (let at = id.indexOf('/'); at >= 0; at = id.indexOf('/', at + 1)) {
      const other = this.#graph.nodes.get(id.slice(0, at));
      if (other === undefined || other === feed || other.extra?.feed?.has(id) !== true) continue;
      const message = `There are two tasks with the id "${truncate(id)}", one an item of flow.each "${truncate(other.id)}"; rename one.`;
      throw new WorkflowDefinitionError(this.#graph.settings.name, [
        { kind: 'duplicate-id', taskId: id, message },
      ]);
    }
  }

  #checkSize(more: number): void {
    const ended = this.#keepOpen ? this.#ended : 0;
    if (this.#graph.nodes.size - ended + more <= this.#most) return;
    const open = this.#keepOpen ? ' that have not ended' : '';
    const message = `The run would have more than ${this.#most} tasks${open}; raise maxTasks or stop adding tasks.`;
    throw new LimitExceededError('maxTasks', this.#most, message);
  }
}

/** The error of a task that comes too late. */
export function runEnded(runId: string): RxhiveError {
  return new RxhiveError(
    'RUN_ENDED',
    `Run "${truncate(runId)}" has ended; add tasks before, or keep it open with keepOpen.`,
  );
}
