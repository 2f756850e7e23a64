import type { RetryOptions, TimeoutOptions } from './policy.js';

/** A task that is a workflow, as it was given, with all types forgotten. */
export interface NestedDefinition {
  readonly workflow: unknown;
  readonly input: unknown;
  readonly output: unknown;
}

/** Where the tasks of a nested workflow are within a run. */
export interface Scope {
  /** Ids of its tasks begin with it. */
  readonly prefix: string;
  /** The task whose result is its input. */
  readonly begin: string;
  /** Where its state is in that of the run; undefined: it has none. */
  readonly state: readonly string[] | undefined;
  /** Whom the handles of its tasks belong to. */
  readonly owner: object;
  /** Added to the priority of its tasks. */
  readonly priority: number;
  /** What each of its tasks takes while it runs. */
  readonly resources: Readonly<Record<string, number>> | undefined;
  /** For tasks of it that say nothing. */
  readonly retry: number | RetryOptions | undefined;
  readonly timeout: number | TimeoutOptions | undefined;
}
