import type { MessagePort } from 'node:worker_threads';
import type { Usage } from '../model/context.js';
import type { WrittenError } from '../model/wire.js';

/** What a thread is asked to do. */
export interface ThreadJob {
  /** URL of the module. */
  readonly file: string;
  /** Which of its exports. */
  readonly name: string;
  readonly inputs: unknown;
  readonly facts: ThreadFacts;
  /** Where its messages go. */
  readonly port: MessagePort;
}

/** The part of `ctx` that is plain data. */
export interface ThreadFacts {
  readonly taskId: string;
  readonly runId: string;
  /** Number of this attempt, from 1. */
  readonly attempt: number;
  /** The same for every attempt of this task in this run: send it to services that deduplicate. */
  readonly idempotencyKey: string;
  /** What the attempt carries along, such as headers of a trace. */
  readonly carrier: Readonly<Record<string, string>>;
}

/** What a thread says. `done`, `ended` (a stream) or `failed` is its last word. */
export type ThreadMessage =
  | { readonly kind: 'begun' | 'ended' }
  | { readonly kind: 'value' | 'done'; readonly value: unknown }
  | { readonly kind: 'failed'; readonly error: WrittenError }
  | { readonly kind: 'usage'; readonly usage: Usage }
  | { readonly kind: 'log'; readonly message: string; readonly data: unknown };
