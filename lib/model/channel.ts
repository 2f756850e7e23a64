import type { Observable } from 'rxjs';
import { inspect, RxhiveError } from '../kernel/errors.js';
import type { Task } from './dependency.js';
import { isSchema, type StandardSchema } from './schema.js';

/** How a channel keeps and bounds its messages. */
export interface ChannelOptions<T = unknown> {
  /**
   * How many of the messages sent before a task reads for the first time it still gets. Whole number from 0, or Infinity:
   * all, whoever starts first. Default Infinity. Messages are kept in memory as long as somebody may get them.
   */
  readonly replay?: number;
  /** Messages a reader may have waiting before the channel is full. Whole number from 1, or Infinity. Default 1,000. */
  readonly capacity?: number;
  /**
   * What happens to a message while a reader has `capacity` waiting. `wait`: `ctx.send` waits, without a slot. `fail`: it
   * rejects with `LimitExceededError`. `drop-oldest`: the slow reader misses its oldest one. Default `wait`.
   */
  readonly onFull?: 'wait' | 'fail' | 'drop-oldest';
  /** Checks each message as it is sent; readers get what it returns. Default: anything that is plain data. */
  readonly schema?: StandardSchema<T>;
}

/** A named stream of messages between tasks of a run; made by {@link channel}. It holds no messages itself. */
export class Channel<in out T = unknown> {
  /** Type of the messages. Exists for the compiler only. */
  declare readonly '~message': (message: T) => T;
  readonly name: string;
  readonly replay: number;
  readonly capacity: number;
  readonly onFull: 'wait' | 'fail' | 'drop-oldest';
  readonly schema: StandardSchema<T> | undefined;

  constructor(name: string, options: ChannelOptions<T>) {
    const problem = problemOf(name, options);
    if (problem !== undefined) throw new RxhiveError('INVALID_OPTION', `channel(): ${problem}`);
    const { replay = Number.POSITIVE_INFINITY, capacity = 1_000, onFull = 'wait', schema } = options;
    this.name = name;
    this.replay = replay;
    this.capacity = capacity;
    this.onFull = onFull;
    this.schema = schema;
  }
}

/**
 * A typed channel: `const claims = channel<string>('claims')`. Tasks of a run say something on it with `ctx.send`, and
 * every task that reads it (`ctx.receive`, `ctx.receive$`) gets each message of the others once, in order. The name tells
 * channels apart in the log: at most 200 characters, no `/`, not beginning with `@`.
 * @throws RxhiveError INVALID_OPTION
 */
export function channel<T>(name: string, options: ChannelOptions<T> = {}): Channel<T> {
  return new Channel<T>(name, options);
}

/** A channel of any type. */
export interface AnyChannel {
  readonly name: string;
  readonly '~message': (message: never) => unknown;
}

/** Type of the messages of a channel. */
export type MessageOf<C> = C extends { readonly '~message': (message: never) => infer T } ? T : never;

/** The envelope of a message, version 1: as readers get it, and as the log keeps it. */
export interface Message<out T = unknown> {
  /** Version of the envelope. */
  readonly v: 1;
  /** `CHANNEL/FROM/SEQ`: the same however often it is read. */
  readonly id: string;
  /** Name of the channel; `@TASK` for what that task was asked. */
  readonly channel: string;
  /** Id of the task that sent it. */
  readonly from: string;
  /** Counts the messages of that task on that channel from 1. */
  readonly seq: number;
  /** When it was sent, in ms as the run's clock counts (by default since 1970). */
  readonly at: number;
  /** Number of the attempt that sent it. */
  readonly attempt: number;
  /** The name it was given by its sender. */
  readonly key?: string;
  readonly value: T;
}

/** What another task asks this one, with a way to answer. */
export interface Request<out T = unknown> extends Message<T> {
  /** It has a reply already, of an attempt before: replying again changes nothing. */
  readonly replied: boolean;
  /**
   * Answers; the first reply counts. Resolves when the reply is in the log.
   * @throws RxhiveError NOT_SERIALIZABLE for what is no plain data
   */
  reply(value: unknown): Promise<void>;
}

/** How something is said. */
export interface SendOptions {
  /**
   * Names the message within its task and channel: when the body runs again (retry, conflict, crash) and says something under
   * the same key, it has been said already, and the first value counts. Default: known again by its value.
   */
  readonly key?: string;
}

/** Whom a task reads, and whether it waits. */
export interface ReceiveOptions {
  /** Only messages of these tasks; no more come when all of them have ended. Default: all others. */
  readonly from?: Task | string | readonly (Task | string)[];
  /**
   * False: the task does other work meanwhile and keeps its slot. Default true: it waits, without a slot, whenever there is
   * no message.
   */
  readonly wait?: boolean;
}

/** How one message is waited for. */
export interface ReceiveOneOptions extends ReceiveOptions {
  /** Ms until it rejects with `TaskTimeoutError`, kind `message`. Default: no limit. */
  readonly timeout?: number;
}

/** How another task is asked. */
export interface AskOptions<R = unknown> extends SendOptions {
  /** Ms until it rejects with `TaskTimeoutError`, kind `reply`. Default: no limit. */
  readonly timeout?: number;
  /** False: the task does other work until the reply comes, and keeps its slot. Default true: it waits without a slot. */
  readonly wait?: boolean;
  /** Checks the reply; what it returns is the answer. `typed<T>()` only says its type. Default: `unknown`. */
  readonly schema?: StandardSchema<R>;
}

/**
 * Messages as they come: an Observable, and an async iterable for `for await`, which takes one when the one before is
 * done.
 */
export type Inbox<T> = Observable<T> & AsyncIterable<T>;

const longestName = 200;

function problemOf(name: unknown, options: ChannelOptions): string | undefined {
  if (!(typeof name === 'string' && /^[^@/][^/]*$/s.test(name) && name.length <= longestName))
    return `the name is ${inspect(name)}; give a text of 1 to ${longestName} characters without "/", not beginning with "@".`;
  if (typeof options !== 'object' || options === null)
    return `the options are ${inspect(options)}; give { replay, capacity, onFull, schema } or nothing.`;
  const { replay, capacity, onFull, schema } = options;
  if (replay !== undefined && !isCount(replay, 0))
    return `replay is ${inspect(replay)}; give a whole number from 0, or Infinity.`;
  if (capacity !== undefined && !isCount(capacity, 1))
    return `capacity is ${inspect(capacity)}; give a whole number from 1, or Infinity.`;
  if (onFull !== undefined && !['wait', 'fail', 'drop-oldest'].includes(onFull))
    return `onFull is ${inspect(onFull)}; give 'wait', 'fail' or 'drop-oldest'.`;
  if (schema !== undefined && !isSchema(schema))
    return `the schema is ${inspect(schema)}; give a Standard Schema (zod, valibot, arktype, ...).`;
  return undefined;
}

function isCount(value: unknown, least: number): boolean {
  return value === Number.POSITIVE_INFINITY || (Number.isInteger(value) && (value as number) >= least);
}
