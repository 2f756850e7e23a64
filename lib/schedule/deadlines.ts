import type { TaskNode } from '../graph/node.js';
import type { Clock } from '../kernel/clock.js';
import { type RxhiveError, TaskTimeoutError, type TimeoutKind } from '../kernel/errors.js';
import { timeoutsOf } from '../model/policy.js';
import type { WorkflowSettings } from '../model/workflow.js';

/** The clocks of a task that outlive an attempt: waiting for a slot, all attempts together, the next attempt. */
export class Deadlines {
  readonly #clock: Clock;
  readonly #settings: WorkflowSettings;
  readonly #expire: (node: TaskNode, error: RxhiveError, applies: () => boolean) => void;

  constructor(
    clock: Clock,
    settings: WorkflowSettings,
    expire: (node: TaskNode, error: RxhiveError, applies: () => boolean) => void,
  ) {
    this.#clock = clock;
    this.#settings = settings;
    this.#expire = expire;
  }

  /** The task has become ready for the first time. */
  armQueue(node: TaskNode): void {
    const { queue } = this.#limits(node) ?? {};
    if (queue === undefined || !Number.isFinite(queue) || node.attempt > 0) return;
    const applies = (): boolean => node.status === 'ready' && node.attempt === 0;
    node.more().queueTimer = this.#after(node, 'queue', queue, applies);
  }

  /** The task starts. */
  armTotal(node: TaskNode): void {
    this.#clock.cancel(node.extra?.queueTimer);
    const { total } = this.#limits(node) ?? {};
    if (total === undefined || !Number.isFinite(total) || node.extra?.totalTimer !== undefined) return;
    node.more().totalTimer = this.#after(node, 'total', total, () => !node.ended);
  }

  /** Stops the clock of all attempts together while people are asked, or lets it go on. */
  still(node: TaskNode, still: boolean): void {
    const { extra } = node;
    const { total } = this.#limits(node) ?? {};
    if (extra?.totalTimer === undefined || total === undefined) return;
    if (still) {
      extra.totalLeft = extra.totalTimer.due - this.#clock.now();
      this.#clock.cancel(extra.totalTimer);
    } else if (extra.totalLeft !== undefined) {
      extra.totalTimer = this.#after(node, 'total', total, () => !node.ended, extra.totalLeft);
      extra.totalLeft = undefined;
    }
  }

  /** Calls `work` when the pause before the next attempt is over. */
  backOff(node: TaskNode, delay: number, work: () => void): void {
    node.more().backoffTimer = this.#clock.after(delay, work);
  }

  disarm(node: TaskNode): void {
    const { extra } = node;
    if (extra === undefined) return;
    this.#clock.cancel(extra.totalTimer);
    this.#clock.cancel(extra.queueTimer);
    this.#clock.cancel(extra.backoffTimer);
  }

  #limits(node: TaskNode): ReturnType<typeof timeoutsOf> {
    if (this.#settings.timeout === undefined && node.definition.timeout === undefined) return undefined;
    return timeoutsOf(node.definition.timeout, this.#settings.timeout);
  }

  #after(
    node: TaskNode,
    kind: TimeoutKind,
    limit: number,
    applies: () => boolean,
    delay = limit,
  ): ReturnType<Clock['after']> {
    return this.#clock.after(delay, () =>
      this.#expire(node, new TaskTimeoutError(node.id, kind, limit), applies),
    );
  }
}
