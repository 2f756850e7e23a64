import type { Observable, Subscribable } from 'rxjs';
import { copy } from '../kernel/copy.js';
import { inspect, RxhiveError, truncate } from '../kernel/errors.js';
import { type Below, readOrRefuse } from '../kernel/read-once.js';
import type { CacheOptions } from './cache.js';
import type { TaskContext } from './context.js';
import type { AnyDependency, BodyInputs, Dependencies, FirstInputs } from './dependency.js';
import type { Executor, Place } from './executor.js';
import type { HedgeOptions } from './hedge.js';
import type { RetryOptions, TimeoutOptions } from './policy.js';
import type { StandardSchema } from './schema.js';
import type { NestedDefinition, Scope } from './scope.js';
import type { Stage } from './stage.js';

/** Result type of a body that returns `R`: promises are awaited, streams give their last value. */
export type ResultOf<R> =
  R extends PromiseLike<infer P>
    ? ResultOf<P>
    : R extends Observable<infer V>
      ? V
      : R extends Subscribable<infer V>
        ? V
        : R extends AsyncIterable<infer V>
          ? V
          : R;

/**
 * Who does the work of a task. `D` dependencies, `R` what the body returns, `S` state, `I` workflow input.
 */
export type TaskWork<D, R, S = unknown, I = unknown> =
  | {
      /** Does the work elsewhere, for example `threads({ file })` of `rxhive/threads`. */
      readonly executor: Executor<BodyInputs<D>, R>;
      readonly run?: undefined;
    }
  | {
      /**
       * The work. May return a value, a promise, an async iterable or an Observable; every value of a stream is
       * visible on `run.values$`, the last one is the result.
       */
      readonly run: (inputs: BodyInputs<D>, ctx: TaskContext<S, I>) => R;
      readonly executor?: undefined;
    };

/**
 * How one task is to run. `D` dependencies, `R` what the body returns, `S` state, `I` workflow input, `G`
 * group names, `X` resource names, `O` result.
 */
export type TaskOptions<
  D,
  R,
  S = unknown,
  I = unknown,
  G extends string = string,
  X extends string = string,
  O = ResultOf<R>,
> = TaskSettings<D, S, I, G, X, O> & TaskWork<D, R, S, I>;

/** {@link TaskOptions} but for the work itself. */
export interface TaskSettings<
  D,
  S = unknown,
  I = unknown,
  G extends string = string,
  X extends string = string,
  O = unknown,
> {
  /** Tasks whose results this one needs, by name or in order. Default: none. */
  readonly dependencies?: D;
  /**
   * Schema (zod, valibot, arktype, ...) or `typed<T>()` of the result. What the body returns is checked within the
   * attempt, and what the schema makes of it is the result; a misfit fails the attempt with `INVALID_RESULT`, which
   * `retry` retries. Values of a stream before the last are not checked. Default: what the body returns.
   */
  readonly result?: StandardSchema<O>;
  /**
   * Does it run? Asked when it would start, with its slot and within `timeout`; with streams it gets the first inputs. False: the
   * task is skipped, which is no failure, and so are those that need its result (not those that depend on it with `optional`,
   * `settled` or `orElse`); the run can be `succeeded`. What was answered holds: a retry does not ask again, nor does a run
   * that goes on where the task was skipped. What it throws fails the attempt with `CALLBACK_FAILED`. Default: it runs.
   */
  readonly when?: (inputs: FirstInputs<D>, ctx: TaskContext<S, I>) => boolean | PromiseLike<boolean>;
  /** Concurrency group, one of the workflow's `groups`. Default: none. */
  readonly group?: G;
  /** What becomes of it while the breaker of its group is open. Default: what the group's `breaker` says. */
  readonly whenOpen?: 'wait' | 'fail';
  /** Higher goes first. Inherited by what the task waits for. Any finite number, default 0. */
  readonly priority?: number;
  /** Tries after the first, or a full policy. Default: the workflow's, else 0. */
  readonly retry?: number | RetryOptions;
  /**
   * A failure of it leaves the run `succeeded`, and does not end it under `fail-fast`, where all who depend on it accept
   * that (`optional`, `settled`, `orElse`). Reports still tell of it, as tolerated. Default false.
   */
  readonly tolerate?: boolean;
  /**
   * Cleanup: it runs also when the run ends early (cancelled, fail-fast, a hard budget, an aborted signal), once all it depends on
   * has ended, and no budget keeps it from running. Depend with `settled`, `optional` or `orElse`: it is skipped where a result
   * that it needs is missing. From the moment the run ends early, waiting for a slot, attempts and pauses together have
   * `timeout.total` ms, else 30,000 (or `timeout.attempt`, where that is longer); in other runs it has 30,000 ms from its start
   * on where nothing else limits it. A run that is suspended does not run it: that comes when it goes on. May run more than once, if its
   * process dies or the run goes on after a cancel: make it idempotent. Default false.
   */
  readonly always?: boolean;
  /** Starts another attempt beside one that is slow, where a place is free. Default: none. */
  readonly hedge?: HedgeOptions;
  /** Ms for one attempt, or limits by kind. Default: the workflow's, else none. */
  readonly timeout?: number | TimeoutOptions;
  /** Cancels this task alone when aborted, as `run.cancelTask` does, with the signal's reason. Default: none. */
  readonly signal?: AbortSignal;
  /** Amounts of the workflow's `resources` held while running, taken together or not at all. */
  readonly resources?: { readonly [name in X]?: number };
  /** Expected duration in ms; orders equal priorities by critical path. Default: the mean of all given. */
  readonly estimate?: number;
  /**
   * Tokens an attempt will use, in and out: what a limiter with `tokensPerMinute` takes for it until `ctx.usage` tells
   * better. Above 0; more than the window fails the task. Default: learnt, from the inputs as JSON. Tasks that read
   * streams are given the first values.
   */
  readonly tokens?: number | ((inputs: FirstInputs<D>) => number);
  /** Kind of work, for events and learnt durations. Default: the id. */
  readonly type?: string;
  /** Uses a result of an earlier or simultaneous task that did the same; see {@link CacheOptions}. Default: runs. */
  readonly cache?: CacheOptions<BodyInputs<D>, I>;
  /**
   * Takes back what the task has done in the world outside (a booking, a mail); called by `flow.compensate` with
   * the task's result. May run more than once when it fails or its process dies: make it idempotent.
   */
  readonly compensate?: (value: NoInfer<O>, ctx: TaskContext<S, I>) => unknown;
  /** Change it and a stored result is not used again. Default: the source text of `run`; what an executor says. */
  readonly version?: string;
  /**
   * `serializable`: what the body reads through `ctx.read` must still hold when it commits, as if tasks ran one
   * after the other. Default: reads may be older than the commit; recipes always see the newest state.
   */
  readonly isolation?: 'serializable';
  /**
   * `exclusive`, with `serializable`: the task fails with `TransactionConflictError` where another one has, since the attempt
   * began, written a place of the state that this one changes, read or not; its reads see the state of that moment. Give it to
   * each of those who write. Default: the last commit wins.
   */
  readonly writes?: 'exclusive';
  /**
   * With `serializable`, when another task wrote what this one read: run the body again (`rerun`, the default; at
   * most 100 times, not counted as retries), commit all the same (`replay`), or fail with
   * `TransactionConflictError`.
   */
  readonly onConflict?: 'rerun' | 'replay' | 'fail';
}

/** What a task is made again from: a registered body by name and its data, or the data of an item. */
export interface StoredTask {
  /** Undefined with an item: its task knows the body. */
  readonly type?: string;
  readonly data: unknown;
  /** What differs from the options of its type; plain data. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** With an item: it comes from a stage before or is a batch, so that its data tells it from another with the same id. */
  readonly passed?: boolean;
  /** With a batch of items: their keys. */
  readonly keys?: readonly string[];
  /** Where its data cannot be written it is stored as a closure, instead of failing who adds it. */
  readonly lenient?: boolean;
}

/** Makes a task of a registered type; `dependencies` are those of the one task. */
export type TypeMaker = (task: {
  readonly id: string;
  readonly data: unknown;
  readonly options: Readonly<Record<string, unknown>>;
  readonly dependencies: Dependencies | undefined;
}) => TaskDefinition;

/** How tasks of a type are to run; see `flow.taskType`. `T` data, `R` what the body returns. */
export interface TaskTypeOptions<
  T,
  R,
  S = unknown,
  I = unknown,
  G extends string = string,
  X extends string = string,
  O = ResultOf<R>,
> extends Omit<
    TaskSettings<Record<string, AnyDependency>, S, I, G, X, O>,
    'dependencies' | 'type' | 'cache' | 'tokens' | 'when'
  > {
  /** The work. `data` is what the one task was added with, `inputs` are the results of its dependencies. */
  readonly run: (data: T, ctx: TaskContext<S, I>, inputs: Readonly<Record<string, unknown>>) => R;
  /** Does it run? As the option of a task, but for what it is given. Default: it runs. */
  readonly when?: (
    data: T,
    ctx: TaskContext<S, I>,
    inputs: Readonly<Record<string, unknown>>,
  ) => boolean | PromiseLike<boolean>;
  /** Tokens an attempt will use, in and out. Default: learnt, from data and inputs as JSON. */
  readonly tokens?: number;
}

/** What one task of a type may say beside its data. */
export interface TypedTaskOptions {
  /** Default: none. */
  readonly dependencies?: Dependencies;
  /** Higher goes first. Default: that of the type. */
  readonly priority?: number;
  /** Cancels the task when aborted. Not in the log: a run that goes on does not hear of it. Default: that of the type. */
  readonly signal?: AbortSignal;
}

/**
 * A body registered by name, made by `flow.taskType()`. Tasks of it are added with data instead of a closure, so a log
 * can bring them back by itself. `T` data, `O` result.
 */
export class TaskType<in T = never, out O = unknown> {
  /** Type of the results. Exists for the compiler only. */
  declare readonly '~output': O;
  /** Type of the data. Exists for the compiler only. */
  declare readonly '~data': (data: T) => void;
  readonly name: string;
  readonly #make: TypeMaker;

  /** Made by `flow.taskType()`. */
  constructor(name: string, make: TypeMaker) {
    this.name = name;
    this.#make = make;
  }

  /** One task of the type, as the engine works with it. @throws RxhiveError INVALID_OPTION for an unknown option */
  task(
    id: string,
    whose: unknown,
    { dependencies, signal, ...options }: TypedTaskOptions = {},
  ): TaskDefinition {
    // Whoever adds it may go on with them.
    const data = copy(whose);
    const made = this.#make({ id, data, options: { ...options }, dependencies });
    const given = Object.entries(options).filter(([, value]) => value !== undefined);
    const stored = { type: this.name, data, ...(given.length > 0 && { options: Object.fromEntries(given) }) };
    return { ...made, ...(signal !== undefined && { signal }), stored };
  }
}

/** The same options, of which each may be said to be undefined. */
type Loose<T> = { readonly [K in keyof T]: T[K] | undefined };

/** {@link TaskOptions} with all types forgotten: what the engine works with. */
export interface TaskDefinition
  extends Loose<Omit<TaskSettings<Dependencies>, 'tokens' | 'cache' | 'compensate' | 'result' | 'when'>> {
  readonly run: (inputs: never, ctx: never) => unknown;
  readonly executor?: Executor | undefined;
  /** Where the executor that `run` calls makes its attempts. */
  readonly place?: Place | undefined;
  /** Its attempts wait for a worker somewhere else, which says when it begins. */
  readonly remote?: boolean | undefined;
  readonly result?: StandardSchema | undefined;
  readonly tokens?: number | ((inputs: never) => number) | undefined;
  readonly cache?: CacheOptions | undefined;
  readonly compensate?: ((value: never, ctx: never) => unknown) | undefined;
  readonly when?: ((inputs: never, ctx: never) => unknown) | undefined;
  /** One of several its parent tries: the parent's end tells how the run went. */
  readonly candidate?: boolean | undefined;
  /** It adds items that are forgotten when they have ended, and holds no slot meanwhile. */
  readonly feeds?: boolean | undefined;
  /** With {@link TaskDefinition.feeds}: makes an item again from its data; `inputs` are read when it runs. */
  readonly item?:
    | ((data: unknown, inputs: () => unknown, keys?: readonly string[]) => TaskDefinition)
    | undefined;
  /** Many tasks have this definition, the same object: it is looked at once. They depend on nothing. */
  readonly shared?: boolean | undefined;
  /** What `fair` of a controller may go by, beside the tags of its run. */
  readonly tags?: Readonly<Record<string, string>> | undefined;
  /** With {@link TaskDefinition.feeds}: what the stage before it has to know. */
  readonly stage?: Stage | undefined;
  /** What it can be made again from when its run goes on; undefined: its body is a closure. */
  readonly stored?: StoredTask | undefined;
  /** What the task's body carries beside its inputs, where known: a part of the prompt. */
  readonly data?: unknown;
  /** What stands for its version where that is only made when a store or a cache asks for it. */
  readonly code?: (() => string) | undefined;
  /**
   * It is a loop, of so many turns at most; `turn`: one as it will be added, to be checked before; `until`: source text of what
   * decides its end.
   */
  readonly loop?: { readonly max: number; readonly turn: TaskDefinition; readonly until: string } | undefined;
  /** It is a workflow: the plan puts that one's tasks in its place. */
  readonly nested?: NestedDefinition | undefined;
  /** The nearest task of this kind that it is a part of, itself among them. */
  readonly within?: string | undefined;
  /** The nested workflow it is a task of. */
  readonly scope?: Scope | undefined;
  /** What of the options could not be read. */
  readonly unread?: readonly string[] | undefined;
}

/** Options of a task that consist of options. */
export const belowTask: Below = {
  dependencies: {},
  retry: { backoff: {} },
  timeout: {},
  hedge: {},
  cache: {},
  resources: {},
  batch: {},
  scan: {},
};

/** What makes tasks of a type. @throws RxhiveError INVALID_OPTION for a name that is taken, or a body that is no function */
export function typeMaker(name: string, options: object, isTaken: (name: string) => boolean): TypeMaker {
  const { run, when, ...settings } =
    readOrRefuse('flow.taskType', options as Partial<TaskDefinition>, belowTask) ?? {};
  if (typeof name !== 'string' || name === '' || isTaken(name)) {
    const message = `flow.taskType got the name ${inspect(name)}; give a text that no other type of the workflow has.`;
    throw new RxhiveError('INVALID_OPTION', message);
  }
  if (typeof run !== 'function') {
    const message = `Task type "${truncate(name)}" has run ${inspect(run)}; give a function of the data.`;
    throw new RxhiveError('INVALID_OPTION', message);
  }
  const body = run as unknown as (data: unknown, ctx: unknown, inputs: unknown) => unknown;
  const asked = when as typeof body | undefined;
  return ({ data, options: own, dependencies }) => ({
    ...settings,
    ...own,
    ...(dependencies !== undefined && { dependencies }),
    type: name,
    data,
    version: settings.version ?? (when === undefined ? String(run) : `${String(when)}\n${String(run)}`),
    ...(asked && { when: (inputs: unknown, ctx: unknown) => asked(copy(data), ctx, inputs) }),
    run: (inputs: unknown, ctx: unknown) => body(copy(data), ctx, inputs),
  });
}
