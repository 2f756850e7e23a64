import { Observable, Subject } from 'rxjs';
import type { TaskNode } from '../graph/node.js';
import type { Clock, Timer } from '../kernel/clock.js';
import { finalNotification } from './last-word.js';

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
      let stream = this.#streams.get(node);
      if (stream === undefined) {
        stream = { values: new Subject(), emitted: early !== undefined };
        this.#streams.set(node, stream);
      }
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
    const early = this.#early.get(node);
    if (early === undefined) this.#early.set(node, [value]);
    else early.push(value);
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
