import { from, type ObservableInput, type ObservableNotification, type Subscriber } from 'rxjs';
import { UniqueKeys } from '../execute/item-keys.js';
import type { TaskNode } from '../graph/node.js';
import { type AsyncContext, callerContext } from '../kernel/async-context.js';
import { RxhiveError } from '../kernel/errors.js';
import { Fifo } from '../kernel/fifo.js';
import { callUser } from '../kernel/guard.js';
import { type Pulled, PulledItems } from '../kernel/pulled-items.js';
import type { StreamOptions } from '../model/stream-options.js';
import type { TaskDefinition } from '../model/task.js';
import { goesWhenFull, usualCapacity } from '../model/waiting.js';
import { Entry } from './entry.js';
import type { AskForRun, TaskRun } from './task-run.js';

/** What becomes of a value while others are worked on. */
export type Strategy = 'merge' | 'concat' | 'switch' | 'exhaust';

/** Values of a source that is asked for them that wait for their start: it is asked when one has started. */
const ahead = 1;

/** One subscription of an operator. */
export class Pass<T> {
  readonly #strategy: Strategy;
  readonly #definition: TaskDefinition;
  readonly #options: StreamOptions<string, string, T>;
  readonly #subscriber: Subscriber<unknown>;
  readonly #ordered: boolean;
  readonly #capacity: number;
  readonly #isTimed: boolean;
  #run: TaskRun | undefined;
  #pulled: PulledItems<T> | undefined;
  /** It is taking values, further down the stack. */
  #pulling = false;
  /** Values that have no task yet, and where each came. */
  readonly #row = new Fifo<T>();
  readonly #contexts = new Fifo<AsyncContext>();
  /** With a log, their places in the source: those that are left out count, as it depends on the time which ones are. */
  readonly #places: Fifo<number> | undefined;
  /** Values that have a task that has not ended, the oldest first. */
  readonly #tasks = new Set<Entry<T>>();
  /** Values with a task that has not started. */
  #ready = 0;
  /** Values with a task of which results are wanted, and not all told. */
  #open = 0;
  #offering = false;
  /** Those that are open in order of the source, where that counts, and some that are over. */
  readonly #order = new Fifo<Entry<T>>();
  /** Keys there were, in a log. */
  readonly #keys = new UniqueKeys(
    'value',
    (what) => new RxhiveError('INVALID_OPTION', `"${this.#definition.type}": ${what}.`),
  );
  /** Values that the source has said. */
  #said = 0;
  /** Values that were taken. */
  #taken = 0;
  #completed = false;
  #stopped = false;

  constructor(
    strategy: Strategy,
    definition: TaskDefinition,
    options: StreamOptions<string, string, T>,
    subscriber: Subscriber<unknown>,
  ) {
    this.#strategy = strategy;
    this.#definition = definition;
    this.#options = options;
    this.#subscriber = subscriber;
    this.#ordered = options.ordered === true;
    this.#capacity = options.capacity ?? usualCapacity;
    this.#places = options.store === undefined ? undefined : new Fifo();
    const { timeout } = definition;
    this.#isTimed = typeof timeout === 'object' && timeout.queue !== undefined;
  }

  /** Takes what the source says; `pulled`: as much as there is room for. */
  begin(ask: AskForRun, source: ObservableInput<T>, pulled: boolean): void {
    ask(
      (run) => this.#enter(run),
      (error) => this.fail(error),
    );
    if (this.#stopped) return;
    if (!pulled) {
      this.#subscriber.add(from(source).subscribe(this));
      return;
    }
    this.#pulled = new PulledItems(source as Pulled<T>, () => this.#pull());
    this.#pull();
  }

  /** Values that wait and have no task yet. */
  get queued(): number {
    return this.#row.size;
  }

  /** Values that wait for their start. */
  get #waiting(): number {
    return this.#ready + this.#row.size;
  }

  /** Of a source that is asked for values: no other one could start. */
  get #full(): boolean {
    return (
      this.#stopped ||
      this.#waiting >= ahead ||
      (this.#ordered && this.#open + this.#row.size > Math.max(this.#capacity, ahead))
    );
  }

  next(value: T): void {
    this.#said += 1;
    if (this.#stopped || (this.#strategy === 'exhaust' && this.#tasks.size + this.#row.size > 0)) return;
    if (this.#strategy === 'switch') this.#dropAll('A newer value came.');
    if (!this.#makeRoom()) return;
    this.#taken += 1;
    this.#row.push(value);
    this.#contexts.push(callerContext());
    this.#places?.push(this.#said - 1);
    this.#offer();
  }

  complete(): void {
    this.#completed = true;
    this.#settle();
  }

  error(error: unknown): void {
    this.fail(error);
  }

  fail(error: unknown): void {
    if (this.#stopped) return;
    if (this.#options.store === undefined) {
      this.#subscriber.error(error);
      this.stop();
    } else this.#stop(() => this.#subscriber.error(error)); // Who begins again at once finds the log closed.
  }

  /** Nobody listens any more. */
  stop(): void {
    this.#stop(() => undefined);
  }

  /** Takes values of a source that is asked while one could start. A loop: one that answers at once must not recurse. */
  #pull(): void {
    const source = this.#pulled;
    if (source === undefined || this.#pulling) return;
    this.#pulling = true;
    try {
      while (!this.#full) {
        const given = source.take();
        if (given === undefined) break;
        this.next(given.item);
      }
    } catch (error) {
      this.fail(error);
    }
    this.#pulling = false;
    if (source.done) this.complete();
  }

  #stop(done: () => void): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#pulled?.leave();
    this.#dropAll('Nobody listens to the stream any more.');
    if (this.#run === undefined) done();
    else this.#run.leave(done);
  }

  started(entry: Entry<T>): void {
    if (!this.#begun(entry)) return;
    this.#offer();
    this.#pull();
  }

  /** It may be a result; one that is kept is told when it is. */
  said(entry: Entry<T>, value: unknown): void {
    if (this.#options.store === undefined) this.#result(entry, value);
  }

  ended(entry: Entry<T>, node: TaskNode): void {
    this.#begun(entry);
    this.#tasks.delete(entry);
    entry.over = true;
    if (entry.open) {
      const { status, value, error } = node;
      if (status === 'succeeded' || status === 'restored') {
        if (!entry.isStream || this.#options.store !== undefined) this.#result(entry, value);
      } else if (this.#options.onError === 'materialize') {
        const failure: ObservableNotification<unknown> = { kind: 'E', error };
        this.#tell(entry, failure);
      } else if (this.#options.onError !== 'skip') {
        this.#close(entry);
        this.fail(error);
        return;
      }
      if (!this.#ordered) this.#close(entry);
      else this.#release();
    }
    // One more than could start: that of the next start is taken in with this end instead of by itself.
    this.#offer(1);
    this.#pull();
    this.#settle();
  }

  /** It waits for its start no longer; false: it did not. */
  #begun(entry: Entry<T>): boolean {
    if (!entry.waits) return false;
    entry.waits = false;
    this.#ready -= 1;
    return true;
  }

  /** Its results are told, or nobody wants them. */
  #close(entry: Entry<T>): void {
    if (!entry.open) return;
    entry.open = false;
    this.#open -= 1;
  }

  /** False: the value has no room. */
  #makeRoom(): boolean {
    // One that can start at once does not wait; whether it can is known a moment later.
    if (this.#pulled !== undefined || this.#waiting <= this.#capacity) return true;
    const goes = goesWhenFull(String(this.#definition.type), this.#options);
    if (goes === 'newest') return false;
    if (goes === 'oldest') {
      this.#dropOldest('Newer values had no room.');
      return true;
    }
    this.fail(goes);
    return false;
  }

  /** Of those that wait for their start. */
  #dropOldest(why: string): void {
    for (const entry of this.#tasks)
      if (entry.waits && entry.open) {
        this.#drop(entry, why);
        return;
      }
    this.#row.shift();
    this.#contexts.shift();
    this.#places?.shift();
  }

  #enter(run: TaskRun): void {
    if (this.#stopped) {
      run.leave(() => undefined);
      return;
    }
    this.#run = run;
    this.#offer();
    this.#settle();
  }

  /**
   * Makes tasks of values: as many as could start if all slots came free at once, so that the queue has those that count. What
   * waits behind them costs next to nothing.
   */
  #offer(more = 0): void {
    if (this.#offering || this.#run === undefined) return;
    this.#offering = true;
    while (this.#row.size > 0 && this.#mayOffer(this.#run.ahead + more)) {
      const index = this.#taken - this.#row.size;
      const entry = new Entry(this, this.#row.shift() as T, index);
      this.#offerOne(entry, this.#contexts.shift() as AsyncContext, this.#run);
    }
    this.#offering = false;
  }

  /** `most`: ready ones that may wait; where time counts from when one is ready, all have to be. */
  #mayOffer(most: number): boolean {
    return this.#strategy === 'concat' ? this.#tasks.size === 0 : this.#ready < most || this.#isTimed;
  }

  #offerOne(entry: Entry<T>, context: AsyncContext, run: TaskRun): void {
    this.#ready += 1;
    this.#open += 1;
    this.#tasks.add(entry);
    if (this.#ordered) this.#order.push(entry);
    try {
      const place = this.#places?.shift();
      const key = place === undefined ? undefined : this.#keyOf(entry.item, place);
      entry.node = run.offer(this.#definition, entry, context, key);
    } catch (error) {
      this.#tasks.delete(entry);
      this.#close(entry);
      this.fail(error);
      return;
    }
    // Dropped while it was being taken in.
    if (!entry.open && !entry.over) run.drop(entry.node, 'Nobody wants its result.');
  }

  /** @throws RxhiveError INVALID_OPTION, CALLBACK_FAILED */
  #keyOf(item: T, place: number): string {
    const keyOf = this.#options.key;
    if (keyOf === undefined) return String(place);
    return this.#keys.add(
      callUser('key', () => keyOf(item, place)),
      place,
    );
  }

  #result(entry: Entry<T>, value: unknown): void {
    if (this.#stopped || !entry.open) return;
    this.#tell(entry, this.#options.onError === 'materialize' ? { kind: 'N', value } : value);
  }

  #tell(entry: Entry<T>, one: unknown): void {
    if (!this.#ordered || this.#first() === entry) this.#subscriber.next(one);
    else {
      entry.held ??= [];
      entry.held.push(one);
    }
  }

  /** The first in order that is open. */
  #first(): Entry<T> | undefined {
    let first = this.#order.peek();
    for (; first !== undefined && !first.open; first = this.#order.peek()) this.#order.shift();
    return first;
  }

  /** Tells what was held, as far as all before it has ended. */
  #release(): void {
    for (let entry = this.#first(); entry !== undefined; entry = this.#first()) {
      const { held } = entry;
      entry.held = undefined;
      if (held !== undefined) for (const one of held) this.#subscriber.next(one);
      if (!entry.over) return;
      this.#close(entry);
    }
  }

  #settle(): void {
    const run = this.#run;
    if (!this.#completed || this.#open + this.#row.size > 0 || this.#stopped || run === undefined) return;
    this.#stopped = true;
    run.leave((error) => {
      if (error === undefined) this.#subscriber.complete();
      else this.#subscriber.error(error);
    });
  }

  /** Those that wait first, or they would start one after the other in the slots that come free. */
  #dropAll(why: string): void {
    this.#row.clear();
    this.#contexts.clear();
    this.#places?.clear();
    const tasks = [...this.#tasks];
    for (const entry of tasks) if (entry.waits) this.#drop(entry, why);
    for (const entry of tasks) this.#drop(entry, why);
  }

  #drop(entry: Entry<T>, why: string): void {
    if (!entry.open) return;
    this.#close(entry);
    this.#begun(entry);
    if (entry.node !== undefined && !entry.over) this.#run?.drop(entry.node, why);
  }
}
