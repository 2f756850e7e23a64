import { mergeMap, type Observable, Subject, Subscription } from 'rxjs';
import type { Signal } from '../graph/signal.js';

/** mergeMap queues quadratically; tokens are made on demand, so its queue stays empty. */
const hardLimit = 1_000_000;
/** Slots of one mergeMap, about: when one becomes free, it is looked for in a list of all of them. */
const bundleSize = 256;

/** The slots of a run as tokens; each is bound, in the moment it is made, to the best task there is. */
export class Slots {
  /** Enough for all slots in use, at about {@link bundleSize} each. */
  readonly #bundles: Subject<void>[] = [];
  readonly #bind: () => Observable<Signal>;
  readonly #onSignal: (signal: Signal) => void;
  #running: Subscription | undefined;
  /** Tokens made since the newest bundle was opened. */
  #made = 0;

  /** `onSignal` gets what attempts say. */
  constructor(bind: () => Observable<Signal>, onSignal: (signal: Signal) => void) {
    this.#bind = bind;
    this.#onSignal = onSignal;
  }

  /** Has the run begun to give out slots? */
  get begun(): boolean {
    return this.#running !== undefined;
  }

  begin(): void {
    this.#running = new Subscription();
    this.#open();
  }

  /** Makes one token more, with `active` slots in use. */
  next(active: number): void {
    const { length } = this.#bundles;
    if (active >= length * bundleSize && this.#made >= bundleSize) this.#open();
    // A new bundle is filled first; then all get the same.
    const at = this.#made < bundleSize ? this.#bundles.length - 1 : this.#made % length;
    this.#made += 1;
    this.#bundles[at]?.next();
  }

  /** Follows an attempt that was booked beside the queue. */
  beside(attempt$: Observable<Signal>): void {
    this.#running?.add(attempt$.subscribe(this.#onSignal));
  }

  end(): void {
    this.#running?.unsubscribe();
  }

  #open(): void {
    const tokens = new Subject<void>();
    this.#running?.add(tokens.pipe(mergeMap(() => this.#bind(), hardLimit)).subscribe(this.#onSignal));
    this.#bundles.push(tokens);
    this.#made = 0;
  }
}
