import { map, mergeMap, Observable, type Observer, type OperatorFunction, Subject, tap } from 'rxjs';
import { onAbort } from './kernel/abort.js';
import { LimitExceededError } from './kernel/errors.js';
import { Fifo } from './kernel/fifo.js';
import { callUser } from './kernel/guard.js';
import { checkAll, checked, isFunction, number, type Rules, rule } from './kernel/option-rules.js';
import type { WorkflowResult } from './model/result.js';
import type { RunOptions } from './model/run-options.js';
import { goesWhenFull, usualCapacity, type WaitingOptions, waitingRules } from './model/waiting.js';
import type { Workflow } from './workflow.js';

/** How {@link runWorkflow} treats its source and its runs; what is not named here is as with `flow.run()`. */
export interface RunWorkflowOptions<I = unknown>
  extends WaitingOptions,
    Omit<RunOptions<I>, 'input' | 'runId' | 'keepOpen'> {
  /** Runs at once. Whole number from 1, or Infinity, which leaves it to a `controller`. Default 1. */
  readonly concurrency?: number;
  /**
   * Results in the order of the source instead of that in which runs end. Those that wait for one before them are `capacity`
   * at most: then nothing new starts. Default false.
   */
  readonly ordered?: boolean;
  /**
   * Name of the run of a value, the same for the same value: with `store` a stream that comes again goes on with what its
   * runs had done. Default: a random one.
   */
  readonly runId?: (input: I, index: number) => string;
  /** Ends the stream with its reason when aborted; runs under way are cancelled. */
  readonly signal?: AbortSignal;
  /** Seed of jitter and ids; each run has its own, by its index. Default: random. */
  readonly seed?: number;
}

const rules: Rules<RunWorkflowOptions> = {
  ...waitingRules,
  concurrency: number(1, 'whole', 'infinite'),
  ordered: rule((value) => typeof value === 'boolean', 'give true or false'),
  runId: rule(isFunction, 'give a function of a value and its index'),
};

/**
 * A workflow as an operator: one run per source value, which becomes the run's input. It emits the result of each run at the
 * moment it ends, whatever its status: it is `mergeMap`, and with `concurrency` 1, the default, `concatMap`, also in a
 * `TestScheduler`. An Observable cannot be slowed down: what comes while all runs are busy waits, `capacity` values at most.
 * An input that does not fit its schema fails the stream. Unsubscribing cancels all runs.
 *
 * ```ts
 * questions$.pipe(runWorkflow(flow, { controller: hive, concurrency: 8, store: 'runs.db', runId: ({ id }) => id }));
 * ```
 * @throws RxhiveError INVALID_OPTION
 */
export function runWorkflow<S, I, G extends string, X extends string>(
  flow: Workflow<S, I, G, X>,
  options: RunWorkflowOptions<I> = {},
): OperatorFunction<I, WorkflowResult<S>> {
  checked(options, 'runWorkflow', (_, __, fault) => checkAll(rules, options, 'runWorkflow ', fault));
  return (source) =>
    new Observable((subscriber) => {
      const line = new Line(flow as unknown as AnyWorkflow<S, I>, options);
      subscriber.add(() => line.stop());
      subscriber.add(line.results$().subscribe(subscriber));
      const { signal } = options;
      if (signal !== undefined) subscriber.add(onAbort(signal, (reason) => subscriber.error(reason)));
      if (!subscriber.closed) subscriber.add(source.subscribe(line));
    });
}

/** A workflow with what only its definition needs to know forgotten. */
interface AnyWorkflow<S, I> {
  readonly name: string;
  run(options: RunOptions<I>): { result$(): Observable<WorkflowResult<S>> };
}

interface Entry<I> {
  readonly input: I;
  readonly index: number;
}

/** The values of one subscription: those that wait, and those that run. */
class Line<S, I> implements Observer<I> {
  readonly #flow: AnyWorkflow<S, I>;
  readonly #options: RunWorkflowOptions<I>;
  readonly #starts$ = new Subject<Entry<I>>();
  readonly #capacity: number;
  readonly #concurrency: number;
  readonly #waiting = new Fifo<Entry<I>>();
  #index = 0;
  #running = 0;
  /** Begun, and their results not told. */
  #open = 0;
  #starting = false;
  #completed = false;

  constructor(flow: AnyWorkflow<S, I>, options: RunWorkflowOptions<I>) {
    this.#flow = flow;
    this.#options = options;
    this.#capacity = options.capacity ?? usualCapacity;
    this.#concurrency = options.concurrency ?? 1;
  }

  /** A run is the subscription of its result: to leave is to cancel. */
  results$(): Observable<WorkflowResult<S>> {
    const results$ = this.#starts$.pipe(
      mergeMap((entry, place) => this.#run(entry).pipe(map((result) => [place, result] as const))),
    );
    return this.#options.ordered === true
      ? results$.pipe(this.#inOrder())
      : results$.pipe(map(([, one]) => one));
  }

  next(input: I): void {
    const entry = { input, index: this.#index++ };
    const { size } = this.#waiting;
    // One that can start at once does not wait.
    if (size >= this.#capacity && !(size === 0 && this.#isFree)) {
      const goes = goesWhenFull(this.#flow.name, this.#options);
      if (goes instanceof LimitExceededError) this.error(goes);
      if (goes !== 'oldest') return;
      if (size === 0) return; // nobody waits: there is no older one
      this.#waiting.shift();
    }
    this.#waiting.push(entry);
    this.#start();
  }

  error(error: unknown): void {
    this.stop();
    this.#starts$.error(error);
  }

  complete(): void {
    this.#completed = true;
    this.#start();
  }

  /** Nothing new starts. */
  stop(): void {
    this.#waiting.clear();
  }

  get #isFree(): boolean {
    if (this.#running >= this.#concurrency) return false;
    return this.#options.ordered !== true || this.#open < this.#concurrency + this.#capacity;
  }

  /** A loop, not recursion: runs may end at once. */
  #start(): void {
    if (this.#starting) return;
    this.#starting = true;
    while (this.#isFree) {
      const entry = this.#waiting.shift();
      if (entry === undefined) break;
      this.#running += 1;
      this.#open += 1;
      this.#starts$.next(entry);
    }
    this.#starting = false;
    if (this.#completed && this.#waiting.size === 0) this.#starts$.complete();
  }

  #run({ input, index }: Entry<I>): Observable<WorkflowResult<S>> {
    const {
      concurrency: _,
      ordered,
      capacity: __,
      onFull: ___,
      signal: ____,
      runId,
      seed,
      ...own
    } = this.#options;
    const options: RunOptions<I> = {
      ...own,
      input,
      ...(runId !== undefined && { runId: callUser('runId', () => runId(input, index)) }),
      ...(seed !== undefined && { seed: seed + index }),
    };
    return this.#flow
      .run(options)
      .result$()
      .pipe(
        tap({
          complete: () => {
            this.#running -= 1;
            if (ordered !== true) this.#open -= 1;
            this.#start();
          },
        }),
      );
  }

  /** Holds results until those of values before are there. */
  #inOrder<R>(): OperatorFunction<readonly [number, R], R> {
    const held = new Map<number, R>();
    let next = 0;
    return mergeMap(([place, result]) => {
      held.set(place, result);
      const told: R[] = [];
      for (let one = held.get(next); one !== undefined; one = held.get(next)) {
        told.push(one);
        held.delete(next);
        next += 1;
      }
      this.#open -= told.length;
      return told;
    });
  }
}
