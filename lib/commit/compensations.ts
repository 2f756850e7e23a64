import { copy } from '../kernel/copy.js';
import type { TaskDefinition } from '../model/task.js';
import type { WorkflowDefinition } from '../model/workflow.js';

/** What takes back the tasks that have these results, the last one first. */
export function compensations(
  { ids, tasks }: WorkflowDefinition,
  results: Iterable<readonly [string, unknown]>,
): { readonly id: string; readonly task: TaskDefinition }[] {
  const defined = new Map(ids.map((id, i) => [id, tasks[i] as TaskDefinition]));
  return [...results].reverse().flatMap(([id, value]) => {
    const { compensate, retry, timeout, scope } = defined.get(id) ?? {};
    if (compensate === undefined) return [];
    const run = (_: never, ctx: never): unknown => compensate(copy(value) as never, ctx);
    const limits = { ...(retry !== undefined && { retry }), ...(timeout !== undefined && { timeout }) };
    return [{ id, task: { ...limits, ...(scope && { scope }), version: String(compensate), run } }];
  });
}
