import type { AnyDependency, BodyInputs, Dependency, InputsOf, OutputOf, Task } from './dependency.js';
import type { NestedDefinition } from './scope.js';
import type { TaskDefinition, TaskSettings } from './task.js';
import type { WorkflowDefinition } from './workflow.js';

/** A workflow that can be a task of another one. `I`: its input. */
export interface Nestable<in out I = never> {
  /** Type of the input. Exists for the compiler only. */
  readonly '~input': (input: I) => I;
  /** Its own tasks as they were given, those of workflows within it not among them. */
  defined(): WorkflowDefinition;
}

/** A workflow of any input. */
export interface AnyNestable {
  readonly '~input': (input: never) => unknown;
  defined(): WorkflowDefinition;
}

/** A task of a nested workflow whose result is wanted: its handle, or `optional`, `settled` or `orElse` of it. */
export type NestedResult = Task<unknown> | Dependency<unknown, 'optional' | 'settled' | 'orElse'>;

/** What makes the result of a nested workflow: one of its tasks, or several by name or in order. */
export type NestedOutput = NestedResult | { readonly [name: string]: NestedResult } | readonly NestedResult[];

/** The result of a task that is a workflow with output `P`. */
export type NestedValue<P> = P extends AnyDependency ? OutputOf<P> : P extends object ? InputsOf<P> : unknown;

/** How a workflow is a task, but for dependencies and input. `I` input of the workflow, `P` what makes the result. */
export interface NestedSettings<I, P> extends Pick<TaskSettings<never>, 'tolerate' | 'type'> {
  /**
   * Its tasks become tasks of the run, with ids `ID/...`. What it says of groups, resources, retry, timeouts and its own
   * concurrency holds for them; groups, resources and prices of the same name are those of the outer workflow.
   */
  readonly workflow: Nestable<I>;
  /**
   * The task, or tasks, of the workflow whose results are the result. The nested workflow fails where one of them has
   * none. Default: the task that no other depends on, of several a record by id.
   */
  readonly output?: P;
  /** Added to the priority of each of its tasks. Any finite number, default 0. */
  readonly priority?: number;
}

/** The input of a nested workflow: needed where that has one. A value, or a function of the results of the dependencies. */
export type NestedInput<F, I> = undefined extends I
  ? { readonly input?: I | ((inputs: F) => I | PromiseLike<I>) }
  : { readonly input: I | ((inputs: F) => I | PromiseLike<I>) };

/**
 * How a workflow is a task of another one. `D` dependencies, `I` input of the nested workflow, `P` what makes the result.
 */
export type NestedOptions<D, I, P> = NestedSettings<I, P> &
  Pick<TaskSettings<D>, 'dependencies' | 'when'> &
  NestedInput<BodyInputs<D>, I>;

/** A task that is a workflow, as a definition keeps it. */
export function nestedTask(options: TaskDefinition): TaskDefinition {
  if (typeof options !== 'object' || options === null || !('workflow' in options)) return options;
  const { workflow, input, output, ...own } = options as object as NestedDefinition;
  return { ...own, nested: { workflow, input, output } } as object as TaskDefinition;
}
