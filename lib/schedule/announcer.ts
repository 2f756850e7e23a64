import type { TaskNode } from '../model/node.js';
import type { Watch } from '../model/ports.js';

/** Turns what the scheduler does into events, when somebody listens. */
export class Announcer {
  readonly #watch: Watch;

  constructor(watch: Watch) {
    this.#watch = watch;
  }

  /** The task has entered its status. */
  task(node: TaskNode, error?: unknown, delay?: number): void {
    // An attempt beside another one is no task of its own.
    if (!this.#watch.active || node.principal !== node) return;
    this.#watch.emit({
      type: 'task',
      reason: node.status,
      taskId: node.id,
      ...(error === undefined ? {} : { error }),
      ...(delay === undefined ? {} : { delay }),
      ...(node.status === 'running' &&
        (node.extra?.permitMs ?? 0) > 0 && { permitMs: node.extra?.permitMs ?? 0 }),
      ...(node.value === undefined || !node.ended ? {} : { value: node.value }),
    });
  }

  attempt(
    node: TaskNode,
    reason: 'started' | 'succeeded' | 'failed' | 'stopped',
    error?: unknown,
    retryAfter?: number,
  ): void {
    if (!this.#watch.active || node.attempt === 0) return;
    const failure = error === undefined ? {} : { error };
    const asked = retryAfter === undefined ? {} : { retryAfter };
    const beside = node.principal === node ? {} : { hedge: true as const };
    const { id: taskId, attempt } = node;
    this.#watch.emit({ type: 'attempt', reason, taskId, attempt, ...beside, ...failure, ...asked });
  }

  /** A limit changed; without a name that of the whole run. */
  limit(concurrency: number, group?: string): void {
    if (!this.#watch.active) return;
    this.#watch.emit({
      type: 'group',
      reason: 'limit',
      concurrency,
      ...(group === undefined ? {} : { group }),
    });
  }
}
