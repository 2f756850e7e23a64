import { Choice, Dependency, type Task } from '../model/dependency.js';
import type { PlannedTask } from '../model/event.js';
import type { WorkflowDefinition } from '../model/workflow.js';

/** The tasks of a workflow as they are defined, for pictures of it; nothing is checked. */
export function definedTasks({ ids, tasks }: WorkflowDefinition): PlannedTask[] {
  return ids.map((id, i) => {
    const { dependencies, group, type = id, always, when, within, loop } = tasks[i] ?? {};
    const list = Object.values(dependencies ?? {}) as (Task | Dependency | Choice)[];
    return {
      id,
      ...(type !== id && { type }),
      ...(group !== undefined && { group }),
      ...(always === true && { always }),
      ...(within !== undefined && { within }),
      ...(when !== undefined && { condition: true as const }),
      ...(loop !== undefined && { loop: Number.isFinite(loop.max) ? loop.max : null }),
      dependencies: list.flatMap((one) => {
        if (one instanceof Choice) return one.tasks.map((task) => ({ id: task.id, mode: one.mode }));
        return one instanceof Dependency
          ? [{ id: one.task.id, mode: one.mode }]
          : [{ id: one.id, mode: 'value' as const }];
      }),
    };
  });
}
