import type { TaskNode } from '../graph/node.js';
import { onAbort } from '../kernel/abort.js';
import { LimitExceededError, RxhiveError, truncate } from '../kernel/errors.js';
import type { QueueOptions } from '../model/run-options.js';

/** Somebody with a task for which there is no room. */
interface Offer {
  take(): void;
  refuse(): void;
}

/** The tasks that were added from outside and have not begun: how many there may be, and what becomes of one too many. */
export class BoundedQueue {
  readonly #options: QueueOptions;
  /** The oldest first. */
  readonly #waiting = new Set<TaskNode>();
  readonly #offers = new Set<Offer>();
  readonly #drop: (node: TaskNode, error: RxhiveError) => void;
  #serving = false;

  /** `drop` ends a task that is one too many. */
  constructor(options: QueueOptions, drop: (node: TaskNode, error: RxhiveError) => void) {
    this.#options = options;
    this.#drop = drop;
  }

  /** One more has to wait for room, or cannot come. */
  get #full(): boolean {
    const { onFull = 'reject', limit } = this.#options;
    const drops = onFull === 'drop-lowest' || onFull === 'drop-oldest';
    // Who came first is not overtaken.
    return !drops && (this.#waiting.size >= limit || (this.#offers.size > 0 && !this.#serving));
  }

  /** Has who offers one more to wait for room? */
  get mustWait(): boolean {
    return this.#options.onFull === 'wait' && this.#full;
  }

  /** May one more come? @throws RxhiveError QUEUE_FULL */
  check(): void {
    if (!this.#full) return;
    const { limit, onFull } = this.#options;
    const cure =
      onFull === 'wait'
        ? 'wait for room with await run.offer(...)'
        : 'try again later, or give queue.onFull "wait" or "drop-oldest"';
    throw new RxhiveError(
      'QUEUE_FULL',
      `${limit} tasks wait already, as many as queue.limit allows; ${cure}.`,
      {
        details: { limit },
      },
    );
  }

  /** A task has come; where it is one too many, one is dropped. */
  add(node: TaskNode): void {
    this.restore(node);
    const { limit, onFull } = this.#options;
    if (this.#waiting.size <= limit) return;
    const victim = onFull === 'drop-oldest' ? this.#oldest() : this.#lowest();
    this.#waiting.delete(victim);
    const message = `Task "${truncate(victim.id)}" was dropped: more than ${limit} tasks waited, as many as queue.limit allows, and onFull is "${onFull}". Raise the limit, or add fewer.`;
    this.#drop(victim, new LimitExceededError('queue', limit, message));
  }

  /** A task of an earlier process has come back: it is not dropped. */
  restore(node: TaskNode): void {
    if (!node.ended && node.attempt === 0) this.#waiting.add(node);
  }

  /** A task has begun, or ended: it does not wait any more. */
  left(node: TaskNode): void {
    if (!this.#waiting.delete(node) || this.#serving) return;
    this.#serving = true;
    for (const offer of this.#offers) {
      if (this.#waiting.size >= this.#options.limit) break;
      this.#offers.delete(offer);
      offer.take();
    }
    this.#serving = false;
  }

  /** Calls `take` as soon as there is room, `refuse` where the run ends before, `gaveUp` where `signal` is aborted before. */
  wait(
    take: () => void,
    refuse: () => void,
    signal: AbortSignal | undefined,
    gaveUp: (reason: unknown) => void,
  ): void {
    const offer = {
      take: () => {
        leave();
        take();
      },
      refuse: () => {
        leave();
        refuse();
      },
    };
    let leave = (): void => undefined;
    this.#offers.add(offer);
    if (signal !== undefined)
      leave = onAbort(signal, (reason) => {
        this.#offers.delete(offer);
        gaveUp(reason);
      });
  }

  /** No room will ever be there: the run ends. */
  close(): void {
    for (const offer of this.#offers) offer.refuse();
    this.#offers.clear();
  }

  #oldest(): TaskNode {
    return this.#waiting.values().next().value as TaskNode;
  }

  /** Of those that are equal the one that came last. */
  #lowest(): TaskNode {
    let lowest: TaskNode | undefined;
    for (const node of this.#waiting)
      if (lowest === undefined || node.priority <= lowest.priority) lowest = node;
    return lowest as TaskNode;
  }
}
