import type { PlannedTask } from '../model/event.js';
import type { Group } from '../model/lane.js';
import type { TaskNode } from '../model/node.js';
import type { Watch } from '../model/ports.js';

/** The run as its first events describe it. */
interface Opening {
  readonly workflow: string;
  readonly startedAt: number;
  readonly concurrency: number;
  readonly state: unknown;
  readonly graph: {
    readonly nodes: ReadonlyMap<string, TaskNode>;
    readonly groups: ReadonlyMap<string, Group>;
  };
}

/** Says that the run begins, and what is going to run. */
export function announceStart(watch: Watch, opening: Opening): void {
  if (!watch.active) return;
  const { workflow, startedAt, concurrency, state, graph } = opening;
  const initial = state === undefined ? {} : { state };
  watch.emit({ type: 'run', reason: 'started', version: 1, workflow, startedAt, ...initial });
  watch.emit({
    type: 'plan',
    reason: 'initial',
    tasks: planned(graph.nodes.values()),
    concurrency: finite(concurrency),
    groups: [...graph.groups.values()].map(({ name, limit }) => ({ name, concurrency: finite(limit) })),
  });
}

/** Says which tasks have come, and from whom. */
export function announceAdded(watch: Watch, nodes: readonly TaskNode[], parent: TaskNode | undefined): void {
  if (!watch.active || nodes.length === 0) return;
  const by = parent === undefined ? {} : { parent: parent.id };
  watch.emit({ type: 'plan', reason: 'added', tasks: planned(nodes), ...by });
}

/** Tasks as they stand in the graph. */
function planned(nodes: Iterable<TaskNode>): PlannedTask[] {
  const tasks: PlannedTask[] = [];
  for (const { id, definition, inEdges } of nodes) {
    const { type = id, group, priority = 0 } = definition;
    tasks.push({
      id,
      ...(type === id ? {} : { type }),
      ...(group === undefined ? {} : { group }),
      ...(priority === 0 ? {} : { priority }),
      dependencies: inEdges.flatMap(({ from, mode }) => (mode === 'join' ? [] : [{ id: from.id, mode }])),
    });
  }
  return tasks;
}

/** JSON has no Infinity. */
function finite(limit: number): number | null {
  return Number.isFinite(limit) ? limit : null;
}
