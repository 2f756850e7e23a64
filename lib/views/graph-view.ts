import { getOrInsert } from '../kernel/get-or-insert.js';
import { isEnd, type TaskStatus } from '../model/status.js';
import { arrowsTo, frameOf, lastTurns, nameOf } from '../observe/export.js';
import type { RunView, TaskView } from './run-view.js';
import { statusStyles } from './status-style.js';
import { short } from './text.js';

/** A box of the picture: a task, or many equal ones. */
export interface GraphNode {
  readonly key: string;
  readonly label: string;
  readonly group: string | undefined;
  /** The nested workflow all its tasks are part of. */
  readonly within: string | undefined;
  readonly tasks: readonly TaskView[];
}

/** Has the task of a box a condition? It is drawn with round ends and a question mark. */
export function isConditional({ tasks }: GraphNode): boolean {
  return tasks[0]?.plan.condition === true;
}

/** Its text, shortened. */
export function textOf(node: GraphNode): string {
  return short(isConditional(node) ? `${node.label} ?` : node.label, 30);
}

/** Classes of an arrow; of a handler's it has the colour of failures. */
export function edgeKind(mode: string, isStrong: boolean): string {
  return `edge${mode === 'value' ? '' : ' soft'}${mode === 'failed' ? ' handler' : ''}${isStrong ? ' strong' : ''}`;
}

/** An arrow of the picture, from what is needed to what needs it. */
export interface GraphEdge {
  readonly from: string;
  readonly to: string;
  readonly mode: string;
}

/** What the layout is asked for. Statuses are not part of it: they change without moving a box. */
export interface GraphPicture {
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

const mostEqual = 50;
const mostNodes = 1_500;

/**
 * The graph with equal tasks folded into one box: of the same type and group, needing equal tasks and needed by tasks of
 * the same types, more than `most` of them. A picture that would still have too many boxes is folded by type and depth.
 */
export function graphPicture(
  view: RunView,
  opened: ReadonlySet<string> = new Set(),
  most = mostEqual,
): GraphPicture {
  const tasks = view.list();
  const neededBy = new Map<string, Set<string>>();
  for (const task of tasks)
    for (const { id } of task.dependencies) {
      const kinds = neededBy.get(id) ?? new Set();
      neededBy.set(id, kinds.add(kindOf(task)));
    }
  // Classes as numbers: a text that held those of all dependencies would grow with each level.
  const classes = new Map<string, number>();
  const classOf = new Map<string, number>();
  for (const task of tasks) {
    const needs = task.dependencies.map(({ id, mode }) => {
      const from = view.tasks.get(id);
      // Of a long loop, all turns but the first and the last are equal.
      if (from?.parent !== undefined && from.parent === task.parent && task.plan.within === task.parent)
        return 'the turn before';
      return `${mode} ${classOf.get(id) ?? kindOf(from)}`;
    });
    const above = task.parent === undefined ? '' : (classOf.get(task.parent) ?? '');
    const shape = JSON.stringify([
      kindOf(task),
      task.plan.condition === true,
      task.group ?? '',
      task.plan.within ?? '',
      above,
      [...new Set(needs)].sort(),
      [...(neededBy.get(task.id) ?? [])].sort(),
    ]);
    const known = classes.get(shape) ?? classes.size;
    classes.set(shape, known);
    classOf.set(task.id, known);
  }
  const picture = fold(tasks, (task) => String(classOf.get(task.id)), most, opened);
  if (picture.nodes.length <= mostNodes) return picture;
  const depth = depths(view);
  return fold(tasks, (task) => `${kindOf(task)} ${depth.get(task.id) ?? 0}`, 1, opened);
}

/** The type, or the id without its numbers: `analyze_17` is an `analyze`. */
function kindOf(task: TaskView | undefined): string {
  if (task === undefined) return '';
  return task.type === task.id ? task.id.replaceAll(/\d+/g, '#') : task.type;
}

function fold(
  tasks: readonly TaskView[],
  shape: (task: TaskView) => string,
  most: number,
  opened: ReadonlySet<string>,
): GraphPicture {
  const byShape = new Map<string, TaskView[]>();
  for (const task of tasks) {
    const key = shape(task);
    getOrInsert(byShape, key, () => []).push(task);
  }
  const box = new Map<string, string>();
  const nodes: GraphNode[] = [];
  const turns = lastTurns(tasks.map(({ plan }) => plan));
  for (const [key, equal] of byShape) {
    const first = equal[0] as TaskView;
    if (equal.length > most && !opened.has(`many ${key}`)) {
      nodes.push({
        key: `many ${key}`,
        label: `${kindOf(first)} × ${equal.length}`,
        group: first.group,
        within: equal.every(({ plan }) => plan.within === first.plan.within) ? first.plan.within : undefined,
        tasks: equal,
      });
      for (const { id } of equal) box.set(id, `many ${key}`);
    } else
      for (const task of equal) {
        nodes.push({
          key: `one ${task.id}`,
          label: nameOf(task.plan),
          group: task.group,
          within: frameOf(task.plan, turns),
          tasks: [task],
        });
        box.set(task.id, `one ${task.id}`);
      }
  }
  const edges = new Map<string, GraphEdge>();
  for (const task of tasks) {
    const to = box.get(task.id) as string;
    const above: { readonly id: string; readonly mode: string }[] = [...arrowsTo(task.plan, turns)];
    if (task.parent !== undefined && above.length === 0) above.push({ id: task.parent, mode: 'added' });
    for (const { id, mode } of above) {
      const from = box.get(id);
      if (from !== undefined && from !== to) edges.set(JSON.stringify([from, to, mode]), { from, to, mode });
    }
  }
  return { nodes, edges: [...edges.values()] };
}

function depths(view: RunView): Map<string, number> {
  const depth = new Map<string, number>();
  // Dependencies mostly come first; a few rounds settle the others, and a circle in a foreign log ends too.
  for (let round = 0, moved = true; moved && round < 50; round++) {
    moved = false;
    for (const { id, dependencies } of view.tasks.values()) {
      let own = 0;
      for (const one of dependencies) own = Math.max(own, (depth.get(one.id) ?? 0) + 1);
      if (own > (depth.get(id) ?? 0)) {
        depth.set(id, own);
        moved = true;
      }
    }
  }
  return depth;
}

/** Status of a box: the one of its task; of many a failure, else what still goes on, else how most have ended. */
export function statusOf({ tasks }: GraphNode): TaskStatus {
  const counts = new Map<TaskStatus, number>();
  for (const { status } of tasks) counts.set(status, (counts.get(status) ?? 0) + 1);
  if (counts.has('failed')) return 'failed';
  const open = (Object.keys(statusStyles) as TaskStatus[]).find((one) => !isEnd(one) && counts.has(one));
  return open ?? [...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? 'waiting';
}

/** Ids of the chain of tasks that decided how long it took: from the last to end back along the latest dependency. */
export function criticalPath(view: RunView): ReadonlySet<string> {
  const turns = lastTurns([...view.tasks.values()].map(({ plan }) => plan));
  const endOf = (task: TaskView): number => task.spans.at(-1)?.to ?? view.now;
  const ran = (task: TaskView): boolean => task.spans.some((span) => span.kind === 'running');
  let last: TaskView | undefined;
  for (const task of view.tasks.values())
    if (ran(task) && (last === undefined || endOf(task) >= endOf(last))) last = task;
  const path = new Set<string>();
  while (last !== undefined && !path.has(last.id)) {
    path.add(last.id);
    const turn = turns.get(last.id);
    const before = turn === undefined ? last.dependencies : [{ id: turn }];
    const above = before.flatMap(({ id }) => view.tasks.get(id) ?? []).filter(ran);
    const parent = last.parent === undefined ? undefined : view.tasks.get(last.parent);
    if (above.length === 0 && parent !== undefined) above.push(parent);
    last = above.reduce<TaskView | undefined>(
      (latest, one) => (latest === undefined || endOf(one) > endOf(latest) ? one : latest),
      undefined,
    );
  }
  return path;
}
