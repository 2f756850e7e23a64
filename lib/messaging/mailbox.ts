import { sameText } from '../codec/canonical.js';
import { decode, encode } from '../codec/codec.js';
import type { AskTold, Inlet, Mailbox, SendTold } from '../graph/mailbox.js';
import { brief, InvalidMessageError, LimitExceededError, RxhiveError } from '../kernel/errors.js';
import { settle } from '../kernel/maybe-promise.js';
import type { Channel } from '../model/channel.js';
import { type Fit, fit, placesOf, type StandardSchema } from '../model/schema.js';
import type { Sender } from './channel-log.js';
import {
  type Asking,
  type Line,
  LineInlet,
  MergedInlet,
  messageOf,
  type Offer,
  type Post,
} from './channel-log.js';
import type { Messages } from './messages.js';

/** Which of the messages its task has sent so far an attempt has sent too. */
interface Said {
  /** All before this place. */
  upTo: number;
  readonly beyond: Set<Post>;
  readonly keys: Set<string>;
}

/**
 * What one attempt sends and takes. A body that runs again says the same again: a message is known by its key, else by
 * its value, and then is not sent twice.
 */
export class AttemptMailbox implements Mailbox {
  readonly #office: Messages;
  readonly #sender: Sender;
  readonly #said = new Map<Line, Said>();
  /** By sender, the last message that was taken. */
  readonly #taken = new Map<Line, Map<string, number>>();
  readonly #inlets = new Set<LineInlet>();
  readonly #waiting = new Map<Offer, Line>();
  readonly #asked = new Set<Asking>();

  constructor(office: Messages, sender: Sender) {
    this.#office = office;
    this.#sender = sender;
  }

  send(channel: Channel<never>, value: unknown, key: string | undefined, told: SendTold): () => void {
    const line = this.#office.lineOf(channel, this.#sender.task);
    this.#name(line, key);
    const { schema } = channel;
    const offer: Offer = { by: this, text: undefined, key, told, waiting: false };
    if (schema === undefined) offer.text = encode(value, { name: 'the message' });
    line.offers.add(offer);
    this.#waiting.set(offer, line);
    if (schema === undefined) this.#office.pump(line);
    else this.#check(line, offer, schema, value);
    return () => this.#withdraw(offer);
  }

  /** Sends it, or says that it has to wait (false). */
  place(line: Line, offer: Offer): boolean {
    const { told, key } = offer;
    const text = offer.text as string;
    const known = this.#known(line, key, text);
    const full = known === undefined && line.slow(this.#sender.task).length > 0;
    const { onFull = 'wait', capacity = 0 } = line.channel ?? {};
    if (full && onFull === 'wait') {
      if (offer.waiting) return false;
      offer.waiting = true;
      told.waits(() => line.slow(this.#sender.task).map(({ task }) => task));
      return false;
    }
    this.#waiting.delete(offer);
    line.offers.delete(offer);
    if (known !== undefined) {
      this.#repeat(line, known);
      told.done(messageOf(known));
    } else if (full && onFull === 'fail') {
      const slow = line.slow(this.#sender.task).map(({ task }) => `"${brief(task)}"`);
      const message = `Channel "${brief(line.name)}" is full: ${slow.slice(0, 5).join(', ')} did not take ${capacity} messages yet. Raise its capacity or choose another onFull.`;
      told.failed(new LimitExceededError('capacity', capacity, message));
    } else {
      this.#office.post(line, this.#sender, {
        text,
        key,
        made: (post) => this.#note(line, post),
        done: (post) => told.done(messageOf(post)),
        failed: (error) => told.failed(error),
      });
    }
    return true;
  }

  open(channels: readonly Channel<never>[], from: Iterable<string> | undefined): Inlet {
    const lines = channels.map((channel) => this.#office.lineOf(channel, this.#sender.task));
    const inlets = lines.map((line) => this.#open(line, from));
    const [only] = inlets;
    return inlets.length === 1 && only !== undefined ? only : new MergedInlet(inlets);
  }

  requests(from: Iterable<string> | undefined): Inlet {
    const { task } = this.#sender;
    return this.#open(this.#office.lineFor(`@${task}`, task), from);
  }

  ask(taskId: string, value: unknown, key: string | undefined, told: AskTold): () => void {
    const line = this.#office.lineFor(`@${taskId}`, this.#sender.task);
    this.#name(line, key);
    const text = encode(value, { name: 'the message' });
    const known = this.#known(line, key, text);
    if (known !== undefined) this.#repeat(line, known);
    const silent = this.#office.noReply(taskId);
    if (known?.reply !== undefined) told.replied(decode(known.reply));
    else if (silent !== undefined) told.failed(silent);
    else if (known === undefined && this.#sender.replaying) told.failed(notAsked(this.#sender.task, taskId));
    else {
      const asking: Asking = { post: known, waits: true, told };
      this.#asked.add(asking);
      const asks = (post: Post): void => {
        if (!this.#asked.has(asking)) return;
        asking.post = post;
        post.askers ??= new Set();
        post.askers.add(asking);
        this.#office.refuse(post, taskId);
      };
      if (known !== undefined) asks(known);
      else
        this.#office.post(line, this.#sender, {
          text,
          key,
          made: (post) => this.#note(line, post),
          done: asks,
          failed: (error) => told.failed(error),
        });
      // After it is asked: nobody else may be left to speak.
      if (asking.waits) told.waits();
      return () => this.#leave(asking);
    }
    return () => undefined;
  }

  replied(requestId: string): boolean {
    return this.#office.request(requestId)?.reply !== undefined;
  }

  reply(requestId: string, value: unknown, done: (error?: RxhiveError) => void): void {
    const post = this.#office.request(requestId);
    if (post === undefined) done();
    else this.#office.reply(post, this.#sender.task, value, done);
  }

  close(): void {
    for (const offer of [...this.#waiting.keys()]) this.#withdraw(offer);
    for (const asking of [...this.#asked]) this.#leave(asking);
    for (const inlet of [...this.#inlets]) inlet.close();
  }

  #open(line: Line, from: Iterable<string> | undefined): LineInlet {
    const { task } = this.#sender;
    let taken = this.#taken.get(line);
    if (taken === undefined) {
      taken = new Map();
      this.#taken.set(line, taken);
    }
    const inlet = new LineInlet(line, task, this.#office.startOf(line, task), from && new Set(from), taken);
    this.#inlets.add(inlet);
    this.#office.follow(inlet);
    const close = inlet.close.bind(inlet);
    inlet.close = () => {
      this.#inlets.delete(inlet);
      this.#office.unfollow(inlet);
      close();
    };
    return inlet;
  }

  #check(line: Line, offer: Offer, schema: StandardSchema, value: unknown): void {
    const release = this.#office.hold();
    const refused = (error: unknown): void => {
      release();
      this.#withdraw(offer);
      offer.told.failed(error);
    };
    const decide = (found: Fit<unknown>): void => {
      release();
      if (!this.#waiting.has(offer)) return;
      try {
        if ('issues' in found) throw new InvalidMessageError(line.name, found.issues, placesOf(found.issues));
        offer.text = encode(found.value, { name: 'the message' });
      } catch (error) {
        refused(error);
        return;
      }
      this.#office.pump(line);
    };
    settle(() => fit(schema, value), decide, refused);
  }

  #withdraw(offer: Offer): void {
    const line = this.#waiting.get(offer);
    if (line === undefined) return;
    this.#waiting.delete(offer);
    line.offers.delete(offer);
    this.#office.pump(line);
  }

  #leave(asking: Asking): void {
    asking.post?.askers?.delete(asking);
    this.#asked.delete(asking);
  }

  /** @throws RxhiveError INVALID_OPTION for a key used twice */
  #name(line: Line, key: string | undefined): void {
    if (key === undefined) return;
    const { keys } = this.#saidIn(line);
    if (keys.has(key)) {
      const message = `Task "${brief(this.#sender.task)}" uses the key "${brief(key)}" twice on "${brief(line.name)}"; give each message a key of its own.`;
      throw new RxhiveError('INVALID_OPTION', message, { details: { channel: line.name, key } });
    }
    keys.add(key);
  }

  /** What its task has said already, and this attempt not yet. */
  #known(line: Line, key: string | undefined, text: string): Post | undefined {
    const sent = line.sentBy(this.#sender.task);
    const { upTo, beyond } = this.#saidIn(line);
    for (let i = upTo; i < sent.length; i++) {
      const post = sent[i] as Post;
      const fits =
        key === undefined
          ? post.envelope.key === undefined && sameText(post.text, text)
          : post.envelope.key === key;
      if (fits && !beyond.has(post)) return post;
    }
    return undefined;
  }

  #repeat(line: Line, post: Post): void {
    this.#note(line, post);
    const { id: messageId, channel } = post.envelope;
    this.#office.tell('repeated', this.#sender.task, { messageId, channel });
  }

  #note(line: Line, post: Post): void {
    const said = this.#saidIn(line);
    said.beyond.add(post);
    const sent = line.sentBy(this.#sender.task);
    while (said.upTo < sent.length && said.beyond.delete(sent[said.upTo] as Post)) said.upTo += 1;
  }

  #saidIn(line: Line): Said {
    let said = this.#said.get(line);
    if (said === undefined) {
      said = { upTo: 0, beyond: new Set(), keys: new Set() };
      this.#said.set(line, said);
    }
    return said;
  }
}

function notAsked(task: string, other: string): RxhiveError {
  const message = `Task "${brief(task)}" is called again for the tasks it had added, and asks "${brief(other)}" what it had not asked before; say the same, or look at ctx.replaying first.`;
  return new RxhiveError('NO_REPLY', message, { details: { taskId: other } });
}
