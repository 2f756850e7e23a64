import { from, type ObservableInput, type ObservableNotification, type Subscriber } from 'rxjs';
import type { ItemWatch, TaskNode } from '../graph/node.js';
import { inspect, RxhiveError } from '../kernel/errors.js';
import { callUser, disown } from '../kernel/guard.js';
import type { StreamOptions } from '../model/stream-options.js';
import type { TaskDefinition } from '../model/task.js';
import { goesWhenFull, usualCapacity } from '../model/waiting.js';
import { type Pulled, PulledSource, type PullSink } from './pulled-source.js';
import type { AskForRun, TaskRun } from './task-run.js';

/** What becomes of a value while others are worked on. */
export type Strategy = 'merge' | 'concat' | 'switch' | 'exhaust';

/** Values of a source that is asked for them that wait for their start: it is asked when one has started. */
const ahead = 1;

/** One value on its way. */
export class Entry<T> implements ItemWatch {
  readonly item: T;
  readonly index: number;
  readonly #pass: Pass<T>;
  node: TaskNode | undefined;
  /** Its task has ended, or will never be. */
  over = false;
  /** Its attempt gave a stream: what that says are the results. */
  isStream = false;
  /** Results that have to wait for those of values before. */
  held: unknown[] | undefined;
  /** The value after it, where order counts. */
  after: Entry<T> | undefined;

  constructor(pass: Pass<T>, item: T, index: number) {
    this.#pass = pass;
    this.item = item;
    this.index = index;
  }

  started(): void {
    this.isStream = false;
    this.#pass.started(this);
  }

  streams(): void {
    this.isStream = true;
  }

  value(one: unknown): void {
    this.#pass.said(this, one);
  }

  ended(node: TaskNode): void {
    this.#pass.ended(this, node);
  }
}

/** One subscription of an operator. */
export class Pass<T> implements PullSink<T> {
  readonly #strategy: Strategy;
  readonly #definition: TaskDefinition;
  readonly #options: StreamOptions<string, string, T>;
  readonly #subscriber: Subscriber<unknown>;
  readonly #ordered: boolean;
  readonly #capacity: number;
  #run: TaskRun | undefined;
  /** Values that came before the run was there. */
  readonly #early: Entry<T>[] = [];
  #pulled: PulledSource<T> | undefined;
  /** Values that have not ended, or whose results are held. */
  readonly #open = new Set<Entry<T>>();
  /** Those of them that wait for the one before, and those whose task waits to start. */
  readonly #queue: Entry<T>[] = [];
  readonly #waiting = new Set<Entry<T>>();
  /** The first of them in order of the source, or one before it, and the last: a Set gets slow whose first is asked for often. */
  #head: Entry<T> | undefined;
  #tail: Entry<T> | undefined;
  /** Keys there were, in a log. */
  readonly #keys = new Map<string, number>();
  #index = 0;
  #busy = 0;
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
    this.#pulled = new PulledSource(source as Pulled<T>, this);
    this.#pulled.pull();
  }

  /** Of a source that is asked for values: no other one could start. */
  get full(): boolean {
    return (
      this.#stopped ||
      this.#waiting.size >= ahead ||
      (this.#ordered && this.#open.size > Math.max(this.#capacity, ahead))
    );
  }

  next(value: T): void {
    if (this.#stopped || (this.#strategy === 'exhaust' && this.#busy > 0)) return;
    if (this.#strategy === 'switch')
      for (const entry of [...this.#open]) this.#drop(entry, 'A newer value came.');
    if (!this.#makeRoom()) return;
    const entry = new Entry(this, value, this.#index++);
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

  #stop(done: () => void): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#pulled?.leave();
    this.#queue.length = 0;
    // Those that wait first, or they would start one after the other in the slots that come free.
    for (const entry of [...this.#waiting, ...this.#open])
      this.#drop(entry, 'Nobody listens to the stream any more.');
    if (this.#run === undefined) done();
    else this.#run.leave(done);
  }

  started(entry: Entry<T>): void {
    if (this.#waiting.delete(entry)) this.#pulled?.pull();
  }

  /** It may be a result; one that is kept is told when it is. */
  said(entry: Entry<T>, value: unknown): void {
    if (this.#options.store === undefined) this.#result(entry, value);
  }

  ended(entry: Entry<T>, node: TaskNode): void {
    this.#busy -= 1;
    this.#waiting.delete(entry);
    entry.over = true;
    if (!this.#open.has(entry)) {
      this.#follow();
      this.#pulled?.pull();
      return;
    }
    const { status, value, error } = node;
    if (status === 'succeeded' || status === 'restored') {
      if (!entry.isStream || this.#options.store !== undefined) this.#result(entry, value);
    } else if (this.#options.onError === 'materialize') {
      const failure: ObservableNotification<unknown> = { kind: 'E', error };
      this.#tell(entry, failure);
    } else if (this.#options.onError !== 'skip') {
      this.#open.delete(entry);
      this.fail(error);
      return;
    }
    if (!this.#ordered) this.#open.delete(entry);
    else this.#release();
    this.#follow();
    this.#pulled?.pull();
    this.#settle();
  }

  /** False: the value has no room. */
  #makeRoom(): boolean {
    // One that can start at once does not wait; whether it can is known a moment later.
    if (this.#pulled !== undefined || this.#waiting.size <= this.#capacity) return true;
    const goes = goesWhenFull(String(this.#definition.type), this.#options);
    if (goes === 'newest') return false;
    if (goes === 'oldest') {
      const [oldest] = this.#waiting;
      if (oldest !== undefined) this.#drop(oldest, 'Newer values had no room.');
      return true;
    }
    this.fail(goes);
    return false;
  }

  #enter(run: TaskRun): void {
    if (this.#stopped) {
      run.leave(() => undefined);
      return;
    }
    this.#run = run;
    for (const entry of this.#early.splice(0)) {
      if (this.#open.has(entry)) this.#offer(entry, run);
      else this.#busy -= 1;
    }
    this.#settle();
  }

  #begin(entry: Entry<T>): void {
    this.#busy += 1;
    if (this.#run === undefined) this.#early.push(entry);
    else this.#offer(entry, this.#run);
  }

  #offer(entry: Entry<T>, run: TaskRun): void {
    try {
      const key = this.#options.store === undefined ? undefined : this.#keyOf(entry);
      entry.node = run.offer(this.#definition, entry, key);
    } catch (error) {
      this.#open.delete(entry);
      this.fail(error);
    }
  }

  /** @throws RxhiveError INVALID_OPTION, CALLBACK_FAILED */
  #keyOf({ item, index }: Entry<T>): string {
    const keyOf = this.#options.key;
    if (keyOf === undefined) return String(index);
    const key: unknown = callUser('key', () => keyOf(item, index));
    disown(key);
    const { type: name } = this.#definition;
    if ((typeof key !== 'string' || key === '') && !Number.isFinite(key)) {
      const message = `"${name}": the key of value ${index} is ${inspect(key)}; return a text that is not empty, or a finite number.`;
      throw new RxhiveError('INVALID_OPTION', message);
    }
    const text = String(key);
    const other = this.#keys.get(text);
    if (other !== undefined) {
      const message = `"${name}": values ${other} and ${index} have the same key ${inspect(text)}; return one that differs from all others, for instance with the index in it.`;
      throw new RxhiveError('INVALID_OPTION', message);
    }
    this.#keys.set(text, index);
    return text;
  }

  #result(entry: Entry<T>, value: unknown): void {
    if (this.#stopped || !this.#open.has(entry)) return;
    this.#tell(entry, this.#options.onError === 'materialize' ? { kind: 'N', value } : value);
  }

  #tell(entry: Entry<T>, one: unknown): void {
    if (!this.#ordered || this.#first() === entry) this.#subscriber.next(one);
    else {
      entry.held ??= [];
      entry.held.push(one);
    }
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
      const { held } = entry;
      entry.held = undefined;
      if (held !== undefined) for (const one of held) this.#subscriber.next(one);
      if (!entry.over) return;
      this.#open.delete(entry);
    }
  }

  #follow(): void {
    const next = this.#stopped || this.#busy > 0 ? undefined : this.#queue.shift();
    if (next !== undefined) this.#begin(next);
  }

  #settle(): void {
    const run = this.#run;
    if (!this.#completed || this.#open.size > 0 || this.#stopped || run === undefined) return;
    this.#stopped = true;
    run.leave((error) => {
      if (error === undefined) this.#subscriber.complete();
      else this.#subscriber.error(error);
    });
  }

  #drop(entry: Entry<T>, why: string): void {
    if (!this.#open.delete(entry)) return;
    this.#waiting.delete(entry);
    const at = this.#queue.indexOf(entry);
    if (at >= 0) this.#queue.splice(at, 1);
    if (entry.node !== undefined && !entry.over) this.#run?.drop(entry.node, why);
  }
}
