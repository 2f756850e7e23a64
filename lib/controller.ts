import {
  catchError,
  defer,
  EMPTY,
  filter,
  firstValueFrom,
  from,
  map,
  merge,
  mergeMap,
  type Observable,
  type ObservableNotification,
  of,
  ReplaySubject,
  startWith,
  takeUntil,
  tap,
} from 'rxjs';
import { inputsOf } from './execute/inputs.js';
import type { Group } from './graph/lane.js';
import { shareParts } from './graph/shared-parts.js';
import { Clock } from './kernel/clock.js';
import { inspect, RxhiveError, truncate } from './kernel/errors.js';
import { GuardedStream } from './kernel/guarded-stream.js';
import {
  checkAll,
  each,
  isAboveZero,
  isFunction,
  type Rules,
  required,
  rule,
} from './kernel/option-rules.js';
import { readOrRefuse } from './kernel/read-once.js';
import { Breakpoints } from './limits/breakpoints.js';
import type { EffectiveLimits } from './limits/effective-limits.js';
import { LoadFeed } from './limits/load-feed.js';
import { closeGates, limitsOf, placeGates, standing } from './limits/place-gates.js';
import type { TaskContext } from './model/context.js';
import { belowController, type ControllerOptions } from './model/controller.js';
import type { Task } from './model/dependency.js';
import type { WorkflowEvent } from './model/event.js';
import type { GroupLimits } from './model/limiter.js';
import type { RunController } from './model/run-controller.js';
import type { RunOptions } from './model/run-options.js';
import type { ScheduleOptions, StreamOptions } from './model/stream-options.js';
import type { ResultOf } from './model/task.js';
import { optionNames } from './model/workflow.js';
import { EventHub } from './observe/events.js';
import { SharedEvents } from './observe/shared-events.js';
import { DirectWork, type OwnRun } from './operators/direct-work.js';
import type { Strategy } from './operators/pass.js';
import type { Project, TaskOperator } from './operators/task-operator.js';
import { checkLimit } from './plan/input.js';
import { validateSettings } from './plan/validate.js';
import type { Run } from './run.js';
import { type JoinedRun, SharedQueue } from './schedule/shared-queue.js';
import { Workflow } from './workflow.js';

/** What an operator with these options emits. */
export type StreamResult<R, O> = O extends { readonly onError: 'materialize' }
  ? ObservableNotification<ResultOf<R>>
  : ResultOf<R>;

/** Runs that `explain` tells of at most. */
const mostExplained = 5;

/**
 * What runs share: slots, groups, resources, limiters, budgets. Of all their tasks that are ready the best starts next:
 * the one with the highest priority (its own and that of its run); among equals one of the key that had the fewest starts
 * for its weight (`fair`); then the one with the longest path behind it; then one of the older run.
 */
export class Controller<G extends string = string, X extends string = string> implements RunController<G, X> {
  readonly name: string;
  readonly groups: readonly G[];
  readonly resources: readonly X[];
  readonly #shared: SharedQueue;
  readonly #hub: EventHub;
  readonly #events: SharedEvents;
  readonly #limits: EffectiveLimits;
  readonly #breakpoints: Breakpoints;
  readonly #load: LoadFeed;
  readonly #work: DirectWork;
  /** Memory is above the hard mark. */
  #short = false;
  readonly #drained$ = new ReplaySubject<void>(1);
  readonly #failed = (error: unknown): void => {
    for (const { subscribers } of this.#shared.runs) subscribers.failed(error);
  };

  readonly #memoryShort = (isShort: boolean): void => {
    this.#short = isShort;
    for (const run of this.#shared.runs) run.load.memoryShort(isShort);
  };

  /** Made by {@link controller}. @throws RxhiveError INVALID_OPTION */
  constructor(given: ControllerOptions<G, X>) {
    const options = checked(readOrRefuse('controller', given, belowController));
    this.name = options.name ?? 'controller';
    const clock = new Clock(options);
    const shared = new SharedQueue(options, clock);
    this.groups = [...shared.groups.keys()] as G[];
    this.resources = [...shared.resources.keys()] as X[];
    this.#shared = shared;
    this.#work = new DirectWork(this.name, shared, (name, run) => this.#begin(name, run));
    this.#hub = new EventHub(this.name, clock);
    this.#events = new SharedEvents(this.#hub, () => shared.runs);
    const failed = this.#failed;
    const ports = { watch: this.#events, scheduler: shared, places: shared, clock, inputsOf, failed };
    this.#limits = placeGates(shared, { ...options, name: this.name }, ports);
    const words = { what: `controller "${truncate(this.name)}"`, how: 'its resume()' };
    this.#breakpoints = new Breakpoints({ ...ports, watch: this.#hub, words });
    const load = { ...ports, effectiveLimits: this.#limits, short: this.#memoryShort };
    this.#load = new LoadFeed(options.load$, options.memory, load);
    shared.changes$.subscribe((change) => {
      if ('joined' in change) this.#events.greet(change.joined, standing(shared));
      if ('joined' in change && this.#short) change.joined.load.memoryShort(true);
      if ('joined' in change && shared.size === 1) this.#load.begin();
      if (shared.size === 0) this.#load.end();
    });
    shareParts(this, shared);
  }

  /** Its runs: those under way at once, then each that begins. Hot; completes when the controller has drained. */
  get runs$(): Observable<Run> {
    return this.#view(this.#runs$.pipe(map(({ owner }) => owner as Run)));
  }

  /**
   * Everything that happens, from now on: in all its runs, and with what they share, where `runId` is the name of the
   * controller. What limiters, budgets, breakers and watermarks it has say is told once here, and in the events of each
   * run that has tasks to do there; a run that begins is told what still holds. Subscribing starts no run, leaving cancels none. Completes when the controller has drained.
   */
  get events$(): Observable<WorkflowEvent> {
    const ofRuns$ = this.#runs$.pipe(
      mergeMap(({ hub }) => hub.events$.pipe(catchError(() => EMPTY))),
      filter((event) => !this.#events.isCopy(event)),
    );
    return this.#view(merge(this.#hub.events$, ofRuns$));
  }

  /**
   * What a task is doing or waiting for, in one sentence for each of its runs under way that has a task of that id, five
   * at most; `run`: that of one run. @throws RxhiveError INVALID_OPTION where none has it
   */
  explain(task: Task | string, run?: Run | string): string {
    const id = typeof task === 'string' ? task : task.id;
    const runId = typeof run === 'object' ? run.runId : run;
    const having = this.#shared.runs.filter(
      (one) => (runId === undefined || one.runId === runId) && one.graph.nodes.has(id),
    );
    if (having.length === 0)
      throw new RxhiveError('INVALID_OPTION', `No run under way has a task ${inspect(id)}; check the id.`);
    const sentences = having.slice(0, mostExplained).map(({ owner }) => (owner as Run).explain(id));
    const [first = ''] = sentences;
    if (having.length === 1) return first;
    const more =
      having.length > mostExplained ? ` And ${having.length - mostExplained} more runs have one.` : '';
    return sentences.map((one, i) => `In run "${truncate(having[i]?.runId ?? '')}": ${one}`).join(' ') + more;
  }

  /** How much of their limits all runs together, and the groups of the controller, use now. */
  limits(): GroupLimits[] {
    return limitsOf(this.#shared, this.#shared);
  }

  /** Changes how many tasks of all runs run at once, or may at most where `adaptive`; 0 lets nothing start. */
  setConcurrency(limit: number): void {
    this.#limits.set(undefined, 'user', checkLimit(limit));
  }

  /** The same for a group of the controller. @throws RxhiveError INVALID_OPTION */
  setGroupConcurrency(name: G, limit: number): void {
    this.#limits.set(this.#groupOf(name), 'user', checkLimit(limit));
  }

  /** Lets nothing new start in any run; what runs goes on, and so do clocks. */
  pause(): void {
    this.#breakpoints.halt();
  }

  /** Goes on after a pause. */
  resume(): void {
    this.#breakpoints.goOn();
  }

  /** Does nothing start until {@link Controller.resume}? */
  get paused(): boolean {
    return this.#breakpoints.paused;
  }

  /**
   * Takes no more runs in: `flow.run()` throws from now on. Resolves when those under way have ended. A run that is kept
   * open ends when it is closed.
   */
  drain(): Promise<void> {
    const shared = this.#shared;
    shared.draining = true;
    this.#work.close();
    return firstValueFrom(
      shared.changes$.pipe(
        startWith(undefined),
        filter(() => shared.size === 0),
        tap(() => {
          closeGates(shared, () => undefined);
          shared.clock.dispose();
          this.#drained$.next();
        }),
        map(() => undefined),
      ),
    );
  }

  /** Work of `schedule` and of operators that runs now. */
  get active(): number {
    return this.#work.active;
  }

  /** Work of `schedule` and of operators that waits: for its start, or before a retry. */
  get waiting(): number {
    return this.#work.open - this.#work.active;
  }

  /** Resolves as soon as no work of `schedule` and of operators is left, now or later; a stream may still be open. */
  idle(): Promise<void> {
    return firstValueFrom(this.#work.idle$);
  }

  /** Cancels work of `schedule` that has not started or waits for a retry: its promises reject. `why` is told by their errors. */
  cancelWaiting(why?: unknown): void {
    this.#work.cancelWaiting(why);
  }

  /**
   * Runs one piece of work as a task: when it is its turn, within all limits, with retry and timeout. The promise is that of
   * its result, or rejects with its last error. `ctx.signal` is aborted when an attempt is over before it has ended.
   *
   * ```ts
   * const page = await hive.schedule((ctx) => fetch(url, { signal: ctx.signal }), { group: 'web', retry: 3 });
   * ```
   */
  schedule<R>(work: (ctx: TaskContext) => R, options: ScheduleOptions<G, X> = {}): Promise<ResultOf<R>> {
    return new Promise((done, failed) =>
      this.#work.schedule(work, options, { next: (value) => done(value as ResultOf<R>), error: failed }),
    );
  }

  /**
   * The operator `mergeMap` of which each value is a task of the type `name`: as many run at once as the controller lets.
   * A stream that `work` returns may say many results. Unsubscribing cancels all. @throws RxhiveError INVALID_OPTION
   *
   * ```ts
   * docs$.pipe(hive.mergeMap('summarise', (doc, ctx) => llm(doc, ctx.signal), { group: 'llm', retry: 3, ordered: true }));
   * ```
   */
  mergeMap<T, R, const O extends StreamOptions<G, X, T> = StreamOptions<G, X, T>>(
    name: string,
    work: Project<T, R>,
    options?: O,
  ): TaskOperator<T, StreamResult<R, O>> {
    return this.#operator('merge', name, work, options);
  }

  /** The same one value after the other, in the order of the source. */
  concatMap<T, R, const O extends StreamOptions<G, X, T> = StreamOptions<G, X, T>>(
    name: string,
    work: Project<T, R>,
    options?: O,
  ): TaskOperator<T, StreamResult<R, O>> {
    return this.#operator('concat', name, work, options);
  }

  /** The same for the newest value alone: the attempt at the one before is aborted. */
  switchMap<T, R, const O extends StreamOptions<G, X, T> = StreamOptions<G, X, T>>(
    name: string,
    work: Project<T, R>,
    options?: O,
  ): TaskOperator<T, StreamResult<R, O>> {
    return this.#operator('switch', name, work, options);
  }

  /** The same, where values are left out that come while one is worked on. */
  exhaustMap<T, R, const O extends StreamOptions<G, X, T> = StreamOptions<G, X, T>>(
    name: string,
    work: Project<T, R>,
    options?: O,
  ): TaskOperator<T, StreamResult<R, O>> {
    return this.#operator('exhaust', name, work, options);
  }

  #operator<T, R, O extends StreamOptions<G, X, T>>(
    strategy: Strategy,
    name: string,
    work: Project<T, R>,
    options?: O,
  ): TaskOperator<T, StreamResult<R, O>> {
    return this.#work.operator(strategy, name, work, options ?? {}) as TaskOperator<T, StreamResult<R, O>>;
  }

  /** Begins a run that is kept open, of tasks that belong to no workflow. */
  #begin(name: string, options: RunOptions): OwnRun {
    const flow = new Workflow({ name, controller: this, maxTasks: Number.POSITIVE_INFINITY });
    const run = flow.run({ ...options, keepOpen: true, learn: false });
    const result$ = run.result$();
    return {
      owner: flow,
      result$,
      close: () => run.close(),
      joined: () => this.#shared.runs.find(({ owner }) => owner === run),
    };
  }

  get #runs$(): Observable<JoinedRun> {
    return defer(() =>
      merge(
        from(this.#shared.runs),
        this.#shared.changes$.pipe(mergeMap((change) => ('joined' in change ? of(change.joined) : EMPTY))),
      ),
    );
  }

  /** What a subscriber throws is told in the reports of the runs under way. */
  #view<T>(source$: Observable<T>): Observable<T> {
    return new GuardedStream(this.#failed, (subscriber) =>
      source$.pipe(takeUntil(this.#drained$)).subscribe(subscriber),
    );
  }

  #groupOf(name: string): Group {
    const group = this.#shared.groups.get(name);
    if (group !== undefined) return group;
    const message = `There is no group ${inspect(name)}; use one of the controller's: ${this.groups.map((one) => truncate(one)).join(', ')}.`;
    throw new RxhiveError('INVALID_OPTION', message);
  }
}

/** Options that no workflow has. */
const ownRules: Rules<ControllerOptions> = {
  fair: rule(isFunction, 'give a function of a task'),
  weights: each(required(isAboveZero, 'give a finite number above 0')),
};

/** @throws RxhiveError INVALID_OPTION with everything that makes no sense */
function checked<O extends ControllerOptions>(options: O): O {
  const { name = 'controller' } = options;
  const faults = validateSettings({ ...options, name }, optionNames).map(({ message }) => message);
  checkAll(ownRules, options, '', (_, message) => faults.push(message));
  const { memory, load$ } = options;
  const watermark = (['soft', 'hard'] as const).find((mark) => memory?.[mark] !== undefined);
  if (watermark !== undefined && load$ === undefined)
    faults.push(
      `memory.${watermark} needs load$, which tells how much memory is taken; give load$: systemLoad().`,
    );
  if (typeof memory === 'object' && memory !== null && 'spillAbove' in memory)
    faults.push('memory.spillAbove is an option of workflows; give it to workflow() instead.');
  if (faults.length === 0) return options;
  throw new RxhiveError('INVALID_OPTION', `controller: ${faults.join(' ')}`, { details: { faults } });
}

/**
 * Makes what several workflows and runs share. It does nothing by itself, and needs no end.
 *
 * ```ts
 * const hive = controller({
 *   concurrency: 32,
 *   groups: { llm: { concurrency: 8, limiter: { requestsPerMinute: 600 } } },
 *   fair: ({ tags }) => tags.tenant ?? '',
 * });
 * const flow = workflow({ name: 'report', controller: hive });
 * flow.run({ tags: { tenant: 'acme' }, priority: 1 });
 * ```
 * @throws RxhiveError INVALID_OPTION with everything that makes no sense
 */
export function controller<G extends string = never, X extends string = never>(
  options: ControllerOptions<G, X> = {},
): Controller<G, X> {
  return new Controller(options);
}
