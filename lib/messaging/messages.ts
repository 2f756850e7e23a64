import { Subject } from 'rxjs';
import { decode, encode } from '../codec/codec.js';
import type { AskObserver, AttemptScope, Mailbox, Messaging } from '../graph/mailbox.js';
import type { TaskNode } from '../graph/node.js';
import type { Watch } from '../graph/ports.js';
import { RxhiveError, truncate } from '../kernel/errors.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import type { Channel, Message } from '../model/channel.js';
import type { EventBody, MessageEvent } from '../model/event.js';
import type { PastMessage, ReaderRecord } from '../model/record.js';
import type { OutgoingMessage, Sender } from './channel-log.js';
import { ChannelLog, type ChannelReader, messageOf, type StoredMessage } from './channel-log.js';
import { type MessagingPorts, TaskMessaging } from './ctx-messages.js';
import { AttemptMailbox } from './mailbox.js';

/** What the messages of a run are given to work with. */
export interface MessagePorts extends Omit<MessagingPorts, 'mailbox'> {
  readonly watch: Watch;
  readonly log: {
    /**
     * Puts a record into the log as the durability of the run asks; `done` is called when others may rely on it, or with
     * the reason why they never can.
     */
    note(body: string, done: (error?: RxhiveError) => void): void;
  };
  /** Nothing is being checked or written any more. */
  settled(): void;
}

/**
 * Messages between the tasks of a run. Each is in the log before a reader gets it; because a log is a prefix of what
 * happened, a reader that is in the log with its result has all that it was given before it there too.
 */
export class Messages {
  /** What is said on channels, as it is said. */
  readonly sent$ = new Subject<Message>();
  readonly #ports: MessagePorts;
  readonly #messaging: MessagingPorts;
  readonly #logs = new Map<string, ChannelLog>();
  /** Lines in which a task has sent or read something. */
  readonly #logsOf = new Map<string, Set<ChannelLog>>();
  /** Readers that wait for messages of a task. */
  readonly #readings = new Map<string, Set<ChannelReader>>();
  /** What tasks that have not ended were asked, by id. */
  readonly #requests = new Map<string, StoredMessage>();
  /** Messages so far. */
  #sent = 0;
  /** Messages that are being checked or written: something is going to be said. */
  #underWay = 0;

  constructor(ports: MessagePorts) {
    this.#ports = ports;
    this.#messaging = { ...ports, mailbox: (node) => this.#mailbox(node) };
  }

  /** Tasks of this run talk. */
  get used(): boolean {
    return this.#logs.size > 0;
  }

  /** Something is being checked or written that somebody may wait for. */
  get busy(): boolean {
    return this.#underWay > 0;
  }

  /** The log has been read. */
  load(records: readonly PastMessage[] = []): void {
    for (const record of records) {
      if (record.kind === 'reader')
        this.logNamed(record.channel, record.task).restart(record.task, record.after);
      else if (record.kind === 'reply') {
        const post = this.#requests.get(record.id);
        if (post !== undefined) post.reply ??= encode(record.value);
      } else {
        const { kind: _, value, ...envelope } = record;
        const log = this.logNamed(envelope.channel, envelope.from);
        const post = this.#postOf(envelope, encode(value));
        log.sentBy(envelope.from).push(post);
        log.add(post);
        if (isAsked(log)) this.#requests.set(envelope.id, post);
      }
    }
  }

  /** The part of the `ctx` of an attempt of `node` that talks. */
  messagingOf(node: TaskNode, own: AttemptScope): Messaging {
    return new TaskMessaging(node, this.#messaging, own);
  }

  /** What an attempt of `node` sends and takes. */
  #mailbox(node: TaskNode): Mailbox {
    const replaying = node.extra?.replay !== undefined;
    return new AttemptMailbox(this, { task: node.id, attempt: node.attempt, replaying });
  }

  /** The line of a channel that `task` uses. @throws RxhiveError INVALID_OPTION for two channels of one name */
  logOf(channel: Channel<never>, task: string): ChannelLog {
    const log = this.logNamed(channel.name, task);
    log.channel ??= channel;
    if (log.channel === channel) return log;
    const message = `Two channels are called "${truncate(channel.name)}"; use one, or give each a name of its own.`;
    throw new RxhiveError('INVALID_OPTION', message, { details: { channel: channel.name } });
  }

  /** The same by name; what a task is asked has the line `@TASK`. */
  logNamed(name: string, task: string): ChannelLog {
    const make = (): ChannelLog =>
      new ChannelLog(name, {
        taken: (reader, { envelope: { id, from } }) =>
          this.emit('received', reader.task, { messageId: id, channel: name, from }),
        dropped: (reader, { envelope: { id, from } }) =>
          this.emit('dropped', reader.task, { messageId: id, channel: name, from }),
        room: (one) => this.pump(one),
      });
    const log = getOrInsert(this.#logs, name, make);
    getOrInsert(this.#logsOf, task, () => new Set()).add(log);
    return log;
  }

  /** Sends what may be sent: of each sender, nothing overtakes what waits. */
  pump(log: ChannelLog): void {
    if (log.offers.size === 0) return;
    const blocked = new Set<unknown>();
    for (const offer of log.offers)
      if (!blocked.has(offer.by) && (offer.text === undefined || !offer.by.place(log, offer)))
        blocked.add(offer.by);
  }

  /** A message becomes durable, then its readers get it. */
  post(
    log: ChannelLog,
    { task, attempt, replaying }: Sender,
    { text, key, made, done, failed }: OutgoingMessage,
  ): void {
    const sent = log.sentBy(task);
    const seq = (sent.at(-1)?.envelope.seq ?? 0) + 1;
    const id = `${log.name}/${task}/${seq}`;
    const at = this.#ports.clock.wall();
    const more = key === undefined ? {} : { key };
    const envelope = { v: 1, id, channel: log.name, from: task, seq, at, attempt, ...more } as const;
    const post = this.#postOf(envelope, text);
    if (replaying) {
      done(post);
      return;
    }
    sent.push(post);
    made(post);
    if (isAsked(log)) this.#requests.set(id, post);
    log.writing += 1;
    this.#note({ kind: 'message', ...envelope }, text, (error) => {
      log.writing -= 1;
      if (error !== undefined) {
        sent.splice(sent.indexOf(post), 1);
        failed(error);
        return;
      }
      log.add(post);
      if (this.#ports.watch.active)
        this.emit(isAsked(log) ? 'asked' : 'sent', task, {
          messageId: id,
          channel: log.name,
          value: decode(text),
        });
      if (this.sent$.observed && !isAsked(log)) this.sent$.next(messageOf(post));
      done(post);
      log.wake(post);
      // Those who do not get this one have room again.
      this.pump(log);
    });
  }

  /** What a task that has not ended was asked. */
  request(id: string): StoredMessage | undefined {
    return this.#requests.get(id);
  }

  /** The reply becomes durable, then those who asked get it. The first counts. */
  reply(post: StoredMessage, from: string, value: unknown, done: (error?: RxhiveError) => void): void {
    const text = encode(value, { name: 'the reply' });
    if (post.reply !== undefined || post.replying) {
      done();
      return;
    }
    const { id, channel } = post.envelope;
    post.replying = true;
    this.#note({ kind: 'reply', v: 1, id, from, at: this.#ports.clock.wall() }, text, (error) => {
      post.replying = false;
      if (error !== undefined) {
        done(error);
        return;
      }
      post.reply = text;
      if (this.#ports.watch.active)
        this.emit('replied', from, { messageId: id, channel, value: decode(text) });
      done();
      for (const { replied } of askersOf(post)) replied(decode(text));
    });
  }

  /** Puts a record with a value that is text already into the log; the value is not written once more. */
  #note(record: object, text: string, done: (error?: RxhiveError) => void): void {
    this.#underWay += 1;
    this.#ports.log.note(`${JSON.stringify(record).slice(0, -1)},"value":${text}}`, (error) => {
      done(error);
      this.#settle();
    });
  }

  /** Where a task begins to read a line; in the log where that could be another place the next time. */
  startOf(log: ChannelLog, task: string): number {
    return log.startOf(task, (after) => {
      const record: ReaderRecord = { kind: 'reader', task, channel: log.name, after };
      this.#ports.log.note(encode(record), () => undefined);
    });
  }

  /** Tells a reading of the ends of those it reads. */
  follow(reader: ChannelReader): void {
    for (const task of [...(reader.from ?? [])]) {
      if (this.#ports.graph.nodes.get(task)?.ended === true) reader.gone(task);
      else {
        getOrInsert(this.#readings, task, () => new Set()).add(reader);
      }
    }
  }

  unfollow(reader: ChannelReader): void {
    for (const task of reader.from ?? []) this.#readings.get(task)?.delete(reader);
  }

  /** Why a task will not reply any more; undefined: it may. */
  noReply(taskId: string): RxhiveError | undefined {
    const node = this.#ports.graph.nodes.get(taskId);
    if (node?.ended !== true) return undefined;
    const message = `Task "${truncate(taskId)}" was asked and has ended (${node.status}) without a reply; answer what ctx.requests$() gives, or ask earlier.`;
    const cause = node.error === undefined ? {} : { cause: node.error };
    return new RxhiveError('NO_REPLY', message, { ...cause, details: { taskId } });
  }

  /** The task has ended: nobody waits for it any more. */
  ended(node: TaskNode): void {
    if (this.#logs.size === 0) return;
    const { id } = node;
    const readings = this.#readings.get(id);
    this.#readings.delete(id);
    for (const reader of readings ?? []) reader.gone(id);
    const asked = this.#logs.get(`@${id}`);
    for (const post of asked?.posts ?? []) {
      this.#requests.delete(post.envelope.id);
      if (post.reply === undefined && !post.replying) this.refuse(post, id);
    }
    asked?.clear();
    for (const log of this.#logsOf.get(id) ?? []) {
      log.forget(id);
      if (log.idle && isAsked(log)) this.#logs.delete(log.name);
    }
    this.#logsOf.delete(id);
  }

  /** Tells those who ask that nobody answers any more, where that is so. */
  refuse(post: StoredMessage, taskId: string): void {
    const error = this.noReply(taskId);
    if (error !== undefined) for (const { failed } of askersOf(post)) failed(error);
  }

  /** Somebody's schema is being asked, for as long as the returned function is not called. */
  hold(): () => void {
    this.#underWay += 1;
    let held = true;
    return () => {
      if (held) this.#settle();
      held = false;
    };
  }

  #postOf(envelope: Omit<Message, 'value'>, text: string): StoredMessage {
    this.#sent += 1;
    return { envelope, text, order: this.#sent, reply: undefined, replying: false, askers: undefined };
  }

  #settle(): void {
    this.#underWay -= 1;
    if (this.#underWay === 0) this.#ports.settled();
  }

  emit(
    reason: MessageEvent['reason'],
    taskId: string,
    facts: Omit<Extract<EventBody, { type: 'message' }>, 'type' | 'reason' | 'taskId'>,
  ): void {
    const { watch } = this.#ports;
    if (watch.active) watch.emit({ type: 'message', reason, taskId, ...facts });
  }
}

/** Those who are told now, and never again. */
function askersOf(post: StoredMessage): AskObserver[] {
  const list = [...(post.askers ?? [])];
  post.askers = undefined;
  for (const asking of list) asking.waits = false;
  return list.map(({ observer }) => observer);
}

function isAsked({ name }: ChannelLog): boolean {
  return name.startsWith('@');
}
