import { firstValueFrom, type Observable, ReplaySubject, type Subscriber } from 'rxjs';
import { ResultCache } from './commit/cache.js';
import { factsOf, logOf } from './commit/log.js';
import { Questions } from './commit/questions.js';
import { State } from './commit/state.js';
import { Transactions } from './commit/transaction.js';
import { launch } from './execute/attempt.js';
import type { ExecutePorts } from './execute/context.js';
import { handlersOf } from './execute/handlers.js';
import { inputsOf } from './execute/inputs.js';
import { Locks } from './execute/locks.js';
import { onAbort } from './kernel/abort.js';
import { Clock } from './kernel/clock.js';
import { type RxhiveError, WorkflowCancelledError } from './kernel/errors.js';
import type { WorkflowEvent } from './model/event.js';
import { bodied } from './model/executor.js';
import type { GroupLimits } from './model/limiter.js';
import type { AttemptHandle, Spawned, TaskNode } from './model/node.js';
import type { CommitDone, CommitOutcome } from './model/ports.js';
import type { OpenQuestion } from './model/question.js';
import type { Snapshot, WorkflowResult } from './model/result.js';
import type { ResolvedRunOptions } from './model/run-options.js';
import { type ResultOf, Task, type TaskDefinition, type TaskOptions } from './model/task.js';
import type { WorkflowDefinition } from './model/workflow.js';
import { Audience, type Connect } from './observe/audience.js';
import { CommitFeed } from './observe/commit-feed.js';
import { conflated } from './observe/conflated.js';
import { Learning } from './observe/durations.js';
import { EventHub } from './observe/events.js';
import { GuardedStream } from './observe/guarded-stream.js';
import { announceAdded, announceStart } from './observe/planned.js';
import { resultOf } from './observe/report.js';
import { snapshotOf } from './observe/snapshot.js';
import { TaskStreams } from './observe/task-streams.js';
import { type Graph, plan } from './plan/graph.js';
import { Growth, runEnded } from './plan/growth.js';
import { checkLimit, checkOptions, inputOf } from './plan/input.js';
import { speedUps } from './plan/speed-up.js';
import { budgetStates, chargeEarlier } from './schedule/budget.js';
import type { Ceilings } from './schedule/ceilings.js';
import { explain } from './schedule/explain.js';
import { closeGates, limitsOf, placeGates, tell } from './schedule/gates.js';
import { Scheduler } from './schedule/scheduler.js';
import { runSuspended } from './schedule/suspension.js';

/**
 * One execution of a workflow. Cold: it starts when the first of its streams is subscribed or `result()` is
 * called. As an Observable it emits its events; it is cancelled when its last direct subscriber leaves, or
 * when nobody at all is left watching.
 */
export class Run<S = unknown, G extends string = string> extends GuardedStream<WorkflowEvent> {
  readonly runId: string;
  readonly #definition: WorkflowDefinition;
  readonly #options: ResolvedRunOptions;
  readonly #clock: Clock;
  readonly #learning: Learning;
  readonly #graph: Graph;
  readonly #state: State;
  readonly #hub: EventHub;
  readonly #commits: CommitFeed;
  readonly #scheduler: Scheduler;
  readonly #ceilings: Ceilings;
  readonly #ports: ExecutePorts;
  readonly #growth: Growth;
  readonly #audience = new Audience(
    () => this.#start(),
    () => this.#result === undefined && this.#cancel('unsubscribed'),
  );
  readonly #done = new ReplaySubject<WorkflowResult<S>>(1);
  readonly #streams = new TaskStreams();
  readonly #transactions: Transactions;
  readonly #questions: Questions;
  #result: WorkflowResult<S> | undefined;
  #started = false;
  /** The store has answered: the scheduler has begun. */
  #opened = false;
  /** The store could not be opened: nothing was started, so there is nothing to cancel. */
  #broken = false;
  #unlisten: (() => void) | undefined;

  /** Made by `flow.run()`. @throws WorkflowDefinitionError, RxhiveError (INVALID_INPUT, INVALID_OPTION) */
  constructor(definition: WorkflowDefinition, options: ResolvedRunOptions) {
    super(
      (error) => this.#audience.failed(error),
      (subscriber) => this.#audience.join(subscriber, () => this.#hub.events$, true),
    );
    const { settings } = definition;
    this.#definition = definition;
    this.#options = checkOptions(options);
    this.#clock = new Clock(options);
    this.#learning = new Learning(definition, options);
    this.#graph = plan(definition, this, this.#learning.expected);
    this.#state = new State(settings.state);
    this.runId =
      options.runId ?? `${settings.name}-${Math.floor(this.#clock.random() * 2 ** 32).toString(36)}`;
    const run = { runId: this.runId, clock: this.#clock, settings };
    const log = logOf(options, run, (end) => this.#hub.tell({ type: 'run', reason: 'compacted', ...end }));
    this.#transactions = new Transactions(this.#state, log, {
      addSpawned: (parent, spawned, held) => this.#add(spawned, parent, held ? parent : undefined),
      now: () => this.#scheduler.now(),
      watched: () => this.#hub.active,
      lost: (error) => this.#scheduler.cancel(error),
      outside: (node) => node.parent === undefined && node.handle.owner === this,
    });
    this.#growth = new Growth(this.#graph);
    this.#hub = new EventHub(this.runId, () => this.#scheduler.now());
    this.#commits = new CommitFeed(this.#hub);
    this.#questions = new Questions({
      clock: this.#clock,
      watch: this.#hub,
      keep: (record, done) => this.#transactions.keep(record, done),
    });
    this.#ports = this.#executePorts(inputOf(definition, options));
    this.#scheduler = new Scheduler(this.#graph.nodes, settings, this.#clock, {
      watch: this.#hub,
      launch: (node) => launch(node, this.#ports),
      commit: (node, attempt, done) => this.#commit(node, attempt, done),
      value: (node, value) => {
        this.#streams.value(node, value);
        this.#hub.tell({ type: 'value', reason: 'emitted', taskId: node.id, value });
      },
      recall: (node) => this.#transactions.recall(node, (one) => this.#ports.handlersOf(one).length > 0),
      used: (node) => this.#transactions.used(node),
      ended: (node) => {
        if (node.status === 'failed') this.#transactions.failed(node);
        this.#learning.ended(node);
        this.#questions.ended(node);
        this.#streams.end(node);
        this.#growth.ended(node);
        node.forget();
      },
      maySuspend: () => options.suspend === 'exit' && this.#questions.atRest,
      closed: () => {
        this.#unlisten?.();
        const asked = this.#questions.end(this.#scheduler.open > 0);
        this.#transactions.close((error) => this.#finish(this.#scheduler.closing ?? error, asked));
      },
    });
    this.#scheduler.keepOpen = options.keepOpen ?? false;
    const gates = { clock: this.#clock, watch: this.#hub, scheduler: this.#scheduler, inputsOf };
    this.#ceilings = placeGates(this.#graph, settings, gates);
  }

  /** Everything that happens, from now on. */
  get events$(): Observable<WorkflowEvent> {
    return this.#view(() => this.#hub.events$);
  }

  /** State and statuses: now, then the newest at most once per turn of the event loop, and the last. */
  get snapshot$(): Observable<Snapshot<S>> {
    return this.#view(() => conflated(this.#commits.made$, this.#done, this.#clock, () => this.snapshot()));
  }

  /** State and statuses at this moment. */
  snapshot(): Snapshot<S> {
    return snapshotOf<S>(this.#state.seq, this.#state.current, this.#graph.nodes);
  }

  /** The end of the run. Never rejects for a failed task; starts the run and keeps it alive. */
  result(): Promise<WorkflowResult<S>> {
    const result = firstValueFrom(this.#done);
    this.#audience.stay();
    return result;
  }

  /** The task's result, then completion; its error when it failed, `TASK_SKIPPED` when it never ran. */
  result$<T>(task: Task<T>): Observable<T> {
    return this.#view((subscriber: Subscriber<T>) =>
      this.#streams.of(this.#graph.nodeOf(task)).subscribe({
        error: (error: unknown) => subscriber.error(error),
        complete: () => {
          subscriber.next(this.#graph.nodeOf(task).value as T);
          subscriber.complete();
        },
      }),
    );
  }

  /** Every value of the task's stream from now on; for a task that has ended its result. */
  values$<T>(task: Task<T>): Observable<T> {
    return this.#view((subscriber: Subscriber<T>) =>
      (this.#streams.of(this.#graph.nodeOf(task)) as Observable<T>).subscribe(subscriber),
    );
  }

  /** What waits for answers of people: now, and after each change. */
  get questions$(): Observable<readonly OpenQuestion[]> {
    return this.#view(() => this.#questions.open$);
  }

  /** What waits for answers of people at this moment. */
  questions(): readonly OpenQuestion[] {
    return this.#questions.open;
  }

  /**
   * Answers a question; resolves when the answer is in the log. The same answer again changes nothing. One to a
   * question of an earlier process waits until its task has asked again.
   * Rejects with AnswerRefusedError for one that does not fit the schema: the question stays open; RxhiveError
   * ALREADY_ANSWERED for another answer than the one it has, QUESTION_UNKNOWN, QUESTION_CLOSED when it is too late,
   * NOT_SERIALIZABLE.
   */
  answer(questionId: string, value: unknown): Promise<void> {
    return this.#questions.answer(questionId, value);
  }

  /** Adds a task while the run goes on. @throws RxhiveError RUN_ENDED, LIMIT_EXCEEDED, WORKFLOW_DEFINITION */
  task<const D, R, O = ResultOf<R>>(
    id: string,
    options: TaskOptions<D, R, S, unknown, G, string, O>,
  ): Task<O> {
    const handle = new Task<O>(id, this);
    this.#add([{ handle, definition: bodied(options as unknown as TaskDefinition) }]);
    return handle;
  }

  /** Ends a run that was kept open, as soon as no task is left. */
  close(): void {
    this.#scheduler.close();
  }

  /** Aborts what runs, cancels the rest. The result says `cancelled`. */
  cancel(): void {
    this.#cancel('cancelled');
  }

  /** Cancels one task; its dependents are skipped. */
  cancelTask(task: Task | string): void {
    this.#scheduler.cancelTask(this.#graph.nodeOf(task));
  }

  /** Says in one sentence what a task is doing or waiting for. */
  explain(task: Task | string): string {
    const { active, limit } = this.#scheduler;
    return explain(this.#graph.nodeOf(task), { now: this.#scheduler.now(), active, limit });
  }

  /**
   * Ms until the end, were all to take what was learnt or estimated (a task that takes longer: a tenth more than so far);
   * undefined while nothing is known.
   */
  eta(): number | undefined {
    return this.#learning.eta(this.#graph.nodes, this.#scheduler);
  }

  /** How much of their limits the run and its groups use now: slots, permits of each window, holds. */
  limits(): GroupLimits[] {
    return limitsOf(this.#graph, this.#scheduler);
  }

  /** Changes how many tasks run at once, or may at most where `adaptive`; 0 pauses. Running tasks go on. */
  setConcurrency(limit: number): void {
    this.#ceilings.set(undefined, 'user', checkLimit(limit));
  }

  /** Changes how many tasks of a group run at once, or may at most where `adaptive`; 0 pauses the group. */
  setGroupConcurrency(name: G, limit: number): void {
    this.#ceilings.set(this.#graph.groupOf(name), 'user', checkLimit(limit));
  }

  #start(): void {
    if (this.#started) return;
    this.#started = true;
    const { signal } = this.#options;
    announceStart(this.#hub, {
      workflow: this.#definition.settings.name,
      startedAt: this.#clock.now(),
      concurrency: this.#scheduler.limit,
      state: this.#state.current,
      settings: this.#definition.settings,
      graph: this.#graph,
    });
    if (signal !== undefined) {
      if (signal.aborted) this.#scheduler.open = this.#graph.nodes.size;
      this.#unlisten = onAbort(signal, (reason) => this.#cancel('signal', reason));
      if (signal.aborted) return;
    }
    this.#learning.begin(() => this.#opened || this.#graph.rankAgain());
    this.#open();
  }

  /** Opens the store, so that the scheduler can ask what has ended before, and starts it then. */
  #open(): void {
    const facts = factsOf(this.#options, this.#definition.settings, this.#ports);
    this.#transactions.open(
      this.#graph.nodes,
      facts,
      (resumed) => {
        this.#questions.load(resumed);
        if (resumed !== undefined) {
          const { restored, rerun, missing, orphans, spent, input } = resumed;
          const told = { restored, rerun, missing, state: this.#state.current };
          this.#ports.input = input;
          this.#hub.tell({ type: 'run', reason: 'resumed', ...told });
          chargeEarlier(this.#graph, spent);
          this.#growth.bringBack(orphans, this);
        }
        this.#opened = true;
        this.#scheduler.start();
      },
      (error) => {
        this.#unlisten?.();
        this.#broken = true;
        this.#questions.end(false);
        this.#done.error(error);
        this.#streams.fail(error);
        this.#hub.fail(error);
      },
    );
  }

  #finish(closing: RxhiveError | undefined, questions: readonly OpenQuestion[] | undefined): void {
    closeGates(this.#graph);
    this.#clock.dispose();
    this.#learning.end();
    const result = resultOf({
      nodes: this.#graph.nodes,
      runId: this.runId,
      workflow: this.#definition.settings.name,
      wallMs: this.#scheduler.now(),
      seed: this.#clock.seed,
      state: this.#state.current,
      closing,
      forgotten: this.#growth.forgotten,
      budgets: budgetStates(this.#graph),
      questions,
      subscriberErrors: this.#audience.errors,
      speedUps: (path) => speedUps(this.#graph.nodes, path, this.#scheduler.limit),
    }) as WorkflowResult<S>;
    this.#result = result;
    this.#hub.tell({ type: 'run', reason: 'ended', status: result.status });
    this.#done.next(result);
    this.#done.complete();
    this.#streams.fail(runSuspended());
    this.#hub.complete();
  }

  #cancel(reason: 'cancelled' | 'unsubscribed' | 'signal', cause?: unknown): void {
    if (this.#broken) return;
    this.#started ||= true;
    this.#scheduler.cancel(new WorkflowCancelledError(reason, cause));
  }

  #view<T>(connect: Connect<T>): Observable<T> {
    return new GuardedStream<T>(
      (error) => this.#audience.failed(error),
      (subscriber) => this.#audience.join(subscriber, connect, false),
    );
  }

  #commit(node: TaskNode, attempt: AttemptHandle, done: CommitDone): CommitOutcome {
    const outcome = this.#transactions.commit(node, attempt, (error) => {
      this.#commits.made(node, this.#state);
      done(error);
    });
    if (outcome === 'rerun') this.#commits.conflict(node, this.#state.seq);
    else if (outcome !== 'later') this.#commits.made(node, this.#state);
    return outcome;
  }

  #add(tasks: readonly Spawned[], parent?: TaskNode, holder?: TaskNode): void {
    if (this.#scheduler.ended || this.#scheduler.closing !== undefined) throw runEnded(this.runId);
    this.#admit(this.#growth.add(tasks, parent), parent, holder);
  }

  #admit(nodes: readonly TaskNode[], parent?: TaskNode, holder?: TaskNode): void {
    if (this.#started) announceAdded(this.#hub, nodes, parent);
    // Before that the scheduler counts and readies all tasks of the graph itself.
    if (this.#opened) this.#scheduler.admit(nodes, holder);
  }

  #executePorts(input: unknown): ExecutePorts {
    const { settings, handlers } = this.#definition;
    return {
      clock: this.#clock,
      settings,
      runId: this.runId,
      input,
      budget: { left: settings.retryBudget ?? Number.POSITIVE_INFINITY },
      watch: this.#hub,
      handlersOf: (node) => handlersOf(node, handlers),
      preview: (recipes, base) => this.#state.preview(recipes, base),
      reads: () => this.#state.reads(),
      replayed: (node) => this.#transactions.replayed(node),
      locks: new Locks(),
      cache: new ResultCache(this.#options.store, this.#definition.owner, () => this.#clock.now()),
      told: tell,
      pause: (node, done, elsewhere) => this.#scheduler.streaming.pause(node, done, elsewhere),
      suspend: (node, questionId) => this.#scheduler.streaming.ask(node, questionId),
      ask: (asker, question) => this.#questions.ask(asker, question),
      handleFor: (parent, id) => this.#graph.childOf(parent, id)?.handle ?? new Task(id, this),
      flush: (parent, spawned) => this.#add(spawned, parent),
      item: (parent, one, watch, known) =>
        this.#admit(this.#growth.addItem(one, parent, watch, known), parent),
      drop: (node) => this.#scheduler.cancelTask(node),
      find: (task) => this.#graph.find(task),
      join: (node, targets, done) => this.#scheduler.streaming.join(node, targets, done),
    };
  }
}
