import { checkKeep, compactLog } from './commit/compact.js';
import { compensations } from './commit/compensations.js';
import { Spill } from './commit/spill.js';
import { eachTask } from './execute/each.js';
import { loopTask } from './execute/loop.js';
import { History } from './history.js';
import { type DefinitionFault, truncate } from './kernel/errors.js';
import { getOrInsert } from './kernel/get-or-insert.js';
import { thenMaybe, toPromise } from './kernel/maybe-promise.js';
import { readOnce, readOrRefuse } from './kernel/read-once.js';
import { type Dependencies, Task } from './model/dependency.js';
import type { Batched, BatchOptions, EachOptions, EachResult } from './model/each.js';
import { bodied } from './model/executor.js';
import type { LoopOptions } from './model/loop.js';
import { type NestedOptions, type NestedOutput, type NestedValue, nestedTask } from './model/nested.js';
import type { OpenQuestion } from './model/question.js';
import type { WorkflowResult } from './model/result.js';
import type { RunController } from './model/run-controller.js';
import {
  belowRun,
  type ForkOptions,
  type ResolvedRunOptions,
  type RunArguments,
  type RunOptions,
} from './model/run-options.js';
import type { CheckpointStore } from './model/store.js';
import {
  belowTask,
  type ResultOf,
  type TaskDefinition,
  type TaskOptions,
  TaskType,
  type TaskTypeOptions,
  type TypeMaker,
  typeMaker,
} from './model/task.js';
import {
  type AddTask,
  belowWorkflow,
  type CompletionHandler,
  limited,
  type OptionNames,
  optionNames,
  type WorkflowDefinition,
  type WorkflowOptions,
  type WorkflowSettings,
} from './model/workflow.js';
import { definedTasks } from './observe/defined.js';
import { durationsOf, type LearntDuration } from './observe/durations.js';
import { toDot, toMermaid } from './observe/export.js';
import { checkInput, checkRunId } from './plan/input.js';
import { expanded } from './plan/nested.js';
import { type NoPromise, Run } from './run.js';
import { storeAt } from './stores/at-path.js';

/** How a run goes on with an answer. */
export interface AnswerOptions<S = unknown, I = unknown, G extends string = string>
  extends Omit<RunOptions<I>, 'store' | 'runId' | 'suspend'> {
  /** The input, where its schema changes it; by default what the log has. */
  readonly input?: I;
  /** Gets the run before it starts, for instance to watch its events. */
  readonly watch?: (run: Run<S, G>) => void;
}

/** What stands behind a workflow that was made from something else. */
type Origin = Pick<WorkflowDefinition, 'durationsKey' | 'names' | 'faults'>;

/** A definition of tasks. Holds no execution: `run()` makes as many as wanted. */
export class Workflow<S = unknown, I = unknown, G extends string = string, X extends string = string> {
  /** Type of the input. Exists for the compiler only. */
  declare readonly '~input': (input: I) => I;
  readonly settings: WorkflowSettings;
  readonly #ids: string[] = [];
  readonly #tasks: TaskDefinition[] = [];
  readonly #handles: Task[] = [];
  readonly #handlers = new Map<string, CompletionHandler[]>();
  readonly #types = new Map<string, TypeMaker>();

  readonly #durationsKey: object;
  readonly #names: OptionNames;
  readonly #faults: readonly DefinitionFault[];

  /** `origin`: what it is made from, where that is not the user's own call. */
  constructor(options: WorkflowOptions<S, I, G, X>, origin: Partial<Origin> = {}) {
    const unread: DefinitionFault[] = [];
    this.settings = readOnce(options, belowWorkflow, (message) =>
      unread.push({ kind: 'bad-option', message }),
    ) as WorkflowSettings;
    this.#durationsKey = origin.durationsKey ?? this;
    this.#names = origin.names ?? optionNames;
    // Those of the origin are still being found.
    this.#faults = unread.length === 0 ? (origin.faults ?? []) : unread;
  }

  get name(): string {
    return this.settings.name;
  }

  /**
   * Makes another workflow a task: its tasks are tasks of the run with ids `ID/...`, in the same log, under the same limits.
   *
   * ```ts
   * const first = book.task('first', { workflow: chapter, dependencies: { plan }, input: ({ plan }) => plan.chapters[0], output: text });
   * ```
   */
  task<const D extends Dependencies, N, const P extends NestedOutput | undefined = undefined>(
    id: string,
    options: NestedOptions<D, N, P>,
  ): Task<NestedValue<P>>;
  /** Defines a task. Faults are collected and reported together by `run()`. */
  task<const D extends Dependencies = Record<never, never>, R = unknown, O = ResultOf<R>>(
    id: string,
    options: TaskOptions<D, R, S, I, G, X, O>,
  ): Task<O>;
  task(id: string, options: object): Task<never> {
    this.#ids.push(id);
    this.#tasks.push(nestedTask(bodied(options as TaskDefinition)));
    const handle = new Task<never>(id, this);
    this.#handles.push(handle);
    return handle;
  }

  /**
   * Registers a body by name. Tasks of the type are added at run time with data instead of a closure (`ctx.spawn(type, id,
   * data)`, `add(type, id, data)` in a completion handler, `run.task(type, id, data)`): type, data and options are in the
   * log, so a run that goes on brings them back by itself. `data` must be something that a store can keep.
   *
   * ```ts
   * const analyse = flow.taskType('analyse', { retry: 2, run: (doc: { url: string }, ctx) => read(doc.url, ctx.signal) });
   * flow.task('plan', { run: (_, ctx) => ctx.spawn(analyse, 'analyse-1', { url: 'https://...' }).id });
   * ```
   * @throws RxhiveError INVALID_OPTION for a name that is taken, or a body that is no function
   */
  taskType<T, R, O = ResultOf<R>>(
    name: string,
    options: TaskTypeOptions<T, R, S, I, G, X, O>,
  ): TaskType<T, O> {
    const make = typeMaker(name, options, (one) => this.#types.has(one));
    return new TaskType<T, O>(name, this.registerType(name, make));
  }

  /** Registers what makes tasks of a type; what {@link Workflow.taskType} and the facade call. */
  registerType(name: string, make: TypeMaker): TypeMaker {
    this.#types.set(name, make);
    return make;
  }

  /**
   * Does the same for each item of a source that may be endless: items are taken only as slots become free, and
   * forgotten when they have ended. An item is a task with the id `ID/KEY`: groups, limits, retry, timeout, state and
   * events work as for any other, and a failed one makes the run `partial`, not this task. A source that throws
   * fails the task.
   *
   * ```ts
   * const pages = flow.each('pages', { from: urls, group: 'web', retry: 3, run: (url, ctx) => get(url, ctx.signal) });
   * run.values$(pages).subscribe(({ last, succeeded }) => console.log(succeeded, last));
   * ```
   * @throws RxhiveError INVALID_OPTION
   */
  each<
    const D extends Dependencies,
    T,
    R,
    const K extends boolean = false,
    B extends BatchOptions | undefined = undefined,
    A = undefined,
  >(
    id: string,
    options: EachOptions<D, T, R, S, I, G, X, K, B, A>,
  ): Task<EachResult<Batched<T, B>, ResultOf<R>, K, A>> {
    const given = readOrRefuse(`flow.each "${truncate(String(id))}"`, options, belowTask);
    const definition = eachTask(id, given as unknown as EachOptions<unknown, unknown, unknown>);
    return this.task(id, definition as never) as Task<EachResult<Batched<T, B>, ResultOf<R>, K, A>>;
  }

  /**
   * Does the same again and again, each turn with what the one before has made, until that is good enough or `max` turns are over. A
   * turn is a task with the id `ID/0`, `ID/1`, ...: group, limits, retry, timeout and events are those of any task. A run that goes
   * on does not pay again for turns that have ended. The result is the last value; `run.values$` and streams show that of each turn.
   *
   * ```ts
   * const text = flow.loop('text', { from: '', max: 5, until: isGood, run: (last, ctx) => rewrite(last, ctx.signal) });
   * ```
   * @throws RxhiveError INVALID_OPTION
   */
  loop<V, const D extends Dependencies = Record<never, never>>(
    id: string,
    options: LoopOptions<V, D, S, I, G, X>,
  ): Task<V> {
    const definition = loopTask(id, options, (name, make) => this.registerType(name, make));
    return this.task(id, definition as never) as Task<V>;
  }

  /**
   * Calls `handler` with a task's result before it is committed; tasks it adds are part of the same commit. A
   * handler that throws or rejects fails the task with `HANDLER_FAILED`.
   */
  onTaskComplete<T>(task: Task<T>, handler: (value: T, add: AddTask<S, I, G, X>) => unknown): this {
    return this.handle(`id:${task.id}`, handler as CompletionHandler);
  }

  /** Registers a handler under `id:...` or `type:...`; what {@link Workflow.onTaskComplete} and the facade call. */
  handle(key: string, handler: CompletionHandler): this {
    getOrInsert(this.#handlers, key, () => []).push(handler);
    return this;
  }

  /**
   * A run of the tasks defined so far. Cold: nothing starts before somebody subscribes or calls `result()`.
   * @throws WorkflowDefinitionError with all faults; RxhiveError `INVALID_INPUT`, `INVALID_OPTION`
   */
  run(...[options]: RunArguments<I>): Run<S, G> & NoPromise {
    const { store, ...rest } = readOrRefuse('The run', (options ?? {}) as RunOptions, belowRun);
    return new Run<S, G>(
      this.definition(),
      store === undefined ? rest : { ...rest, store: storeAt(store, rest.scheduler) },
    ) as Run<S, G> & NoPromise;
  }

  /** What the log of one of its runs tells. Rejects with CheckpointCorruptError; RxhiveError INVALID_OPTION */
  history(store: CheckpointStore | string, runId: string): Promise<History<S>> {
    const { name, state } = this.definition().settings;
    const from = storeAt(store);
    const spill = new Spill(from, Number.POSITIVE_INFINITY);
    return toPromise(() =>
      thenMaybe(
        from.read(checkRunId(runId)),
        (entries) => new History<S>(entries, runId, name, state, spill),
      ),
    );
  }

  /** What people have to answer before a run can go on, as its log says: no run is started, no lease taken. */
  questions(store: CheckpointStore | string, runId: string): Promise<readonly OpenQuestion[]> {
    return this.history(store, runId).then((past) => past.questions());
  }

  /**
   * Answers a question of a run that ended `suspended`, or whose process is gone, and goes on with the run until it
   * ends or waits for people again; resolves with its result then. The answer reaches the schema when its task asks
   * again. Rejects with AnswerRefusedError, when the run has ended, for one that does not fit: nothing has changed, the
   * question is open; RxhiveError ALREADY_ANSWERED, QUESTION_UNKNOWN or QUESTION_CLOSED, mostly before anything
   * starts; RUN_LEASED while another process has the run: there `run.answer` is the way.
   */
  answer(
    store: CheckpointStore | string,
    runId: string,
    questionId: string,
    value: unknown,
    options: AnswerOptions<S, I, G> = {},
  ): Promise<WorkflowResult<S>> {
    const { watch, ...more } = options;
    const at = storeAt(store, options.scheduler);
    return this.history(at, runId).then((past) => {
      past.checkAnswer(questionId, value);
      const goesOn = {
        ...more,
        store: at,
        runId,
        suspend: 'exit',
        inputOfLog: more.input === undefined,
      } as const;
      const run = new Run<S, G>(this.definition(), goesOn);
      const given = run.answer(questionId, value);
      // Why it was refused is told when the run has ended and given its lease back.
      given.catch(() => undefined);
      watch?.(run);
      return run.result().then((result) => given.then(() => result));
    });
  }

  /**
   * A new run, under `options.runId`, that begins where run `runId` was after its record `at`: what had finished by
   * then is restored, the rest runs. State, input and limits may be others. Its log is whole by itself. Records are
   * copied when it starts; `result()` rejects, and its streams fail, with RxhiveError INVALID_OPTION where there is no
   * such record or the run is there already.
   * @throws WorkflowDefinitionError with all faults; RxhiveError `INVALID_INPUT`, `INVALID_OPTION`
   */
  fork(store: CheckpointStore | string, runId: string, options: ForkOptions<S, I, G>): Run<S, G>;
  /** @deprecated The order before: give the store first. */
  fork(
    runId: string,
    options: ForkOptions<S, I, G> & { readonly store: CheckpointStore | string },
  ): Run<S, G>;
  fork(
    ...given:
      | [CheckpointStore | string, string, ForkOptions<S, I, G>]
      | [string, ForkOptions<S, I, G> & { readonly store: CheckpointStore | string }]
  ): Run<S, G> {
    const [store, runId, options] = given.length === 2 ? [given[1].store, ...given] : given;
    checkRunId(runId, 'The run to fork');
    const { at, state, concurrency, groups, ...others } = readOrRefuse('The fork', options, belowRun);
    const definition = this.definition();
    const { settings } = definition;
    const input = 'input' in options ? { value: checkInput(definition, options.input) } : undefined;
    const fork = { from: runId, at, initial: settings.state, state, input };
    return new Run<S, G>({ ...definition, settings: limited(settings, concurrency, groups) }, {
      ...others,
      store: storeAt(store, options.scheduler),
      fork,
    } as ResolvedRunOptions);
  }

  /**
   * Makes the log of one of its runs short: what lies before the `keep` newest records (default 100) is summed up as
   * one record per finished task and one for the state. `history` and `fork` reach back to there. Nothing else may
   * have the run. Resolves with the number of records before and after.
   * Rejects with CheckpointCorruptError; RxhiveError INVALID_OPTION, RUN_LEASED, NOT_SERIALIZABLE, STORE_FAILED.
   */
  compact(
    store: CheckpointStore | string,
    runId: string,
    options: { readonly keep?: number } = {},
  ): Promise<{ readonly before: number; readonly after: number }> {
    const { name, state } = this.definition().settings;
    return toPromise(() => {
      const keep = checkKeep(options.keep);
      return compactLog(storeAt(store), checkRunId(runId), { name, state, keep });
    });
  }

  /**
   * A run that takes back what the tasks of another have done: their `compensate`, one after the other, last commit
   * first, with their `retry` and `timeout`. It has a log of its own, `RUNID/compensate`, so it goes on where it
   * stopped. One that fails stops it: what is left was done before and may be needed by it. Tasks added at run
   * time are not part of it. The run is cold, like any other: `(await flow.compensate(...)).result()`.
   * Rejects with CheckpointCorruptError; RxhiveError INVALID_OPTION without such a run.
   */
  compensate(
    store: CheckpointStore | string,
    runId: string,
    options: Omit<RunOptions, 'input' | 'store' | 'runId'> = {},
  ): Promise<Run<S, never>> {
    return toPromise(() =>
      this.history(store, runId).then((past) => this.#undo(past, { ...options, store })),
    );
  }

  #undo(past: History<S>, options: Omit<RunOptions, 'input' | 'runId'>): Run<S, never> {
    const { state, results } = past.snapshotAt(past.last);
    const undo = new Workflow<S, undefined, never, never>({
      name: `${this.name}/compensate`,
      state,
      concurrency: 1,
    });
    let before: Task[] = [];
    for (const { id, task } of compensations(this.definition(), results))
      before = [undo.task(id, { ...task, dependencies: before } as never)];
    return undo.run({ ...options, runId: `${past.runId}/compensate` });
  }

  /** How long tasks took in the runs so far, by type (or by id, of tasks without one); see {@link RunOptions.learn}. */
  get durations(): ReadonlyMap<string, LearntDuration> {
    return durationsOf(this.#durationsKey).learnt;
  }

  /** The graph as Mermaid or DOT text. */
  graph(format: 'mermaid' | 'dot' = 'mermaid'): string {
    const tasks = definedTasks(this.definition());
    return format === 'dot' ? toDot(tasks) : toMermaid(tasks);
  }

  /** The workflow as data: what plan, checks and tests read. Tasks of nested workflows are among its own. */
  definition(): WorkflowDefinition {
    return expanded(this.defined());
  }

  /** The same with tasks that are workflows as they were given: what a workflow around it reads. */
  defined(): WorkflowDefinition {
    return {
      settings: this.settings,
      names: this.#names,
      faults: this.#faults,
      owner: this,
      durationsKey: this.#durationsKey,
      ids: [...this.#ids],
      tasks: [...this.#tasks],
      handles: [...this.#handles],
      handlers: this.#handlers,
      types: this.#types,
    };
  }
}

/** Begins a workflow definition. Nothing is checked or started before `run()`. */
export function workflow<
  S = undefined,
  I = undefined,
  G extends string = never,
  X extends string = never,
  SharedG extends string = never,
  SharedX extends string = never,
>(
  options: WorkflowOptions<S, I, G, X> & { readonly controller?: RunController<SharedG, SharedX> },
): Workflow<S, I, G | SharedG, X | SharedX> {
  return new Workflow(options as unknown as WorkflowOptions<S, I, G | SharedG, X | SharedX>);
}
