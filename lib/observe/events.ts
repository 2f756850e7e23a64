import { Observable, Subject, type Subscriber } from 'rxjs';
import type { Watch } from '../graph/ports.js';
import type { Clock } from '../kernel/clock.js';
import type { EventBody, WorkflowEvent } from '../model/event.js';

/** The one hot stream of what happens. Nothing is made while nobody listens. */
export class EventHub implements Watch {
  /** What happens from now on. */
  readonly events$: Observable<WorkflowEvent>;
  readonly #subject = new Subject<WorkflowEvent>();
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
      this.#subject.subscribe(listener);
      this.active = this.#subject.observed;
      if (!listener.closed) joined?.(listener);
      return () => {
        this.active = this.#subject.observed;
      };
    });
  }

  /** Stamps `body`, which becomes the event that all who listen share. */
  emit(body: EventBody, at = this.#clock.elapsed()): void {
    this.#seq += 1;
    const stamp = body as unknown as { seq: number; at: number; runId: string };
    stamp.seq = this.#seq;
    stamp.at = at;
    stamp.runId = this.#runId;
    this.#subject.next(body as WorkflowEvent);
  }

  /** Emits when somebody listens. */
  push(body: EventBody): void {
    if (this.active) this.emit(body);
  }

  fail(error: unknown): void {
    this.#subject.error(error);
  }

  complete(): void {
    this.#subject.complete();
  }
}
