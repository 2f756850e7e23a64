import { readOnce, unreadable } from '../kernel/read-once.js';
import type { TaskContext } from './context.js';
import { belowTask, type TaskDefinition, TaskType, type TypedTaskOptions } from './task.js';

/** Something attempts run on, by one or several executors. Who finds no slot waits, as for a resource. */
export interface Place {
  /** For reports and messages. */
  readonly name: string;
  /** Attempts at once. */
  readonly slots: number;
}

/**
 * Where the work of a task is done, other than in a function of this process: a thread, another process, a machine. The
 * engine stays the owner of order, retry, timeout, priority and limits; an executor makes one attempt.
 */
export interface Executor<in I = never, out R = unknown> {
  /** What the work returns. Exists for the compiler only. */
  readonly '~returns'?: R;
  /** What it runs on. Default: a place where as many attempts run as come. */
  readonly place?: Place;
  /** Says what would be run, as the source text of a body does: another text, another result. */
  readonly version: string;
  /**
   * Makes one attempt, and returns what a body may return. An Observable is unsubscribed when the attempt is over before
   * it has ended: timeout, cancel, fail-fast.
   */
  run(inputs: I, ctx: TaskContext): unknown;
}

/**
 * A task as the engine works with it: its options are read once, what cannot be read is for the plan to say, and one whose
 * work is done by an executor has a body that calls it.
 */
export function bodied(given: TaskDefinition): TaskDefinition {
  const faults: string[] = [];
  const definition = readOnce(given, belowTask, (fault) => faults.push(fault));
  let ready = definition;
  try {
    ready = withBody(definition);
  } catch (error) {
    faults.push(unreadable('executor', error));
  }
  return faults.length === 0 ? ready : { ...ready, unread: faults };
}

function withBody(definition: TaskDefinition): TaskDefinition {
  const { executor, run } = definition ?? {};
  // Both, or no executor at all: that is for the plan to say.
  if (typeof executor?.run !== 'function' || run !== undefined) return definition;
  return {
    ...definition,
    executor: undefined,
    place: executor.place,
    version: definition.version ?? executor.version,
    run: (inputs, ctx) => executor.run(inputs, ctx),
  };
}

/** A task as it was given at run time: `(id, options)`, or `(type, id, data, options)`. */
export function addedBy(
  first: unknown,
  second: unknown,
  data?: unknown,
  options?: TypedTaskOptions,
): { readonly id: string; readonly definition: TaskDefinition } {
  if (first instanceof TaskType) {
    const id = second as string;
    return { id, definition: bodied(first.task(id, data, options)) };
  }
  return { id: first as string, definition: bodied(second as TaskDefinition) };
}
