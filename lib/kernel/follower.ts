import { type Observer, Subscriber, type TeardownLogic } from 'rxjs';
import { disown, notify } from './guard.js';
import { isPromise } from './maybe-promise.js';

/** Follows an Observable of a user. One that refuses to be torn down is left behind; `failed` is told why. */
export class Follower extends Subscriber<unknown> {
  readonly #failed: (error: unknown) => void;

  constructor(to: Observer<unknown>, failed: (error: unknown) => void) {
    super(to);
    this.#failed = failed;
  }

  /** What a teardown returns nobody waits for; rxjs drops it, and its rejection would end the process. */
  override add(teardown: TeardownLogic): void {
    // What an async function gives that was meant to begin a stream: it fails the stream.
    if (isPromise(teardown)) disown(teardown, (error) => this.error(error));
    else super.add(typeof teardown === 'function' ? () => void notify(teardown, this.#failed) : teardown);
  }

  override unsubscribe(): void {
    notify(() => super.unsubscribe(), this.#failed);
  }
}
