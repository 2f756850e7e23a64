import { encode } from '../codec/codec.js';
import { Clock, type Timer } from '../kernel/clock.js';
import { RxhiveError, truncate } from '../kernel/errors.js';
import { isPromise } from '../kernel/maybe-promise.js';
import type { TaskType } from '../model/task.js';
import type { Command, Order, Payload, Wire, Word, WordBody } from '../model/wire.js';
import type { WorkerFacts } from '../model/worker.js';
import type { Payloads } from './payloads.js';
import { returned } from './returned.js';
import { workerContext } from './worker-context.js';
import { writeError } from './written-error.js';

/** A function, an object with `run`, such as an agent of an orchestrator, or a type of task, whose data its inputs are. */
export type WorkerAgent =
  | ((inputs: never, ctx: never) => unknown)
  | { run(inputs: never, ctx: never): unknown }
  | TaskType<never, unknown>;

/** Words that are kept for a controller that takes the attempt over, in number and in characters. */
const mostKept = 1_000;
const mostKeptText = 1024 * 1024;
/** Ms that `begun` waits: an attempt that is over before need not say it. */
const begunAfter = 10;

/** What {@link WorkerAttempts} is made from. */
export interface WorkerAttemptsOptions {
  readonly agents: Readonly<Record<string, WorkerAgent>>;
  readonly worker: WorkerFacts;
  readonly wire: Wire;
  readonly payloads: Payloads;
  /** Where the end of an attempt is told, too: the last word of one that has said nothing else is not sent by mail. */
  readonly tellsEnds: boolean;
  readonly clock?: Clock;
}

/**
 * The attempts of one worker: calls the agents that orders name and tells their controllers what comes of it. Knows nothing
 * of the engine that brings the orders.
 */
export class WorkerAttempts {
  readonly #options: WorkerAttemptsOptions;
  readonly #clock: Clock;
  readonly #open = new Map<string, WorkerAttempt>();

  constructor(options: WorkerAttemptsOptions) {
    this.#options = options;
    this.#clock = options.clock ?? new Clock();
  }

  /** Attempts that run now. */
  get active(): number {
    return this.#open.size;
  }

  /** Makes one attempt; resolves with its last word, also for one that fails. */
  async start(job: string, order: Order): Promise<Word> {
    const attempt = new WorkerAttempt(job, order, this.#options, this.#clock);
    this.#open.set(job, attempt);
    try {
      return await attempt.run();
    } finally {
      if (this.#open.get(job) === attempt) this.#open.delete(job);
    }
  }

  /** Does what a controller says. */
  hear(command: Command): void {
    if (command.kind === 'drain') return;
    const attempt = this.#open.get(command.job);
    if (attempt === undefined || attempt.token !== command.token) return;
    if (command.kind === 'abort') attempt.abort(command.reason);
    else attempt.attach(command.to, command.from);
  }

  /** Ends an attempt, of whose job this worker has lost the lock: whatever it says is for nobody. */
  lost(job: string): void {
    this.#open.get(job)?.abort('WORKER_LOST');
  }

  /** No attempt follows: its timers keep no process alive. */
  close(): void {
    // A clock that was given is somebody else's.
    if (this.#options.clock === undefined) this.#clock.dispose();
  }

  /** Ends all attempts. */
  abort(reason: string): void {
    for (const attempt of [...this.#open.values()]) attempt.abort(reason);
  }
}

class WorkerAttempt {
  readonly token: string;
  readonly #job: string;
  readonly #order: Order;
  readonly #options: WorkerAttemptsOptions;
  readonly #clock: Clock;
  /** Made when somebody asks for its signal. */
  #abort: AbortController | undefined;
  /** Why it was taken back. */
  #withdrawn: Error | undefined;
  #to: string;
  /** Words said. The first one tells that it has begun. */
  #said = 0;
  /** Number of the newest word that is a value. */
  #valueAt = -1;
  #over = false;
  #kept: Word[] = [];
  #keptText = 0;
  #begun: Timer | undefined;
  /** Resolves when the store has what was said so far. */
  #stored: Promise<void> | undefined;

  constructor(job: string, order: Order, options: WorkerAttemptsOptions, clock: Clock) {
    this.token = order.token;
    this.#job = job;
    this.#order = order;
    this.#to = order.to;
    this.#options = options;
    this.#clock = clock;
  }

  async run(): Promise<Word> {
    this.#begun = this.#clock.after(begunAfter, () => this.#say());
    try {
      return await this.#end(await this.#made());
    } catch (error) {
      // Whatever the body made of the signal: nobody who still wants the attempt takes it for a failure of the task.
      const written = writeError(this.#withdrawn ?? error, keeps);
      const facts = this.#withdrawn === undefined ? written.facts : { ...written.facts, withdrawn: true };
      return this.#end({ kind: 'failed', error: { ...written, facts } });
    } finally {
      this.#over = true;
    }
  }

  abort(reason: string): void {
    if (this.#over || this.#withdrawn !== undefined) return;
    const error = new Error(
      `The attempt of task "${truncate(this.#order.facts.taskId)}" is over: ${reason}.`,
    );
    this.#withdrawn = Object.assign(error, { name: 'AbortError', code: reason });
    this.#abort?.abort(this.#withdrawn);
  }

  readonly #signal = (): AbortSignal => {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#withdrawn !== undefined) this.#abort.abort(this.#withdrawn);
    }
    return this.#abort.signal;
  };

  /** Another controller wants to hear it, from a word on: it gets again what is still kept. */
  attach(to: string, from: number): void {
    this.#to = to;
    this.#say();
    const first = this.#kept[0]?.seq ?? this.#said;
    if (first > from)
      this.#options.wire.send(to, { job: this.#job, token: this.token, seq: first - 1, kind: 'skipped' });
    for (const word of this.#kept) if (word.seq >= from) this.#options.wire.send(to, word);
  }

  /** Calls the agent, and makes the last word of what comes of it. */
  async #made(): Promise<WordBody> {
    const { agents, payloads } = this.#options;
    const { agent: name, inputs, facts } = this.#order;
    const agent = Object.hasOwn(agents, name) ? agents[name] : undefined;
    if (agent === undefined) throw unknownAgent(name, Object.keys(agents));
    const input = facts.input === undefined ? undefined : await payloads.read(facts.input);
    const ctx = workerContext(facts, input, {
      signal: this.#signal,
      clock: this.#clock,
      words: {
        usage: (usage) => this.#say({ kind: 'usage', usage }),
        limits: (headers) => this.#say({ kind: 'limits', headers }),
        log: (message, data) => {
          if (data === undefined) this.#say({ kind: 'log', message });
          else this.#sayWith(data, (payload) => ({ kind: 'log', message, data: payload }));
        },
      },
    });
    const body = call(agent, facts.taskId, await payloads.read(inputs), ctx);
    const tell = (value: unknown): void => this.#sayWith(value, (one) => ({ kind: 'value', value: one }));
    const made = await returned(body, tell, this.#signal);
    const value = await payloads.write(made.value, 'the result', facts.runId);
    await this.#stored;
    return made.isStream ? { kind: 'ended', at: this.#valueAt, last: value } : { kind: 'done', value };
  }

  /** Says what a value is in, once the store has it where it is large. */
  #sayWith(value: unknown, saying: (payload: Payload) => WordBody): void {
    const payload = this.#options.payloads.write(value, 'the value', this.#order.facts.runId);
    if (!isPromise(payload) && this.#stored === undefined) {
      this.#say(saying(payload));
      return;
    }
    const before = this.#stored;
    const stored = (async () => {
      await before;
      this.#say(saying(await payload));
    })();
    this.#stored = stored;
    // Whoever ends the attempt waits for it, and fails with it.
    stored.catch(() => undefined);
  }

  /** Without an argument: that it has begun. */
  #say(saying?: WordBody): void {
    if (this.#over) return;
    this.#clock.cancel(this.#begun);
    if (this.#said === 0) this.#send({ kind: 'begun', worker: this.#options.worker });
    if (saying !== undefined) this.#send(saying);
  }

  #send(saying: WordBody): void {
    const word = this.#word(saying);
    if (word.kind === 'value') this.#valueAt = word.seq;
    this.#kept.push(word);
    this.#keptText += sizeOf(word);
    while (this.#kept.length > mostKept || this.#keptText > mostKeptText)
      this.#keptText -= sizeOf(this.#kept.shift() as Word);
    this.#options.wire.send(this.#to, word);
  }

  #end(saying: WordBody): Word {
    this.#clock.cancel(this.#begun);
    // Who has said nothing yet is heard by the end that the queue tells.
    if (this.#said === 0 && this.#options.tellsEnds) return this.#word(saying);
    if (this.#said === 0) this.#say();
    const word = this.#word(saying);
    this.#options.wire.send(this.#to, word);
    return word;
  }

  #word(saying: WordBody): Word {
    return { job: this.#job, token: this.token, seq: this.#said++, ...saying };
  }
}

function sizeOf(word: Word): number {
  const payload = 'value' in word ? word.value : 'data' in word ? word.data : undefined;
  return payload !== undefined && 'text' in payload ? payload.text.length : 100;
}

/** Can a text hold it? */
function keeps(value: unknown): boolean {
  try {
    encode(value);
    return true;
  } catch {
    return false;
  }
}

function call(agent: WorkerAgent, taskId: string, inputs: unknown, ctx: unknown): unknown {
  if (typeof agent === 'function') return agent(inputs as never, ctx as never);
  // By what it can do: its module may have loaded another copy of this package.
  if ('task' in agent) return agent.task(taskId, inputs).run({} as never, ctx as never);
  return agent.run(inputs as never, ctx as never);
}

function unknownAgent(name: string, known: readonly string[]): RxhiveError {
  const message = `No agent "${truncate(name)}" in this worker; it has ${known.join(', ') || 'none'}. Start workers of the module that has it.`;
  return new RxhiveError('UNKNOWN_AGENT', message, { details: { agent: name, known } });
}
