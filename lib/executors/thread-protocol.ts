import type { MessagePort } from 'node:worker_threads';
import type { Usage } from '../model/context.js';

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

/** An error as plain data: the class is lost, what programs decide by is not. */
export interface WrittenError {
  /** False: something else was thrown, in `facts.value`. */
  readonly isError: boolean;
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** Own fields that can be cloned: code, status, retryAfter, isRetryable. */
  readonly facts: Readonly<Record<string, unknown>>;
  readonly cause: WrittenError | undefined;
}

const deepestCause = 5;

/** Writes what was thrown. */
export function writeError(thrown: unknown, depth = 0): WrittenError {
  if (!(thrown instanceof Error)) {
    const value = cloneable(thrown) ? thrown : String(thrown);
    return {
      isError: false,
      name: '',
      message: '',
      stack: undefined,
      facts: { value },
      cause: undefined,
    };
  }
  const { name, message, stack, cause } = thrown;
  const facts = Object.entries(thrown).filter(([key, value]) => key !== 'cause' && cloneable(value));
  return {
    isError: true,
    name,
    message,
    stack,
    facts: Object.fromEntries(facts),
    cause: cause === undefined || depth === deepestCause ? undefined : writeError(cause, depth + 1),
  };
}

/** What was thrown, again. */
export function readError(written: WrittenError): unknown {
  if (!written.isError) return written.facts.value;
  const { name, message, stack, facts, cause } = written;
  const error = new Error(message, cause === undefined ? undefined : { cause: readError(cause) });
  for (const [key, value] of Object.entries({ name, stack, ...facts }))
    Object.defineProperty(error, key, {
      value,
      configurable: true,
      writable: true,
      enumerable: key in facts,
    });
  return error;
}

function cloneable(value: unknown): boolean {
  try {
    structuredClone(value);
    return true;
  } catch {
    return false;
  }
}
