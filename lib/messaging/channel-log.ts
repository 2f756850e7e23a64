import { decode } from '../codec/codec.js';
import type { AskObserver, MessageReader, SendObserver } from '../graph/mailbox.js';
import type { RxhiveError } from '../kernel/errors.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import type { Channel, Message } from '../model/channel.js';

/** A message that is kept; its value as text, so that each reader gets one of its own. */
export interface StoredMessage {
  readonly envelope: Omit<Message, 'value'>;
  readonly text: string;
  /** Its place among all messages of the run. */
  readonly order: number;
  /** What it was answered, as text. */
  reply: string | undefined;
  /** Its reply is being written. */
  replying: boolean;
  askers: Set<PendingRequest> | undefined;
}

/** An attempt that asks. */
export interface PendingRequest {
  readonly observer: AskObserver;
  post: StoredMessage | undefined;
  /** It has not been told anything. */
  waits: boolean;
}

/** A message somebody wants to send. */
export interface PendingSend {
  readonly by: SendPlacer;
  /** Undefined while its schema is asked. */
  text: string | undefined;
  readonly key: string | undefined;
  readonly observer: SendObserver;
  waiting: boolean;
}

/** Sends an offer, if there is room; false: it has to wait. */
export interface SendPlacer {
  place(log: ChannelLog, offer: PendingSend): boolean;
}

export function messageOf({ envelope, text }: StoredMessage): Message {
  return { ...envelope, value: decode(text) };
}

/** What a {@link ChannelLog} tells. */
export interface ChannelLogPorts {
  taken(reader: ChannelReader, post: StoredMessage): void;
  dropped(reader: ChannelReader, post: StoredMessage): void;
  /** Somebody may be told now that there is room. */
  room(log: ChannelLog): void;
}

/** The messages of one channel in the order of the log, and who reads them from where on. */
export class ChannelLog {
  readonly name: string;
  /** Undefined: what a task is asked, or a channel nobody has used yet in this process. */
  channel: Channel<never> | undefined;
  readonly readers = new Set<ChannelReader>();
  /** First in, first sent, of each sender. */
  readonly offers = new Set<PendingSend>();
  /** Messages that are being written. */
  writing = 0;
  readonly ports: ChannelLogPorts;
  #posts: StoredMessage[] = [];
  /** Number of the first message that is kept, from 0. */
  #first = 0;
  /** By task: where its first reading began. */
  readonly #starts = new Map<string, number>();
  readonly #sent = new Map<string, StoredMessage[]>();

  constructor(name: string, ports: ChannelLogPorts) {
    this.name = name;
    this.ports = ports;
  }

  /** Number of the next message. */
  get nextNumber(): number {
    return this.#first + this.#posts.length;
  }

  get posts(): readonly StoredMessage[] {
    return this.#posts;
  }

  /** What a task that has not ended has sent, in order. */
  sentBy(task: string): StoredMessage[] {
    return getOrInsert(this.#sent, task, () => []);
  }

  at(number: number): StoredMessage | undefined {
    return this.#posts[number - this.#first];
  }

  /** Readers of what `sender` says that have as much waiting as the channel allows. */
  slow(sender: string): ChannelReader[] {
    const { capacity = Number.POSITIVE_INFINITY } = this.channel ?? {};
    if (capacity === Number.POSITIVE_INFINITY) return [];
    return [...this.readers].filter((one) => one.reads(sender) && one.unread + this.writing >= capacity);
  }

  /** Shows a message to those who read; `wake` calls them. */
  add(post: StoredMessage): void {
    this.#posts.push(post);
    const { onFull, capacity = 0 } = this.channel ?? {};
    for (const reader of this.readers) {
      if (!reader.wants(post)) continue;
      reader.unread += 1;
      if (onFull === 'drop-oldest' && reader.unread > capacity) reader.drop();
    }
    this.#trim();
  }

  wake(post: StoredMessage): void {
    for (const reader of [...this.readers]) if (reader.wants(post)) reader.woken?.();
  }

  /** Where a task begins to read; `began` is told of a beginning that is new, and not the first message. */
  startOf(task: string, began: (after: number) => void): number {
    const known = this.#starts.get(task);
    if (known !== undefined) return Math.max(known, this.#first);
    const { replay = Number.POSITIVE_INFINITY } = this.channel ?? {};
    const start = Math.max(this.#first, this.nextNumber - replay);
    this.#starts.set(task, start);
    if (replay < Number.POSITIVE_INFINITY) began(start);
    return start;
  }

  /** The log says where a task had begun. */
  restart(task: string, start: number): void {
    this.#starts.set(task, start);
  }

  /** A task has ended: nothing is given to it, or matched with what it says, any more. */
  forget(task: string): void {
    this.#starts.delete(task);
    this.#sent.delete(task);
    this.#trim();
  }

  /** Nobody needs it any more. */
  get idle(): boolean {
    return this.#posts.length === 0 && this.#sent.size === 0 && this.readers.size === 0;
  }

  /** Drops all messages: nobody reads here any more. */
  clear(): void {
    this.#first = this.nextNumber;
    this.#posts = [];
  }

  /** Forgets messages nobody can get any more; in large pieces, so that each costs little. */
  #trim(): void {
    const { replay = Number.POSITIVE_INFINITY, onFull } = this.channel ?? {};
    if (replay === Number.POSITIVE_INFINITY || this.#posts.length < 64) return;
    let from = this.nextNumber - replay;
    for (const { next } of this.readers) from = Math.min(from, next);
    if (onFull !== 'drop-oldest') for (const start of this.#starts.values()) from = Math.min(from, start);
    if (from - this.#first < this.#posts.length / 2) return;
    this.#posts.splice(0, from - this.#first);
    this.#first = from;
  }
}

/** One attempt's reading of a line. */
export class ChannelReader implements MessageReader {
  readonly task: string;
  woken: (() => void) | undefined;
  /** Messages for it that it has not taken. */
  unread = 0;
  /** Number of the next message to look at. */
  next: number;
  readonly #log: ChannelLog;
  readonly #senders: ReadonlySet<string> | undefined;
  readonly #open: Set<string> | undefined;
  /** By sender, the last that the attempt had taken before this reading. */
  readonly #before: ReadonlyMap<string, number>;
  /** The same of this reading; known to others when it is closed. */
  readonly #taken = new Map<string, number>();
  readonly #shared: Map<string, number>;
  #finished = false;

  constructor(
    log: ChannelLog,
    task: string,
    start: number,
    senders: ReadonlySet<string> | undefined,
    taken: Map<string, number>,
  ) {
    this.task = task;
    this.next = start;
    this.#log = log;
    this.#senders = senders;
    this.#open = senders && new Set(senders);
    this.#shared = taken;
    this.#before = new Map(taken);
    for (let i = start; i < log.nextNumber; i++) if (this.wants(log.at(i))) this.unread += 1;
    const { onFull, capacity = 0 } = log.channel ?? {};
    if (onFull === 'drop-oldest') while (this.unread > capacity) this.#step();
    log.readers.add(this);
  }

  get from(): ReadonlySet<string> | undefined {
    return this.#open;
  }

  get over(): boolean {
    return this.unread === 0 && (this.#finished || this.#open?.size === 0);
  }

  wants(post: StoredMessage | undefined): boolean {
    if (post === undefined || this.#finished) return false;
    const { from, seq } = post.envelope;
    return this.reads(from) && seq > (this.#before.get(from) ?? 0);
  }

  /** Nobody is given what it says itself. */
  reads(sender: string): boolean {
    return sender !== this.task && (this.#senders === undefined || this.#senders.has(sender));
  }

  take(): Message | undefined {
    const post = this.#step();
    if (post === undefined) return undefined;
    const { from, seq } = post.envelope;
    this.#taken.set(from, seq);
    this.#log.ports.taken(this, post);
    if (this.#log.offers.size > 0) this.#log.ports.room(this.#log);
    return messageOf(post);
  }

  /** Makes room by leaving the oldest out. */
  drop(): void {
    const post = this.#step();
    if (post !== undefined) this.#log.ports.dropped(this, post);
  }

  /** A task has ended; true when nothing comes any more because of that. */
  gone(task: string): void {
    if (this.#open?.delete(task) === true && this.over) this.woken?.();
  }

  finish(): void {
    this.#finished = true;
    this.unread = 0;
    this.next = this.#log.nextNumber;
    this.woken?.();
  }

  close(): void {
    this.woken = undefined;
    this.#finished = true;
    this.unread = 0;
    for (const [from, seq] of this.#taken) this.#shared.set(from, Math.max(seq, this.#shared.get(from) ?? 0));
    if (this.#log.readers.delete(this) && this.#log.offers.size > 0) this.#log.ports.room(this.#log);
  }

  /** Place of the next message for it among all of the run; Infinity: there is none. */
  get order(): number {
    return this.#find()?.order ?? Number.POSITIVE_INFINITY;
  }

  #step(): StoredMessage | undefined {
    const post = this.#find();
    if (post === undefined) return undefined;
    this.next += 1;
    this.unread -= 1;
    return post;
  }

  #find(): StoredMessage | undefined {
    for (; this.next < this.#log.nextNumber; this.next++) {
      const post = this.#log.at(this.next);
      if (this.wants(post)) return post;
    }
    return undefined;
  }
}

/** Several lines read as one, in the order in which things were said. */
export class MergedReader implements MessageReader {
  readonly #readers: readonly ChannelReader[];

  constructor(readers: readonly ChannelReader[]) {
    this.#readers = readers;
  }

  get from(): ReadonlySet<string> | undefined {
    return this.#readers[0]?.from;
  }

  get over(): boolean {
    return this.#readers.every(({ over }) => over);
  }

  set woken(work: (() => void) | undefined) {
    for (const reader of this.#readers) reader.woken = work;
  }

  take(): Message | undefined {
    let [first] = this.#readers;
    for (const reader of this.#readers) if (reader.order < (first?.order ?? 0)) first = reader;
    return first?.take();
  }

  finish(): void {
    for (const reader of this.#readers) reader.finish();
  }

  close(): void {
    for (const reader of this.#readers) reader.close();
  }
}

/** Who sends. */
export interface Sender {
  readonly task: string;
  readonly attempt: number;
  /** It has finished, and its body is called again for what it had added: it says nothing new. */
  readonly replaying: boolean;
}

/** What is sent, and who is told what comes of it. */
export interface OutgoingMessage {
  readonly text: string;
  readonly key: string | undefined;
  /** It has its place among the messages of its task, before anybody else hears of it. */
  made(post: StoredMessage): void;
  done(post: StoredMessage): void;
  failed(error: RxhiveError): void;
}
