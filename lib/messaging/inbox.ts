import type { Subscriber } from 'rxjs';
import type { AttemptScope, MessageReader } from '../graph/mailbox.js';
import type { RxhiveError } from '../kernel/errors.js';
import { GuardedStream } from '../kernel/guarded-stream.js';
import type { Message } from '../model/channel.js';
import { AttemptWait, type WaitFor } from './message-wait.js';

/** What an {@link AttemptInbox} is given to work with. */
export interface InboxPorts<T> extends Pick<AttemptScope, 'alive' | 'failed' | 'promise'> {
  open(): MessageReader;
  /** Begins to wait, without a slot. */
  waits: WaitFor;
  /** The task gives its slot back while there is no message. */
  readonly gives: boolean;
  readonly channels: readonly string[];
  shape(message: Message): T;
}

/** Gives one message of `reader` as soon as there is one, or says that none comes any more. */
export function pull(
  reader: MessageReader,
  wait: AttemptWait,
  observer: { message(message: Message): void; over(): void; failed(error: RxhiveError): void },
): void {
  const look = (): void => {
    const message = reader.take();
    if (message !== undefined) observer.message(message);
    else if (reader.over) observer.over();
    else {
      reader.woken = () => {
        reader.woken = undefined;
        // What woke it may have been dropped until there is a slot.
        wait.finish(look);
      };
      wait.begin(observer.failed, () => reader.finish());
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
    const reader = this.#ports.open();
    let last: Promise<IteratorResult<T>> | undefined;
    return {
      next: () => {
        const take = (): Promise<IteratorResult<T>> => this.#pull(reader);
        const mine = last === undefined ? take() : last.then(take, take);
        last = mine;
        const free = (): void => {
          if (last === mine) last = undefined;
        };
        mine.then(free, free);
        return mine;
      },
      return: (value?: unknown) => {
        reader.close();
        return this.#ports.promise((resolve) => {
          resolve({ done: true, value } as IteratorResult<T>);
          return undefined;
        });
      },
    };
  }

  /** One message, when there is one. */
  #pull(reader: MessageReader): Promise<IteratorResult<T>> {
    const { channels, gives, waits, shape, promise, alive } = this.#ports;
    return promise<IteratorResult<T>>((resolve, reject) => {
      alive('receive$');
      const wait = new AttemptWait('message', channels, () => reader.from, waits, gives);
      pull(reader, wait, {
        message: (message) => resolve({ done: false, value: shape(message) }),
        over: () => {
          reader.close();
          resolve({ done: true, value: undefined });
        },
        failed: reject,
      });
      return () => {
        reader.woken = undefined;
        wait.cancel();
      };
    });
  }

  #push(subscriber: Subscriber<T>): () => void {
    const { alive, channels, gives, open, shape, waits } = this.#ports;
    alive('receive$');
    const reader = open();
    const wait = new AttemptWait('message', channels, () => reader.from, waits, gives);
    const failed = (error: RxhiveError): void => subscriber.error(error);
    const look = (): void => {
      if (subscriber.closed) return;
      reader.woken = undefined;
      for (let message = reader.take(); message !== undefined; message = reader.take()) {
        wait.unsure = true;
        subscriber.next(shape(message));
        if (subscriber.closed) return;
      }
      if (reader.over) {
        subscriber.complete();
        return;
      }
      reader.woken = () => wait.finish(look);
      wait.begin(failed, () => reader.finish());
    };
    look();
    return () => {
      reader.close();
      wait.cancel();
    };
  }
}
