import { mergeMap, Observable, Subject, type Subscriber, Subscription } from 'rxjs';
import type { AttemptHandle, TaskNode } from '../graph/node.js';
import type { Signal, SignalSink } from '../graph/signal.js';
import { RxhiveError } from '../kernel/errors.js';

/** mergeMap queues quadratically; tokens are made on demand, so its queue stays empty. */
const hardLimit = 1_000_000;
/** Slots of one mergeMap, about: when one is given up, it is looked for in a list of all of them. */
const bundleSize = 256;

/** Begins an attempt of a task; undefined: none begins now. */
type Bind = (node: TaskNode, slot: SignalSink) => AttemptHandle | undefined;

/**
 * The slots of a run. A token of `mergeMap` opens one: an Observable that runs attempts one after the other and emits what
 * they say, each bound to a task in the moment it begins. So the operator is paid for once a slot, not
 * once an attempt.
 */
export class Slots {
  /** Enough for all slots that are open, at about {@link bundleSize} each. */
  readonly #bundles: Subject<TaskNode>[] = [];
  readonly #bind: Bind;
  readonly #onSignal: (signal: Signal) => void;
  /** Slots whose attempt has ended. */
  readonly #idle: Slot[] = [];
  #running: Subscription | undefined;
  /** Tokens made since the newest bundle was opened. */
  #made = 0;
  /** Slots that are open, those of attempts that wait for others as well. */
  #count = 0;

  /** `bind` begins what comes next; `onSignal` gets what attempts say. */
  constructor(bind: Bind, onSignal: (signal: Signal) => void) {
    this.#bind = bind;
    this.#onSignal = onSignal;
  }

  begin(): void {
    this.#running = new Subscription();
    this.#open();
  }

  /** Lets one task more begin. */
  next(node: TaskNode): void {
    const slot = this.#idle.pop();
    if (slot !== undefined) {
      slot.run(node, this.#bind);
      return;
    }
    const { length } = this.#bundles;
    if (this.#count >= length * bundleSize && this.#made >= bundleSize) this.#open();
    // A new bundle is filled first; then all get the same.
    const at = this.#made < bundleSize ? this.#bundles.length - 1 : this.#made % length;
    this.#made += 1;
    this.#bundles[at]?.next(node);
  }

  /** Nothing more begins for now: slots without an attempt that are too many to keep complete. */
  rest(): void {
    while (this.#idle.length > bundleSize) this.#idle.pop()?.complete();
  }

  /** Follows an attempt that was booked beside the queue. */
  beside(node: TaskNode, launch: Bind): void {
    this.#running?.add(this.#slot(node, launch).subscribe(this.#onSignal));
  }

  end(): void {
    this.#running?.unsubscribe();
  }

  #slot(node: TaskNode, bind: Bind): Observable<Signal> {
    return new Observable<Signal>((subscriber) => {
      const slot = new Slot(subscriber, this.#idle);
      this.#count += 1;
      slot.run(node, bind);
      return () => {
        this.#count -= 1;
        slot.leave();
      };
    });
  }

  #open(): void {
    const tokens = new Subject<TaskNode>();
    const signals$ = tokens.pipe(mergeMap((node) => this.#slot(node, this.#bind), hardLimit));
    this.#running?.add(signals$.subscribe(this.#onSignal));
    this.#bundles.push(tokens);
    this.#made = 0;
  }
}

/** One slot, as its attempts see it. */
class Slot implements SignalSink {
  readonly #subscriber: Subscriber<Signal>;
  readonly #idle: Slot[];
  #attempt: AttemptHandle | undefined;

  constructor(subscriber: Subscriber<Signal>, idle: Slot[]) {
    this.#subscriber = subscriber;
    this.#idle = idle;
  }

  run(node: TaskNode, bind: Bind): void {
    const attempt = bind(node, this);
    if (attempt === undefined) this.#idle.push(this);
    else if (!attempt.ended) this.#attempt = attempt; // else it has said so
  }

  emit(signal: Signal): void {
    this.#subscriber.next(signal);
  }

  /** Free before anybody hears of it: the next attempt may begin at once. */
  end(last?: Signal): void {
    this.#attempt = undefined;
    this.#idle.push(this);
    if (last !== undefined) this.#subscriber.next(last);
  }

  complete(): void {
    this.#subscriber.complete();
  }

  /** Nobody follows it any more: an attempt that goes on is stopped. */
  leave(): void {
    const message = 'The attempt was left: its run has let go of it.';
    this.#attempt?.stop(new RxhiveError('ATTEMPT_ENDED', message));
  }
}
