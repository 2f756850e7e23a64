import type { Observable, Subscription } from 'rxjs';

/** What a stream of events has said last: that it is complete, or that it failed. */
export type StreamEnd = { readonly error?: unknown };

/** An event that is kept. */
export interface FoundEvent {
  readonly event: string;
  /** Its number, from 0. */
  readonly at: number;
  /** How many before it are not there any more. */
  readonly lost: number;
}

/** The newest events of a stream, as text, for any number of readers, each at its own pace; memory is bounded. */
export class EventBuffer {
  /** Undefined: more may come. */
  end: StreamEnd | undefined;
  readonly #events: string[] = [];
  readonly #most: number;
  readonly #wake: () => void;
  /** Number of the first event that is kept. */
  #first = 0;

  /** `most` events are kept, or up to a tenth more; `wake` is called when there is a new one, or the end. */
  constructor(most: number, wake: () => void) {
    this.#most = most;
    this.#wake = wake;
  }

  /** Number of the event that comes next. */
  get next(): number {
    return this.#first + this.#events.length;
  }

  take(events$: Observable<string>): Subscription {
    this.end = undefined;
    const end = (how: StreamEnd): void => {
      this.end = how;
      this.#wake();
    };
    return events$.subscribe({
      next: (event) => this.#add(event),
      error: (error: unknown) => end({ error }),
      complete: () => end({}),
    });
  }

  /** Event `at`, or the oldest that is kept with the number of those lost; undefined: not there yet. */
  read(at: number): FoundEvent | undefined {
    const from = Math.max(at, this.#first);
    const event = this.#events[from - this.#first];
    return event === undefined ? undefined : { event, at: from, lost: from - at };
  }

  #add(event: string): void {
    this.#events.push(event);
    // In pieces: moving a large array for each event would cost more than the event.
    if (this.#events.length > this.#most * 1.1) {
      const drop = this.#events.length - this.#most;
      this.#events.splice(0, drop);
      this.#first += drop;
    }
    this.#wake();
  }
}
