import { Observable, type ObservableNotification, type OperatorFunction, type Subscriber } from 'rxjs';
import type { ItemWatch, TaskNode } from '../graph/node.js';
import { LimitExceededError } from '../kernel/errors.js';
import {
  checkAll,
  checked,
  isFunction,
  number,
  oneOf,
  type Rules,
  required,
} from '../kernel/option-rules.js';
import type { TaskContext } from '../model/context.js';
import type { StreamOptions } from '../model/stream-options.js';
import type { TaskDefinition } from '../model/task.js';

/** What becomes of a value while others are worked on. */
export type Strategy = 'merge' | 'concat' | 'switch' | 'exhaust';

/** Where tasks of operators run. */
export interface TaskRun {
  /** Takes a task in that is forgotten when it has ended. @throws RxhiveError, WorkflowDefinitionError */
  offer(definition: TaskDefinition, watch: ItemWatch): TaskNode;
  /** Ends a task that has not ended. */
  drop(node: TaskNode, why: unknown): void;
}

/** A function of each value, run as a task. */
export type Project<T, R> = (value: T, ctx: TaskContext, index: number) => R;

const usualCapacity = 10_000;

const streamRules: Rules<StreamOptions> = {
  capacity: number(0, 'whole', 'infinite'),
  onFull: oneOf(['error', 'drop-oldest', 'drop-newest'], 'give "error", "drop-oldest" or "drop-newest"'),
  onError: oneOf(['error', 'skip', 'materialize'], 'give "error", "skip" or "materialize"'),
};
const work = required(isFunction, 'give a function of a value');

/** An operator that runs a task for each value. @throws RxhiveError INVALID_OPTION */
export function taskOperator<T, R>(
  strategy: Strategy,
  runOf: () => TaskRun,
  definition: Omit<TaskDefinition, 'run'>,
  project: Project<T, R>,
  options: StreamOptions,
): OperatorFunction<T, unknown> {
  checked(options, '', (_, __, fault) => {
    work(project, 'The work', fault);
    checkAll(streamRules, options, '', fault);
  });
  return (source) =>
    new Observable<unknown>((subscriber) => {
      const pass = new Pass<T, R>(strategy, runOf(), definition, project, options, subscriber);
      subscriber.add(() => pass.stop());
      subscriber.add(
        source.subscribe({
          next: (value) => pass.next(value),
          error: (error: unknown) => pass.fail(error),
          complete: () => pass.complete(),
        }),
      );
    });
}

/** One value on its way. */
interface Entry<T> {
  readonly index: number;
  readonly value: T;
  node: TaskNode | undefined;
  ended: boolean;
  /** Its attempt gave a stream: what that says are the results. */
  streams: boolean;
  /** Results that have to wait for those of values before. */
  readonly held: unknown[];
  /** The value after it, where order counts. */
  after: Entry<T> | undefined;
}

/** One subscription of an operator. */
class Pass<T, R> {
  readonly #strategy: Strategy;
  readonly #run: TaskRun;
  readonly #definition: Omit<TaskDefinition, 'run'>;
  readonly #project: Project<T, R>;
  readonly #options: StreamOptions;
  readonly #subscriber: Subscriber<unknown>;
  readonly #ordered: boolean;
  /** Values that have not ended, or whose results are held. */
  readonly #open = new Set<Entry<T>>();
  /** Those of them that wait for the one before, and those whose task waits to start. */
  readonly #queue: Entry<T>[] = [];
  readonly #waiting = new Set<Entry<T>>();
  /** The first of them in order of the source, or one before it, and the last: a Set gets slow whose first is asked for often. */
  #head: Entry<T> | undefined;
  #tail: Entry<T> | undefined;
  #index = 0;
  #busy = 0;
  #completed = false;
  #stopped = false;

  constructor(
    strategy: Strategy,
    run: TaskRun,
    definition: Omit<TaskDefinition, 'run'>,
    project: Project<T, R>,
    options: StreamOptions,
    subscriber: Subscriber<unknown>,
  ) {
    this.#strategy = strategy;
    this.#run = run;
    this.#definition = definition;
    this.#project = project;
    this.#options = options;
    this.#subscriber = subscriber;
    this.#ordered = options.ordered === true;
  }

  next(value: T): void {
    if (this.#stopped || (this.#strategy === 'exhaust' && this.#busy > 0)) return;
    if (this.#strategy === 'switch')
      for (const entry of [...this.#open]) this.#drop(entry, 'A newer value came.');
    if (!this.#makeRoom()) return;
    const index = this.#index++;
    const entry: Entry<T> = {
      index,
      value,
      node: undefined,
      ended: false,
      streams: false,
      held: [],
      after: undefined,
    };
    this.#open.add(entry);
    if (this.#ordered) this.#append(entry);
    this.#waiting.add(entry);
    if (this.#strategy === 'concat' && this.#busy > 0) this.#queue.push(entry);
    else this.#begin(entry);
  }

  complete(): void {
    this.#completed = true;
    this.#settle();
  }

  fail(error: unknown): void {
    if (this.#stopped) return;
    this.#subscriber.error(error);
    this.stop();
  }

  /** Nobody listens any more. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#queue.length = 0;
    // Those that wait first, or they would start one after the other in the slots that come free.
    for (const entry of [...this.#waiting, ...this.#open])
      this.#drop(entry, 'Nobody listens to the stream any more.');
  }

  /** False: the value has no room. */
  #makeRoom(): boolean {
    const { capacity = usualCapacity, onFull = 'error' } = this.#options;
    // One that can start at once does not wait; whether it can is known a moment later.
    if (this.#waiting.size <= capacity) return true;
    if (onFull === 'drop-newest') return false;
    const [oldest] = this.#waiting;
    if (onFull === 'drop-oldest' && oldest !== undefined) {
      this.#drop(oldest, 'Newer values had no room.');
      return true;
    }
    const { type: name } = this.#definition;
    const message = `More than ${capacity} values wait for "${name}"; slow the source down, raise capacity, or set onFull.`;
    this.fail(new LimitExceededError('capacity', capacity, message));
    return false;
  }

  #begin(entry: Entry<T>): void {
    this.#busy += 1;
    const { index, value } = entry;
    const watch: ItemWatch = {
      started: () => {
        this.#waiting.delete(entry);
        entry.streams = false;
      },
      streams: () => {
        entry.streams = true;
      },
      value: (one) => this.#result(entry, one),
      ended: (node) => this.#ended(entry, node),
    };
    const run = (_: unknown, ctx: TaskContext): unknown => this.#project(value, ctx, index);
    try {
      entry.node = this.#run.offer({ ...this.#definition, run } as TaskDefinition, watch);
    } catch (error) {
      this.#open.delete(entry);
      this.fail(error);
    }
  }

  #result(entry: Entry<T>, value: unknown): void {
    if (this.#stopped || !this.#open.has(entry)) return;
    const one =
      this.#options.onError === 'materialize'
        ? ({ kind: 'N', value } as ObservableNotification<unknown>)
        : value;
    if (this.#isTurn(entry)) this.#subscriber.next(one);
    else entry.held.push(one);
  }

  #ended(entry: Entry<T>, node: TaskNode): void {
    this.#busy -= 1;
    this.#waiting.delete(entry);
    entry.ended = true;
    if (!this.#open.has(entry)) {
      this.#follow();
      return;
    }
    const { status, value, error } = node;
    if (status === 'succeeded') {
      if (!entry.streams) this.#result(entry, value);
    } else if (this.#options.onError === 'materialize') {
      const failure: ObservableNotification<unknown> = { kind: 'E', error };
      if (this.#isTurn(entry)) this.#subscriber.next(failure);
      else entry.held.push(failure);
    } else if (this.#options.onError !== 'skip') {
      this.#open.delete(entry);
      this.fail(error);
      return;
    }
    if (!this.#ordered) this.#open.delete(entry);
    else this.#release();
    this.#follow();
    this.#settle();
  }

  /** Is it the first in order whose results are not all told? */
  #isTurn(entry: Entry<T>): boolean {
    return !this.#ordered || this.#first() === entry;
  }

  #append(entry: Entry<T>): void {
    if (this.#head === undefined) this.#head = entry;
    else if (this.#tail !== undefined) this.#tail.after = entry;
    this.#tail = entry;
  }

  /** The first in order that is open. */
  #first(): Entry<T> | undefined {
    while (this.#head !== undefined && !this.#open.has(this.#head)) this.#head = this.#head.after;
    return this.#head;
  }

  /** Tells what was held, as far as all before it has ended. */
  #release(): void {
    for (let entry = this.#first(); entry !== undefined; entry = this.#first()) {
      for (const one of entry.held.splice(0)) this.#subscriber.next(one);
      if (!entry.ended) return;
      this.#open.delete(entry);
    }
  }

  #follow(): void {
    const next = this.#stopped || this.#busy > 0 ? undefined : this.#queue.shift();
    if (next !== undefined) this.#begin(next);
  }

  #settle(): void {
    if (!this.#completed || this.#open.size > 0 || this.#stopped) return;
    this.#stopped = true;
    this.#subscriber.complete();
  }

  #drop(entry: Entry<T>, why: string): void {
    if (!this.#open.delete(entry)) return;
    this.#waiting.delete(entry);
    const at = this.#queue.indexOf(entry);
    if (at >= 0) this.#queue.splice(at, 1);
    if (entry.node !== undefined && !entry.ended) this.#run.drop(entry.node, why);
  }
}
