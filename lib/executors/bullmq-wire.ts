import { Observable, Subject } from 'rxjs';
import { decode, encode } from '../codec/codec.js';
import type { Command, Wire, Word } from '../model/wire.js';
import type { BullQueue, BullWorker } from './bullmq-classes.js';
import type { QueueServer } from './bullmq-connection.js';

type Message = Word | Command;

/** Messages that are kept for one address while the server cannot be reached; the oldest are dropped. */
const mostKept = 10_000;
/** Ms before what could not be sent is sent again. */
const againAfter = 200;
/** Ms between two batches to one address on PostgreSQL, where each costs the reader 10 to 20 ms. */
const postgresPause = 20;
/** Addresses nobody has written to for so long are forgotten, with their queues. */
const idleFor = 60_000;

/** Name of the queue that is the mailbox of a node. */
export function mailbox(name: string, node: string): string {
  return `{${name}}.mail.${node}`;
}

/**
 * Mailboxes made of queues: each node reads one. To each address goes one batch at a time, and what is said meanwhile is
 * the next batch.
 */
export class QueueWire implements Wire {
  readonly node: string;
  readonly mail$: Observable<readonly Message[]>;
  readonly #server: QueueServer;
  readonly #name: string;
  readonly #mail = new Subject<readonly Message[]>();
  #reader: BullWorker | undefined;
  readonly #lines = new Map<string, Line>();
  readonly #sweep: NodeJS.Timeout;

  constructor(server: QueueServer, name: string, node: string) {
    this.node = node;
    this.#server = server;
    this.#name = name;
    this.mail$ = new Observable((subscriber) => this.#mail.subscribe(subscriber));
    this.#sweep = setInterval(() => this.#forgetIdle(), idleFor / 2);
    this.#sweep.unref();
  }

  /** Begins to read; resolves when what is sent from now on is heard. */
  async ready(): Promise<void> {
    this.#reader ??= this.#server.worker<string>(
      mailbox(this.#name, this.node),
      async ({ data }) => {
        this.#mail.next(decode(data) as readonly Message[]);
      },
      {
        // Who reads puts them in order by their numbers.
        concurrency: this.#server.isPostgres ? 4 : 1,
        lockDuration: 600_000,
        skipStalledCheck: true,
        skipLockRenewal: true,
        removeOnComplete: { count: 0 },
        removeOnFail: { count: 0 },
      },
    );
    await this.#reader.waitUntilReady();
  }

  send(to: string, message: Message): void {
    let line = this.#lines.get(to);
    if (line === undefined) {
      line = new Line(this.#server.queue(mailbox(this.#name, to)), this.#server.isPostgres);
      this.#lines.set(to, line);
    }
    line.send(message);
  }

  /** Resolves when all that was said is on its way, or `ms` have passed. */
  async flushed(ms: number): Promise<void> {
    const all = Promise.all([...this.#lines.values()].map((line) => line.flushed));
    await Promise.race([all, new Promise((done) => setTimeout(done, ms).unref())]);
  }

  async close(): Promise<void> {
    clearInterval(this.#sweep);
    this.#mail.complete();
    await this.flushed(2_000);
    for (const line of this.#lines.values()) await this.#server.end(line.close());
    this.#lines.clear();
    if (this.#reader === undefined) return;
    await this.#server.end(this.#reader);
    const own = this.#server.queue(mailbox(this.#name, this.node));
    // Nobody reads it any more.
    await own.obliterate({ force: true }).catch(() => undefined);
    await this.#server.end(own);
  }

  #forgetIdle(): void {
    for (const [to, line] of this.#lines) {
      if (!line.isIdle(idleFor)) continue;
      this.#lines.delete(to);
      void this.#server.end(line.close());
    }
  }
}

/** What is to be sent to one address. */
class Line {
  readonly #queue: BullQueue<string>;
  readonly #slow: boolean;
  #waiting: Message[] = [];
  #sending: Promise<void> | undefined;
  #closed = false;
  #usedAt = performance.now();

  constructor(queue: BullQueue<string>, slow: boolean) {
    this.#queue = queue;
    this.#slow = slow;
  }

  get flushed(): Promise<void> {
    return this.#sending ?? Promise.resolve();
  }

  isIdle(ms: number): boolean {
    return this.#sending === undefined && performance.now() - this.#usedAt > ms;
  }

  send(message: Message): void {
    this.#usedAt = performance.now();
    this.#waiting.push(message);
    if (this.#waiting.length > mostKept) this.#waiting.shift();
    this.#sending ??= this.#sendAll();
  }

  close(): BullQueue<string> {
    this.#closed = true;
    return this.#queue;
  }

  async #sendAll(): Promise<void> {
    // What is said in this turn goes together.
    await new Promise((done) => setImmediate(done));
    while (this.#waiting.length > 0 && !this.#closed) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        await this.#queue.add('mail', encode(batch), { removeOnComplete: true, removeOnFail: true });
        if (this.#slow) await new Promise((done) => setTimeout(done, postgresPause));
      } catch {
        this.#waiting = [...batch, ...this.#waiting].slice(-mostKept);
        await new Promise((done) => setTimeout(done, againAfter));
      }
    }
    this.#sending = undefined;
  }
}
