import { type RxhiveError, truncate } from '../kernel/errors.js';
import type {
  AskOptions,
  Channel,
  Inbox,
  Message,
  ReceiveOneOptions,
  ReceiveOptions,
  Request,
  SendOptions,
} from '../model/channel.js';
import type { Task } from '../model/dependency.js';

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
  began(waiting: OngoingWait): void;
  /** It never ends: why. */
  fail(error: RxhiveError): void;
  /** Nobody is left who could say anything. */
  over(): void;
}

/** What an attempt has of a wait it began. */
export interface OngoingWait {
  /** It is over; `done` is called when the task has a slot again, at once while it waits for more. */
  wake(done: () => void): void;
  /** It does not wait any more. */
  cancel(): void;
}

/** One reading of channels by an attempt, from where it began on. */
export interface MessageReader {
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
export interface SendObserver {
  /** It is in the log, and its readers have it; or it was so before. */
  done(message: Message): void;
  failed(error: unknown): void;
  /** The channel is full: it waits for these tasks. Called before the others, or not at all. */
  waits(readers: () => Iterable<string>): void;
}

/** Told what comes of asking a task. */
export interface AskObserver {
  replied(value: unknown): void;
  failed(error: unknown): void;
  /** There is no reply yet; called before the others, or not at all. */
  waits(): void;
}

/** What one attempt sends and takes. */
export interface Mailbox {
  /** The returned function takes it back while it waits. @throws RxhiveError INVALID_OPTION, NOT_SERIALIZABLE */
  send(channel: Channel<never>, value: unknown, key: string | undefined, observer: SendObserver): () => void;
  /** @throws RxhiveError INVALID_OPTION */
  open(channels: readonly Channel<never>[], from: Iterable<string> | undefined): MessageReader;
  /** What the task itself is asked. */
  requests(from: Iterable<string> | undefined): MessageReader;
  /** The returned function stops listening. @throws RxhiveError INVALID_OPTION, NOT_SERIALIZABLE */
  ask(taskId: string, value: unknown, key: string | undefined, observer: AskObserver): () => void;
  /** Has a request its reply? */
  replied(requestId: string): boolean;
  /** @throws RxhiveError NOT_SERIALIZABLE */
  reply(requestId: string, value: unknown, done: (error?: RxhiveError) => void): void;
  /** The attempt has ended. */
  close(): void;
}

/** The first five of many ids, quoted. */
export function someOf(ids: readonly string[]): string {
  const more = ids.length > 5 ? ` and ${ids.length - 5} more` : '';
  return `${ids
    .slice(0, 5)
    .map((id) => `"${truncate(id)}"`)
    .join(', ')}${more}`;
}

/** What a wait is for, as the end of a sentence. */
export function describeWait({ kind, channels, from }: MessageWait): string {
  const whom = someOf([...(from ?? [])]);
  if (kind === 'reply') return `an answer of ${whom}`;
  const on = someOf(channels);
  if (kind === 'room') return `room in channel ${on}, which ${whom} reads slowly`;
  const what = channels[0]?.startsWith('@') === true ? 'a question' : `a message on channel ${on}`;
  return whom === '' ? `${what} from anyone` : `${what} from ${whom}`;
}

type Begin<T> = (resolve: (value: T) => void, reject: (error: unknown) => void) => (() => void) | undefined;

/** What an attempt lends to what it says and hears. */
export interface AttemptScope {
  /** A promise that also ends with the attempt. */
  promise<T>(begin: Begin<T>): Promise<T>;
  /** @throws RxhiveError ATTEMPT_ENDED */
  alive(what: string): void;
  /** A subscriber of its messages threw. */
  failed(error: unknown): void;
  /** Adds the tasks the body has spawned so far: they may be meant. */
  flush(): void;
}

/** The part of a body's `ctx` that talks with other tasks. */
export interface Messaging {
  send(channel: unknown, value: unknown, options?: SendOptions): Promise<Message>;
  receive(channels: unknown, options?: ReceiveOneOptions): Promise<Message>;
  receive$(channels: unknown, options?: ReceiveOptions): Inbox<Message>;
  requests$(options?: ReceiveOptions): Inbox<Request>;
  ask(task: Task | string, value: unknown, options?: AskOptions): Promise<unknown>;
  /** The attempt has ended. */
  close(): void;
}
