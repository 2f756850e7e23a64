import type { Usage } from '../../model/context.js';

/** What a line of a command says. All fields that are there count, in this order. */
export interface ProcessMessage {
  /** Adds to what the task has used. */
  readonly usage?: Usage;
  /** A `log` event of the task, with `data`. */
  readonly log?: string;
  readonly data?: unknown;
  /** A value of the stream. */
  readonly value?: unknown;
  /** The result, in place of the last value. The command has `grace` ms to exit by itself then. */
  readonly result?: unknown;
  /** The attempt has failed: a text, or what is known of it. */
  readonly error?: string | ProcessFailure;
}

/** How a command tells that it has failed. */
export interface ProcessFailure {
  readonly message: string;
  /** Code of a provider, such as `context_length_exceeded`; tells the `kind` of the error. */
  readonly code?: string;
  /** HTTP status of the provider behind it; tells the `kind` too: 429 is `rate-limit`. */
  readonly status?: number;
  /** Seconds to wait, for the whole group. */
  readonly retryAfter?: number;
  /** Can another try help? Default: by status and code, else true. */
  readonly isRetryable?: boolean;
}

/** A command that ended otherwise than it should: the `cause` of the `AgentError`. */
export class ProcessError extends Error {
  /** Where it exited with an error. */
  declare readonly exitCode?: number;
  /** The signal that ended it. */
  declare readonly signal?: string;
  /** The last 4,000 characters of its stderr. */
  readonly stderr: string;

  constructor(message: string, stderr: string) {
    super(message);
    this.name = 'ProcessError';
    this.stderr = stderr;
  }
}
