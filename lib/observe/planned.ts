import { type ChoiceState, choiceOf } from '../graph/choice-state.js';
import type { Group } from '../graph/lane.js';
import type { Edge, TaskNode } from '../graph/node.js';
import type { Watch } from '../graph/ports.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import type { DependencyMode } from '../model/dependency.js';
import type { PlannedTask } from '../model/event.js';
import type { WorkflowSettings } from '../model/workflow.js';

/** The run as its first events describe it. */
interface Opening {
  readonly workflow: string;
  readonly startedAt: number;
  readonly concurrency: number;
  readonly state: unknown;
  readonly settings: WorkflowSettings;
  readonly graph: {
    readonly nodes: ReadonlyMap<string, TaskNode>;
    readonly groups: ReadonlyMap<string, Group>;
  };
}

/** Says that the run begins, and what is going to run. */
export function announceStart(watch: Watch, opening: Opening): void {
  if (!watch.active) return;
  const { workflow, startedAt, concurrency, state, settings, graph } = opening;
  const { resources, aging, policy, failurePolicy } = settings;
  const given = Object.entries({ resources, aging, policy, failurePolicy }).filter(
    ([, one]) => one !== undefined,
  );
  const initial = state === undefined ? {} : { state };
  watch.emit({ type: 'run', reason: 'started', version: 1, workflow, startedAt, ...initial });
  watch.emit({
    type: 'plan',
    reason: 'initial',
    tasks: planned(graph.nodes.values()),
    concurrency: finite(concurrency),
    groups: [...graph.groups.values()].map(({ name, limit }) => ({ name, concurrency: finite(limit) })),
    ...Object.fromEntries(given),
  });
}

/** Says which tasks have come, and from whom. */
export function announceAdded(watch: Watch, nodes: readonly TaskNode[], parent: TaskNode | undefined): void {
  if (!watch.active || nodes.length === 0) return;
  const by = parent === undefined ? {} : { parent: parent.id };
  watch.emit({ type: 'plan', reason: 'added', tasks: planned(nodes), ...by });
}

/** Says which tasks have come back from a log, and who had added them. */
export function announceBack(watch: Watch, nodes: Iterable<TaskNode>): void {
  if (!watch.active) return;
  const byParent = new Map<TaskNode | undefined, TaskNode[]>();
  for (const node of nodes) {
    getOrInsert(byParent, node.parent, () => []).push(node);
  }
  for (const [parent, children] of byParent) announceAdded(watch, children, parent);
}

/** Tasks as they stand in the graph. */
function planned(nodes: Iterable<TaskNode>): PlannedTask[] {
  const tasks: PlannedTask[] = [];
  for (const { id, definition, inEdges, parent } of nodes) {
    const { type = id, group, priority = 0, estimate, resources, timeout, tolerate, always } = definition;
    const dependencies = inEdges.length === 0 ? none : dependenciesOf(inEdges);
    const task: { -readonly [key in keyof PlannedTask]: PlannedTask[key] } = { id, dependencies };
    if (type !== id) task.type = type;
    if (group !== undefined) task.group = group;
    if (priority !== 0) task.priority = priority;
    if (estimate !== undefined) task.estimate = estimate;
    if (tolerate === true) task.tolerate = true;
    if (always === true) task.always = true;
    // What a loop has added is a turn of it.
    const within = parent?.definition.loop === undefined ? definition.within : parent.id;
    if (within !== undefined) task.within = within;
    if (definition.when !== undefined) task.condition = true;
    if (definition.remote === true) task.remote = true;
    if (definition.loop !== undefined) task.loop = finite(definition.loop.max);
    if (definition.candidate === true) task.candidate = true;
    if (resources !== undefined) {
      const amounts = Object.entries(resources).filter(
        (one): one is [string, number] => one[1] !== undefined,
      );
      if (amounts.length > 0) task.resources = Object.fromEntries(amounts);
    }
    if (typeof timeout === 'object') {
      const { total, queue } = timeout;
      if (total !== undefined || queue !== undefined)
        task.timeout = { ...(total !== undefined && { total }), ...(queue !== undefined && { queue }) };
    }
    tasks.push(task);
  }
  return tasks;
}

const none: PlannedTask['dependencies'] = [];

function dependenciesOf(edges: readonly Edge[]): PlannedTask['dependencies'] {
  const choices: ChoiceState[] = [];
  return edges.map((edge) => {
    // None of them is the wait of a running task.
    const dependency = { id: edge.from.id, mode: edge.mode as DependencyMode };
    const choice = choiceOf(edge);
    if (choice === undefined) return dependency;
    if (!choices.includes(choice)) choices.push(choice);
    return { ...dependency, choice: choices.indexOf(choice), need: choice.need };
  });
}

/** JSON has no Infinity. */
function finite(limit: number): number | null {
  return Number.isFinite(limit) ? limit : null;
}
