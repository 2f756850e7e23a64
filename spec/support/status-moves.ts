import type { TaskStatus, WorkflowEvent } from '../../lib/index.js';
import { movesFrom } from '../../lib/model/status.js';

/** Notes each change of status of a run that the table of the lifecycle does not have. */
export class StatusMoves {
  readonly wrong: string[] = [];
  readonly #statuses = new Map<string, TaskStatus>();

  see(event: WorkflowEvent): void {
    if (event.type === 'run' && event.reason === 'started') this.#statuses.clear();
    if (event.type !== 'task') return;
    const { taskId, reason } = event;
    const before = this.#statuses.get(taskId);
    const added = before === undefined && reason === 'waiting';
    if (!added && !movesFrom[before ?? 'waiting'].includes(reason))
      this.wrong.push(`${taskId}: ${before ?? 'waiting'} -> ${reason}`);
    this.#statuses.set(taskId, reason);
  }
}
