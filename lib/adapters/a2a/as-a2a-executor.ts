import { messageOf, truncate } from '../../kernel/errors.js';
import { jsonOrText } from '../../kernel/json-or-text.js';
import type { WorkflowEvent } from '../../model/event.js';
import { PartialWorkflowError } from '../../model/partial-error.js';
import type { UsageReport } from '../../model/usage.js';
import { AgentError } from '../agent-error.js';
import { type AskedQuestion, callFlow } from '../flow-tool.js';
import { answerOf, inTurn, lastTasks, type Offer, type OfferOptions } from '../offer.js';
import { type A2APart, partsText } from './a2a-task.js';

/** What a workflow that is served by A2A is asked. */
export interface A2AAsked {
  /** Text of the message. */
  readonly prompt: string;
  readonly parts: readonly A2APart[];
  readonly taskId: string;
  /** The conversation: the same for messages that belong together. */
  readonly contextId: string;
}

/** How a workflow is served. */
export interface A2AExecutorOptions extends OfferOptions<A2AAsked> {
  /** The input of the run. Default: the data of a message without text, else `{ prompt }`. */
  readonly input?: (asked: A2AAsked) => unknown;
  /** What is told of an event while the task works. Default: nothing. */
  readonly progress?: (event: WorkflowEvent) => string | undefined;
}

/** The part of a request that is used. */
interface A2ARequest {
  readonly userMessage: { readonly parts: readonly unknown[] };
  readonly taskId: string;
  readonly contextId: string;
  readonly task?: object;
}

/** Where events of a task go. */
interface A2ABus {
  publish(event: never): void;
  finished(): void;
}

/** An `AgentExecutor` of `@a2a-js/sdk`. */
export interface A2AExecutor {
  execute(request: A2ARequest, bus: A2ABus): Promise<void>;
  cancelTask(taskId: string, bus: A2ABus): Promise<void>;
}

/**
 * A workflow or an orchestrator as an `AgentExecutor` of `@a2a-js/sdk`, for its `DefaultRequestHandler`: each message that
 * begins a task is a run. A stream of the task that no other depends on is a growing artifact, `tasks/cancel` cancels the
 * run, an open question is `input-required`, and the next message of the task its answer.
 *
 * ```ts
 * const handler = new DefaultRequestHandler(card, new InMemoryTaskStore(), asA2AExecutor(flow));
 * app.use('/a2a', jsonRpcHandler({ requestHandler: handler, userBuilder: UserBuilder.noAuthentication }));
 * ```
 */
export function asA2AExecutor(offer: Offer<A2AAsked>, options: A2AExecutorOptions = {}): A2AExecutor {
  const going = new Map<string, ServedTask>();
  const start = inTurn(offer);
  return {
    execute: async (request, bus) => {
      const known = going.get(request.taskId);
      if (known !== undefined) return known.goOn(request, bus);
      const task = new ServedTask(offer, options, request, bus);
      going.set(request.taskId, task);
      start(() => task.work()).then(() => going.delete(request.taskId));
      await task.rest();
    },
    cancelTask: async (taskId, bus) => {
      going.get(taskId)?.stop();
      publish(bus, statusOf({ taskId, contextId: '' }, 'canceled'));
      bus.finished();
    },
  };
}

interface Ids {
  readonly taskId: string;
  readonly contextId: string;
}

/** One task of A2A, which is one run. */
class ServedTask {
  readonly #offer: Offer<A2AAsked>;
  readonly #options: A2AExecutorOptions;
  readonly #asked: A2AAsked;
  readonly #ids: Ids;
  readonly #abort = new AbortController();
  #bus: A2ABus;
  /** Questions that are open, the oldest first. */
  readonly #open: (Pick<AskedQuestion, 'prompt' | 'schema'> & { answer(value: unknown): void })[] = [];
  /** Who waits until nothing more comes by itself. */
  #resting: (() => void) | undefined;
  #ended = false;
  #text: string | undefined;

  constructor(offer: Offer<A2AAsked>, options: A2AExecutorOptions, request: A2ARequest, bus: A2ABus) {
    const { taskId, contextId, userMessage, task } = request;
    const parts = userMessage.parts as readonly A2APart[];
    this.#offer = offer;
    this.#options = options;
    this.#ids = { taskId, contextId };
    this.#asked = { prompt: partsText(parts.filter(isText)), parts, taskId, contextId };
    this.#bus = bus;
    if (task === undefined)
      publish(bus, {
        kind: 'task',
        id: taskId,
        contextId,
        status: { state: 'submitted', timestamp: new Date().toISOString() },
        history: [userMessage],
      });
    publish(bus, statusOf(this.#ids, 'working'));
  }

  /** Never rejects: a failed run is a failed task. */
  async work(): Promise<void> {
    const { input = inputOf, output, run, progress } = this.#options;
    let usage: UsageReport | undefined;
    try {
      this.#abort.signal.throwIfAborted();
      const runnable = typeof this.#offer === 'function' ? await this.#offer(this.#asked) : this.#offer;
      const last = lastTasks(runnable.definition());
      const answer = await callFlow(
        {
          offer: runnable,
          input,
          ...(run !== undefined && { run }),
          output: (result) => {
            usage = result.report.usage;
            return answerOf(runnable, result, output);
          },
        },
        this.#asked,
        {
          signal: this.#abort.signal,
          event: (event) => {
            const said = progress?.(event);
            if (said !== undefined) this.#publish(statusOf(this.#ids, 'working', said));
            const isLast = last.length === 1 && event.type === 'value' && event.taskId === last[0];
            if (isLast && output === undefined && typeof event.value === 'string') this.#write(event.value);
          },
          ask: (question, signal) => this.#ask(question, signal),
        },
      );
      this.#give(answer);
      this.#end('completed', undefined, usage === undefined ? {} : { usage: spent(usage) });
    } catch (error) {
      const { said, facts } = failureOf(error);
      this.#end('failed', said, { ...facts, ...(usage !== undefined && { usage: spent(usage) }) });
    }
  }

  /** Resolves when the task has ended, or somebody has to answer. */
  rest(): Promise<void> {
    if (this.#ended) return Promise.resolve();
    return new Promise((done) => {
      this.#resting = done;
    });
  }

  /** The next message of the task. */
  goOn({ userMessage }: A2ARequest, bus: A2ABus): Promise<void> {
    this.#bus = bus;
    const parts = userMessage.parts as readonly A2APart[];
    const question = this.#open.shift();
    publish(bus, statusOf(this.#ids, 'working'));
    const rest = this.rest();
    question?.answer(answerIn(parts, question.schema));
    if (this.#open.length > 0) this.#needInput();
    return rest;
  }

  stop(): void {
    this.#ended = true;
    this.#abort.abort(new Error('The task was cancelled.'));
    this.#resting?.();
  }

  #ask({ prompt, schema }: AskedQuestion, signal: AbortSignal): Promise<unknown> {
    return new Promise((answer) => {
      const question = { prompt, answer, ...(schema !== undefined && { schema }) };
      this.#open.push(question);
      signal.addEventListener('abort', () => {
        const at = this.#open.indexOf(question);
        if (at !== -1) this.#open.splice(at, 1);
        answer(undefined);
      });
      if (this.#open.length === 1) this.#needInput();
    });
  }

  #needInput(): void {
    this.#publish(statusOf(this.#ids, 'input-required', this.#open[0]?.prompt));
    this.#bus.finished();
    this.#resting?.();
  }

  /** A text that grows is sent in pieces. */
  #write(text: string): void {
    const before = this.#text;
    if (text === before || text === '') return;
    const append = before !== undefined && text.startsWith(before);
    this.#text = text;
    this.#artifact({ kind: 'text', text: append ? text.slice(before.length) : text }, append);
  }

  #give(answer: unknown): void {
    if (typeof answer === 'string') this.#write(answer);
    else if (answer !== undefined && answer !== null) {
      const text = JSON.stringify(answer);
      const isRecord = typeof answer === 'object' && !Array.isArray(answer);
      this.#artifact(isRecord ? { kind: 'data', data: JSON.parse(text) } : { kind: 'text', text }, false);
    }
  }

  #artifact(part: A2APart, append: boolean): void {
    const artifact = { artifactId: 'answer', parts: [part] };
    this.#publish({ kind: 'artifact-update', ...this.#ids, artifact, append, lastChunk: false });
  }

  #end(state: string, said: string | undefined, metadata: Readonly<Record<string, unknown>>): void {
    if (this.#ended) return;
    this.#publish(statusOf(this.#ids, state, said, metadata));
    this.#ended = true;
    this.#bus.finished();
    this.#resting?.();
  }

  #publish(event: object): void {
    if (!this.#ended) publish(this.#bus, event);
  }
}

function publish(bus: A2ABus, event: object): void {
  bus.publish(event as never);
}

/** States after which the stream ends. */
const open: ReadonlySet<string> = new Set(['submitted', 'working']);

function statusOf(
  ids: Ids,
  state: string,
  said?: string,
  metadata: Readonly<Record<string, unknown>> = {},
): object {
  const isBare = Object.keys(metadata).length === 0;
  const more = isBare ? {} : { metadata };
  // Of an update that is not streamed only the message is kept.
  const message =
    said === undefined && isBare
      ? undefined
      : {
          kind: 'message',
          role: 'agent',
          messageId: crypto.randomUUID(),
          parts: said === undefined ? [] : [{ kind: 'text', text: said }],
          ...ids,
          ...more,
        };
  const status = { state, timestamp: new Date().toISOString(), ...(message && { message }) };
  return { kind: 'status-update', ...ids, status, final: !open.has(state), ...more };
}

function isText({ kind }: A2APart): boolean {
  return kind === 'text';
}

function inputOf({ prompt, parts }: A2AAsked): unknown {
  const data = parts.find(({ kind }) => kind === 'data');
  return prompt === '' && data !== undefined ? data.data : { prompt };
}

/** Data as they are; text, or what it says as JSON where a schema wants no text. */
function answerIn(parts: readonly A2APart[], schema: AskedQuestion['schema']): unknown {
  const data = parts.find(({ kind }) => kind === 'data');
  if (data !== undefined) return data.data;
  const text = partsText(parts);
  const { type } = (schema ?? {}) as { readonly type?: unknown };
  // Of what is no JSON the schema says what is wrong with it.
  return type === undefined || type === 'string' ? text : jsonOrText(text);
}

function spent({ inputTokens, outputTokens, cost }: UsageReport): object {
  return { inputTokens, outputTokens, cost };
}

/** What is told of a failure: words, and what a client needs to know whether and when to try again. */
function failureOf(error: unknown): { said: string; facts: Readonly<Record<string, unknown>> } {
  const [first] = error instanceof PartialWorkflowError ? error.failed.values() : [];
  const cause: unknown = first ?? error;
  const said = truncate(messageOf(cause));
  if (!(cause instanceof AgentError)) return { said, facts: {} };
  const { status, retryAfter, isRetryable } = cause;
  const facts = {
    isRetryable,
    ...(status !== undefined && { status }),
    ...(retryAfter !== undefined && { retryAfter }),
  };
  return { said, facts };
}
