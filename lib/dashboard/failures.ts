import type { RunView, TaskView } from './view-model.js';

/** A task that failed or was cancelled, with the tasks that were skipped because of it. */
export interface Failure {
  readonly task: TaskView;
  readonly stopped: readonly TaskView[];
}

/** What went wrong: root causes first, those that stopped most before the others. */
export function failuresOf(view: RunView): Failure[] {
  const stopped = new Map<string, TaskView[]>();
  for (const [id, roots] of rootsOfSkipped(view))
    for (const root of roots) {
      const behind = stopped.get(root) ?? [];
      stopped.set(root, behind);
      behind.push(view.tasks.get(id) as TaskView);
    }
  return view
    .list()
    .filter(({ status }) => status === 'failed' || status === 'cancelled')
    .map((task) => ({ task, stopped: stopped.get(task.id) ?? [] }))
    .sort(
      (a, b) =>
        Number(b.task.status === 'failed') - Number(a.task.status === 'failed') ||
        b.stopped.length - a.stopped.length,
    );
}

/** For each skipped task the failed ones it goes back to. */
function rootsOfSkipped(view: RunView): Map<string, ReadonlySet<string>> {
  const roots = new Map<string, Set<string>>();
  // Dependencies come before dependents in nearly every log; a few rounds settle the rest.
  for (let round = 0, grew = true; grew && round < 50; round++) {
    grew = false;
    for (const task of view.tasks.values()) {
      if (task.status !== 'skipped') continue;
      const own = roots.get(task.id) ?? new Set<string>();
      const before = own.size;
      for (const { id, mode } of task.dependencies) {
        if (mode !== 'value' && mode !== 'latest') continue;
        const status = view.tasks.get(id)?.status;
        if (status === 'failed' || status === 'cancelled') own.add(id);
        else if (status === 'skipped') for (const root of roots.get(id) ?? []) own.add(root);
      }
      roots.set(task.id, own);
      grew ||= own.size > before;
    }
  }
  return roots;
}
