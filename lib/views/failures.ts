import { getOrInsert } from '../kernel/get-or-insert.js';
import { needsSuccess } from '../model/dependency.js';
import type { RunView, TaskView } from './run-view.js';

/** A task that failed or was cancelled, with the tasks that were skipped because of it. */
export interface Failure {
  readonly task: TaskView;
  readonly stopped: readonly TaskView[];
}

/** What went wrong: root causes first, those that stopped most before the others; what may fail comes last. */
export function failuresOf(view: RunView): Failure[] {
  const behind = new Map<ReadonlySet<string>, TaskView[]>();
  for (const [id, roots] of rootsOfSkipped(view)) {
    getOrInsert(behind, roots, () => []).push(view.tasks.get(id) as TaskView);
  }
  const stopped = new Map<string, readonly TaskView[]>();
  for (const [roots, list] of behind)
    for (const root of roots) {
      const others = stopped.get(root);
      // Shared where it can be: after a wide failure the lists together would take space in squares.
      stopped.set(root, others === undefined ? list : [...others, ...list]);
    }
  const weight = ({ status, tolerated }: TaskView): number => (status === 'failed' ? (tolerated ? 0 : 2) : 1);
  return view
    .list()
    .filter(({ status }) => status === 'failed' || status === 'cancelled')
    .map((task) => ({ task, stopped: stopped.get(task.id) ?? [] }))
    .sort((a, b) => weight(b.task) - weight(a.task) || b.stopped.length - a.stopped.length);
}

/** For each skipped task the failed ones it goes back to; neighbours with the same causes have the same set. */
function rootsOfSkipped(view: RunView): Map<string, ReadonlySet<string>> {
  const roots = new Map<string, ReadonlySet<string>>();
  // Dependencies come before dependents in nearly every log; a few rounds settle the rest.
  for (let round = 0, grew = true; grew && round < 50; round++) {
    grew = false;
    for (const task of view.tasks.values()) {
      if (task.status !== 'skipped') continue;
      const before = roots.get(task.id);
      const now = rootsOf(task, view, roots);
      if (before !== undefined && before.size >= now.size) continue;
      roots.set(task.id, now);
      grew = true;
    }
  }
  return roots;
}

function rootsOf(
  { dependencies }: TaskView,
  view: RunView,
  known: ReadonlyMap<string, ReadonlySet<string>>,
): ReadonlySet<string> {
  const own = new Set<string>();
  const others = new Set<ReadonlySet<string>>();
  for (const { id, mode } of dependencies) {
    if (!needsSuccess(mode)) continue;
    const status = view.tasks.get(id)?.status;
    const roots = known.get(id);
    if (status === 'failed' || status === 'cancelled') own.add(id);
    else if (status === 'skipped' && roots !== undefined) others.add(roots);
  }
  const [only] = others;
  if (only !== undefined && others.size === 1 && own.size === 0) return only;
  for (const roots of others) for (const root of roots) own.add(root);
  return own;
}
