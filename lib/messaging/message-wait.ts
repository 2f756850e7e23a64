import type { MessageWait, OngoingWait } from '../graph/mailbox.js';
import type { RxhiveError } from '../kernel/errors.js';

/** Gives the slot of a task back until what it waits for has come. */
export type WaitFor = (wait: MessageWait) => void;

/** A wait of an attempt for what others say; may begin again when it is over. */
export class AttemptWait implements MessageWait {
  readonly kind: MessageWait['kind'];
  readonly channels: readonly string[];
  timed = false;
  unsure = false;
  readonly #from: () => Iterable<string> | undefined;
  readonly #waits: WaitFor;
  readonly #gives: boolean;
  #waiting: OngoingWait | undefined;
  #failed: ((error: RxhiveError) => void) | undefined;
  #over: (() => void) | undefined;
  /** `ending`: it waits for a slot to end with. */
  #state: 'idle' | 'waiting' | 'ending' = 'idle';

  /** `gives`: false for a body that works on meanwhile, and keeps its slot. */
  constructor(
    kind: MessageWait['kind'],
    channels: readonly string[],
    from: () => Iterable<string> | undefined,
    waits: WaitFor,
    gives = true,
  ) {
    this.kind = kind;
    this.channels = channels;
    this.#from = from;
    this.#waits = waits;
    this.#gives = gives;
  }

  get from(): Iterable<string> | undefined {
    return this.#from();
  }

  /** `failed`: it can never end. `over`: nobody is left to say anything. */
  begin(failed: (error: RxhiveError) => void, over?: () => void): void {
    if (!this.#gives) return;
    this.#failed = failed;
    this.#over = over;
    this.#state = 'waiting';
    this.#waits(this);
  }

  began(waiting: OngoingWait): void {
    this.#waiting = waiting;
  }

  /** What it is for has come; `then` is called when the task has a slot. The first reason counts. */
  finish(then: () => void): void {
    if (this.#state === 'idle') then();
    else if (this.#state === 'waiting') {
      this.#state = 'ending';
      this.#waiting?.wake(() => {
        this.#state = 'idle';
        then();
      });
    }
  }

  cancel(): void {
    if (this.#state !== 'waiting') return;
    this.#state = 'idle';
    this.#waiting?.cancel();
  }

  fail(error: RxhiveError): void {
    this.finish(() => this.#failed?.(error));
  }

  over(): void {
    this.#over?.();
  }
}
