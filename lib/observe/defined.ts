import { dependedOn } from '../model/dependency.js';
import type { PlannedTask } from '../model/event.js';
import type { WorkflowDefinition } from '../model/workflow.js';

/** The tasks of a workflow as they are defined, for pictures of it; nothing is checked. */
export function definedTasks({ ids, tasks }: WorkflowDefinition): PlannedTask[] {
  return ids.map((id, i) => {
    const { dependencies, group, type = id, always, when, within, loop } = tasks[i] ?? {};
    return {
      id,
      ...(type !== id && { type }),
      ...(group !== undefined && { group }),
      ...(always === true && { always }),
      ...(within !== undefined && { within }),
      ...(when !== undefined && { condition: true as const }),
      ...(loop !== undefined && { loop: Number.isFinite(loop.max) ? loop.max : null }),
      dependencies: dependedOn(dependencies),
    };
  });
}
