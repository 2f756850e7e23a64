import type { AttemptScope, Mailbox, MessageReader, MessageWait, Messaging } from '../graph/mailbox.js';
import type { TaskNode } from '../graph/node.js';
import { channelIn, meant, scopeOf } from '../graph/scope.js';
import type { Clock } from '../kernel/clock.js';
import { InvalidMessageError, inspect, RxhiveError, TaskTimeoutError, truncate } from '../kernel/errors.js';
import { settleMaybe } from '../kernel/maybe-promise.js';
import {
  type AskOptions,
  Channel,
  type Inbox,
  type Message,
  type ReceiveOneOptions,
  type ReceiveOptions,
  type Request,
  type SendOptions,
} from '../model/channel.js';
import { Task } from '../model/dependency.js';
import { placesOf, type Validation, validate } from '../model/schema.js';
import { AttemptInbox, type InboxPorts, pull } from './inbox.js';
import { AttemptWait, type WaitFor } from './message-wait.js';

/** What {@link TaskMessaging} works with. */
export interface MessagingPorts {
  readonly clock: Clock;
  readonly graph: {
    readonly nodes: ReadonlyMap<string, TaskNode>;
    /** The task of the run that is meant, if there is one. */
    find(task: Task): TaskNode | undefined;
  };
  mailbox(node: TaskNode): Mailbox;
  /** `node` waits for what others say, without a slot. */
  waitForMessage(node: TaskNode, wait: MessageWait): void;
}

/** Sends, receives and asks for one attempt; checks what it was given. */
export class TaskMessaging implements Messaging {
  readonly #node: TaskNode;
  readonly #ports: MessagingPorts;
  readonly #own: AttemptScope;
  readonly #mailbox: Mailbox;
  readonly #waits: WaitFor;

  constructor(node: TaskNode, ports: MessagingPorts, own: AttemptScope) {
    this.#node = node;
    this.#ports = ports;
    this.#own = own;
    this.#mailbox = ports.mailbox(node);
    this.#waits = (wait) => ports.waitForMessage(node, wait);
  }

  send(channel: unknown, value: unknown, options: SendOptions = {}): Promise<Message> {
    const on = channelIn(scopeOf(this.#node), channelOf('send', channel));
    const key = keyOf('send', options);
    return this.#own.promise<Message>((resolve, reject) => {
      let readers: () => Iterable<string> = () => [];
      const wait = new AttemptWait('room', [on.name], () => readers(), this.#waits);
      const leave = this.#mailbox.send(on, value, key, {
        done: (message) => wait.finish(() => resolve(message)),
        failed: (error) => wait.finish(() => reject(error)),
        waits: (slow) => {
          readers = slow;
          wait.begin(reject);
        },
      });
      return () => {
        leave();
        wait.cancel();
      };
    });
  }

  receive(channels: unknown, options: ReceiveOneOptions = {}): Promise<Message> {
    const on = this.#channelsOf('receive', channels);
    const from = this.#idsOf('receive', options.from);
    const timeout = timeoutOf('receive', options);
    return this.#own.promise<Message>((resolve, reject) => {
      const reader = this.#mailbox.open(on, from);
      const wait = new AttemptWait('message', namesOf(on), () => reader.from, this.#waits, options.wait);
      const disarm = this.#limit(timeout, 'message', wait, reject);
      pull(reader, wait, {
        message: resolve,
        over: () => reject(channelEnded(this.#node, on)),
        failed: reject,
      });
      return () => {
        disarm();
        reader.close();
        wait.cancel();
      };
    });
  }

  receive$(channels: unknown, options: ReceiveOptions = {}): Inbox<Message> {
    const on = this.#channelsOf('receive$', channels);
    const from = this.#idsOf('receive$', options.from);
    return this.#inbox(
      namesOf(on),
      options,
      () => this.#mailbox.open(on, from),
      (message) => message,
    );
  }

  requests$(options: ReceiveOptions = {}): Inbox<Request> {
    const from = this.#idsOf('requests$', options.from);
    const open = (): MessageReader => this.#mailbox.requests(from);
    return this.#inbox([`@${this.#node.id}`], options, open, (message) => ({
      ...message,
      replied: this.#mailbox.replied(message.id),
      reply: (value) => this.#reply(message.id, value),
    }));
  }

  ask(task: Task | string, value: unknown, options: AskOptions = {}): Promise<unknown> {
    const [target] = this.#idsOf('ask', task) as [string];
    if (target === this.#node.id)
      throw new RxhiveError('INVALID_OPTION', `Task "${truncate(target)}" asks itself; ask another one.`);
    const key = keyOf('ask', options);
    const timeout = timeoutOf('ask', options);
    const { schema } = options;
    return this.#own.promise<unknown>((resolve, reject) => {
      const wait = new AttemptWait('reply', [`@${target}`], () => [target], this.#waits, options.wait);
      const disarm = this.#limit(timeout, 'reply', wait, reject);
      const leave = this.#mailbox.ask(target, value, key, {
        waits: () => wait.begin(reject),
        failed: (error) => wait.finish(() => reject(error)),
        replied: (reply) =>
          wait.finish(() => {
            if (schema === undefined) return resolve(reply);
            const decide = (found: Validation<unknown>): void => {
              if ('value' in found) resolve(found.value);
              else reject(new InvalidMessageError(`@${target}`, found.issues, placesOf(found.issues)));
            };
            settleMaybe(() => validate(schema, reply), decide, reject);
          }),
      });
      return () => {
        disarm();
        leave();
        wait.cancel();
      };
    });
  }

  /** The attempt has ended. */
  close(): void {
    this.#mailbox.close();
  }

  #reply(requestId: string, value: unknown): Promise<void> {
    this.#own.alive('reply');
    return this.#own.promise<void>((resolve, reject) => {
      this.#mailbox.reply(requestId, value, (error) => (error === undefined ? resolve() : reject(error)));
      return undefined;
    });
  }

  #inbox<T>(
    channels: readonly string[],
    { wait = true }: ReceiveOptions,
    open: () => MessageReader,
    shape: (message: Message) => T,
  ): Inbox<T> {
    const { alive, promise, failed } = this.#own;
    const ports = { open, waits: this.#waits, gives: wait, channels, shape, promise, alive, failed };
    return new AttemptInbox(ports satisfies InboxPorts<T>);
  }

  /** Ends `wait` after `timeout` ms, if that is given. */
  #limit(
    timeout: number | undefined,
    kind: 'message' | 'reply',
    wait: AttemptWait,
    reject: (error: unknown) => void,
  ): () => void {
    if (timeout === undefined) return () => undefined;
    const { clock } = this.#ports;
    wait.timed = true;
    const late = new TaskTimeoutError(this.#node.id, kind, timeout);
    const timer = clock.after(timeout, () => wait.finish(() => reject(late)));
    return () => clock.cancel(timer);
  }

  #channelsOf(what: string, channels: unknown): Channel<never>[] {
    const scope = scopeOf(this.#node);
    return channelsOf(what, channels).map((one) => channelIn(scope, one));
  }

  /** @throws RxhiveError INVALID_OPTION for what is no task of the run */
  #idsOf(what: string, from: ReceiveOptions['from']): string[] | undefined {
    if (from === undefined) return undefined;
    this.#own.flush();
    const scope = scopeOf(this.#node);
    const given: readonly unknown[] = Array.isArray(from) ? from : [from];
    return given.map((one) => {
      const task = typeof one === 'string' ? new Task(one) : one;
      const found = task instanceof Task ? this.#ports.graph.find(meant(scope, task)) : undefined;
      if (found !== undefined) return found.id;
      const name = task instanceof Task ? task.id : one;
      throw new RxhiveError(
        'INVALID_OPTION',
        `ctx.${what} got ${inspect(name)}, which is no task of this run.`,
      );
    });
  }
}

function channelOf(what: string, channel: unknown): Channel<never> {
  if (channel instanceof Channel) return channel as unknown as Channel<never>;
  throw new RxhiveError('INVALID_OPTION', `ctx.${what} got ${inspect(channel)}; give a channel('name').`);
}

function channelsOf(what: string, channels: unknown): Channel<never>[] {
  const list: readonly unknown[] = Array.isArray(channels) && channels.length > 0 ? channels : [channels];
  return [...new Set(list.map((one) => channelOf(what, one)))];
}

function namesOf(channels: readonly Channel<never>[]): string[] {
  return channels.map(({ name }) => name);
}

const longestKey = 200;

function keyOf(what: string, { key }: SendOptions): string | undefined {
  if (key === undefined || (typeof key === 'string' && key !== '' && key.length <= longestKey)) return key;
  throw new RxhiveError(
    'INVALID_OPTION',
    `ctx.${what}: key is ${inspect(key)}; give a text of 1 to ${longestKey} characters.`,
  );
}

function timeoutOf(what: string, { timeout }: { readonly timeout?: number }): number | undefined {
  if (timeout === undefined || timeout === Number.POSITIVE_INFINITY) return undefined;
  if (Number.isFinite(timeout) && timeout > 0) return timeout;
  throw new RxhiveError('INVALID_OPTION', `ctx.${what}: timeout is ${inspect(timeout)}; give ms above 0.`);
}

function channelEnded({ id }: TaskNode, channels: readonly Channel<never>[]): RxhiveError {
  const names = namesOf(channels);
  const shownNames = names.map((name) => `"${truncate(name)}"`).join(', ');
  const message = `Task "${truncate(id)}" waits for a message on channel ${shownNames}, but all that could send one have ended. Read with for await, which ends then, or catch this.`;
  return new RxhiveError('CHANNEL_ENDED', message, { details: { taskId: id, channels: names } });
}
