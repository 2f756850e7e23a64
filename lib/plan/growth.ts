import { brief, LimitExceededError, RxhiveError, WorkflowDefinitionError } from '../kernel/errors.js';
import type { ItemWatch } from '../model/each.js';
import { Forgotten } from '../model/forgotten.js';
import type { Spawned, TaskNode } from '../model/node.js';
import { Task } from '../model/task.js';
import type { Graph } from './graph.js';

const gone = { run: () => undefined };

/** Adds tasks to the graph of a run, up to the workflow's `maxTasks`. */
export class Growth {
  readonly #graph: Graph;
  readonly #most: number;
  readonly forgotten = new Forgotten();

  /** @throws LimitExceededError where there are more from the beginning */
  constructor(graph: Graph) {
    this.#graph = graph;
    this.#most = graph.settings.maxTasks ?? graph.nodes.size + 100_000;
    this.#checkSize(0);
  }

  /** Makes nodes of tasks, but for those `parent` has added before. @throws LimitExceededError, WorkflowDefinitionError */
  add(tasks: readonly Spawned[], parent: TaskNode | undefined): TaskNode[] {
    const { nodes } = this.#graph;
    const fresh =
      parent === undefined ? tasks : tasks.filter(({ handle }) => nodes.get(handle.id)?.parent !== parent);
    this.#checkSize(fresh.length);
    for (const { handle } of fresh) this.#checkId(handle.id, undefined);
    const added = this.#graph.add(
      fresh.map((task) => task.handle.id),
      fresh.map((task) => task.definition),
      fresh.map((task) => task.handle),
    );
    for (let i = 0; i < added.length; i++) (added[i] as TaskNode).context = fresh[i]?.context;
    if (parent === undefined || added.length === 0) return added;
    const extra = parent.more();
    extra.children ??= [];
    for (const node of added) {
      node.parent = parent;
      extra.children.push(node.id);
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
    this.#checkSize(1);
    this.#checkId(handle.id, parent);
    const added = this.#graph.add([handle.id], [definition], [handle]);
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

  /** A task has ended: an item is counted and forgotten. */
  ended(node: TaskNode): void {
    if (node.item === undefined) return;
    node.parent?.extra?.items?.delete(node);
    node.item.ended(node);
    if (this.forgotten.take(node)) this.#graph.nodes.delete(node.id);
  }

  /** Makes nodes of tasks that have finished in an earlier process and whose definition is gone. */
  bringBack(ids: readonly string[], run: object): void {
    this.#graph.add(
      ids,
      ids.map(() => gone),
      ids.map((id) => new Task(id, run)),
    );
  }

  /** Items are forgotten: their ids are not in the graph, but in a log they are, and no other task may have them. */
  #checkId(id: unknown, feed: TaskNode | undefined): void {
    if (typeof id !== 'string') return;
    for (let at = id.indexOf('/'); at >= 0; at = id.indexOf('/', at + 1)) {
      const other = this.#graph.nodes.get(id.slice(0, at));
      if (other === undefined || other === feed || other.extra?.itemKeys?.has(id) !== true) continue;
      const message = `There are two tasks with the id "${brief(id)}", one an item of flow.each "${brief(other.id)}"; rename one.`;
      throw new WorkflowDefinitionError(this.#graph.settings.name, [
        { kind: 'duplicate-id', taskId: id, message },
      ]);
    }
  }

  #checkSize(more: number): void {
    if (this.#graph.nodes.size + more <= this.#most) return;
    const message = `The run would have more than ${this.#most} tasks; raise maxTasks or stop adding tasks.`;
    throw new LimitExceededError('maxTasks', this.#most, message);
  }
}

/** The error of a task that comes too late. */
export function runEnded(runId: string): RxhiveError {
  return new RxhiveError(
    'RUN_ENDED',
    `Run "${brief(runId)}" has ended; add tasks before, or keep it open with keepOpen.`,
  );
}
