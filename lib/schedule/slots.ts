import { mergeMap, type Observable, Subject, type Subscription } from 'rxjs';
import type { Signal } from '../graph/signal.js';

/** mergeMap queues quadratically; tokens are made on demand, so its queue stays empty. */
const hardLimit = 1_000_000;

/** The slots of a run as tokens; each is bound, in the moment it is made, to the best task there is. */
export class Slots {
  readonly #tokens = new Subject<void>();
  readonly #bind: () => Observable<Signal>;
  readonly #hear: (signal: Signal) => void;
  #running: Subscription | undefined;

  /** `hear` is told what attempts say. */
  constructor(bind: () => Observable<Signal>, hear: (signal: Signal) => void) {
    this.#bind = bind;
    this.#hear = hear;
  }

  /** Has the run begun to give out slots? */
  get begun(): boolean {
    return this.#running !== undefined;
  }

  begin(): void {
    this.#running = this.#tokens.pipe(mergeMap(() => this.#bind(), hardLimit)).subscribe(this.#hear);
  }

  /** Makes one token more. */
  next(): void {
    this.#tokens.next();
  }

  /** Follows an attempt that was booked beside the queue. */
  beside(attempt$: Observable<Signal>): void {
    this.#running?.add(attempt$.subscribe(this.#hear));
  }

  end(): void {
    this.#running?.unsubscribe();
  }
}
