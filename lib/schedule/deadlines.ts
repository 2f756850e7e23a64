import type { TaskNode } from '../graph/node.js';
import type { Clock, Timer } from '../kernel/clock.js';
import { type RxhiveError, TaskTimeoutError, type TimeoutKind } from '../kernel/errors.js';
import { type TimeoutOptions, timeoutsOf } from '../model/policy.js';
import type { WorkflowSettings } from '../model/workflow.js';
import { TaskSignals } from './task-signals.js';

/** Ms that cleanup has which says nothing about it. */
const cleanupMs = 30_000;
const cleanupLimits: TimeoutOptions = { total: cleanupMs };

/**
 * What ends a task from outside, whatever its attempts do: clocks (waiting for a slot, all attempts together, the next attempt)
 * and a signal of its own.
 */
export class Deadlines {
  readonly signals = new TaskSignals();
  readonly #clock: Clock;
  readonly #settings: WorkflowSettings;
  /** Clocks of cleanup, from the moment the run ends early. */
  readonly #cleanup = new Map<TaskNode, Timer>();
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
    const applies = (): boolean =>
      node.attempt === 0 ? node.status === 'ready' : node.attempt === 1 && node.extra?.handedOver === true;
    node.more().queueTimer = this.#after(node, 'queue', queue, applies);
  }

  /** The work of the task begins. */
  armTotal(node: TaskNode): void {
    const limits = this.#limits(node);
    if (limits === undefined) return;
    this.#clock.cancel(node.extra?.queueTimer);
    const { total } = limits;
    if (total === undefined || !Number.isFinite(total) || node.extra?.totalTimer !== undefined) return;
    node.more().totalTimer = this.#after(node, 'total', total, () => !node.ended);
  }

  /** The run ends early: whatever cleanup waits for, from now on it has so long. */
  armCleanup(node: TaskNode): void {
    if (this.#cleanup.has(node)) return;
    const { total, attempt = cleanupMs } = this.#limits(node) ?? {};
    const limit = total ?? Math.max(attempt, cleanupMs);
    if (!Number.isFinite(limit)) return;
    this.#cleanup.set(
      node,
      this.#after(node, 'total', limit, () => !node.ended && !node.committing),
    );
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
    this.signals.leave(node);
    if (this.#cleanup.size > 0) {
      this.#clock.cancel(this.#cleanup.get(node));
      this.#cleanup.delete(node);
    }
    const { extra } = node;
    if (extra === undefined) return;
    this.#clock.cancel(extra.totalTimer);
    this.#clock.cancel(extra.queueTimer);
    this.#clock.cancel(extra.backoffTimer);
  }

  #limits(node: TaskNode): ReturnType<typeof timeoutsOf> {
    if (this.#settings.timeout === undefined && node.definition.timeout === undefined)
      return node.definition.always === true ? cleanupLimits : undefined;
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
