import { createHash } from 'node:crypto';
import type { Subscriber } from 'rxjs';
import type { Clock, Timer } from '../kernel/clock.js';
import { RxhiveError, truncate } from '../kernel/errors.js';
import { isPromise, type MaybePromise } from '../kernel/maybe-promise.js';
import type { RemoteContext } from '../model/executor.js';
import type { Order, Payload, Word } from '../model/wire.js';
import { type WorkerFacts, type WorkerLoss, WorkerLostError } from '../model/worker.js';
import type { Payloads } from './payloads.js';
import type { Where } from './transport.js';
import { readError } from './written-error.js';

/** Ms after the last word that was heard in which those before the end of an attempt must have come. */
const gapAfter = 1_000;

/** What {@link OpenAttempt} is made from. */
export interface OpenAttemptOptions {
  readonly job: string;
  readonly where: Where;
  readonly order: Order;
  readonly ctx: RemoteContext;
  readonly subscriber: Subscriber<unknown>;
  readonly payloads: Payloads;
  readonly clock: Clock;
  /** Called once, when it is over in whichever way. */
  readonly over: (attempt: OpenAttempt) => void;
}

/**
 * An attempt that runs somewhere else, as its controller sees it: puts words in order by their numbers, passes them on once,
 * and ends with the last one.
 */
export class OpenAttempt {
  job: string;
  readonly where: Where;
  readonly order: Order;
  /** Only words with it count. Whoever attaches to a job takes the token of the one who added it. */
  token: string;
  /** Id of the worker, once it is known. */
  worker: string | undefined;
  /** When something was heard of it last. */
  heardAt: number;
  /** Ms of silence after which it is looked at. */
  patience = 0;
  isOver = false;
  /** It was attached to, and its worker has said nothing since. */
  unheard = false;
  isLost = false;
  readonly #options: OpenAttemptOptions;
  #isAdded = false;
  readonly #early = new Map<number, Word>();
  /** Number of the next word; undefined: the first that comes is the first. */
  #next: number | undefined = 0;
  /** A value is being fetched from the store; what follows waits. */
  #reading = false;
  #last: Word | undefined;
  #gap: Timer | undefined;

  constructor(options: OpenAttemptOptions) {
    this.job = options.job;
    this.where = options.where;
    this.order = options.order;
    this.token = options.order.token;
    this.#options = options;
    this.heardAt = options.clock.now();
  }

  get ctx(): RemoteContext {
    return this.#options.ctx;
  }

  /**
   * An earlier controller had ordered it. Its worker says again what it still has; where it is over nobody does, and the
   * first word that comes is the first.
   */
  attached(token: string, isEnded: boolean): void {
    this.#isAdded = true;
    this.token = token;
    this.unheard = true;
    if (isEnded) this.#next = undefined;
  }

  /** The queue has it. */
  added(): void {
    this.#isAdded = true;
  }

  /** Nothing was heard of it for longer than its patience. Not so before the queue has it: its order may wait for the server. */
  isSilent(now: number): boolean {
    return this.#isAdded && now - this.heardAt >= this.patience;
  }

  /** A worker has it. */
  begun(worker: WorkerFacts): void {
    this.worker = worker.id;
    this.#options.ctx.begun(worker);
  }

  /** False: the word is for another attempt, or came before. */
  hear(word: Word): boolean {
    if (this.isOver || word.token !== this.token) return false;
    const { clock } = this.#options;
    this.heardAt = clock.now();
    this.unheard = false;
    if (word.kind === 'skipped') {
      this.#skipTo(word.seq + 1);
      return true;
    }
    this.#next ??= word.seq;
    if (word.seq < this.#next || this.#early.has(word.seq)) return false;
    this.#early.set(word.seq, word);
    if (isLast(word)) this.#last = word;
    this.#drain();
    this.#watchGap();
    return true;
  }

  /** Its worker was lost. */
  lost(reason: WorkerLoss): void {
    if (this.isOver) return;
    this.isLost = true;
    const { taskId, attempt } = this.#options.ctx;
    this.fail(new WorkerLostError(taskId, attempt, this.worker, reason));
  }

  fail(error: unknown): void {
    if (this.isOver) return;
    this.close();
    this.#options.subscriber.error(error);
  }

  /** Nobody wants to hear of it any more. */
  close(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#options.clock.cancel(this.#gap);
    this.#early.clear();
    this.#options.over(this);
  }

  #skipTo(next: number): void {
    const missing = next - (this.#next ?? next);
    if (missing <= 0) return;
    this.#next = next;
    for (const seq of this.#early.keys()) if (seq < next) this.#early.delete(seq);
    this.#options.ctx.log(`The first ${missing} words of the attempt are not kept any more by its worker.`);
    this.#drain();
    this.#watchGap();
  }

  #drain(): void {
    while (!this.isOver && !this.#reading && this.#next !== undefined) {
      const word = this.#early.get(this.#next);
      if (word === undefined) return;
      this.#early.delete(this.#next);
      this.#next += 1;
      try {
        this.#take(word);
      } catch (error) {
        this.fail(error);
      }
    }
  }

  #take(word: Word): void {
    const { ctx } = this.#options;
    switch (word.kind) {
      case 'begun':
        this.begun(word.worker);
        return;
      case 'skipped':
        return;
      case 'usage':
        ctx.usage(word.usage);
        ctx.beat();
        return;
      case 'limits':
        ctx.limits(word.headers);
        ctx.beat();
        return;
      case 'log':
        ctx.beat();
        if (word.data === undefined) ctx.log(word.message);
        else this.#with(word.data, (data) => ctx.log(word.message, data));
        return;
      case 'value':
        this.#with(word.value, (value) => this.#options.subscriber.next(value));
        return;
      case 'done':
        this.#with(word.value, (value) => this.#end(value));
        return;
      case 'ended':
        this.#complete();
        return;
      case 'failed':
        // Its worker ended it, not we: as it does when it is stopped itself.
        if (word.error.facts.withdrawn === true) this.lost('gone');
        else this.fail(readError(word.error));
    }
  }

  /** Goes on with a value; the words behind wait for one that a store has. */
  #with(payload: Payload, next: (value: unknown) => void): void {
    const value: MaybePromise<unknown> = this.#options.payloads.read(payload);
    if (!isPromise(value)) {
      next(value);
      return;
    }
    this.#reading = true;
    Promise.resolve(value)
      .then((read) => {
        this.#reading = false;
        if (this.isOver) return;
        next(read);
        this.#drain();
      })
      .catch((error: unknown) => this.fail(error));
  }

  #end(value: unknown): void {
    this.#options.subscriber.next(value);
    this.#complete();
  }

  #complete(): void {
    if (this.isOver) return;
    this.close();
    this.#options.subscriber.complete();
  }

  /** The last word is there and others before it are not: they may be on their way, but not for long. */
  #watchGap(): void {
    const { clock } = this.#options;
    clock.cancel(this.#gap);
    this.#gap = undefined;
    if (this.isOver || this.#last === undefined) return;
    this.#gap = clock.after(gapAfter, () => this.#skipGap());
  }

  #skipGap(): void {
    const last = this.#last;
    if (this.isOver || last === undefined) return;
    if (this.#reading) {
      this.#watchGap();
      return;
    }
    const next = this.#next ?? 0;
    const dropped = last.seq - next - this.#early.size + 1;
    // Its newest value may be what was lost.
    const newest = last.kind === 'ended' ? last.at : -1;
    const heard = newest < next || this.#early.has(newest);
    for (const word of [...this.#early.values()].sort((a, b) => a.seq - b.seq)) {
      if (this.isOver || word === last) break;
      try {
        this.#take(word);
      } catch (error) {
        this.fail(error);
      }
    }
    if (this.isOver) return;
    if (dropped > 0) this.#options.ctx.log(`${dropped} words of the attempt were lost on their way.`);
    this.#next = last.seq;
    this.#early.clear();
    this.#early.set(last.seq, last);
    if (last.kind === 'ended' && !heard) this.#with(last.last, (value) => this.#end(value));
    else this.#drain();
  }
}

function isLast({ kind }: Word): boolean {
  return kind === 'done' || kind === 'ended' || kind === 'failed';
}

/** Stands for one attempt and what it is given: another run of it with other inputs is another job. */
export function jobIdOf(
  { agent, facts: { runId, taskId, attempt }, inputs }: Order,
  round: number,
  nonce: string,
): string {
  const content = 'text' in inputs ? inputs.text : inputs.ref;
  const key = JSON.stringify([runId, taskId, attempt, agent, content, round, nonce]);
  return `a${createHash('sha256').update(key).digest('base64url').slice(0, 26)}`;
}

/** The remote was closed with the attempt open. */
export function closedRemote(): RxhiveError {
  return new RxhiveError(
    'QUEUE_FAILED',
    'The remote was closed while the attempt was open; close it after the run.',
  );
}

/** A dependency of the task is a stream. */
export function cannotSend(taskId: string): RxhiveError {
  const message = `task "${truncate(taskId)}" reads a stream, such as a latest(...) dependency, which cannot be sent to a worker.`;
  return new RxhiveError('INVALID_OPTION', message);
}
