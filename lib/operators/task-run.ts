import type { ItemWatch, TaskNode } from '../graph/node.js';
import type { AsyncContext } from '../kernel/async-context.js';
import type { TaskDefinition } from '../model/task.js';

/** Where tasks of operators run. */
export interface TaskRun {
  /**
   * Takes a task in that is forgotten when it has ended. `key`: what tells it from others in the log of the run; undefined:
   * its number. @throws RxhiveError, WorkflowDefinitionError
   */
  offer(definition: TaskDefinition, watch: ItemWatch, context: AsyncContext, key?: string): TaskNode;
  /** As many tasks as may start at once: more of one stream need not wait for their start. */
  readonly ahead: number;
  /** Ends a task that has not ended. */
  drop(node: TaskNode, why: unknown): void;
  /** No more tasks come from who asked for it. `done`: all that has ended is safe, or why it is not. */
  leave(done: (error?: unknown) => void): void;
}

/** Asks for a run: it is `ready` at once, where nothing has to be waited for, or cannot be had. */
export type AskForRun = (ready: (run: TaskRun) => void, failed: (error: unknown) => void) => void;
