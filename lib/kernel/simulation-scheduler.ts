import { type SchedulerAction, type SchedulerLike, Subscription } from 'rxjs';
import { Heap, type HeapItem } from './heap.js';

type Work<T> = (this: SchedulerAction<T>, state: T) => void;

/**
 * Virtual time for rxjs and for runs: `flow.run({ scheduler: new SimulationScheduler() })`. Nothing happens before
 * `flush()`, `run()` or `step()` is called, then hours take milliseconds. Actions due at the same ms go in the order
 * in which they were scheduled. Emits exactly what rxjs's `VirtualTimeScheduler` does, but keeps a heap where that one
 * sorts all pending actions at each call, so 30,000 parallel timers are cheap.
 */
export class SimulationScheduler implements SchedulerLike {
  #now = 0;
  #order = 0;
  readonly #actions = new Heap<SimulatedAction<never>>(
    (a, b) => a.due < b.due || (a.due === b.due && a.order < b.order),
  );

  /** Virtual ms since the scheduler was made. */
  now(): number {
    return this.#now;
  }

  /** Actions that wait for their time. */
  get pending(): number {
    return this.#actions.size;
  }

  /** When the next action is due, in virtual ms; Infinity: there is none. */
  get nextAt(): number {
    return this.#actions.peek()?.due ?? Number.POSITIVE_INFINITY;
  }

  schedule<T>(work: Work<T>, delay = 0, state?: T): Subscription {
    return new SimulatedAction(work, this.#enqueue, this.#remove).schedule(state, delay);
  }

  /** The process sleeps for `ms`: time passes, and nothing runs. What became due meanwhile runs late, when time goes on. */
  sleep(ms: number): void {
    this.#now += ms;
  }

  /** Runs the next action and moves time to it; false when there is none. What its work throws is thrown here. */
  step(): boolean {
    const action = this.#actions.pop();
    if (action === undefined) return false;
    this.#now = Math.max(this.#now, action.due);
    action.execute();
    return true;
  }

  /**
   * Runs everything due up to `until` (virtual ms, default: until nothing is left), in order. Time is `until`
   * afterwards, where one was given. An error thrown by an action stops here; what comes after it stays pending.
   */
  run(until = Number.POSITIVE_INFINITY): void {
    while (this.nextAt <= until && this.step());
    if (Number.isFinite(until) && until > this.#now) this.#now = until;
  }

  /** Runs everything until nothing is left. A timer that repeats for ever never ends; use `run(until)` then. */
  flush(): void {
    this.run();
  }

  readonly #enqueue = (action: SimulatedAction<never>, delay: number): void => {
    this.#actions.remove(action);
    // As in rxjs: what is due in infinitely many ms never comes. Time never goes back.
    if (!(delay < Number.POSITIVE_INFINITY)) return;
    action.due = this.#now + Math.max(0, delay);
    action.order = this.#order++;
    this.#actions.push(action);
  };

  readonly #remove = (action: SimulatedAction<never>): void => this.#actions.remove(action);
}

/** One call of `schedule`; the work may schedule it again, as `interval` does. */
class SimulatedAction<T> extends Subscription implements SchedulerAction<T>, HeapItem {
  heapIndex = -1;
  due = 0;
  order = 0;
  #state: T | undefined;
  readonly #work: Work<T>;
  readonly #enqueue: (action: SimulatedAction<never>, delay: number) => void;
  readonly #remove: (action: SimulatedAction<never>) => void;

  constructor(
    work: Work<T>,
    enqueue: (action: SimulatedAction<never>, delay: number) => void,
    remove: (action: SimulatedAction<never>) => void,
  ) {
    super();
    this.#work = work;
    this.#enqueue = enqueue;
    this.#remove = remove;
  }

  schedule(state?: T, delay = 0): Subscription {
    if (this.closed) return this;
    this.#state = state;
    this.#enqueue(this as unknown as SimulatedAction<never>, delay);
    return this;
  }

  execute(): void {
    this.#work.call(this, this.#state as T);
  }

  override unsubscribe(): void {
    if (this.closed) return;
    this.#remove(this as unknown as SimulatedAction<never>);
    this.#state = undefined;
    super.unsubscribe();
  }
}
