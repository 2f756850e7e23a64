import type { UsageReport } from './usage.js';

/** First record of a log. */
export interface RunRecord {
  readonly kind: 'run';
  /** Version of the format. */
  readonly format: 1;
  readonly workflow: string;
  readonly input: unknown;
}

/** A task succeeded: everything of its transaction. Times in ms since that run started. */
export interface CommitRecord {
  readonly kind: 'commit';
  readonly task: string;
  readonly version: string;
  readonly attempt: number;
  readonly at: readonly [startedAt: number, endedAt: number];
  readonly value: unknown;
  /** Key of the store under which the value is kept; it is not in the record then. */
  readonly spilled?: string;
  /** What the body returned, where its schema made another value of it: that is what is checked again. */
  readonly returned?: unknown;
  readonly patches?: readonly StatePatch[];
  readonly inverse?: readonly StatePatch[];
  /** What was used since the task's record before; undefined: one call. */
  readonly usage?: LoggedUsage;
  /** Ids of the tasks it added, but for those of completion handlers, which are called again. */
  readonly spawned?: readonly string[];
}

/** A task failed for good. */
export interface FailedRecord {
  readonly kind: 'failed';
  readonly task: string;
  readonly version: string;
  readonly error: unknown;
  /** As in a commit. */
  readonly usage?: LoggedUsage;
  /** Ids of the tasks it had added; those that finished stay part of the run. */
  readonly spawned?: readonly string[];
}

/** An attempt ended that is followed by no other record: it failed, was stopped, or lost, and had used something. */
export interface UsageRecord {
  readonly kind: 'usage';
  readonly task: string;
  readonly usage: LoggedUsage;
}

/** Usage in a log. What is left out is 0, but `calls` 1. */
export interface LoggedUsage extends Partial<UsageReport> {
  /** Group that paid. */
  readonly group?: string;
  readonly models?: { readonly [name: string]: UsageReport };
}

/** Results that are not used any more: their tasks run again. */
export interface DroppedRecord {
  readonly kind: 'dropped';
  readonly tasks: readonly string[];
}

/** A task asked a person; again, where the answer it had does not count any more. Times as the run's clock counts. */
export interface QuestionRecord {
  readonly kind: 'question';
  readonly id: string;
  readonly task: string;
  readonly key?: string;
  readonly prompt: string;
  readonly context?: unknown;
  readonly at: number;
  readonly deadline?: number;
}

/** What the person said, before the schema; or the default, because nobody had said anything by the deadline. */
export interface AnswerRecord {
  readonly kind: 'answer';
  readonly id: string;
  readonly value: unknown;
  readonly by: 'person' | 'deadline';
}

/** One change of the state, as Immer writes it. */
export interface StatePatch {
  readonly op: 'add' | 'remove' | 'replace';
  readonly path: readonly (string | number)[];
  readonly value?: unknown;
}

/** What a log is made of. */
export type LogRecord =
  | RunRecord
  | CommitRecord
  | FailedRecord
  | UsageRecord
  | DroppedRecord
  | QuestionRecord
  | AnswerRecord;
