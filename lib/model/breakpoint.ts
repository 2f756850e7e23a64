import type { Task } from './dependency.js';

/** A task that would start next, for breakpoints. */
export interface StartingTask {
  readonly id: string;
  /** Its type, or its id where it has none. */
  readonly type: string;
  readonly group: string | undefined;
  /** Number of the attempt that would begin, from 1. */
  readonly attempt: number;
}

/**
 * Before what a run is to pause: a task by handle or id, which need not be there yet, before each of its attempts; or all
 * for which a function says so. The function is asked often: it has to be quick and without effects.
 */
export type Breakpoint = Task | string | ((task: StartingTask) => boolean);
