import type { RxhiveError } from '../kernel/errors.js';
import type { Channel, Message } from '../model/channel.js';

/** What a task waits for that others have to say or do. */
export interface MessageWait {
  /** `message`: something on a channel; `reply`: an answer; `room`: a slow reader of a full channel. */
  readonly kind: 'message' | 'reply' | 'room';
  /** Names of the channels. */
  readonly channels: readonly string[];
  /** Ids of the tasks that could end it; undefined: any could. */
  readonly from: Iterable<string> | undefined;
  /** A timer ends it. */
  readonly timed: boolean;
  /** The body was given something before, and may be at work on it: nobody can see that. */
  readonly unsure: boolean;
  /** Called first: others may run, and say something, as soon as the slot is given back. */
  began(waiting: Waiting): void;
  /** It never ends: why. */
  fail(error: RxhiveError): void;
  /** Nobody is left who could say anything. */
  over(): void;
}

/** What an attempt has of a wait it began. */
export interface Waiting {
  /** It is over; `done` is called when the task has a slot again, at once while it waits for more. */
  wake(done: () => void): void;
  /** It does not wait any more. */
  leave(): void;
}

/** One reading of channels by an attempt, from where it began on. */
export interface Inlet {
  /** The next message for it, if there is one. */
  take(): Message | undefined;
  /** Nothing comes any more. */
  readonly over: boolean;
  /** Ids of the tasks it reads and that have not ended; undefined: all others. */
  readonly from: ReadonlySet<string> | undefined;
  /** Called when there is something to take, or nothing comes any more. */
  woken: (() => void) | undefined;
  /** Nobody is left who could say anything: takes what is there, and nothing more. */
  finish(): void;
  close(): void;
}

/** Told what comes of a message. */
export interface SendTold {
  /** It is in the log, and its readers have it; or it was so before. */
  done(message: Message): void;
  failed(error: unknown): void;
  /** The channel is full: it waits for these tasks. Called before the others, or not at all. */
  waits(readers: () => Iterable<string>): void;
}

/** Told what comes of asking a task. */
export interface AskTold {
  replied(value: unknown): void;
  failed(error: unknown): void;
  /** There is no reply yet; called before the others, or not at all. */
  waits(): void;
}

/** What one attempt sends and takes. */
export interface Mailbox {
  /** The returned function takes it back while it waits. @throws RxhiveError INVALID_OPTION, NOT_SERIALIZABLE */
  send(channel: Channel<never>, value: unknown, key: string | undefined, told: SendTold): () => void;
  /** @throws RxhiveError INVALID_OPTION */
  open(channels: readonly Channel<never>[], from: Iterable<string> | undefined): Inlet;
  /** What the task itself is asked. */
  requests(from: Iterable<string> | undefined): Inlet;
  /** The returned function stops listening. @throws RxhiveError INVALID_OPTION, NOT_SERIALIZABLE */
  ask(taskId: string, value: unknown, key: string | undefined, told: AskTold): () => void;
  /** Has a request its reply? */
  replied(requestId: string): boolean;
  /** @throws RxhiveError NOT_SERIALIZABLE */
  reply(requestId: string, value: unknown, done: (error?: RxhiveError) => void): void;
  /** The attempt has ended. */
  close(): void;
}
