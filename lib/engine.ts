import { ReplaySubject } from 'rxjs';
import { ResultCache } from './commit/cache.js';
import { factsOf, logOf } from './commit/log-options.js';
import { State } from './commit/state.js';
import { type CommitPorts, Transactions } from './commit/transaction.js';
import { launch } from './execute/attempt.js';
import { inputsOf } from './execute/inputs.js';
import { Locks } from './execute/locks.js';
import { MiddlewareStack } from './execute/middleware.js';
import type { ExecutePorts } from './execute/ports.js';
import type { AttemptHandle, TaskNode } from './graph/node.js';
import type { CommitOutcome, SchedulerPorts } from './graph/ports.js';
import { partsOf } from './graph/shared-parts.js';
import { Intake } from './intake.js';
import { onAbort } from './kernel/abort.js';
import { callerContext } from './kernel/async-context.js';
import { Clock } from './kernel/clock.js';
import { type RxhiveError, WorkflowCancelledError } from './kernel/errors.js';
import { notify } from './kernel/guard.js';
import { guardedControllers } from './kernel/guarded-signal.js';
import { Breakpoints } from './limits/breakpoints.js';
import { chargeEarlier } from './limits/budget.js';
import type { EffectiveLimits } from './limits/effective-limits.js';
import { LimitsFeed } from './limits/limits-feed.js';
import { LoadFeed } from './limits/load-feed.js';
import { budgetStates, closeGates, limitsOf, onHeaders, placeGates } from './limits/place-gates.js';
import { DeadlockDetector } from './messaging/deadlock.js';
import { Messages } from './messaging/messages.js';
import { Questions } from './messaging/questions.js';
import { Task } from './model/dependency.js';
import type { WorkflowResult } from './model/result.js';
import type { ResolvedRunOptions } from './model/run-options.js';
import type { WorkflowDefinition } from './model/workflow.js';
import { CommitFeed } from './observe/commit-feed.js';
import { Learning } from './observe/durations.js';
import { EventHub } from './observe/events.js';
import { announceStart } from './observe/planned.js';
import { RefCount } from './observe/ref-count.js';
import { endOf, type Facts, resultOf } from './observe/report.js';
import { TaskStreams } from './observe/task-streams.js';
import { type Graph, plan } from './plan/graph.js';
import { Growth } from './plan/growth.js';
import { checkOptions, inputOf, newRunId } from './plan/input.js';
import { checkStanding, Membership } from './plan/membership.js';
import { speedUps } from './plan/speed-up.js';
import { BoundedQueue } from './schedule/bounded-queue.js';
import { Scheduler } from './schedule/scheduler.js';
import { SharedQueue } from './schedule/shared-queue.js';
import { Stuck, type StuckPorts } from './schedule/stuck.js';
import { runSuspended } from './schedule/suspension.js';

/**
 * Joins plan, schedule, execute, commit and observe into one execution, by handing each stage functions of the others.
 * What users see of it is {@link Run}.
 */
export class Engine {
  readonly runId: string;
  readonly clock: Clock;
  readonly learning: Learning;
  readonly graph: Graph;
  readonly state: State;
  readonly hub: EventHub;
  readonly commits: CommitFeed;
  readonly scheduler: Scheduler;
  readonly intake: Intake;
  /** What it shares with the other runs of its controller. */
  readonly shared: SharedQueue | undefined;
  readonly effectiveLimits: EffectiveLimits;
  readonly load: LoadFeed;
  readonly questions: Questions;
  readonly messages: Messages;
  readonly breakpoints: Breakpoints;
  readonly stuck: Stuck;
  readonly streams: TaskStreams;
  readonly subscribers = new RefCount(
    () => this.start(),
    () => this.ended || this.cancel('unsubscribed'),
    (work) => this.clock.after(0, work),
  );
  readonly done = new ReplaySubject<WorkflowResult>(1);
  ended = false; // there is a result
  readonly #definition: WorkflowDefinition;
  readonly #options: ResolvedRunOptions;
  /** Whom handles of tasks that are added belong to. */
  readonly owner: object;
  readonly #ports: ExecutePorts;
  readonly #growth: Growth;
  readonly #queue: BoundedQueue | undefined;
  readonly #transactions: Transactions;
  /** Undefined: there is nothing to tell. */
  readonly #limits: LimitsFeed | undefined;
  readonly #deadlock: DeadlockDetector;
  #started = false;
  /** The store could not be opened: nothing was started, so there is nothing to cancel. */
  #broken = false;
  #unlisten: (() => void) | undefined;

  /** @throws WorkflowDefinitionError, RxhiveError (INVALID_INPUT, INVALID_OPTION) */
  constructor(definition: WorkflowDefinition, options: ResolvedRunOptions, owner: object) {
    const { settings } = definition;
    this.#definition = definition;
    this.owner = owner;
    this.#options = checkOptions(options, settings);
    const parts = partsOf(options.controller ?? settings.controller);
    checkStanding(options, parts);
    const shared = parts instanceof SharedQueue ? parts : undefined;
    this.shared = shared;
    const { scheduler: time = shared?.options.scheduler } = options;
    const clock = new Clock({ ...options, ...(time !== undefined && { scheduler: time }) });
    this.clock = clock;
    this.runId = options.runId ?? newRunId(settings.name, clock);
    this.streams = new TaskStreams(clock);
    this.learning = new Learning(definition, options);
    const member = new Membership(settings, { ...options, runId: this.runId }, shared, clock.origin);
    this.graph = plan(definition, owner, member, this.learning.expected);
    this.state = new State(settings.state);
    const watch = new EventHub(this.runId, clock, (listener) => this.stuck.tell(listener));
    this.hub = watch;
    this.commits = new CommitFeed(watch);
    const { graph } = this;
    const { nodes } = graph;
    const log = logOf(options, { runId: this.runId, clock, settings }, watch);
    this.#transactions = new Transactions(this.state, log, this.#commitPorts());
    this.#growth = new Growth(this.graph, definition.types, options);
    const talk = { clock, watch, log: this.#transactions, graph };
    this.questions = new Questions({ ...talk, waiting: () => this.scheduler.recheck() });
    this.messages = new Messages({
      ...talk,
      waitForMessage: (node, wait) => this.scheduler.waits.waitForMessage(node, wait),
      settled: () => this.#deadlock.recheck(),
    });
    const ports = this.#schedulerPorts();
    this.scheduler = new Scheduler({ graph, shared }, member.settings, clock, ports, options.keepOpen);
    const { scheduler } = this;
    this.#queue =
      options.queue && new BoundedQueue(options.queue, (node, error) => scheduler.outcomes.drop(node, error));
    this.intake = new Intake({
      runId: this.runId,
      owner,
      queue: this.#queue,
      growth: this.#growth,
      watch,
      transactions: this.#transactions,
      scheduler,
    });
    this.#ports = this.#executePorts(inputOf(definition, options));
    this.#deadlock = new DeadlockDetector({ nodes, scheduler, messages: this.messages });
    const gates = { watch, scheduler, places: this.graph.own, failed: this.subscribers.failed };
    this.effectiveLimits = placeGates(this.graph.own, settings, { ...gates, clock, inputsOf });
    const limited = [graph, ...graph.groups.values()].some((one) => one.gates.length > 0);
    this.#limits = limited ? new LimitsFeed(watch, clock, () => limitsOf(graph, scheduler)) : undefined;
    this.breakpoints = new Breakpoints(gates, options);
    this.stuck = new Stuck(this.#stuckPorts());
    this.load = new LoadFeed(options.load$ ?? settings.load$, settings.memory, {
      ...gates,
      effectiveLimits: this.effectiveLimits,
      short: (isShort, by) => log?.spill.short(isShort, by),
    });
  }

  #commitPorts(): CommitPorts {
    const { nodes, groups } = this.graph;
    const { types, settings } = this.#definition;
    return {
      clock: this.clock,
      watch: this.hub,
      addSpawned: (parent, spawned, held) => this.intake.add(spawned, parent, held ? parent : undefined),
      durable: (node, error) => {
        this.commits.made(node, this.state);
        this.scheduler.outcomes.durable(node, error);
      },
      again: (...commit) => this.scheduler.outcomes.commitAgain(...commit),
      lost: (error) => this.scheduler.cancel(error),
      recovery: {
        nodes,
        groups,
        types,
        retry: settings.retry,
        owner: this.owner,
        inputsOf,
        bringBack: (tasks) => this.intake.bringBack(tasks),
      },
    };
  }

  #schedulerPorts(): SchedulerPorts {
    return {
      watch: this.hub,
      log: this.#transactions,
      failed: this.subscribers.failed,
      launch: (node, signals) => {
        this.#queue?.left(node);
        return launch(node, this.#ports, signals);
      },
      commit: this.#commit,
      value: (node, value) => {
        node.item?.value?.(value);
        this.streams.value(node, value);
        this.hub.push({ type: 'value', reason: 'emitted', taskId: node.id, value });
      },
      ended: this.#taskEnded,
      maySuspend: () => this.questions.mayEnd(this.#options.suspend),
      waits: (node) => this.#deadlock.check(node),
      resting: () => {
        this.#deadlock.checkAll();
        this.stuck.check();
        this.intake.rests();
      },
      closed: () => {
        this.#unlisten?.();
        notify(() => this.load.end(), this.subscribers.failed);
        const asked = this.questions.runEnded(this.scheduler.open > 0);
        const end = () => endOf(this.#facts(asked, undefined));
        this.#transactions.close(this.scheduler.open > 0, end, (error) => this.#finish(asked, error));
      },
    };
  }

  #stuckPorts(): StuckPorts {
    return {
      watch: this.hub,
      nodes: this.graph.nodes,
      scheduler: this.scheduler,
      shared: this.shared,
      limitOf: (group) => this.effectiveLimits.get(group, 'user'),
      questions: () => this.questions.open,
      store: () => this.#transactions.store?.waiting,
    };
  }

  readonly #taskEnded = (node: TaskNode): void => {
    const { failed } = this.subscribers;
    // The log has a success as a commit.
    if (this.#options.store !== undefined && node.status !== 'succeeded')
      notify(() => this.#transactions.ended(node, this.scheduler.closing !== undefined), failed);
    const { recovery } = this.#transactions;
    if (recovery !== undefined && this.scheduler.closing === undefined) recovery.ended(node);
    this.learning.ended(node);
    this.questions.ended(node);
    this.messages.ended(node);
    this.#ports.middleware.ended(node);
    this.streams.ended(node);
    this.intake.ended(node);
    node.forget();
    if (this.#limits !== undefined) notify(this.#limits.step, failed);
  };

  /** Begins, once. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    this.intake.begin();
    this.clock.context = callerContext();
    const { signal } = this.#options;
    announceStart(this.hub, {
      workflow: this.#definition.settings.name,
      startedAt: this.clock.wall(),
      concurrency: this.scheduler.limit,
      state: this.state.current,
      settings: this.#definition.settings,
      graph: this.graph,
    });
    this.scheduler.expectAll();
    if (signal !== undefined) this.#unlisten = onAbort(signal, (reason) => this.cancel('signal', reason));
    if (signal?.aborted) return;
    this.shared?.join(this.scheduler, this);
    const fault = this.#ports.middleware.begin();
    if (fault !== undefined) this.scheduler.cancel(fault);
    if (fault !== undefined) return;
    this.learning.begin(() => this.intake.opened || this.graph.rankAgain());
    this.#open();
  }

  /** Opens the store, so that the scheduler can ask what has ended before, and starts it then. */
  #open(): void {
    const facts = factsOf(this.#options, this.#definition.settings, this.#ports);
    this.#transactions.open(
      facts,
      (resumed) => {
        this.questions.load(resumed);
        this.messages.load(resumed?.messages);
        if (resumed !== undefined) {
          const { restored, rerun, missing, spent, retries, input } = resumed;
          const told = { restored, rerun, missing, state: this.state.current };
          this.#ports.input = input;
          this.hub.push({ type: 'run', reason: 'resumed', ...told });
          chargeEarlier(this.graph.own, spent);
          this.#ports.budget.left -= retries;
        }
        this.intake.open();
        this.load.begin();
        this.scheduler.start();
      },
      (error) => {
        this.#unlisten?.();
        this.#broken = true;
        this.intake.close();
        this.shared?.leave(this.scheduler);
        this.questions.runEnded(false);
        this.done.error(error);
        this.streams.fail(error);
        this.messages.sent$.error(error);
        this.hub.fail(error);
      },
    );
  }

  #finish(questions: Facts['questions'], storeError: RxhiveError | undefined): void {
    notify(() => this.#limits?.emit(), this.subscribers.failed);
    this.shared?.leave(this.scheduler);
    closeGates(this.graph.own, this.subscribers.failed);
    this.clock.dispose();
    this.streams.dispose();
    this.learning.runEnded();
    const result = resultOf(this.#facts(questions, storeError));
    this.ended = true;
    this.intake.close();
    const { status, error } = result;
    this.hub.push({ type: 'run', reason: 'ended', status, ...(error !== undefined && { error }) });
    this.#ports.middleware.runEnded(result);
    this.done.next(result);
    this.done.complete();
    this.streams.fail(runSuspended());
    this.messages.sent$.complete();
    this.hub.complete();
  }

  #facts(questions: Facts['questions'], storeError: RxhiveError | undefined): Facts {
    return {
      nodes: this.graph.nodes,
      runId: this.runId,
      workflow: this.#definition.settings.name,
      wallMs: this.clock.elapsed(),
      seed: this.clock.seed,
      state: this.state.current,
      closing: this.scheduler.closing ?? storeError,
      storeError,
      forgotten: this.#growth.forgotten,
      budgets: budgetStates(this.graph.own),
      questions,
      elsewhere: this.#transactions.spentElsewhere,
      subscriberErrors: this.subscribers.errors,
      speedUps: (path) => speedUps(this.graph.nodes, path, this.scheduler.limit),
    };
  }

  /** Aborts what runs, cancels the rest. */
  cancel(reason: 'cancelled' | 'unsubscribed' | 'signal', cause?: unknown): void {
    if (this.#broken) return;
    this.#started ||= true;
    this.#transactions.store?.hurry();
    this.scheduler.cancel(new WorkflowCancelledError(reason, cause));
  }

  readonly #commit = (node: TaskNode, attempt: AttemptHandle): CommitOutcome => {
    const outcome = this.#transactions.commit(node, attempt);
    if (outcome === 'rerun') this.commits.conflict(node, this.state.seq);
    else if (outcome !== 'later' && outcome !== 'wait') this.commits.made(node, this.state);
    return outcome;
  };

  #executePorts(input: unknown): ExecutePorts {
    const { settings, handlers } = this.#definition;
    return {
      clock: this.clock,
      settings,
      graph: this.graph,
      runId: this.runId,
      input,
      budget: { left: settings.retryBudget ?? Number.POSITIVE_INFINITY },
      watch: this.hub,
      handlers,
      state: this.state,
      locks: new Locks(),
      middleware: new MiddlewareStack(this.#options, this.#definition, this.runId, this.subscribers.failed),
      cache: new ResultCache(
        this.#options.store,
        this.#definition.owner,
        { workflow: settings.name, runId: this.runId },
        () => this.clock.wall(),
      ),
      onHeaders,
      failed: this.subscribers.failed,
      controller: guardedControllers('A listener of ctx.signal', this.subscribers.failed),
      waits: this.scheduler.waits,
      turnEnd: (depth) => this.scheduler.turnEnd(depth),
      begun: (node, source, worker) => this.scheduler.begun(node, source, worker),
      ask: (asker, question) => this.questions.ask(asker, question),
      messaging: (node, own) => this.messages.messagingOf(node, own),
      handleFor: (parent, id) => this.graph.childOf(parent.principal, id)?.handle ?? new Task(id, this.owner),
      flush: (parent, spawned) => this.intake.add(spawned, parent.principal),
      item: (...item) => this.intake.item(...item),
      batchesOf: (task) => this.#transactions.recovery?.batchesOf(task) ?? [],
      restarted: (task) => this.#transactions.recovery?.tries.hadBegun(task) ?? false,
      drop: (node, why) => this.scheduler.cancelTask(node, why, 'parent'),
    };
  }
}
