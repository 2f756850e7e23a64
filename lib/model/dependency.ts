import type { Observable } from 'rxjs';
import { isSuccess, type TaskStatus } from './status.js';

/**
 * Handle of a task: what `flow.task()`, `run.task()` and `ctx.spawn()` return and what dependencies are
 * made of. It carries the type of the task's result; it holds no result itself.
 */
export class Task<out T = unknown> {
  /** Type of the task's result. Exists for the compiler only. */
  declare readonly '~output': T;
  readonly id: string;
  /** The workflow or run that made the handle; undefined for a reference by id (facade). */
  readonly owner: object | undefined;

  constructor(id: string, owner?: object) {
    this.id = id;
    this.owner = owner;
  }
}

/**
 * How a dependent uses a dependency. `value` is the default: wait for success, receive the result. `items`: a `flow.each` that
 * takes what another one has ended (`from`). `after`: wait for success, receive nothing; so the tasks of a nested workflow
 * depend on its input. `ended`: wait for its end, without need of it; so a nested workflow depends on its tasks.
 */
export type DependencyMode =
  | 'value'
  | StreamMode
  | 'optional'
  | 'settled'
  | 'orElse'
  | 'failed'
  | 'race'
  | 'any'
  | 'quorum'
  | 'items'
  | 'after'
  | 'ended';

/** Modes that are about several tasks, of which some have to succeed. */
export type ChoiceMode = 'race' | 'any' | 'quorum';

/** Modes whose dependent starts while the task still runs, and reads its values as they come. */
export type StreamMode = 'latest' | 'sampled' | 'paired' | 'merged';

/** Is it a mode of a streaming join? */
export function readsStream(mode: string): mode is StreamMode {
  return mode === 'latest' || mode === 'sampled' || mode === 'paired' || mode === 'merged';
}

/** What each mode needs of the task: its success, its failure, or its end; of several tasks only some have to succeed. */
const needed: Readonly<Record<DependencyMode, 'success' | 'failure' | 'end' | 'some'>> = {
  value: 'success',
  latest: 'success',
  sampled: 'success',
  paired: 'success',
  merged: 'success',
  items: 'success',
  after: 'success',
  ended: 'end',
  optional: 'end',
  settled: 'end',
  orElse: 'end',
  failed: 'failure',
  race: 'some',
  any: 'some',
  quorum: 'some',
};

/** Can the dependent run as far as this dependency goes, which has ended so? */
export function isMet(mode: DependencyMode, status: TaskStatus): boolean {
  const need = needed[mode];
  return need === 'end' || (need === 'failure' ? status === 'failed' : isSuccess(status));
}

/** Is it a mode of a choice? */
export function isChoice(mode: string): mode is ChoiceMode {
  return mode === 'race' || mode === 'any' || mode === 'quorum';
}

/** Does the dependent run whatever becomes of the task, even if that never runs? */
export function runsAnyway(mode: DependencyMode): boolean {
  return needed[mode] === 'end';
}

/** Is the dependent skipped where the task does not succeed? */
export function needsSuccess(mode: DependencyMode | 'join'): boolean {
  return mode !== 'join' && needed[mode] === 'success';
}

/** Is it a mode, as a log may name one? */
export function isMode(mode: unknown): mode is DependencyMode {
  return typeof mode === 'string' && Object.hasOwn(needed, mode);
}

/**
 * A dependency with a mode other than the default; made by {@link latest}, {@link sampled}, {@link paired}, {@link merged},
 * {@link optional}, {@link settled}, {@link done}, {@link orElse}, {@link failed}.
 */
export class Dependency<out T = unknown, out M extends DependencyMode = DependencyMode> {
  /** Type of what the dependent receives. Exists for the compiler only. */
  declare readonly '~output': T;
  readonly task: Task;
  readonly mode: M;
  readonly fallback: unknown;
  /** With `paired` and `merged`: values that may wait. */
  readonly capacity: number | undefined;

  constructor(task: Task, mode: M, fallback?: unknown, capacity?: number) {
    this.task = task;
    this.mode = mode;
    this.fallback = fallback;
    this.capacity = capacity;
  }
}

/** How {@link paired} and {@link merged} bound what waits. */
export interface JoinOptions {
  /**
   * Values of the task that may wait: for their partners, or for the dependent to start. One more, and the dependent fails with
   * LIMIT_EXCEEDED. Whole number from 1, or Infinity. Default 10,000.
   */
  readonly capacity?: number;
}

/** What {@link settled} delivers. */
export type Settled<T> =
  | { readonly status: 'succeeded'; readonly value: T }
  | {
      readonly status: 'failed' | 'skipped' | 'cancelled';
      readonly error: unknown;
      /** With `skipped`: that was decided, by a condition or a rule, and is no failure. */
      readonly decided?: true;
    };

/**
 * Streaming join: the dependent starts at the dependency's first value and receives an Observable of its
 * inputs, newest value of each, until all of them end. Values of one turn are conflated, so a diamond never
 * shows a mixture of old and new. When the dependency retries, the dependent starts again from the beginning.
 */
export function latest<T>(task: Task<T>): Dependency<T, 'latest'> {
  return new Dependency(task, 'latest');
}

/**
 * Streaming join that sets no pace: the newest value of the task, whenever the `latest`, `paired` or `merged` dependencies
 * beside it deliver; `withLatestFrom` of RxJS. The dependent starts once there is a value. That the task says more, or
 * begins again, starts nothing anew; if it fails, the dependent is skipped.
 */
export function sampled<T>(task: Task<T>): Dependency<T, 'sampled'> {
  return new Dependency(task, 'sampled');
}

/**
 * Streaming join of the n-th value with the n-th of all other `paired` dependencies; `zip` of RxJS. Every value counts; what
 * others say beyond the shortest is not given, and the end is that of all. When more than `capacity` values wait for their
 * partners, the dependent fails with LIMIT_EXCEEDED. When the task retries, the dependent starts again from the first pair.
 */
export function paired<T>(task: Task<T>, options: JoinOptions = {}): Dependency<T, 'paired'> {
  return new Dependency(task, 'paired', undefined, options.capacity);
}

/**
 * Streaming join of each value of each `merged` dependency, one at a time, in the order in which they are said; `merge` of
 * RxJS. The dependent starts when the first of them speaks, and receives an Observable of `{ from, value }`: name or place of the
 * dependency, and what it said; with other dependencies also `inputs`, which are theirs. When the task retries, the dependent starts
 * again from the first value. When more than `capacity` values wait for its start, it fails with LIMIT_EXCEEDED.
 */
export function merged<T>(task: Task<T>, options: JoinOptions = {}): Dependency<T, 'merged'> {
  return new Dependency(task, 'merged', undefined, options.capacity);
}

/** The dependent runs whether or not the task succeeds; it receives the result, or `undefined`. */
export function optional<T>(task: Task<T>): Dependency<T | undefined, 'optional'> {
  return new Dependency(task, 'optional');
}

/** The dependent runs whether or not the task succeeds; it receives the outcome as data. */
export function settled<T>(task: Task<T>): Dependency<Settled<T>, 'settled'> {
  return new Dependency(task, 'settled');
}

/**
 * The dependent runs once the task has ended, however that was: succeeded, failed, skipped or cancelled. It receives the outcome
 * as data. The same as {@link settled}.
 */
export function done<T>(task: Task<T>): Dependency<Settled<T>, 'settled'> {
  return settled(task);
}

/**
 * Handles a failure: the dependent runs only where the task has failed, after its last attempt, and receives the error. Where the
 * task does not fail, the dependent is skipped, which is no failure. When it succeeds the failure counts as handled: alone it does
 * not make the run `partial`, nor end it under `fail-fast`.
 */
export function failed(task: Task<unknown>): Dependency<unknown, 'failed'> {
  return new Dependency(task, 'failed');
}

/** The dependent runs whether or not the task succeeds; without a result it receives `value`. */
export function orElse<T, const F>(task: Task<T>, value: F): Dependency<T | F, 'orElse'> {
  return new Dependency(task, 'orElse', value);
}

/** A dependency on some of several tasks; made by {@link race}, {@link any} and {@link quorum}. */
export class Choice<out T = unknown> {
  /** Type of what the dependent receives. Exists for the compiler only. */
  declare readonly '~output': T;
  readonly mode: ChoiceMode;
  /** So many of the tasks have to succeed. */
  readonly need: number;
  readonly tasks: readonly Task[];

  constructor(mode: ChoiceMode, need: number, tasks: readonly Task[]) {
    this.mode = mode;
    this.need = need;
    this.tasks = tasks;
  }
}

/** The tasks that dependencies are on, and how; what is no dependency is passed over. */
export function dependedOn(given: unknown): { readonly id: string; readonly mode: DependencyMode }[] {
  if (typeof given !== 'object' || given === null) return [];
  return Object.values(given).flatMap((one: unknown) => {
    if (one instanceof Dependency) return [{ id: one.task.id, mode: one.mode }];
    if (one instanceof Task) return [{ id: one.id, mode: 'value' as const }];
    if (!(one instanceof Choice) || !Array.isArray(one.tasks)) return [];
    return one.tasks.map(({ id }) => ({ id, mode: one.mode }));
  });
}

/**
 * Lets `instanceof` go by a mark: where a loader has made two copies of this package, as happens when ES modules and
 * CommonJS meet, what one has made is known to the other.
 */
function marked(type: { readonly name: string; readonly prototype: object }): void {
  const mark = Symbol.for(`rxhive.${type.name}`);
  Object.defineProperty(type.prototype, mark, { value: true });
  Object.defineProperty(type, Symbol.hasInstance, {
    value: (one: unknown) => typeof one === 'object' && one !== null && mark in one,
  });
}
marked(Task);
marked(Dependency);
marked(Choice);

/**
 * The dependent starts when the first of `tasks` has succeeded, and receives its result. The others are stopped with
 * reason `lost`, unless something else needs them; what they have used counts. It is skipped when all have failed.
 */
export function race<const T extends readonly Task<unknown>[]>(tasks: T): Choice<OutputOf<T[number]>> {
  return new Choice('race', 1, tasks);
}

/**
 * The dependent starts when the first of `tasks` has succeeded, and receives its result. The others go on: unlike in a
 * {@link race} nothing is stopped. It is skipped when none of them has succeeded.
 */
export function any<const T extends readonly Task<unknown>[]>(tasks: T): Choice<OutputOf<T[number]>> {
  return new Choice('any', 1, tasks);
}

/**
 * The dependent starts when `need` of `tasks` have succeeded, and receives their results in order of success. The others
 * are stopped as in a {@link race}. It is skipped as soon as fewer than `need` can still succeed.
 */
export function quorum<const K extends number, const T extends readonly Task<unknown>[]>(
  need: K,
  tasks: T,
): Choice<Repeated<OutputOf<T[number]>, K>> {
  return new Choice('quorum', need, tasks);
}

/** `K` times `T`; an array where `K` is not known. */
type Repeated<T, K extends number, A extends readonly T[] = readonly []> = number extends K
  ? readonly T[]
  : A['length'] extends K
    ? A
    : A['length'] extends 64
      ? readonly T[]
      : Repeated<T, K, readonly [...A, T]>;

/** One dependency: a task, a task with a mode, or some of several. */
export type AnyDependency = Task<unknown> | Dependency<unknown> | Choice<unknown>;

/** Dependencies by name, or in order. The body receives its inputs in the same shape. */
export type Dependencies = { readonly [name: string]: AnyDependency } | readonly AnyDependency[];

/** Type a dependency delivers. */
export type OutputOf<X> = X extends { readonly '~output': infer T } ? T : never;

/** Inputs delivered for dependencies `D`, name by name or place by place. */
export type InputsOf<D> = { readonly [K in keyof D]: OutputOf<D[K]> };

type ModeOf<X> = X extends Dependency<unknown, infer M> ? M : never;
type ModesOf<D> = D extends readonly (infer X)[] ? ModeOf<X> : ModeOf<D[keyof D]>;

type Merged = Dependency<unknown, 'merged'>;

/** What the dependencies deliver that are not {@link merged}. */
type BesideMerged<D> = D extends readonly []
  ? readonly []
  : D extends readonly [infer First, ...infer Rest]
    ? First extends Merged
      ? BesideMerged<Rest>
      : readonly [OutputOf<First>, ...BesideMerged<Rest>]
    : D extends readonly (infer X)[]
      ? [Exclude<X, Merged>] extends [never]
        ? readonly []
        : readonly OutputOf<Exclude<X, Merged>>[]
      : { readonly [K in keyof D as D[K] extends Merged ? never : K]: OutputOf<D[K]> };

type Place<K> = K extends `${infer N extends number}` ? N : K;

/** Each {@link merged} dependency, and a value of it. */
type FromMerged<D, K extends keyof D> = {
  readonly [P in K]: D[P] extends Merged
    ? { readonly from: Place<P>; readonly value: OutputOf<D[P]> } & (BesideMerged<D> extends
        | readonly []
        | Readonly<Record<string, never>>
        ? unknown
        : { readonly inputs: BesideMerged<D> })
    : never;
}[K];

/** One value of one of the {@link merged} dependencies: which, what it said, and what the other dependencies deliver. */
export type MergedInput<D> = D extends readonly unknown[]
  ? FromMerged<D, (number extends D['length'] ? number : `${number}`) & keyof D>
  : FromMerged<D, keyof D>;

/** What a body receives: its inputs, or an Observable of them as soon as it reads a stream. */
export type BodyInputs<D> =
  'merged' extends ModesOf<D>
    ? Observable<MergedInput<D>>
    : [ModesOf<D> & StreamMode] extends [never]
      ? InputsOf<D>
      : Observable<InputsOf<D>>;

/** The first inputs there are. */
export type FirstInputs<D> = BodyInputs<D> extends Observable<infer Inputs> ? Inputs : BodyInputs<D>;
