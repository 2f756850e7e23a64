import type { TaskNode } from '../graph/node.js';
import { copy } from '../kernel/copy.js';
import { RxhiveError, truncate } from '../kernel/errors.js';

/** What somebody who watches a task's values hears last. */
export function finalNotification(
  node: TaskNode,
  to: { next(value: unknown): void; error(error: unknown): void; complete(): void },
  emitted: boolean,
): void {
  if (node.status === 'succeeded' || node.status === 'restored') {
    if (!emitted) to.next(copy(node.value));
    to.complete();
  } else if (node.status === 'skipped') {
    to.error(
      node.error ??
        new RxhiveError(
          'TASK_SKIPPED',
          `Task "${truncate(node.id)}" was skipped because a task it depends on did not succeed.`,
        ),
    );
  } else to.error(node.error);
}
