import { Observable } from 'rxjs';
import { onAbort } from '../kernel/abort.js';
import { RxhiveError } from '../kernel/errors.js';
import { checked, number } from '../kernel/option-rules.js';
import type { TaskContext, Usage } from '../model/context.js';
import { agentError } from './agent-error.js';

/**
 * An agent of some framework as rxhive runs it: an agent of a `WorkflowOrchestrator`, or the `run` of a task.
 * Nothing happens before it is subscribed; unsubscribing stops the native agent. Each value of a stream is the text so
 * far, the last one the result. It fails with an `AgentError`.
 */
export type AdaptedAgent<I = unknown, R = string> = (input: I, ctx: TaskContext) => Observable<R>;

/** What the adapters for agents that take a prompt have in common. */
export interface PromptMapping<I> {
  /** The prompt for an input. Default: {@link promptOf}. */
  readonly prompt?: (input: I) => string;
  /** Name of the model, for `prices`. Default: what the framework says. */
  readonly model?: string;
}

/** A native agent for each attempt: one made for it, one from a pool, or a copy where the framework can make one. */
export type AgentSource<A> = A | (() => A | PromiseLike<A>) | AgentPool<A>;

/** Native agents that are used again, one attempt at a time each; made by {@link agentPool}. */
export class AgentPool<A> {
  readonly size: number;
  readonly #make: () => A | PromiseLike<A>;
  readonly #idle: A[] = [];
  readonly #queue: ((agent: A | undefined) => void)[] = [];
  #made = 0;

  constructor(make: () => A | PromiseLike<A>, size: number) {
    this.#make = make;
    this.size = size;
  }

  /** Resolves with one that nobody uses; rejects when `signal` is aborted before. */
  async take(signal: AbortSignal): Promise<A> {
    signal.throwIfAborted();
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    if (this.#made >= this.size) {
      const given = await this.#turn(signal);
      if (given !== undefined) return given;
    }
    this.#made += 1;
    try {
      return await this.#make();
    } catch (error) {
      this.drop();
      throw error;
    }
  }

  /** Gives one back that can be used again. */
  give(agent: A): void {
    const next = this.#queue.shift();
    if (next === undefined) this.#idle.push(agent);
    else next(agent);
  }

  /** One is not to be used any more; another one may be made. */
  drop(): void {
    this.#made -= 1;
    this.#queue.shift()?.(undefined);
  }

  #turn(signal: AbortSignal): Promise<A | undefined> {
    return new Promise((resolve, reject) => {
      const go = (agent: A | undefined): void => {
        unlink();
        resolve(agent);
      };
      this.#queue.push(go);
      const unlink = onAbort(signal, (reason) => {
        this.#queue.splice(this.#queue.indexOf(go), 1);
        reject(reason);
      });
    });
  }
}

/**
 * At most `size` native agents, made when they are needed and used again: for agents that are dear to make. They keep
 * what they remember; who waits for one holds its slot, so let `size` be the concurrency of the group. One whose attempt
 * failed or was stopped is not used again.
 * @throws RxhiveError INVALID_OPTION when `size` is no whole number from 1
 */
export function agentPool<A>(make: () => A | PromiseLike<A>, size: number): AgentPool<A> {
  checked(size, 'agentPool: size', number(1, 'whole'));
  return new AgentPool(make, size);
}

/** What a native run tells while it goes on. */
export interface Progress<R> {
  /** A value of the stream. */
  value(value: R): void;
}

/**
 * Makes an {@link AdaptedAgent} from a function that runs a native agent once. `signal` is aborted when the attempt ends
 * early; what comes later is ignored. What the function resolves with is the last value.
 */
export function adaptAgent<I, R>(
  run: (input: I, ctx: TaskContext, signal: AbortSignal, tell: Progress<R>) => PromiseLike<R>,
): AdaptedAgent<I, R> {
  return (input, ctx) =>
    new Observable<R>((subscriber) => {
      const abort = new AbortController();
      const unlink = onAbort(ctx.signal, (reason) => abort.abort(reason));
      const tell = { value: (value: R): void => subscriber.next(value) };
      // What has ended by itself needs no abort, which costs more than the rest of this.
      let over = false;
      const fail = (error: unknown): void => {
        over = true;
        subscriber.error(agentError(ctx.taskId, error));
      };
      const end = (value: R): void => {
        subscriber.next(value);
        over = true;
        subscriber.complete();
      };
      try {
        run(input, ctx, abort.signal, tell).then(end, fail);
      } catch (error) {
        fail(error);
      }
      return () => {
        unlink();
        if (!over && !abort.signal.aborted)
          abort.abort(ctx.signal.reason ?? new Error('The attempt has ended.'));
      };
    });
}

/** Native agents that run now: two attempts in one would mix their memories. */
const atWork = new WeakSet<object>();

/** Runs `work` with a native agent of `source`; `copy` makes one of an instance that was given. */
export async function withAgent<A extends object, R>(
  source: AgentSource<A>,
  copy: (agent: A) => A | PromiseLike<A>,
  signal: AbortSignal,
  work: (agent: A) => PromiseLike<R>,
): Promise<R> {
  if (source instanceof AgentPool) {
    const agent = await source.take(signal);
    try {
      const result = await work(agent);
      source.give(agent);
      return result;
    } catch (error) {
      source.drop();
      throw error;
    }
  }
  const agent = await (typeof source === 'function' ? (source as () => A | PromiseLike<A>)() : copy(source));
  signal.throwIfAborted();
  if (atWork.has(agent)) {
    const message =
      'An adapter was given a function that returns the same agent twice; let it make a new one each time.';
    throw new RxhiveError('INVALID_OPTION', message);
  }
  atWork.add(agent);
  try {
    return await work(agent);
  } finally {
    atWork.delete(agent);
  }
}

/**
 * The prompt in an input: a text itself, its `prompt`, that of its `data` (of an `AgentTask`); else the data and inputs as
 * JSON.
 */
export function promptOf(input: unknown): string {
  if (typeof input === 'string') return input;
  if (typeof input !== 'object' || input === null) return JSON.stringify(input) ?? '';
  const { prompt, agentType, data, inputs } = input as Record<string, unknown>;
  if (typeof prompt === 'string') return prompt;
  if (typeof agentType !== 'string') return JSON.stringify(input);
  const asked = typeof data === 'string' ? data : promptOf(data ?? '');
  const known = Object.keys((inputs ?? {}) as object).length === 0 ? '' : JSON.stringify(inputs, null, 1);
  return [asked, known].filter((part) => part !== '').join('\n\n');
}

/** The data of an `AgentTask`, or the input itself. */
export function dataOf(input: unknown): unknown {
  const { agentType, data } = (input ?? {}) as { agentType?: unknown; data?: unknown };
  return typeof agentType === 'string' ? data : input;
}

/** Tokens as a framework tells them, and the model where it is known. */
export function usageOf(input: unknown, output: unknown, model: string | undefined): Usage {
  return { inputTokens: whole(input), outputTokens: whole(output), ...(model !== undefined && { model }) };
}

function whole(tokens: unknown): number {
  return typeof tokens === 'number' && Number.isFinite(tokens) && tokens >= 0 ? Math.round(tokens) : 0;
}
