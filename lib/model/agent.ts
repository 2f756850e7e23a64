import { readOrRefuse } from '../kernel/read-once.js';
import type { Adaptive } from './adaptive.js';
import type { CacheOptions } from './cache.js';
import type { TaskContext } from './context.js';
import { type AnyDependency, Dependency, Task } from './dependency.js';
import type { Executor, Place } from './executor.js';
import type { LoopOptions } from './loop.js';
import type { NestedInput, NestedSettings } from './nested.js';
import { belowTask, type TaskDefinition, type TaskSettings } from './task.js';
import type { GroupOptions, WorkflowOptions } from './workflow.js';

/** A dependency that may fail; as data, like all of an {@link AgentTask}. */
export type AgentDependency =
  /** What `optional(...)`, `settled(...)` and `failed(...)` are for a workflow. */
  | { readonly id: string; readonly mode: 'optional' | 'settled' | 'failed' }
  /** What `orElse(..., value)` is. */
  | { readonly id: string; readonly mode: 'orElse'; readonly value: unknown };

/** Inputs of an agent: results of its dependencies by id. */
export type AgentInputs = Readonly<Record<string, unknown>>;

/** What an {@link AgentTask} is made from: the options of a task of a workflow, with these names for what agents have. */
export interface AgentTaskOptions<A extends string = string, G extends string = string>
  extends Omit<TaskSettings<never>, 'dependencies' | 'group' | 'type' | 'tokens' | 'cache' | 'when'> {
  readonly id: string;
  /** Name of one of the orchestrator's agents. It is the `type` of the task, too. */
  readonly agentType: A;
  /** Handed to the agent as it is. */
  readonly data?: unknown;
  /**
   * Ids of tasks that must have succeeded, or `{ id, mode }` of those that need not. They may be added later, but before
   * the run starts.
   */
  readonly dependencies?: readonly (string | AgentDependency)[];
  /** One of the orchestrator's `concurrencyGroups`. */
  readonly concurrencyGroup?: G;
  /** Tokens an attempt will use, for limiters with `tokensPerMinute`. Default: learnt, from data and inputs. */
  readonly tokens?: number | ((inputs: AgentInputs) => number);
  /** Does it run? Asked with the results of its dependencies; as the option `when` of a task of a workflow. Default: it runs. */
  readonly when?: (inputs: AgentInputs, ctx: TaskContext) => boolean | PromiseLike<boolean>;
  /** Uses a result of an earlier or simultaneous task; agent, version and data are always part of the key. Default: runs. */
  readonly cache?: CacheOptions<AgentInputs, unknown>;
}

/** One piece of work for an agent: plain data, but for options that take a function. */
export class AgentTask<const A extends string = string, const G extends string = string> {
  readonly options: AgentTaskOptions<A, G>;

  /** @throws RxhiveError INVALID_OPTION for options that throw when they are read */
  constructor(options: AgentTaskOptions<A, G>) {
    this.options = readOrRefuse('AgentTask', options, belowTask);
  }

  get id(): string {
    return this.options.id;
  }
}

/** How a workflow is a task of an orchestrator. `I` input of the workflow, `P` what makes the result. */
export type AgentWorkflowOptions<I, P> = NestedSettings<I, P> &
  Pick<AgentTaskOptions, 'dependencies'> &
  NestedInput<AgentInputs, I>;

/** How a loop of an agent is to run: the options of its task, of which those that `flow.loop` has are for each turn. `V`: the value that goes round. */
export interface AgentLoopOptions<V, A extends string = string, G extends string = string>
  extends Omit<AgentTaskOptions<A, G>, 'id' | 'cache' | 'compensate' | 'always' | 'tokens' | 'result'>,
    Pick<LoopOptions<V, never>, 'max' | 'atMax' | 'result' | 'tokens'> {
  /** The value that the first turn is given, or a function of the results of `dependencies` by id. */
  readonly from: V | ((inputs: AgentInputs) => V | PromiseLike<V>);
  /** Is it done? See the same option of `flow.loop`. */
  readonly until: (value: NoInfer<V>, ctx: TaskContext) => boolean | PromiseLike<boolean>;
}

/** The task as its agent sees it. */
export interface AgentCall {
  readonly id: string;
  readonly agentType: string;
  readonly data: unknown;
  /** Results of its dependencies by id. */
  readonly inputs: Readonly<Record<string, unknown>>;
  /** In a turn of a loop: what the one before has made, or `from` in the first. */
  readonly last?: unknown;
}

/** The work of an agent: may return a value, a promise, an async iterable or an Observable. */
export type AgentFunction<S = unknown, I = unknown> = (task: AgentCall, ctx: TaskContext<S, I>) => unknown;

/** A function, or an object with `run`; an executor such as `threads({ file })` is one. */
export type Agent<S = unknown, I = unknown> =
  | AgentFunction<S, I>
  | {
      run(task: AgentCall, ctx: TaskContext<S, I>): unknown;
      /** What it runs on; who finds no slot waits. Default: in this process, as many as come. */
      readonly place?: Place;
      /** Change it and stored results are not used again. Default: the source text of `run`. */
      readonly version?: string;
    }
  | Executor<AgentCall>;

/** How a `WorkflowOrchestrator` works: the options of a workflow, with these names for what agents have. */
export interface OrchestratorOptions<
  Agents extends Record<string, Agent<S, I>>,
  S = unknown,
  I = unknown,
  G extends string = string,
  X extends string = string,
> extends Omit<WorkflowOptions<S, I, G, X>, 'name' | 'concurrency' | 'groups'> {
  /** Agents by name. */
  readonly agents: Agents;
  /** Shown in reports. Default `orchestrator`. */
  readonly name?: string;
  /** False: one task at a time. Default true. */
  readonly parallelExecution?: boolean;
  /** Tasks running at once. Whole number from 1, Infinity, or `adaptive(...)`. Default 10. */
  readonly maxConcurrentTasks?: number | Adaptive;
  /** May tasks be added while a run goes on? Default true. */
  readonly dynamicTasks?: boolean;
  /** Limits by group name: tasks at once, or all options of a group. */
  readonly concurrencyGroups?: { readonly [name in G]: number | GroupOptions };
}

/** The dependency that an id, or one with a mode, stands for; what stands for none is left for the plan to tell. */
export function dependencyOf(one: string | AgentDependency): unknown {
  if (typeof one === 'string') return new Task(one);
  const { id, mode } = one ?? {};
  if (typeof id !== 'string' || !['optional', 'settled', 'orElse', 'failed'].includes(mode)) return one;
  return new Dependency(new Task(id), mode, one.mode === 'orElse' ? one.value : undefined);
}

/** The same from what a log says. */
export function agentDependencyOf(one: AnyDependency): string | AgentDependency {
  if (!(one instanceof Dependency)) return (one as Task).id;
  const { mode, fallback, task } = one;
  return { id: task.id, mode, ...(mode === 'orElse' && { value: fallback }) } as AgentDependency;
}

/** What dependencies have given, by their ids. */
export function inputsById(
  dependencies: readonly (string | AgentDependency)[] = [],
): (values: readonly unknown[]) => AgentInputs {
  const ids = dependencies.map((one) => (typeof one === 'string' ? one : one?.id));
  return (values) => Object.fromEntries(ids.map((id, i) => [id, values[i]]));
}

/** A nested workflow whose dependencies are ids; its input is made of their results by id. */
export function nestedOptions({
  dependencies = [],
  input: given,
  ...same
}: Omit<AgentWorkflowOptions<never, unknown>, 'input'> & { readonly input?: unknown }): object {
  const inputsOf = inputsById(dependencies);
  return {
    ...same,
    dependencies: dependencies.map(dependencyOf),
    input: typeof given === 'function' ? (values: readonly unknown[]) => given(inputsOf(values)) : given,
  };
}

/** A loop whose turns are the work of an agent; `definition` makes the task of one. */
export function loopOptions(
  id: string,
  { from, until, max, atMax, ...own }: AgentLoopOptions<unknown>,
  definition: (task: AgentTask) => TaskDefinition,
): object {
  const task = definition(new AgentTask({ ...own, id } as AgentTaskOptions));
  const { stored: _, code, run, ...same } = task;
  const inputsOf = inputsById(own.dependencies);
  const work = run as unknown as (values: unknown, ctx: unknown, last: unknown) => unknown;
  return {
    ...same,
    ...{ until, max, atMax },
    from: typeof from === 'function' ? (values: readonly unknown[]) => from(inputsOf(values)) : from,
    version: code?.(),
    run: (last: unknown, ctx: unknown, values: unknown) => work(values, ctx, last),
  };
}
