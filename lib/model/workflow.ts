import type { Observable } from 'rxjs';
import type { DefinitionFault } from '../kernel/errors.js';
import type { Below } from '../kernel/read-once.js';
import type { Adaptive } from './adaptive.js';
import type { BreakerOptions } from './breaker.js';
import type { BudgetOptions } from './budget.js';
import type { Dependencies, Task } from './dependency.js';
import type { Limiter, LimiterSettings } from './limiter.js';
import type { LoadSample } from './load.js';
import type { MemoryOptions } from './memory.js';
import type { Middleware } from './middleware.js';
import type { RetryOptions, TimeoutOptions } from './policy.js';
import type { RunController } from './run-controller.js';
import type { StandardSchema } from './schema.js';
import type { ResultOf, TaskDefinition, TaskOptions, TaskType, TypedTaskOptions, TypeMaker } from './task.js';
import type { Price } from './usage.js';

/** What happens to the rest of a run when a task fails. */
export type FailurePolicy = 'continue' | 'fail-fast';

/** Who goes first among ready tasks of equal priority. */
export type SchedulingPolicy = 'critical-path' | 'fifo' | 'depth-first';

/** Slots of a workflow that says nothing. */
export const defaultConcurrency = 16;

/** A concurrency group: tasks that share a limit, such as one provider or one database. */
export interface GroupOptions {
  /**
   * Tasks of the group running at once. Whole number from 1, Infinity, or {@link adaptive}. Default: no limit of
   * its own.
   */
  readonly concurrency?: number | Adaptive;
  /** Most the tasks of the group may use, all together. Default: no limit of its own. */
  readonly budget?: BudgetOptions;
  /** Holds the group back while its provider fails. Default: none. */
  readonly breaker?: BreakerOptions;
  /**
   * What the provider behind the group allows: `bottleneck({...})`, `virtual({...})`, a limiter of your own, or its
   * settings alone, such as `{ requestsPerMinute: 600, tokensPerMinute: 90_000 }`. Shared by all who are given the same
   * object: groups, workflows, runs. Default: no limits, but a 429 holds the whole group.
   */
  readonly limiter?: Limiter | LimiterSettings;
}

/** How a workflow is to run. All limits can be changed while a run goes on. */
export interface WorkflowOptions<
  S = unknown,
  I = unknown,
  G extends string = string,
  X extends string = string,
> {
  /** Shown in events, reports and errors. */
  readonly name: string;
  /** What it is good for: models to which it is offered as a tool decide by that. Default: names its tasks. */
  readonly description?: string;
  /** Initial state, shared by all tasks through `ctx.update` and `ctx.read`. Plain data. Default: none. */
  readonly state?: S;
  /** Schema (zod, valibot, arktype, ...) or `typed<T>()` of the run's input. Default: no input. */
  readonly input?: StandardSchema<I>;
  /**
   * What its runs share with those of other workflows: slots, groups, resources, limits; see `controller()`. Default: each
   * run has all of it to itself.
   */
  readonly controller?: RunController;
  /**
   * Tasks running at once. Whole number from 1, Infinity, or {@link adaptive}. Default 16; under a controller no limit
   * but that one's.
   */
  readonly concurrency?: number | Adaptive;
  /**
   * Who goes first among ready tasks of equal priority: the one with the longest expected path behind it, the one that
   * became ready first, or, `depth-first`, the one with the most steps before it, so that what is there is used up before more
   * is made. Default `critical-path`.
   */
  readonly policy?: SchedulingPolicy;
  /**
   * With `depth-first`: results that may wait for tasks that use them. While there are as many, those that are being made included, no task
   * begins that would make one more, but for one that uses up another, and for one where nothing else runs: so the run always goes on,
   * also where a task needs more results than that. Those of an earlier process do not count. Whole number from 1. Default: any number.
   */
  readonly heldResults?: number;
  /** What one provider allows all tasks together; groups may have limiters too. Default: none. */
  readonly limiter?: Limiter | LimiterSettings;
  /** Concurrency groups by name. */
  readonly groups?: { readonly [name in G]: GroupOptions };
  /** Capacities of resources by name (gpu: 2, memoryMb: 4096). Finite, above 0. */
  readonly resources?: { readonly [name in X]: number };
  /** Code around runs, tasks and attempts: the first is the outermost. Default: none. */
  readonly middleware?: readonly Middleware[];
  /** Retry of tasks that say nothing. Default: none. */
  readonly retry?: number | RetryOptions;
  /** Timeouts of tasks that say nothing. Default: none. */
  readonly timeout?: number | TimeoutOptions;
  /**
   * Keeps large results out of memory (default: those above 1 MiB, where there is a store), and holds tasks back while
   * memory is short (default: no).
   */
  readonly memory?: MemoryOptions;
  /** How busy the machine is, for runs that are given no other; see the run option. Default: nobody asks. */
  readonly load$?: Observable<LoadSample>;
  /** Default `continue`: what does not depend on the failed task goes on. */
  readonly failurePolicy?: FailurePolicy;
  /**
   * Ms of waiting behind more important tasks that weigh as much as one step of priority, so that nothing starves behind
   * them; and for how long a task that needs much of a resource is overtaken by more important ones that need less, and by
   * equals with a longer path. Default 60,000; false: off.
   */
  readonly aging?: number | false;
  /** Most tasks one run may have, added ones included. Default: the defined ones and 100,000 more. */
  readonly maxTasks?: number;
  /** Most retries one run may make in all, a guard against retry storms. Default: no limit. */
  readonly retryBudget?: number;
  /** Most a run may use. Default: no limit. */
  readonly budget?: BudgetOptions;
  /** Prices by model, for `ctx.usage({ model })`. Tokens of a model that is not here are counted without cost. */
  readonly prices?: { readonly [model: string]: Price };
}

/** {@link WorkflowOptions} with all types forgotten: what the engine works with. */
export type WorkflowSettings = WorkflowOptions<unknown, unknown, string, string>;

const budget: Below = { hard: {} };

/** Options of a workflow that consist of options. What limiters and middleware are made from is theirs. */
export const belowWorkflow: Below = {
  groups: { '*': { budget, breaker: { failures: {} } } },
  budget,
  resources: {},
  middleware: {},
  retry: { backoff: {} },
  timeout: {},
  memory: {},
  prices: { '*': {} },
};

/** What options are called where faults are told: an orchestrator has names of its own. */
export interface OptionNames {
  readonly groups: string;
  readonly concurrency: string;
  /** What a dependency has to be. */
  readonly dependency: string;
}

/** The names of a workflow. */
export const optionNames: OptionNames = {
  groups: 'groups',
  concurrency: 'concurrency',
  dependency: 'the handle that flow.task() returned',
};

/** A workflow as data: its settings and its tasks in order of definition. */
export interface WorkflowDefinition {
  readonly settings: WorkflowSettings;
  readonly names: OptionNames;
  /** What was found to be wrong while it was made; the plan tells it with what it finds itself. */
  readonly faults: readonly DefinitionFault[];
  readonly owner: object;
  /** What is kept over runs is kept as long as this lives. */
  readonly durationsKey: object;
  readonly ids: readonly string[];
  readonly tasks: readonly TaskDefinition[];
  readonly handles: readonly Task[];
  readonly handlers: ReadonlyMap<string, readonly CompletionHandler[]>;
  /** Bodies registered by name: what makes tasks again that a log tells of. */
  readonly types: ReadonlyMap<string, TypeMaker>;
}

/** A workflow or an orchestrator, for those who only read what it consists of. */
export interface Definable {
  definition(): WorkflowDefinition;
}

/** Called with a task's result before it is committed; `add` makes tasks part of the same commit. */
export type CompletionHandler = (
  value: unknown,
  add: (first: string | TaskType, second: unknown, data?: unknown, options?: TypedTaskOptions) => Task,
) => unknown;

/** Adds a task from within a completion handler; it becomes part of the same commit. */
export interface AddTask<S, I, G extends string, X extends string> {
  <const D extends Dependencies = Record<never, never>, R = unknown, O = ResultOf<R>>(
    id: string,
    options: TaskOptions<D, R, S, I, G, X, O>,
  ): Task<O>;
  /** One task of a type: when the run goes on it comes back by its data, the handler is not called again. */
  <T, O>(type: TaskType<T, O>, id: string, data: T, options?: TypedTaskOptions): Task<O>;
}

/** Settings with other limits: what is said of a group is laid over what it has. */
export function limited(
  settings: WorkflowSettings,
  concurrency: WorkflowSettings['concurrency'],
  groups: { readonly [name: string]: GroupOptions | undefined } = {},
): WorkflowSettings {
  const changed = Object.entries(groups).map(([name, group]) => [
    name,
    { ...settings.groups?.[name], ...group },
  ]);
  return {
    ...settings,
    ...(concurrency !== undefined && { concurrency }),
    groups: { ...settings.groups, ...Object.fromEntries(changed) },
  };
}
