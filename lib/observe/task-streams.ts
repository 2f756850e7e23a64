import { Observable, Subject } from 'rxjs';
import type { TaskNode } from '../model/node.js';
import { lastWord } from './last-word.js';

/** The values of tasks somebody watches; nothing is made for the others. */
export class TaskStreams {
  readonly #streams = new Map<TaskNode, { values: Subject<unknown>; emitted: boolean }>();

  #failure: { readonly error: unknown } | undefined;

  /** Values from now on, then the last word; for a task that has ended only that. */
  of(node: TaskNode): Observable<unknown> {
    return new Observable((subscriber) => {
      if (node.ended) return lastWord(node, subscriber, false);
      if (this.#failure !== undefined) return subscriber.error(this.#failure.error);
      let stream = this.#streams.get(node);
      if (stream === undefined) {
        stream = { values: new Subject(), emitted: false };
        this.#streams.set(node, stream);
      }
      subscriber.add(stream.values.subscribe(subscriber));
    });
  }

  value(node: TaskNode, value: unknown): void {
    if (this.#streams.size === 0) return;
    const stream = this.#streams.get(node);
    if (stream === undefined) return;
    stream.emitted = true;
    stream.values.next(value);
  }

  /** No task will say anything any more: the run could not start, or it ended with tasks that wait for people. */
  fail(error: unknown): void {
    this.#failure = { error };
    for (const { values } of this.#streams.values()) values.error(error);
    this.#streams.clear();
  }

  /** The task has ended. */
  end(node: TaskNode): void {
    if (this.#streams.size === 0) return;
    const stream = this.#streams.get(node);
    if (stream === undefined) return;
    this.#streams.delete(node);
    lastWord(node, stream.values, stream.emitted);
  }
}
