import { filter, firstValueFrom, map, type Observable, type Subscriber, type Unsubscribable } from 'rxjs';
import { Engine } from './engine.js';
import { callerContext } from './kernel/async-context.js';
import { copy } from './kernel/copy.js';
import { inspect, RxhiveError } from './kernel/errors.js';
import { GuardedStream } from './kernel/guarded-stream.js';
import { checked, number, rule } from './kernel/option-rules.js';
import { limitsOf } from './limits/place-gates.js';
import type { Breakpoint } from './model/breakpoint.js';
import type { Channel, Message } from './model/channel.js';
import { type Dependencies, Task } from './model/dependency.js';
import type { EachResult, ItemsOptions } from './model/each.js';
import type { WorkflowEvent } from './model/event.js';
import { addedBy } from './model/executor.js';
import type { GroupLimits } from './model/limiter.js';
import type { OpenQuestion } from './model/question.js';
import type { Snapshot, WorkflowResult } from './model/result.js';
import type { ResolvedRunOptions } from './model/run-options.js';
import type { TaskStatus } from './model/status.js';
import type { ResultOf, TaskOptions, TaskType, TypedTaskOptions } from './model/task.js';
import type { WorkflowDefinition } from './model/workflow.js';
import { conflated } from './observe/conflated.js';
import { checkReading, readItems } from './observe/item-reader.js';
import type { Connect } from './observe/ref-count.js';
import { checkBreakpoints, checkLimit } from './plan/input.js';
import { explain } from './schedule/explain.js';

/**
 * For the compiler only: it refuses `await flow.run()`, which would give the run and wait for nothing. Await
 * `flow.run().result()`.
 */
export interface NoPromise {
  readonly then: (aRunIsNoPromise: 'await flow.run().result()') => never;
}

/**
 * One execution of a workflow. Cold: it starts when the first of its streams is subscribed or `result()` is
 * called. As an Observable it emits its events; it is cancelled when its last direct subscriber leaves, or
 * when nobody at all is left watching.
 */
export class Run<S = unknown, G extends string = string> extends GuardedStream<WorkflowEvent> {
  readonly runId: string;
  readonly #engine: Engine;

  /** Made by `flow.run()`. @throws WorkflowDefinitionError, RxhiveError (INVALID_INPUT, INVALID_OPTION) */
  constructor(definition: WorkflowDefinition, options: ResolvedRunOptions) {
    super(
      (error) => this.#engine.subscribers.failed(error),
      (subscriber) => this.#engine.subscribers.join(subscriber, () => this.#engine.hub.events$, true),
    );
    this.#engine = new Engine(definition, options, this);
    this.runId = this.#engine.runId;
  }

  /** Everything that happens, from now on; `run stuck` at once while that is so. */
  get events$(): Observable<WorkflowEvent> {
    return this.#view(() => this.#engine.hub.events$);
  }

  /** State and statuses: now, after changes of the state the newest at most once per turn of the event loop, and the last. */
  get snapshot$(): Observable<Snapshot<S>> {
    return this.#view(() =>
      conflated(this.#engine.commits.made$, this.#engine.done, this.#engine.clock, () => this.snapshot()),
    );
  }

  /** State and statuses at this moment. */
  snapshot(): Snapshot<S> {
    const { state, graph } = this.#engine;
    return {
      seq: state.seq,
      state: state.current as S,
      get tasks(): ReadonlyMap<string, TaskStatus> {
        return new Map([...graph.nodes].map(([id, node]) => [id, node.status]));
      },
    };
  }

  /** The end of the run. Never rejects for a failed task; starts the run and keeps it alive. */
  result(): Promise<WorkflowResult<S>> {
    const result = firstValueFrom(this.#engine.done) as Promise<WorkflowResult<S>>;
    this.#engine.subscribers.stay();
    return result;
  }

  /** The end of the run as a stream: its result at the moment it ends, then completion. */
  result$(): Observable<WorkflowResult<S>>;
  /** The task's result, then completion; its error when it failed, `TASK_SKIPPED` when it never ran. */
  result$<T>(task: Task<T>): Observable<T>;
  result$<T>(...[task]: [task?: Task<T>]): Observable<T | WorkflowResult<S>> {
    if (task === undefined) return this.#view(() => this.#engine.done as Observable<WorkflowResult<S>>);
    return this.#view((subscriber: Subscriber<T>) =>
      this.#engine.streams.of(this.#engine.graph.nodeOf(task)).subscribe({
        error: (error: unknown) => subscriber.error(error),
        complete: () => {
          subscriber.next(copy(this.#engine.graph.nodeOf(task).value as T));
          subscriber.complete();
        },
      }),
    );
  }

  /**
   * Every value of the task's stream from now on, and those it has said in this turn of the event loop as soon as it was
   * called; for a task that has ended before, its result.
   */
  values$<T>(task: Task<T>): Observable<T> {
    return this.#view((subscriber: Subscriber<T>) =>
      (this.#engine.streams.of(this.#engine.graph.nodeOf(task)) as Observable<T>).subscribe(subscriber),
    );
  }

  /**
   * What the items of a `flow.each` come to, as a stage that follows would be given it: each result of an item that has succeeded, in
   * the order in which they are shown. The stage is held back by who does not read: it takes no new item while `buffer` are on
   * their way, under way there or waiting here. Each `for await` reads for itself, from its beginning on; who is
   * there before the run starts is given all, also what an earlier process has ended. The loop throws what the stage fails with.
   * Leaving it, also by `break`, holds nobody back any more.
   * @throws RxhiveError INVALID_OPTION
   */
  items<R>(
    stage: Task<EachResult<unknown, R, boolean, unknown>>,
    options: ItemsOptions = {},
  ): AsyncIterable<R> {
    const node = this.#engine.graph.nodeOf(stage);
    const { buffer } = checkReading(node, options);
    const ended = (end: (how: { readonly error?: unknown }) => void): Unsubscribable =>
      this.#view<never>(() =>
        this.#engine.streams
          .of(node)
          .subscribe({ error: (error) => end({ error }), complete: () => end({}) }),
      ).subscribe();
    return { [Symbol.asyncIterator]: () => readItems<R>(node, buffer, ended) };
  }

  /** What tasks say on a channel, from now on; ends with the run. */
  messages$<T>(channel: Channel<T>): Observable<Message<T>> {
    return this.#view((subscriber: Subscriber<Message<T>>) =>
      (this.#engine.messages.sent$ as Observable<Message<T>>)
        .pipe(filter((message) => message.channel === channel.name))
        .subscribe(subscriber),
    );
  }

  /** What waits for answers of people: now, and after each change. */
  get questions$(): Observable<readonly OpenQuestion[]> {
    return this.#view(() => this.#engine.questions.open$);
  }

  /** What waits for answers of people at this moment. */
  questions(): readonly OpenQuestion[] {
    return this.#engine.questions.open;
  }

  /**
   * Answers a question; resolves when the answer is in the log. The same answer again changes nothing. One to a
   * question of an earlier process waits until its task has asked again.
   * Rejects with AnswerRefusedError for one that does not fit the schema: the question stays open; RxhiveError
   * ALREADY_ANSWERED for another answer than the one it has, QUESTION_UNKNOWN, QUESTION_CLOSED when it is too late,
   * NOT_SERIALIZABLE.
   */
  answer(questionId: string, value: unknown): Promise<void> {
    return this.#engine.questions.answer(questionId, value);
  }

  /** Adds a task while the run goes on. @throws RxhiveError RUN_ENDED, LIMIT_EXCEEDED, WORKFLOW_DEFINITION */
  task<const D extends Dependencies = Record<never, never>, R = unknown, O = ResultOf<R>>(
    id: string,
    options: TaskOptions<D, R, S, unknown, G, string, O>,
  ): Task<O>;
  /**
   * Adds a task of a type. It is in the log at once: when the run goes on it is there again, nobody has to add it. Who does
   * so all the same, with the same data, gets the one that is there.
   * @throws RxhiveError RUN_ENDED, LIMIT_EXCEEDED, WORKFLOW_DEFINITION, NOT_SERIALIZABLE
   */
  task<T, O>(type: TaskType<T, O>, id: string, data: T, options?: TypedTaskOptions): Task<O>;
  task(first: unknown, second: unknown, data?: unknown, options?: TypedTaskOptions): Task {
    const { id, definition } = addedBy(first, second, data, options);
    const handle = new Task(id, this);
    this.#engine.intake.add([{ handle, definition, context: callerContext() }]);
    return handle;
  }

  /**
   * The same as {@link Run.task}, where `queue` of the run has `onFull: 'wait'`: resolves with the task once there is room for it, in
   * the order of the calls; until then nothing of it is in the run or its log. Rejects with what {@link Run.task} throws, with
   * RUN_ENDED where the run ends before, and with the reason of the task's own `signal`.
   */
  offer<const D extends Dependencies = Record<never, never>, R = unknown, O = ResultOf<R>>(
    id: string,
    options: TaskOptions<D, R, S, unknown, G, string, O>,
  ): Promise<Task<O>>;
  offer<T, O>(type: TaskType<T, O>, id: string, data: T, options?: TypedTaskOptions): Promise<Task<O>>;
  offer(first: unknown, second: unknown, data?: unknown, options?: TypedTaskOptions): Promise<Task> {
    const { id, definition } = addedBy(first, second, data, options);
    const handle = new Task(id, this);
    return firstValueFrom(
      this.#engine.intake.whenRoom({ handle, definition, context: callerContext() }).pipe(map(() => handle)),
    );
  }

  /**
   * Emits each time all tasks of a run kept open have ended, so that nothing runs and nothing waits; at once where that is so.
   * Completes with the run. `await firstValueFrom(run.idle$)` waits for the tasks that were added so far.
   */
  get idle$(): Observable<void> {
    return this.#view(() => this.#engine.intake.idle$);
  }

  /** Ends a run that was kept open, as soon as no task is left. */
  close(): void {
    this.#engine.scheduler.endWhenIdle();
  }

  /**
   * Aborts what runs, cancels the rest. The result says `cancelled`; `why` (a text or an error) is told by its error, by
   * events, report and page, and by `ctx.signal.reason`.
   */
  cancel(why?: unknown): void {
    this.#engine.cancel('cancelled', why);
  }

  /** Cancels one task; its dependents are skipped. `why` is told as with {@link Run.cancel}. */
  cancelTask(task: Task | string, why?: unknown): void {
    this.#engine.scheduler.cancelTask(this.#engine.graph.nodeOf(task), why);
  }

  /**
   * Starts nothing new, lets what runs end, and ends the run `suspended`, log written and lease given back, so that it goes on
   * when it is run again; where nothing is left to do it ends as ever. Tasks that wait for people, or for tasks that have not
   * begun, are left. `deadline`: ms after which what still runs is stopped and left, too; default: it may take its time.
   * New tasks are refused from now on. Resolves with the result, once the run has ended.
   * @throws RxhiveError INVALID_OPTION
   */
  drain({ deadline }: { readonly deadline?: number } = {}): Promise<WorkflowResult<S>> {
    checked(deadline, 'The deadline', number(0, 'infinite'));
    this.#engine.breakpoints.drain(deadline);
    this.#engine.scheduler.drain(deadline);
    return this.result();
  }

  /** Says in one sentence what a task is doing or waiting for. */
  explain(task: Task | string): string {
    const { graph, load, scheduler, stuck } = this.#engine;
    return explain(graph.nodeOf(task), {
      ...scheduler.moment,
      limitReason: load.reason(),
      shared: this.#engine.shared,
      store: stuck.store,
    });
  }

  /**
   * Pauses the run before these tasks start, each of their attempts: nothing new starts then, what runs goes on, and so do
   * clocks (deadlines, waits for permits). Returns how to take the breakpoints away.
   * @throws RxhiveError INVALID_OPTION
   */
  pauseBefore(...points: readonly Breakpoint[]): () => void {
    return this.#engine.breakpoints.add(checkBreakpoints(points));
  }

  /**
   * Lets nothing new start until {@link Run.resume}; what runs goes on. With `group`: nothing new of that group, which is resumed by
   * its name. @throws RxhiveError INVALID_OPTION for a group that the workflow does not have
   */
  pause(group?: G): void {
    const { breakpoints, graph } = this.#engine;
    if (group === undefined) breakpoints.halt();
    else breakpoints.groups.halt(graph.groupOf(group));
  }

  /** Lets one attempt start, the best of those that may, and pauses before the next. Before one is ready: the next that is. */
  step(): void {
    this.#engine.breakpoints.step();
  }

  /** The same as {@link Run.continue}. @throws RxhiveError INVALID_OPTION for a group that the workflow does not have */
  resume(group?: G): void {
    this.continue(group);
  }

  /** Goes on after a pause, until the next breakpoint; with `group`: after a pause of that. */
  continue(group?: G): void {
    const { breakpoints, graph } = this.#engine;
    if (group === undefined) breakpoints.goOn();
    else breakpoints.groups.goOn(graph.groupOf(group));
  }

  /** Does nothing start until you continue? */
  get paused(): boolean {
    return this.#engine.breakpoints.paused;
  }

  /**
   * One sentence for each thing all that is left waits for, when nothing goes on by itself any more: a limit of 0, a
   * pause, an unanswered question without a deadline, a store that has not answered for a second. Empty while something
   * runs, a timer is set, or a provider or another run may say something. All but waits for a store are also told by the
   * event `run stuck`.
   */
  stuck(): readonly string[] {
    return this.#engine.stuck.causes();
  }

  /**
   * Ms until the end, were all to take what was learnt or estimated (a task that takes longer: a tenth more than so far);
   * undefined while nothing is known.
   */
  eta(): number | undefined {
    return this.#engine.learning.eta(this.#engine.graph.nodes, this.#engine.scheduler);
  }

  /** How much of their limits the run and its groups use now: slots, permits of each window, holds. */
  limits(): GroupLimits[] {
    return limitsOf(this.#engine.graph, this.#engine.scheduler);
  }

  /** Changes how many tasks run at once, or may at most where `adaptive`; 0 pauses. Running tasks go on. */
  setConcurrency(limit: number): void {
    this.#engine.effectiveLimits.set(undefined, 'user', checkLimit(limit));
  }

  /** Changes how many tasks of a group run at once, or may at most where `adaptive`; 0 pauses the group. */
  setGroupConcurrency(name: G, limit: number): void {
    this.#engine.effectiveLimits.set(this.#engine.graph.groupOf(name), 'user', checkLimit(limit));
  }

  /**
   * Changes the priority of a task that has not ended: which of those that are ready goes first. What tasks that wait for it lend
   * still counts. A run that goes on has the priorities of its workflow. @throws RxhiveError INVALID_OPTION
   */
  setPriority(task: Task | string, priority: number): void {
    const { scheduler, graph } = this.#engine;
    const fits = rule(Number.isFinite, 'give a finite number');
    scheduler.setPriority(graph.nodeOf(task), checked(priority, 'The priority', fits));
  }

  /**
   * Changes how much there is of a resource of the workflow. Running tasks keep what they have; who needs more than there is waits.
   * A run that goes on has the resources of its workflow. @throws RxhiveError INVALID_OPTION
   */
  setResource(name: string, amount: number): void {
    const { graph, scheduler, shared } = this.#engine;
    const resource = shared?.resources.has(name) === true ? undefined : graph.resources.get(name);
    if (resource === undefined) {
      const message = `The workflow has no resource ${inspect(name)} of its own; use one of its resources.`;
      throw new RxhiveError('INVALID_OPTION', message);
    }
    scheduler.setResource(resource, checked(amount, 'The amount', number(0)));
  }

  #view<T>(connect: Connect<T>): Observable<T> {
    return new GuardedStream<T>(
      (error) => this.#engine.subscribers.failed(error),
      (subscriber) => this.#engine.subscribers.join(subscriber, connect, false),
    );
  }
}
