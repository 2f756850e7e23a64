import { Observable, type Subscriber } from 'rxjs';

/** Connects a subscriber to what it wants to see. */
export type Connect<T> = ((subscriber: Subscriber<T>) => { unsubscribe(): void }) | (() => Observable<T>);

/** Who watches a run: the first to come starts it, and it ends when nobody is left. */
export class RefCount {
  /** What subscribers threw. */
  readonly errors: unknown[] = [];
  #watchers = 0;
  #direct = 0;
  readonly #start: () => void;
  readonly #left: () => void;
  readonly #later: (work: () => void) => unknown;

  /** `later` calls what it is given in the next turn of the event loop. */
  constructor(start: () => void, left: () => void, later: (work: () => void) => unknown) {
    this.#start = start;
    this.#left = left;
    this.#later = later;
  }

  /** Connects a subscriber first and starts the run then, so that it misses nothing. */
  join<T>(subscriber: Subscriber<T>, connect: Connect<T>, direct: boolean): () => void {
    this.#watchers += 1;
    if (direct) this.#direct += 1;
    const connected = connect(subscriber);
    const subscription = connected instanceof Observable ? connected.subscribe(subscriber) : connected;
    this.#start();
    // It has seen all at once: others may come in this turn to watch the rest.
    const atOnce = subscriber.closed && !direct;
    return () => {
      subscription.unsubscribe();
      this.#watchers -= 1;
      if (direct) this.#direct -= 1;
      if (atOnce) this.#later(() => this.#watchers === 0 && this.#left());
      else if ((direct && this.#direct === 0) || this.#watchers === 0) this.#left();
    };
  }

  /** Somebody who does not leave: `result()`. */
  stay(): void {
    this.#watchers += 1;
    this.#start();
  }

  /** The first hundred tell enough; a subscriber that throws for each event must not fill the memory. */
  readonly failed = (error: unknown): void => {
    if (this.errors.length < 100) this.errors.push(error);
  };
}
