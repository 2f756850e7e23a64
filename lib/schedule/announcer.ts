import { isTolerated } from '../graph/choice-state.js';
import type { TaskNode } from '../graph/node.js';
import type { Watch } from '../graph/ports.js';
import type { EventBody } from '../model/event.js';

/** An event that is being put together. These come for every task: spreading costs more than all else about them. */
type Open<T extends EventBody['type']> = {
  -readonly [key in keyof Extract<EventBody, { type: T }>]: Extract<EventBody, { type: T }>[key];
};

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
    const { id: taskId, status: reason } = node;
    const event: Open<'task'> = { type: 'task', reason, taskId };
    if (error !== undefined) event.error = error;
    if (delay !== undefined) event.delay = delay;
    const permitMs = node.extra?.permitMs ?? 0;
    if (reason === 'running' && permitMs > 0) event.permitMs = permitMs;
    if (reason === 'failed' && isTolerated(node)) event.tolerated = true;
    if (node.ended) {
      const { value } = node;
      if (value !== undefined) event.value = value;
    }
    this.#watch.emit(event);
  }

  attempt(
    node: TaskNode,
    reason: 'started' | 'succeeded' | 'failed' | 'stopped',
    error?: unknown,
    retryAfter?: number,
  ): void {
    if (!this.#watch.active || node.attempt === 0) return;
    const { id: taskId, attempt } = node;
    const event: Open<'attempt'> = { type: 'attempt', reason, taskId, attempt };
    if (node.principal !== node) event.hedge = true;
    if (node.extra?.replay !== undefined) event.replay = true;
    if (error !== undefined) event.error = error;
    if (retryAfter !== undefined) event.retryAfter = retryAfter;
    this.#watch.emit(event);
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
