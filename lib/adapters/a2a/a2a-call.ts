import type { TaskContext } from '../../model/context.js';
import type { Question } from '../../model/question.js';
import { AgentError, agentError, finalError } from '../agent-error.js';
import {
  type A2AEvent,
  type A2AMessage,
  type A2APart,
  type A2AStatus,
  type A2ATask,
  artifactsText,
  isUnsure,
  partsText,
  taskAfter,
} from './a2a-task.js';

interface CallOptions {
  readonly signal?: AbortSignal;
  readonly serviceParameters?: Record<string, string>;
}

/** The part of a client of `@a2a-js/sdk` that is used. */
export interface A2AClient {
  sendMessage(params: never, options?: never): Promise<unknown>;
  sendMessageStream(params: never, options?: never): AsyncIterable<unknown>;
  resubscribeTask(params: never, options?: never): AsyncIterable<unknown>;
  getTask(params: never, options?: never): Promise<unknown>;
  cancelTask(params: never, options?: never): Promise<unknown>;
}

/** What a remote agent has answered with: a task, or a message alone. */
export interface A2AReply {
  /** Text of the artifacts; where there is none, of the last message. */
  readonly text: string;
  readonly task: A2ATask | undefined;
  readonly message: A2AMessage | undefined;
}

/** What {@link converse} is to do. */
export interface A2ACall {
  readonly ctx: TaskContext;
  readonly signal: AbortSignal;
  readonly stream: boolean;
  readonly poll: number;
  readonly context: string | undefined;
  question(said: string): Question;
}

/** Sends a message and follows what becomes of it, until the agent has answered. */
export async function converse(
  client: A2AClient,
  parts: readonly A2APart[],
  call: A2ACall,
  told: (text: string) => void,
): Promise<A2AReply> {
  const talk = new Conversation(client, call, told);
  try {
    await talk.say(parts);
    while (talk.waits) {
      const question = call.question(talk.said || 'The agent needs input.');
      const answer = await call.ctx.ask(question);
      await talk.say([
        typeof answer === 'string' ? { kind: 'text', text: answer } : { kind: 'data', data: answer },
      ]);
    }
    return talk.reply();
  } catch (error) {
    talk.giveUp();
    throw understood(call.ctx.taskId, error);
  }
}

/** Codes of JSON-RPC and A2A for requests that are wrong or cannot be served, now and later. */
const finalCodes: ReadonlySet<unknown> = new Set([
  -32_700, -32_600, -32_601, -32_602, -32_003, -32_004, -32_005, -32_007,
]);

function understood(taskId: string, error: unknown): unknown {
  for (let one = error; one instanceof Error; one = one.cause) {
    const { errorResponse } = one as { errorResponse?: { error?: { code?: unknown } } };
    if (finalCodes.has(errorResponse?.error?.code)) return finalError(taskId, 'other', error);
  }
  return error;
}

/** States in which nothing more comes by itself. */
const still: ReadonlySet<string> = new Set([
  'completed',
  'failed',
  'canceled',
  'rejected',
  'input-required',
  'auth-required',
]);
/** Times a broken stream is taken up again. */
const mostLosses = 3;
/** Ms that the cancellation of a task may take, which nobody waits for. */
const cancelMs = 10_000;

class Conversation {
  readonly #client: A2AClient;
  readonly #call: A2ACall;
  readonly #told: (text: string) => void;
  readonly #options: CallOptions;
  #task: A2ATask | undefined;
  #message: A2AMessage | undefined;
  #text = '';
  /** What an artifact holds has to be asked for. */
  #unsure = false;

  constructor(client: A2AClient, call: A2ACall, told: (text: string) => void) {
    this.#client = client;
    this.#call = call;
    this.#told = told;
    const { carrier = {} } = call.ctx;
    this.#options = { signal: call.signal, serviceParameters: { ...carrier } };
    // The request ends with the signal; the task of the agent has to be told.
    call.signal.addEventListener('abort', () => this.giveUp(), { once: true });
  }

  /** The agent needs input. */
  get waits(): boolean {
    return this.#message === undefined && this.#task?.status.state === 'input-required';
  }

  /** What the agent has said last. */
  get said(): string {
    return partsText((this.#message ?? this.#task?.status.message)?.parts ?? []);
  }

  async say(parts: readonly A2APart[]): Promise<void> {
    const { stream, context, ctx } = this.#call;
    const contextId = this.#task?.contextId ?? context;
    const message = {
      kind: 'message',
      role: 'user',
      messageId: crypto.randomUUID(),
      parts,
      ...(contextId !== undefined && { contextId }),
      ...(this.#task !== undefined && { taskId: this.#task.id }),
      metadata: { idempotencyKey: ctx.idempotencyKey },
    };
    const params = { message } as never;
    // What was said before the answer is not news.
    if (this.#task !== undefined) this.#task = { ...this.#task, status: { state: 'submitted' } };
    if (stream) await this.#follow(this.#client.sendMessageStream(params, this.#options as never));
    else this.#hear((await this.#client.sendMessage(params, this.#options as never)) as A2AEvent);
    await this.#settle();
    if (this.#unsure) await this.#look();
    this.#unsure = false;
  }

  /** Follows a stream, and what it becomes when the connection is lost. */
  async #follow(first: AsyncIterable<unknown>): Promise<void> {
    let events = first;
    for (let losses = 0; ; losses++) {
      try {
        return await this.#listen(events, losses > 0);
      } catch (error) {
        const { signal, ctx } = this.#call;
        const lost = agentError(ctx.taskId, error);
        const isNetwork = lost instanceof AgentError && lost.kind === 'network';
        if (this.#task === undefined || signal.aborted || !isNetwork || losses >= mostLosses) throw error;
        ctx.log('stream lost', String(lost.message));
      }
      if (await this.#look()) return;
      events = this.#client.resubscribeTask({ id: this.#task.id } as never, this.#options as never);
    }
  }

  /**
   * Hears a stream to its end, or that of the task: some servers keep it open. In one that was taken up again the end may be
   * missing, when it came just before; so the task is looked at where nothing comes for a while.
   */
  async #listen(events: AsyncIterable<unknown>, isAgain: boolean): Promise<void> {
    const { ctx, poll } = this.#call;
    const iterator = events[Symbol.asyncIterator]();
    const nap = (): Promise<undefined> => ctx.sleep(10 * poll).then(() => undefined);
    let silence = isAgain ? nap() : undefined;
    let next = iterator.next();
    try {
      for (;;) {
        const found = await (silence === undefined ? next : Promise.race([next, silence]));
        if (found === undefined) {
          if (await this.#look()) return;
          silence = nap();
          continue;
        }
        if (found.done === true) return;
        this.#hear(found.value as A2AEvent);
        if (this.#done) return;
        next = iterator.next();
      }
    } finally {
      // Not waited for: it may be waiting itself, for a word that does not come.
      iterator.return?.().then(undefined, () => undefined);
      silence?.catch(() => undefined);
    }
  }

  /** Looks again and again at a task that goes on without a stream. */
  async #settle(): Promise<void> {
    while (!this.#done && this.#task !== undefined) {
      if (await this.#look()) return;
      await this.#call.ctx.sleep(this.#call.poll);
    }
  }

  async #look(): Promise<boolean> {
    const id = this.#task?.id;
    this.#hear((await this.#client.getTask({ id } as never, this.#options as never)) as A2ATask);
    return this.#done;
  }

  get #done(): boolean {
    return this.#message !== undefined || still.has(this.#task?.status.state ?? '');
  }

  #hear(event: A2AEvent): void {
    if (this.#call.signal.aborted) return;
    if (event.kind === 'message') {
      this.#message = event;
      return;
    }
    const before = this.#task?.status;
    this.#unsure ||= isUnsure(this.#task, event);
    this.#task = taskAfter(this.#task, event) as A2ATask;
    this.#note(before, this.#task.status);
    const text = artifactsText(this.#task);
    if (text === '' || text === this.#text) return;
    this.#text = text;
    this.#told(text);
  }

  /** Progress is a `log` event. */
  #note(before: A2AStatus | undefined, { state, message }: A2AStatus): void {
    const said = message === undefined ? '' : partsText(message.parts);
    const known = before?.message === undefined ? '' : partsText(before.message.parts);
    if (state !== before?.state || said !== known) this.#call.ctx.log(state, said === '' ? undefined : said);
  }

  /** @throws AgentError when the task has not come to a good end */
  reply(): A2AReply {
    const task = this.#task;
    const state = task?.status.state;
    if (this.#message === undefined && state !== 'completed') throw this.#failure(task);
    return { text: this.#text === '' ? this.said : this.#text, task, message: this.#message };
  }

  #failure(task: A2ATask | undefined): unknown {
    const { taskId } = this.#call.ctx;
    const state = task?.status.state ?? 'no answer';
    const facts = task?.status.message?.metadata ?? {};
    const error = new Error(this.said === '' ? `The task has ended: ${state}.` : this.said);
    // What agents of rxhive say of their failures; others may as well.
    for (const name of ['status', 'code', 'retryAfter', 'isRetryable'])
      if (facts[name] !== undefined) Object.assign(error, { [name]: facts[name] });
    if (state !== 'rejected' && state !== 'canceled' && state !== 'auth-required') return error;
    return finalError(taskId, state === 'auth-required' ? 'auth' : 'other', error);
  }

  /** Tells the agent that nobody wants its task any more. */
  giveUp(): void {
    const task = this.#task;
    if (task === undefined || this.#message !== undefined) return;
    const { state } = task.status;
    this.#task = undefined;
    if (still.has(state) && state !== 'input-required' && state !== 'auth-required') return;
    const signal = AbortSignal.timeout(cancelMs);
    this.#client.cancelTask({ id: task.id } as never, { signal } as never).then(undefined, () => undefined);
  }
}
