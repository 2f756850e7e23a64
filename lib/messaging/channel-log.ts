import { decode } from '../codec/codec.js';
import type { AskTold, Inlet, SendTold } from '../graph/mailbox.js';
import type { RxhiveError } from '../kernel/errors.js';
import type { Channel, Message } from '../model/channel.js';

/** A message that is kept; its value as text, so that each reader gets one of its own. */
export interface Post {
  readonly envelope: Omit<Message, 'value'>;
  readonly text: string;
  /** Its place among all messages of the run. */
  readonly order: number;
  /** What it was answered, as text. */
  reply: string | undefined;
  /** Its reply is being written. */
  replying: boolean;
  askers: Set<Asking> | undefined;
}

/** An attempt that asks. */
export interface Asking {
  readonly told: AskTold;
  post: Post | undefined;
  /** It has not been told anything. */
  waits: boolean;
}

/** A message somebody wants to send. */
export interface Offer {
  readonly by: Placer;
  /** Undefined while its schema is asked. */
  text: string | undefined;
  readonly key: string | undefined;
  readonly told: SendTold;
  waiting: boolean;
}

/** Sends an offer, if there is room; false: it has to wait. */
export interface Placer {
  place(line: Line, offer: Offer): boolean;
}

export function messageOf({ envelope, text }: Post): Message {
  return { ...envelope, value: decode(text) };
}

/** What a {@link Line} tells. */
export interface LinePorts {
  taken(inlet: LineInlet, post: Post): void;
  dropped(inlet: LineInlet, post: Post): void;
  /** Somebody may be told now that there is room. */
  room(line: Line): void;
}

/** The messages of one channel in the order of the log, and who reads them from where on. */
export class Line {
  readonly name: string;
  /** Undefined: what a task is asked, or a channel nobody has used yet in this process. */
  channel: Channel<never> | undefined;
  readonly inlets = new Set<LineInlet>();
  /** First in, first sent, of each sender. */
  readonly offers = new Set<Offer>();
  /** Messages that are being written. */
  writing = 0;
  readonly ports: LinePorts;
  #posts: Post[] = [];
  /** Number of the first message that is kept, from 0. */
  #first = 0;
  /** By task: where its first reading began. */
  readonly #starts = new Map<string, number>();
  readonly #sent = new Map<string, Post[]>();

  constructor(name: string, ports: LinePorts) {
    this.name = name;
    this.ports = ports;
  }

  /** Number of the next message. */
  get end(): number {
    return this.#first + this.#posts.length;
  }

  get posts(): readonly Post[] {
    return this.#posts;
  }

  /** What a task that has not ended has sent, in order. */
  sentBy(task: string): Post[] {
    const sent = this.#sent.get(task);
    if (sent !== undefined) return sent;
    const made: Post[] = [];
    this.#sent.set(task, made);
    return made;
  }

  at(number: number): Post | undefined {
    return this.#posts[number - this.#first];
  }

  /** Readers of what `sender` says that have as much waiting as the channel allows. */
  slow(sender: string): LineInlet[] {
    const { capacity = Number.POSITIVE_INFINITY } = this.channel ?? {};
    if (capacity === Number.POSITIVE_INFINITY) return [];
    return [...this.inlets].filter((one) => one.reads(sender) && one.unread + this.writing >= capacity);
  }

  /** Shows a message to those who read; `wake` calls them. */
  add(post: Post): void {
    this.#posts.push(post);
    const { onFull, capacity = 0 } = this.channel ?? {};
    for (const inlet of this.inlets) {
      if (!inlet.wants(post)) continue;
      inlet.unread += 1;
      if (onFull === 'drop-oldest' && inlet.unread > capacity) inlet.drop();
    }
    this.#trim();
  }

  wake(post: Post): void {
    for (const inlet of [...this.inlets]) if (inlet.wants(post)) inlet.woken?.();
  }

  /** Where a task begins to read; `began` is told of a beginning that is new, and not the first message. */
  startOf(task: string, began: (after: number) => void): number {
    const known = this.#starts.get(task);
    if (known !== undefined) return Math.max(known, this.#first);
    const { replay = Number.POSITIVE_INFINITY } = this.channel ?? {};
    const start = Math.max(this.#first, this.end - replay);
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
    return this.#posts.length === 0 && this.#sent.size === 0 && this.inlets.size === 0;
  }

  /** Drops all messages: nobody reads here any more. */
  clear(): void {
    this.#first = this.end;
    this.#posts = [];
  }

  /** Forgets messages nobody can get any more; in large pieces, so that each costs little. */
  #trim(): void {
    const { replay = Number.POSITIVE_INFINITY, onFull } = this.channel ?? {};
    if (replay === Number.POSITIVE_INFINITY || this.#posts.length < 64) return;
    let from = this.end - replay;
    for (const { next } of this.inlets) from = Math.min(from, next);
    if (onFull !== 'drop-oldest') for (const start of this.#starts.values()) from = Math.min(from, start);
    if (from - this.#first < this.#posts.length / 2) return;
    this.#posts.splice(0, from - this.#first);
    this.#first = from;
  }
}

/** One attempt's reading of a line. */
export class LineInlet implements Inlet {
  readonly task: string;
  woken: (() => void) | undefined;
  /** Messages for it that it has not taken. */
  unread = 0;
  /** Number of the next message to look at. */
  next: number;
  readonly #line: Line;
  readonly #senders: ReadonlySet<string> | undefined;
  readonly #open: Set<string> | undefined;
  /** By sender, the last that the attempt had taken before this reading. */
  readonly #before: ReadonlyMap<string, number>;
  /** The same of this reading; known to others when it is closed. */
  readonly #taken = new Map<string, number>();
  readonly #shared: Map<string, number>;
  #finished = false;

  constructor(
    line: Line,
    task: string,
    start: number,
    senders: ReadonlySet<string> | undefined,
    taken: Map<string, number>,
  ) {
    this.task = task;
    this.next = start;
    this.#line = line;
    this.#senders = senders;
    this.#open = senders && new Set(senders);
    this.#shared = taken;
    this.#before = new Map(taken);
    for (let i = start; i < line.end; i++) if (this.wants(line.at(i))) this.unread += 1;
    const { onFull, capacity = 0 } = line.channel ?? {};
    if (onFull === 'drop-oldest') while (this.unread > capacity) this.#step();
    line.inlets.add(this);
  }

  get from(): ReadonlySet<string> | undefined {
    return this.#open;
  }

  get over(): boolean {
    return this.unread === 0 && (this.#finished || this.#open?.size === 0);
  }

  wants(post: Post | undefined): boolean {
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
    this.#line.ports.taken(this, post);
    if (this.#line.offers.size > 0) this.#line.ports.room(this.#line);
    return messageOf(post);
  }

  /** Makes room by leaving the oldest out. */
  drop(): void {
    const post = this.#step();
    if (post !== undefined) this.#line.ports.dropped(this, post);
  }

  /** A task has ended; true when nothing comes any more because of that. */
  gone(task: string): void {
    if (this.#open?.delete(task) === true && this.over) this.woken?.();
  }

  finish(): void {
    this.#finished = true;
    this.unread = 0;
    this.next = this.#line.end;
    this.woken?.();
  }

  close(): void {
    this.woken = undefined;
    this.#finished = true;
    this.unread = 0;
    for (const [from, seq] of this.#taken) this.#shared.set(from, Math.max(seq, this.#shared.get(from) ?? 0));
    if (this.#line.inlets.delete(this) && this.#line.offers.size > 0) this.#line.ports.room(this.#line);
  }

  /** Place of the next message for it among all of the run; Infinity: there is none. */
  get order(): number {
    return this.#find()?.order ?? Number.POSITIVE_INFINITY;
  }

  #step(): Post | undefined {
    const post = this.#find();
    if (post === undefined) return undefined;
    this.next += 1;
    this.unread -= 1;
    return post;
  }

  #find(): Post | undefined {
    for (; this.next < this.#line.end; this.next++) {
      const post = this.#line.at(this.next);
      if (this.wants(post)) return post;
    }
    return undefined;
  }
}

/** Several lines read as one, in the order in which things were said. */
export class MergedInlet implements Inlet {
  readonly #inlets: readonly LineInlet[];

  constructor(inlets: readonly LineInlet[]) {
    this.#inlets = inlets;
  }

  get from(): ReadonlySet<string> | undefined {
    return this.#inlets[0]?.from;
  }

  get over(): boolean {
    return this.#inlets.every(({ over }) => over);
  }

  set woken(work: (() => void) | undefined) {
    for (const inlet of this.#inlets) inlet.woken = work;
  }

  take(): Message | undefined {
    let [first] = this.#inlets;
    for (const inlet of this.#inlets) if (inlet.order < (first?.order ?? 0)) first = inlet;
    return first?.take();
  }

  finish(): void {
    for (const inlet of this.#inlets) inlet.finish();
  }

  close(): void {
    for (const inlet of this.#inlets) inlet.close();
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
export interface Letter {
  readonly text: string;
  readonly key: string | undefined;
  /** It has its place among the messages of its task, before anybody else hears of it. */
  made(post: Post): void;
  done(post: Post): void;
  failed(error: RxhiveError): void;
}
