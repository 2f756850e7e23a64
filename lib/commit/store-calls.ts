import type { StoreWait } from '../graph/ports.js';
import type { Clock, Timer } from '../kernel/clock.js';
import { type RxhiveError, truncate } from '../kernel/errors.js';
import { type MaybePromise, settleMaybe } from '../kernel/maybe-promise.js';
import { storeFailed } from '../model/store-failure.js';

/** What a store can be asked. */
export type StoreCall = 'open' | 'append' | 'close' | 'compact';

/** Ms that a store has for an answer once the run is cancelled, at most. */
const lastPatience = 5_000;
/** Ms after which it is said that one waits. */
const noticeable = 1_000;

/** A call that is not answered yet. */
interface Call {
  readonly name: StoreCall;
  readonly since: number;
  giveUp(): void;
}

/** Asks the store of a run, one thing at a time; knows since when one waits for it, and gives up where that is wanted. */
export class StoreCalls {
  /** The store did not answer in time: nobody knows what it has written, and nothing more is asked of it. */
  silent: RxhiveError | undefined;
  readonly #clock: Clock;
  readonly #runId: string;
  /** Ms for one answer. */
  #within: number;
  #call: Call | undefined;
  #timer: Timer | undefined;

  constructor(clock: Clock, runId: string, within = Number.POSITIVE_INFINITY) {
    this.#clock = clock;
    this.#runId = runId;
    this.#within = within;
  }

  /** Calls `done` or `failed` with what the store answers; at once where it does so. */
  ask<T>(
    name: StoreCall,
    work: () => MaybePromise<T>,
    done: (answer: T) => void,
    failed: (error: unknown) => void,
  ): void {
    let over = false;
    const call: Call = {
      name,
      since: this.#clock.now(),
      giveUp: (): void => end(() => failed(this.#gaveUp(call))),
    };
    const end = (tell: () => void): void => {
      if (over) return;
      over = true;
      if (this.#call === call) this.#waitFor(undefined);
      tell();
    };
    settleMaybe(
      work,
      (answer) => end(() => done(answer)),
      (error) => end(() => failed(error)),
    );
    if (!over) this.#waitFor(call);
  }

  /** For how long, and for what, the run waits; undefined while that is nothing to speak of. */
  get waiting(): StoreWait | undefined {
    const { name, since } = this.#call ?? {};
    if (name === undefined || since === undefined) return undefined;
    const ms = this.#clock.now() - since;
    if (ms < noticeable) return undefined;
    const what = `the store, which has not answered "${name}" for ${(ms / 1_000).toFixed(1)} s; run.cancel() ends the run without it`;
    return { what, opening: name === 'open' };
  }

  /** The run is cancelled: it ends soon, with the store or without it. */
  hurry(): void {
    if (this.#within <= lastPatience) return;
    this.#within = lastPatience;
    // From now on: it may have waited for long.
    if (this.#call !== undefined) this.#arm(this.#call);
  }

  #waitFor(call: Call | undefined): void {
    this.#clock.cancel(this.#timer);
    this.#call = call;
    if (call !== undefined && this.#within !== Number.POSITIVE_INFINITY) this.#arm(call);
  }

  #arm(call: Call): void {
    this.#clock.cancel(this.#timer);
    this.#timer = this.#clock.after(this.#within, () => call.giveUp());
  }

  #gaveUp({ name, since }: Call): RxhiveError {
    const ms = this.#clock.now() - since;
    const what = `The store of run "${truncate(this.#runId)}"`;
    this.silent = storeFailed(what, 'silent', `${name} has not been answered for ${ms} ms`, {
      details: { call: name },
    });
    return this.silent;
  }
}
