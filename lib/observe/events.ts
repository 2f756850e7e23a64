import { EMPTY, Observable, type Subscriber, throwError } from 'rxjs';
import type { Watch } from '../graph/ports.js';
import type { Clock } from '../kernel/clock.js';
import type { EventBody, WorkflowEvent } from '../model/event.js';

/** The one hot stream of what happens. Nothing is made while nobody listens. */
export class EventHub implements Watch {
  /** What happens from now on. */
  readonly events$: Observable<WorkflowEvent>;
  /**
   * Another row for each who comes or leaves: that is for the next event. No `Subject`: it makes more garbage of each event
   * than the event is.
   */
  #listeners: readonly Subscriber<WorkflowEvent>[] = [];
  /** What those hear who come when it is over. */
  #end$: Observable<never> | undefined;
  readonly #runId: string;
  readonly #clock: Pick<Clock, 'elapsed'>;
  #seq = 0;
  /** Does anybody listen? */
  active = false;

  /** `joined` is told who has begun to listen: an event from before may still hold. */
  constructor(
    runId: string,
    clock: Pick<Clock, 'elapsed'>,
    joined?: (listener: Subscriber<WorkflowEvent>) => void,
  ) {
    this.#runId = runId;
    this.#clock = clock;
    this.events$ = new Observable((listener) => {
      if (this.#end$ !== undefined) return this.#end$.subscribe(listener);
      this.#listen([...this.#listeners, listener]);
      joined?.(listener);
      return () => this.#listen(this.#listeners.filter((one) => one !== listener));
    });
  }

  /** Stamps `body`, which becomes the event that all who listen share. */
  emit(body: EventBody, at = this.#clock.elapsed()): void {
    this.#seq += 1;
    const stamp = body as unknown as { seq: number; at: number; runId: string };
    stamp.seq = this.#seq;
    stamp.at = at;
    stamp.runId = this.#runId;
    for (const listener of this.#listeners) listener.next(body as WorkflowEvent);
  }

  /** Emits when somebody listens. */
  push(body: EventBody): void {
    if (this.active) this.emit(body);
  }

  fail(error: unknown): void {
    this.#end(throwError(() => error));
  }

  complete(): void {
    this.#end(EMPTY);
  }

  #end(end$: Observable<never>): void {
    this.#end$ ??= end$;
    for (const listener of this.#listeners) this.#end$.subscribe(listener);
  }

  #listen(listeners: readonly Subscriber<WorkflowEvent>[]): void {
    this.#listeners = listeners;
    this.active = listeners.length > 0;
  }
}
