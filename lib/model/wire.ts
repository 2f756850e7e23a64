import type { Observable } from 'rxjs';
import type { Usage } from './context.js';
import type { WorkerFacts } from './worker.js';

/** A value on its way: as text of the codec, or as key of a store that holds the text. */
export type Payload =
  | { readonly text: string }
  | {
      /** Key of the store. */
      readonly ref: string;
      /** Length of its text in bytes. */
      readonly bytes: number;
    };

/** The part of `ctx` that is plain data. */
export interface OrderFacts {
  readonly taskId: string;
  readonly runId: string;
  /** Number of the attempt, from 1. */
  readonly attempt: number;
  /** The same for every attempt of the task in the run. */
  readonly idempotencyKey: string;
  /** Texts that travel along, such as headers of a trace. */
  readonly carrier: Readonly<Record<string, string>>;
  /** The input of the run; left out: it has none. */
  readonly input?: Payload;
}

/** What travels to a worker: one attempt. */
export interface Order {
  /** Version of this form. */
  readonly v: 1;
  /** Name of the agent that is to do it. */
  readonly agent: string;
  readonly facts: OrderFacts;
  readonly inputs: Payload;
  /** Made by the controller that ordered it. A word with another token is dropped. */
  readonly token: string;
  /** Whose mailbox the words go to. */
  readonly to: string;
}

/** What a worker says about an attempt. */
export type WordBody =
  | { readonly kind: 'begun'; readonly worker: WorkerFacts }
  | { readonly kind: 'value'; readonly value: Payload }
  | { readonly kind: 'usage'; readonly usage: Usage }
  | { readonly kind: 'limits'; readonly headers: Readonly<Record<string, string>> }
  | { readonly kind: 'log'; readonly message: string; readonly data?: Payload }
  /** Said to a controller that attaches: the words up to this one are not kept any more. */
  | { readonly kind: 'skipped' }
  /** It returned a value. */
  | { readonly kind: 'done'; readonly value: Payload }
  /** A stream has ended. `last` is its newest value, which was word number `at`; -1: it had none. */
  | { readonly kind: 'ended'; readonly at: number; readonly last: Payload }
  | { readonly kind: 'failed'; readonly error: WrittenError };

/**
 * What comes back. `seq` counts from 0 without gaps. The last word, `done`, `ended` or `failed`, is also the result of the
 * job, which outlives the mail: its `seq` says how many words came before.
 */
export type Word = { readonly job: string; readonly token: string; readonly seq: number } & WordBody;

/** What a controller tells a worker. */
export type Command =
  | { readonly kind: 'abort'; readonly job: string; readonly token: string; readonly reason: string }
  /** Another controller goes on with the run: words from number `from` on, those said before as well, go `to` it. */
  | {
      readonly kind: 'attach';
      readonly job: string;
      readonly token: string;
      readonly to: string;
      readonly from: number;
    }
  /** Takes nothing new, and ends when what is under way has. */
  | { readonly kind: 'drain' };

/** A mailbox, and the way to those of others. Mail may come late, twice, or not at all. */
export interface Wire {
  /** The own address. */
  readonly node: string;
  /** Sends when it can; never throws. */
  send(to: string, message: Word | Command): void;
  /** What has come, in the order in which it was sent by each. */
  readonly mail$: Observable<readonly (Word | Command)[]>;
  close(): Promise<void>;
}

/** An error as plain data: the class is lost, what programs decide by is not. */
export interface WrittenError {
  /** False: something else was thrown, in `facts.value`. */
  readonly isError: boolean;
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** Own fields that can travel: code, status, retryAfter, isRetryable. */
  readonly facts: Readonly<Record<string, unknown>>;
  readonly cause: WrittenError | undefined;
}
