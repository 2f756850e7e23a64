import type { Clock, Timer } from '../kernel/clock.js';
import { settleMaybe } from '../kernel/maybe-promise.js';
import type { SharedAnswer, SharedLimits, SharedMessage } from '../model/shared-limits.js';

/** Ms until a message counts as lost. */
export const deadline = 5_000;

/** Sends one message at a time and hears its answer, or that there is none. */
export class SharedWay {
  /** A message was sent and not answered so far. */
  underWay = false;
  /** When the last one was sent. */
  sent = 0;
  readonly #limits: SharedLimits;
  readonly #clock: Clock;
  #deadline: Timer | undefined;

  constructor(limits: SharedLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  send(
    message: SharedMessage,
    answered: (answer: SharedAnswer) => void,
    unanswered: (error: unknown) => void,
  ): void {
    this.underWay = true;
    this.sent = this.#clock.now();
    let open = true;
    const once = (work: () => void): void => {
      if (!open) return;
      open = false;
      this.underWay = false;
      this.#clock.cancel(this.#deadline);
      work();
    };
    const late = new Error(`no answer within ${deadline / 1000} s`);
    this.#deadline = this.#clock.after(deadline, () => once(() => unanswered(late)));
    settleMaybe(
      () => this.#limits.exchange(message),
      (answer) => once(() => answered(answer)),
      (error) => once(() => unanswered(error)),
    );
  }
}
