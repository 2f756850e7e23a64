import { Observable, Subject } from 'rxjs';
import type { TaskNode } from '../graph/node.js';
import type { Clock, Timer } from '../kernel/clock.js';
import { copy } from '../kernel/copy.js';
import { RxhiveError, truncate } from '../kernel/errors.js';
import { getOrInsert } from '../kernel/get-or-insert.js';

/**
 * The values of tasks somebody watches; nothing is made for the others, but for what a body says as soon as it is called:
 * nobody can watch a task earlier than in the turn of the event loop in which its run is started, or it is added.
 */
export class TaskStreams {
  readonly #clock: Clock;
  /** What was said in this turn by bodies that were called in it. */
  readonly #early = new Map<TaskNode, unknown[]>();
  #forget: Timer | undefined;
  readonly #streams = new Map<TaskNode, { values: Subject<unknown>; emitted: boolean }>();

  #failure: { readonly error: unknown } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Values from this turn on, then the end; for a task that has ended before only that. */
  of(node: TaskNode): Observable<unknown> {
    return new Observable((subscriber) => {
      const early = this.#early.get(node);
      for (const value of early ?? []) subscriber.next(value);
      if (node.ended) return finalNotification(node, subscriber, early !== undefined);
      if (this.#failure !== undefined) return subscriber.error(this.#failure.error);
      const stream = getOrInsert(this.#streams, node, () => ({
        values: new Subject(),
        emitted: early !== undefined,
      }));
      subscriber.add(stream.values.subscribe(subscriber));
    });
  }

  value(node: TaskNode, value: unknown): void {
    const attempt = node.running;
    if (attempt !== undefined && attempt.early > 0) {
      attempt.early -= 1;
      this.#keep(node, value);
    }
    if (this.#streams.size === 0) return;
    const stream = this.#streams.get(node);
    if (stream === undefined) return;
    stream.emitted = true;
    stream.values.next(value);
  }

  #keep(node: TaskNode, value: unknown): void {
    getOrInsert(this.#early, node, () => []).push(value);
    this.#forget ??= this.#clock.after(0, () => this.#turned());
  }

  #turned(): void {
    this.#forget = undefined;
    this.#early.clear();
  }

  /** The clock has forgotten its timers. */
  dispose(): void {
    if (this.#forget !== undefined) this.#forget = this.#clock.after(0, () => this.#turned());
  }

  /** No task will say anything any more: the run could not start, or it ended with tasks that wait for people. */
  fail(error: unknown): void {
    this.#failure = { error };
    for (const { values } of this.#streams.values()) values.error(error);
    this.#streams.clear();
  }

  /** The task has ended. */
  ended(node: TaskNode): void {
    if (this.#streams.size === 0) return;
    const stream = this.#streams.get(node);
    if (stream === undefined) return;
    this.#streams.delete(node);
    finalNotification(node, stream.values, stream.emitted);
  }
}

/** What somebody who watches a task's values hears last. */
function finalNotification(
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
