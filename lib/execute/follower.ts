import { type Observer, Subscriber, type TeardownLogic } from 'rxjs';
import { toldTo } from '../kernel/guard.js';

/** Follows an Observable of a user. One that refuses to be torn down is left behind; `failed` is told why. */
export class Follower extends Subscriber<unknown> {
  readonly #failed: (error: unknown) => void;

  constructor(to: Observer<unknown>, failed: (error: unknown) => void) {
    super(to);
    this.#failed = failed;
  }

  /** What a teardown returns nobody waits for; rxjs drops it, and its rejection would end the process. */
  override add(teardown: TeardownLogic): void {
    super.add(typeof teardown === 'function' ? () => void toldTo(teardown, this.#failed) : teardown);
  }

  override unsubscribe(): void {
    toldTo(() => super.unsubscribe(), this.#failed);
  }
}
