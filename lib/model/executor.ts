import { readOnce, unreadable } from '../kernel/read-once.js';
import type { TaskContext } from './context.js';
import { belowTask, type TaskDefinition, TaskType, type TypedTaskOptions } from './task.js';
import type { WorkerFacts } from './worker.js';

/** Something attempts run on, by one or several executors. Who finds no slot waits, as for a resource. */
export interface Place {
  /** For reports and messages. */
  readonly name: string;
  /** Attempts at once, now: a whole number from 1, or from 0 where it has `watch`; or Infinity. At 0 tasks wait. */
  readonly slots: number;
  /** Why nobody there can be reached now, as `run.explain` says it. Default: as far as is known they can. */
  readonly away?: string | undefined;
  /**
   * A run begins to use it. `changed` is to be called whenever `slots` is another number. Left out: it never is.
   */
  watch?(changed: () => void): PlaceUse;
}

/** The use that one run makes of a {@link Place}. */
export interface PlaceUse {
  /**
   * Hears, whenever it is another number, how many tasks of the run are `ready` for the place or wait there, and on how many
   * a worker is at work. Their sum is what the run could use: scale workers by it.
   */
  demand?(ready: number, running: number): void;
  /** The run does not use the place any more. */
  close(): void;
}

/** The slots of a place as they are now; what makes no sense is 0. */
export function slotsOf({ slots }: Place): number {
  return slots > 0 ? slots : 0;
}

/** What an executor is given beside the inputs. */
export interface RemoteContext extends TaskContext {
  /**
   * A worker has begun. The clocks of `timeout.attempt` and `timeout.idle` start now; the time before counts as waiting for
   * a slot. For executors with `remote`; a second call is ignored.
   */
  begun(worker: WorkerFacts): void;
  /** A sign of life that is no value, such as progress: the clock of `timeout.idle` starts anew. */
  beat(): void;
  /**
   * The run goes on from a log, and the attempt may be under way somewhere since the process before: look for it before you
   * start it.
   */
  readonly again: boolean;
  /** Of the task, or of a more important one that waits for it: where attempts of several runs queue, the highest goes first. */
  readonly priority: number;
  /** Calls `changed` whenever `priority` is another number while the attempt goes on. A second function replaces the first. */
  onPriority(changed: () => void): void;
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
   * Attempts wait for a worker somewhere else: {@link RemoteContext.begun} says when there is one. Default: they begin when
   * `run` is called.
   */
  readonly remote?: boolean;
  /**
   * Makes one attempt, and returns what a body may return. An Observable is unsubscribed when the attempt is over before
   * it has ended: timeout, cancel, fail-fast.
   */
  run(inputs: I, ctx: RemoteContext): unknown;
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
    ...whereabouts(executor),
    version: definition.version ?? executor.version,
    run: (inputs, ctx) => executor.run(inputs, ctx as RemoteContext),
  };
}

/** Where an executor makes its attempts, as a task has to know it. */
export function whereabouts({
  place,
  remote,
}: Partial<Pick<Executor, 'place' | 'remote'>>): Pick<TaskDefinition, 'place' | 'remote'> {
  return { ...(place !== undefined && { place }), ...(remote === true && { remote }) };
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
