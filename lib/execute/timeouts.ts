import type { Clock, Timer } from '../kernel/clock.js';
import { TaskTimeoutError, type TimeoutKind } from '../kernel/errors.js';
import type { TimeoutOptions } from '../model/policy.js';

/** Whose clocks they are, and what ends it when one has run down. */
interface Timed {
  readonly taskId: string;
  broke(error: TaskTimeoutError): void;
}

/** The two clocks of one attempt: how long it takes, and how long nothing comes of its stream. */
export class AttemptTimeouts {
  readonly #clock: Clock;
  readonly #attempt: Timed;
  #timer: Timer | undefined;
  #idle: Timer | undefined;
  readonly #limit: number | undefined;
  readonly #idleMs: number | undefined;
  /** Ms that were left for the attempt when people were asked; undefined while its clocks go. */
  #left: number | undefined;
  #still = false;

  /** Both clocks begin. */
  constructor(clock: Clock, timed: Timed, { attempt, idle }: TimeoutOptions) {
    this.#clock = clock;
    this.#attempt = timed;
    this.#limit = attempt !== undefined && Number.isFinite(attempt) ? attempt : undefined;
    this.#idleMs = idle !== undefined && Number.isFinite(idle) ? idle : undefined;
    if (this.#limit !== undefined) this.#arm(this.#limit, this.#limit);
    this.beat();
  }

  /** A value has come. */
  beat(): void {
    const idle = this.#idleMs;
    if (idle === undefined || this.#still) return;
    this.#clock.cancel(this.#idle);
    this.#idle = this.#clock.after(idle, () => this.#expire('idle', idle));
  }

  /** Stops the clocks while people are asked, or lets them go on. */
  still(still: boolean): void {
    this.#still = still;
    if (still) {
      if (this.#timer !== undefined) this.#left = this.#timer.due - this.#clock.now();
      this.stop();
      return;
    }
    if (this.#limit !== undefined && this.#left !== undefined) this.#arm(this.#limit, this.#left);
    this.beat();
  }

  /** The attempt is over. */
  stop(): void {
    this.#clock.cancel(this.#timer);
    this.#clock.cancel(this.#idle);
  }

  #arm(limit: number, left: number): void {
    this.#timer = this.#clock.after(left, () => this.#expire('attempt', limit));
  }

  #expire(kind: TimeoutKind, limit: number): void {
    this.#attempt.broke(new TaskTimeoutError(this.#attempt.taskId, kind, limit));
  }
}
