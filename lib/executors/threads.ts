import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { isAbsolute } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { isObservable, Observable, type Subscriber } from 'rxjs';
import { inspect, RxhiveError, truncate } from '../kernel/errors.js';
import type { TaskContext, Usage } from '../model/context.js';
import type { Executor, Place } from '../model/executor.js';
import type { ThreadFacts, ThreadJob, ThreadMessage } from './thread-protocol.js';
import { readError } from './written-error.js';

/** What a function in a thread gets beside its inputs. There is no signal: when the attempt is over, so is the thread. */
export interface ThreadContext extends ThreadFacts {
  /** Adds to the usage shown in the task's report. */
  usage(usage: Usage): void;
  /** Emits a `log` event; `data` is cloned. */
  log(message: string, data?: unknown): void;
  /** Gives the thread's own event loop back once. */
  breathe(): Promise<void>;
}

/** A function that runs in a thread: inputs and what it returns are cloned, functions and classes do not pass. */
export type ThreadBody = (inputs: never, ctx: ThreadContext) => unknown;

/** Where the function is, and how many threads may run it. */
export interface ThreadsOptions {
  /** Module that exports it: `new URL('./crunch.js', import.meta.url)`, or an absolute path. */
  readonly file: string | URL;
  /** Which export. Default `default`. */
  readonly name?: string;
  /**
   * Most threads; further attempts wait as for a resource. Whole number from 1. Default: one for each core, shared by all
   * executors that give neither this nor `idleTimeout`.
   */
  readonly maxThreads?: number;
  /** Ms after which an idle thread ends. A number from 0. Default 1,000. */
  readonly idleTimeout?: number;
}

/** An {@link Executor} on threads of this process. */
export interface Threads<in I, out R> extends Executor<I, R> {
  readonly place: Place;
  /**
   * Ends its threads when those at work are done; without `maxThreads` and `idleTimeout` those shared with others. Not
   * needed for the process to exit, and another run makes new ones.
   */
  close(): Promise<void>;
}

type TakenBy<F> = F extends (inputs: infer I, ctx: ThreadContext) => unknown ? I : never;

/**
 * Runs tasks that compute in worker threads, on piscina, which has to be installed beside rxhive:
 *
 * ```ts
 * const crunch = threads<typeof import('./crunch.js').default>({ file: new URL('./crunch.js', import.meta.url) });
 * flow.task('crunch', { dependencies: { text }, executor: crunch, timeout: 60_000, retry: 2 });
 * ```
 *
 * The function may return a value, a promise, an async iterable or an Observable; each value of a stream comes as it is
 * made. Timeout and cancel end the thread. Errors keep name, message, stack, cause and fields such as `code`.
 * @throws RxhiveError INVALID_OPTION when a number or the file is wrong or piscina is missing
 */
export function threads<F extends ThreadBody = (inputs: unknown, ctx: ThreadContext) => unknown>(
  options: ThreadsOptions,
): Threads<TakenBy<F>, ReturnType<F>> {
  return new ThreadExecutor(options) as unknown as Threads<TakenBy<F>, ReturnType<F>>;
}

/** The part of piscina that is called; its own types do not compile in every strict project. */
interface Pool {
  run(task: unknown, options: { transferList: MessagePort[]; signal: AbortSignal }): Promise<unknown>;
  on(event: 'error', listener: (error: unknown) => void): unknown;
  close(): Promise<void>;
}

type PiscinaClass = new (options: {
  filename: string;
  minThreads: number;
  maxThreads: number;
  idleTimeout: number;
}) => Pool;

const bridge = new URL(
  import.meta.url.endsWith('.ts') ? './thread-worker.ts' : './thread-worker.js',
  import.meta.url,
);

class ThreadExecutor implements Threads<unknown, unknown> {
  readonly place: ThreadPool;
  readonly version: string;
  readonly #file: string;
  readonly #export: string;

  constructor(options: ThreadsOptions) {
    const { name = 'default', maxThreads, idleTimeout } = options;
    this.#file = urlOf(options.file);
    if (typeof name !== 'string' || name === '')
      throw wrong(`name is ${inspect(name)}; give a name of an export.`);
    this.#export = name;
    const base = this.#file.slice(this.#file.lastIndexOf('/') + 1);
    this.version = `threads of ${base} ${name}`;
    if (maxThreads === undefined && idleTimeout === undefined) {
      shared ??= new ThreadPool('threads');
      this.place = shared;
    } else this.place = new ThreadPool(`threads of ${base}`, maxThreads, idleTimeout);
  }

  run(inputs: unknown, ctx: TaskContext): Observable<unknown> {
    if (isObservable(inputs))
      throw wrong(
        `task "${truncate(ctx.taskId)}" reads a stream, such as a latest(...) dependency, which cannot be sent to a thread.`,
      );
    const { taskId, runId, attempt, idempotencyKey, carrier } = ctx;
    const facts: ThreadFacts = { taskId, runId, attempt, idempotencyKey, carrier };
    const job = { file: this.#file, name: this.#export, inputs, facts };
    return new Observable((subscriber) => this.place.start(job, ctx, subscriber));
  }

  close(): Promise<void> {
    return this.place.close();
  }
}

/** Threads on all cores, for all executors that ask for nothing else. */
let shared: ThreadPool | undefined;

class ThreadPool implements Place {
  readonly name: string;
  readonly slots: number;
  readonly #idleTimeout: number;
  readonly #make = piscina();
  /** How to fail the attempts of which no thread has said yet that it has begun them. */
  readonly #begin = new Set<(error: unknown) => void>();
  #pool: Pool | undefined;

  constructor(name: string, maxThreads = availableParallelism(), idleTimeout = 1_000) {
    if (!(Number.isInteger(maxThreads) && maxThreads >= 1))
      throw wrong(`maxThreads is ${inspect(maxThreads)}; give a whole number from 1.`);
    if (!(Number.isFinite(idleTimeout) && idleTimeout >= 0))
      throw wrong(`idleTimeout is ${inspect(idleTimeout)}; give ms from 0.`);
    this.name = name;
    this.slots = maxThreads;
    this.#idleTimeout = idleTimeout;
  }

  async close(): Promise<void> {
    const pool = this.#pool;
    this.#pool = undefined;
    await pool?.close();
  }

  /** Makes one attempt; returns how to end it. */
  start(job: Omit<ThreadJob, 'port'>, ctx: TaskContext, subscriber: Subscriber<unknown>): () => void {
    this.#pool ??= this.#open();
    const { port1, port2 } = new MessageChannel();
    const abort = new AbortController();
    let over = false;
    const end = (): void => {
      over = true;
      this.#begin.delete(fail);
      port1.close();
    };
    const fail = (error: unknown): void => {
      if (over) return;
      end();
      subscriber.error(understood(error, ctx.taskId));
    };
    const hear = (message: ThreadMessage): void => {
      if (message.kind === 'begun') this.#begin.delete(fail);
      else if (message.kind === 'usage') ctx.usage(message.usage);
      else if (message.kind === 'log') ctx.log(message.message, message.data);
      else if (message.kind === 'failed') fail(readError(message.error));
      else {
        if (message.kind !== 'value') end();
        if ('value' in message) subscriber.next(message.value);
        if (message.kind !== 'value') subscriber.complete();
      }
    };
    port1.on('message', (message: ThreadMessage) => {
      try {
        if (!over) hear(message);
      } catch (error) {
        fail(error);
      }
    });
    this.#begin.add(fail);
    // Its last word comes through the port; this tells of threads that could not even say it.
    const transfer = { transferList: [port2], signal: abort.signal };
    this.#pool.run({ ...job, port: port2 } satisfies ThreadJob, transfer).then(undefined, fail);
    return () => {
      if (over) return;
      end();
      abort.abort();
    };
  }

  #open(): Pool {
    const pool = new this.#make({
      filename: bridge.href,
      minThreads: 0,
      maxThreads: this.slots,
      idleTimeout: this.#idleTimeout,
    });
    // A thread that cannot begin; one that dies at its work tells it there.
    pool.on('error', (error) => {
      for (const fail of [...this.#begin]) fail(error);
    });
    return pool;
  }
}

/** What cannot be cloned is told in our words. */
function understood(error: unknown, taskId: string): unknown {
  if ((error as Error | undefined)?.name !== 'DataCloneError') return error;
  const message = `Task "${truncate(taskId)}": ${(error as Error).message} Inputs and results of threads are cloned; give plain data.`;
  return new RxhiveError('NOT_SERIALIZABLE', message, { cause: error, details: { taskId } });
}

function urlOf(file: string | URL): string {
  const url =
    file instanceof URL
      ? file
      : typeof file === 'string' && isAbsolute(file)
        ? pathToFileURL(file)
        : undefined;
  if (url?.protocol !== 'file:')
    throw wrong(`file is ${inspect(file)}; give new URL('./work.js', import.meta.url) or an absolute path.`);
  if (!existsSync(fileURLToPath(url))) throw wrong(`file ${truncate(fileURLToPath(url))} does not exist.`);
  return url.href;
}

function piscina(): PiscinaClass {
  try {
    return (createRequire(import.meta.url)('piscina') as { Piscina: PiscinaClass }).Piscina;
  } catch (cause) {
    const message = 'rxhive/threads needs piscina: run npm install piscina.';
    throw new RxhiveError('INVALID_OPTION', message, { cause });
  }
}

function wrong(what: string): RxhiveError {
  return new RxhiveError('INVALID_OPTION', `threads: ${what}`);
}
