import type { RxhiveError } from '../kernel/errors.js';
import type { MessageWait, Waiting } from '../model/mail.js';

/** Gives the slot of a task back until what it waits for has come. */
export type WaitFor = (wait: MessageWait) => Waiting;

/** A wait of an attempt for what others say; may begin again when it is over. */
export class HeardWait implements MessageWait {
  readonly kind: MessageWait['kind'];
  readonly channel: string;
  timed = false;
  unsure = false;
  readonly #from: () => Iterable<string> | undefined;
  readonly #waits: WaitFor;
  #waiting: Waiting | undefined;
  #failed: ((error: RxhiveError) => void) | undefined;
  #over: (() => void) | undefined;
  /** What it ends with, while it is just beginning. */
  #early: (() => void) | undefined;
  /** Waits for a slot to end with: the first reason counts. */
  #ending = false;

  constructor(
    kind: MessageWait['kind'],
    channel: string,
    from: () => Iterable<string> | undefined,
    waits: WaitFor,
  ) {
    this.kind = kind;
    this.channel = channel;
    this.#from = from;
    this.#waits = waits;
  }

  get from(): Iterable<string> | undefined {
    return this.#from();
  }

  /** `failed`: it can never end. `over`: nobody is left to say anything. */
  begin(failed: (error: RxhiveError) => void, over?: () => void): void {
    this.#failed = failed;
    this.#over = over;
    const waiting = this.#waits(this);
    this.#waiting = waiting;
    const early = this.#early;
    this.#early = undefined;
    early?.();
  }

  /** What it is for has come; `then` is called when the task has a slot. */
  end(then: () => void): void {
    if (this.#ending) return;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) {
      then();
      return;
    }
    this.#ending = true;
    waiting.wake(() => {
      this.#ending = false;
      then();
    });
  }

  leave(): void {
    this.#waiting?.leave();
    this.#waiting = undefined;
  }

  fail(error: RxhiveError): void {
    this.#soon(() => this.end(() => this.#failed?.(error)));
  }

  over(): void {
    this.#soon(() => this.#over?.());
  }

  /** That nothing can end a wait may be found out before the wait is known here. */
  #soon(work: () => void): void {
    if (this.#waiting === undefined) this.#early = work;
    else work();
  }
}
