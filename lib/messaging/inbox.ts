import type { Subscriber } from 'rxjs';
import type { Inlet } from '../graph/mailbox.js';
import type { RxhiveError } from '../kernel/errors.js';
import { GuardedStream } from '../kernel/guarded-stream.js';
import type { Message } from '../model/channel.js';
import { HeardWait, type WaitFor } from './message-wait.js';

/** What an {@link AttemptInbox} is given to work with. */
export interface InboxPorts<T> {
  open(): Inlet;
  /** Begins to wait, without a slot. */
  waits: WaitFor;
  /** The task gives its slot back while there is no message. */
  readonly gives: boolean;
  readonly channels: readonly string[];
  shape(message: Message): T;
  /** Who reads after the attempt has ended would read, and wait, for another one. @throws RxhiveError ATTEMPT_ENDED */
  alive(what: string): void;
  /** A subscriber threw. */
  failed(error: unknown): void;
  /** A promise that also ends with the attempt. */
  promise<R>(
    begin: (resolve: (value: R) => void, reject: (error: unknown) => void) => (() => void) | undefined,
  ): Promise<R>;
}

/** Gives one message of `inlet` as soon as there is one, or says that none comes any more. */
export function pull(
  inlet: Inlet,
  wait: HeardWait,
  told: { message(message: Message): void; over(): void; failed(error: RxhiveError): void },
): void {
  const look = (): void => {
    const message = inlet.take();
    if (message !== undefined) told.message(message);
    else if (inlet.over) told.over();
    else {
      inlet.woken = () => {
        inlet.woken = undefined;
        // What woke it may have been dropped until there is a slot.
        wait.end(look);
      };
      wait.begin(told.failed, () => inlet.finish());
    }
  };
  look();
}

/** Messages for one attempt: pushed to who subscribes, pulled one after the other by `for await`. */
export class AttemptInbox<T> extends GuardedStream<T> implements AsyncIterable<T> {
  readonly #ports: InboxPorts<T>;

  constructor(ports: InboxPorts<T>) {
    super(ports.failed, (subscriber) => this.#push(subscriber));
    this.#ports = ports;
  }

  [Symbol.asyncIterator](): AsyncIterator<T> {
    this.#ports.alive('receive$');
    const inlet = this.#ports.open();
    let last: Promise<IteratorResult<T>> | undefined;
    return {
      next: () => {
        const take = (): Promise<IteratorResult<T>> => this.#pull(inlet);
        const mine = last === undefined ? take() : last.then(take, take);
        last = mine;
        const free = (): void => {
          if (last === mine) last = undefined;
        };
        mine.then(free, free);
        return mine;
      },
      return: (value?: unknown) => {
        inlet.close();
        return this.#ports.promise((resolve) => {
          resolve({ done: true, value } as IteratorResult<T>);
          return undefined;
        });
      },
    };
  }

  /** One message, when there is one. */
  #pull(inlet: Inlet): Promise<IteratorResult<T>> {
    const { channels, gives, waits, shape, promise, alive } = this.#ports;
    return promise<IteratorResult<T>>((resolve, reject) => {
      alive('receive$');
      const wait = new HeardWait('message', channels, () => inlet.from, waits, gives);
      pull(inlet, wait, {
        message: (message) => resolve({ done: false, value: shape(message) }),
        over: () => {
          inlet.close();
          resolve({ done: true, value: undefined });
        },
        failed: reject,
      });
      return () => {
        inlet.woken = undefined;
        wait.leave();
      };
    });
  }

  #push(subscriber: Subscriber<T>): () => void {
    const { alive, channels, gives, open, shape, waits } = this.#ports;
    alive('receive$');
    const inlet = open();
    const wait = new HeardWait('message', channels, () => inlet.from, waits, gives);
    const failed = (error: RxhiveError): void => subscriber.error(error);
    const look = (): void => {
      if (subscriber.closed) return;
      inlet.woken = undefined;
      for (let message = inlet.take(); message !== undefined; message = inlet.take()) {
        wait.unsure = true;
        subscriber.next(shape(message));
        if (subscriber.closed) return;
      }
      if (inlet.over) {
        subscriber.complete();
        return;
      }
      inlet.woken = () => wait.end(look);
      wait.begin(failed, () => inlet.finish());
    };
    look();
    return () => {
      inlet.close();
      wait.leave();
    };
  }
}
