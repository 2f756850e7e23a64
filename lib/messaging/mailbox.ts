import { sameText } from '../codec/canonical.js';
import { decode, encode } from '../codec/codec.js';
import type { AskObserver, Mailbox, MessageReader, SendObserver } from '../graph/mailbox.js';
import { InvalidMessageError, LimitExceededError, RxhiveError, truncate } from '../kernel/errors.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import { settleMaybe } from '../kernel/maybe-promise.js';
import type { Channel } from '../model/channel.js';
import { placesOf, type StandardSchema, type Validation, validate } from '../model/schema.js';
import type { Sender } from './channel-log.js';
import {
  type ChannelLog,
  ChannelReader,
  MergedReader,
  messageOf,
  type PendingRequest,
  type PendingSend,
  type StoredMessage,
} from './channel-log.js';
import type { Messages } from './messages.js';

/** Which of the messages its task has sent so far an attempt has sent too. */
interface SentBefore {
  /** All before this place. */
  upTo: number;
  readonly beyond: Set<StoredMessage>;
  readonly keys: Set<string>;
}

/**
 * What one attempt sends and takes. A body that runs again says the same again: a message is known by its key, else by
 * its value, and then is not sent twice.
 */
export class AttemptMailbox implements Mailbox {
  readonly #messages: Messages;
  readonly #sender: Sender;
  readonly #sent = new Map<ChannelLog, SentBefore>();
  /** By sender, the last message that was taken. */
  readonly #taken = new Map<ChannelLog, Map<string, number>>();
  readonly #readers = new Set<ChannelReader>();
  readonly #waiting = new Map<PendingSend, ChannelLog>();
  readonly #pending = new Set<PendingRequest>();

  constructor(office: Messages, sender: Sender) {
    this.#messages = office;
    this.#sender = sender;
  }

  send(channel: Channel<never>, value: unknown, key: string | undefined, observer: SendObserver): () => void {
    const log = this.#messages.logOf(channel, this.#sender.task);
    this.#name(log, key);
    const { schema } = channel;
    const offer: PendingSend = { by: this, text: undefined, key, observer, waiting: false };
    if (schema === undefined) offer.text = encode(value, { name: 'the message' });
    log.offers.add(offer);
    this.#waiting.set(offer, log);
    if (schema === undefined) this.#messages.pump(log);
    else this.#check(log, offer, schema, value);
    return () => this.#withdraw(offer);
  }

  /** Sends it, or says that it has to wait (false). */
  place(log: ChannelLog, offer: PendingSend): boolean {
    const { observer, key } = offer;
    const text = offer.text as string;
    const known = this.#known(log, key, text);
    const full = known === undefined && log.slow(this.#sender.task).length > 0;
    const { onFull = 'wait', capacity = 0 } = log.channel ?? {};
    if (full && onFull === 'wait') {
      if (offer.waiting) return false;
      offer.waiting = true;
      observer.waits(() => log.slow(this.#sender.task).map(({ task }) => task));
      return false;
    }
    this.#waiting.delete(offer);
    log.offers.delete(offer);
    if (known !== undefined) {
      this.#repeat(log, known);
      observer.done(messageOf(known));
    } else if (full && onFull === 'fail') {
      const slow = log.slow(this.#sender.task).map(({ task }) => `"${truncate(task)}"`);
      const message = `Channel "${truncate(log.name)}" is full: ${slow.slice(0, 5).join(', ')} did not take ${capacity} messages yet. Raise its capacity or choose another onFull.`;
      observer.failed(new LimitExceededError('capacity', capacity, message));
    } else {
      this.#messages.post(log, this.#sender, {
        text,
        key,
        made: (post) => this.#note(log, post),
        done: (post) => observer.done(messageOf(post)),
        failed: (error) => observer.failed(error),
      });
    }
    return true;
  }

  open(channels: readonly Channel<never>[], from: Iterable<string> | undefined): MessageReader {
    const logs = channels.map((channel) => this.#messages.logOf(channel, this.#sender.task));
    const readers = logs.map((log) => this.#open(log, from));
    const [only] = readers;
    return readers.length === 1 && only !== undefined ? only : new MergedReader(readers);
  }

  requests(from: Iterable<string> | undefined): MessageReader {
    const { task } = this.#sender;
    return this.#open(this.#messages.logNamed(`@${task}`, task), from);
  }

  ask(taskId: string, value: unknown, key: string | undefined, observer: AskObserver): () => void {
    const log = this.#messages.logNamed(`@${taskId}`, this.#sender.task);
    this.#name(log, key);
    const text = encode(value, { name: 'the message' });
    const known = this.#known(log, key, text);
    if (known !== undefined) this.#repeat(log, known);
    const silent = this.#messages.noReply(taskId);
    if (known?.reply !== undefined) observer.replied(decode(known.reply));
    else if (silent !== undefined) observer.failed(silent);
    else if (known === undefined && this.#sender.replaying)
      observer.failed(notAsked(this.#sender.task, taskId));
    else {
      const asking: PendingRequest = { post: known, waits: true, observer };
      this.#pending.add(asking);
      const asks = (post: StoredMessage): void => {
        if (!this.#pending.has(asking)) return;
        asking.post = post;
        post.askers ??= new Set();
        post.askers.add(asking);
        this.#messages.refuse(post, taskId);
      };
      if (known !== undefined) asks(known);
      else
        this.#messages.post(log, this.#sender, {
          text,
          key,
          made: (post) => this.#note(log, post),
          done: asks,
          failed: (error) => observer.failed(error),
        });
      // After it is asked: nobody else may be left to speak.
      if (asking.waits) observer.waits();
      return () => this.#cancelRequest(asking);
    }
    return () => undefined;
  }

  replied(requestId: string): boolean {
    return this.#messages.request(requestId)?.reply !== undefined;
  }

  reply(requestId: string, value: unknown, done: (error?: RxhiveError) => void): void {
    const post = this.#messages.request(requestId);
    if (post === undefined) done();
    else this.#messages.reply(post, this.#sender.task, value, done);
  }

  close(): void {
    for (const offer of [...this.#waiting.keys()]) this.#withdraw(offer);
    for (const asking of [...this.#pending]) this.#cancelRequest(asking);
    for (const reader of [...this.#readers]) reader.close();
  }

  #open(log: ChannelLog, from: Iterable<string> | undefined): ChannelReader {
    const { task } = this.#sender;
    const taken = getOrInsert(this.#taken, log, () => new Map());
    const reader = new ChannelReader(
      log,
      task,
      this.#messages.startOf(log, task),
      from && new Set(from),
      taken,
    );
    this.#readers.add(reader);
    this.#messages.follow(reader);
    const close = reader.close.bind(reader);
    reader.close = () => {
      this.#readers.delete(reader);
      this.#messages.unfollow(reader);
      close();
    };
    return reader;
  }

  #check(log: ChannelLog, offer: PendingSend, schema: StandardSchema, value: unknown): void {
    const release = this.#messages.hold();
    const refused = (error: unknown): void => {
      release();
      this.#withdraw(offer);
      offer.observer.failed(error);
    };
    const decide = (found: Validation<unknown>): void => {
      release();
      if (!this.#waiting.has(offer)) return;
      try {
        if ('issues' in found) throw new InvalidMessageError(log.name, found.issues, placesOf(found.issues));
        offer.text = encode(found.value, { name: 'the message' });
      } catch (error) {
        refused(error);
        return;
      }
      this.#messages.pump(log);
    };
    settleMaybe(() => validate(schema, value), decide, refused);
  }

  #withdraw(offer: PendingSend): void {
    const log = this.#waiting.get(offer);
    if (log === undefined) return;
    this.#waiting.delete(offer);
    log.offers.delete(offer);
    this.#messages.pump(log);
  }

  #cancelRequest(asking: PendingRequest): void {
    asking.post?.askers?.delete(asking);
    this.#pending.delete(asking);
  }

  /** @throws RxhiveError INVALID_OPTION for a key used twice */
  #name(log: ChannelLog, key: string | undefined): void {
    if (key === undefined) return;
    const { keys } = this.#sentIn(log);
    if (keys.has(key)) {
      const message = `Task "${truncate(this.#sender.task)}" uses the key "${truncate(key)}" twice on "${truncate(log.name)}"; give each message a key of its own.`;
      throw new RxhiveError('INVALID_OPTION', message, { details: { channel: log.name, key } });
    }
    keys.add(key);
  }

  /** What its task has said already, and this attempt not yet. */
  #known(log: ChannelLog, key: string | undefined, text: string): StoredMessage | undefined {
    const sent = log.sentBy(this.#sender.task);
    const { upTo, beyond } = this.#sentIn(log);
    for (let i = upTo; i < sent.length; i++) {
      const post = sent[i] as StoredMessage;
      const fits =
        key === undefined
          ? post.envelope.key === undefined && sameText(post.text, text)
          : post.envelope.key === key;
      if (fits && !beyond.has(post)) return post;
    }
    return undefined;
  }

  #repeat(log: ChannelLog, post: StoredMessage): void {
    this.#note(log, post);
    const { id: messageId, channel } = post.envelope;
    this.#messages.emit('repeated', this.#sender.task, { messageId, channel });
  }

  #note(log: ChannelLog, post: StoredMessage): void {
    const said = this.#sentIn(log);
    said.beyond.add(post);
    const sent = log.sentBy(this.#sender.task);
    while (said.upTo < sent.length && said.beyond.delete(sent[said.upTo] as StoredMessage)) said.upTo += 1;
  }

  #sentIn(log: ChannelLog): SentBefore {
    return getOrInsert(this.#sent, log, () => ({ upTo: 0, beyond: new Set(), keys: new Set() }));
  }
}

function notAsked(task: string, other: string): RxhiveError {
  const message = `Task "${truncate(task)}" is called again for the tasks it had added, and asks "${truncate(other)}" what it had not asked before; say the same, or look at ctx.replaying first.`;
  return new RxhiveError('NO_REPLY', message, { details: { taskId: other } });
}
