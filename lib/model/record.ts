import type { Message } from './channel.js';
import type { DependencyMode } from './dependency.js';
import type { UsageReport } from './usage.js';

/** First record of a log. */
export interface RunRecord {
  readonly kind: 'run';
  /** Version of the format. */
  readonly format: 1;
  readonly workflow: string;
  readonly input: unknown;
  /** When it began, in ms as the run's clock counts. */
  readonly at: number;
  /** Where a fork comes from: a run, and the number of the record it begins after. */
  readonly from?: { readonly runId: string; readonly seq: number };
}

/** The run goes on, in another process or again in the same: times of records that follow count from here. */
export interface ResumedRecord {
  readonly kind: 'resumed';
  /** In ms as the run's clock counts. */
  readonly at: number;
  /** Ms the run had gone on before, without the time in between. */
  readonly before: number;
}

/** Ms a task waited: for dependencies, slot, permit, backoff, suspended. */
export type WaitTimes = readonly [
  dependencies: number,
  slot: number,
  permit: number,
  backoff: number,
  suspended: number,
];

/** Where a task that has ended comes from, and what comes from it. */
export interface Provenance {
  /** The tasks it added; the id alone: a closure of its body, without dependencies. */
  readonly spawned?: readonly (string | AddedTask)[];
  /** Ids of the tasks whose ends it waited for while it ran. */
  readonly joined?: readonly string[];
  /** Who added it, where that was a task. */
  readonly parent?: string;
  /** What its parent's record will say of it; here where it ended before its parent, and is no closure without dependencies. */
  readonly added?: AddedTask;
  /** It is an item of `flow.each`; `data`: the item, where it can be stored; `keys`: those of a batch. */
  readonly item?: { readonly data?: unknown; readonly keys?: readonly string[] };
}

/** A task succeeded: everything of its transaction. Times in ms since that process began with the run. */
export interface CommitRecord extends Provenance {
  readonly kind: 'commit';
  readonly task: string;
  readonly version: string;
  readonly attempt: number;
  readonly at: readonly [startedAt: number, endedAt: number];
  readonly value: unknown;
  /** Key of the store under which the value is kept; it is not in the record then. */
  readonly spilled?: string;
  /** It said values while it ran; the last one alone is in the log. */
  readonly streamed?: true;
  /** What the body returned, where its schema made another value of it: that is what is checked again. */
  readonly returned?: unknown;
  readonly patches?: readonly StatePatch[];
  /** Takes the patches back. */
  readonly inverse?: readonly StatePatch[];
  /** In a compacted log, where `inverse` was too long to keep: the paths that were written. */
  readonly wrote?: readonly StatePath[];
  /** In a compacted log: the number the record had. */
  readonly seq?: number;
  /** Left out where it did not wait. */
  readonly waits?: WaitTimes;
  /** It cleaned up when the run ended early: once that has gone on, it runs again. */
  readonly cleanup?: true;
  /** Added by `run.task`: nobody adds it again when the run goes on. */
  readonly outside?: true;
  /** What was used since the task's record before; undefined: one call. */
  readonly usage?: LoggedUsage;
}

/** A task that was added at run time: enough to bring it back where its body is registered by name. */
export interface AddedTask {
  readonly id: string;
  /** A completion handler of the task added it; left out: its body did. */
  readonly by?: 'handler';
  /** One of several its parent tries; its parent alone makes it again. */
  readonly candidate?: true;
  /** Name under which its body is registered; left out: the body is a closure of who added it. */
  readonly type?: string;
  /** What the registered body works on. */
  readonly data?: unknown;
  /** What differs from the options of its type. */
  readonly options?: Readonly<Record<string, unknown>>;
  readonly group?: string;
  readonly dependencies?: readonly AddedDependency[];
}

/** A dependency of a task that was added at run time. */
export interface AddedDependency {
  readonly id: string;
  /** Left out: `value`. */
  readonly mode?: DependencyMode;
  /** Name of the input; left out: the dependencies are a tuple. */
  readonly key?: string;
  /** With `race` and `quorum`: which choice of the task it is part of, from 0, and how many of it are needed. */
  readonly choice?: number;
  readonly need?: number;
  /** With `orElse`. */
  readonly fallback?: unknown;
  /** With `paired` and `merged`, where it was given: values that may wait. */
  readonly capacity?: number;
}

/** Tasks of registered bodies that `run.task` has added. */
export interface AddedRecord {
  readonly kind: 'added';
  readonly tasks: readonly AddedTask[];
}

/**
 * Attempts that have been under way for a while, by task; attempt 0: it waits for others. One that is found here and
 * nowhere later was lost with its process.
 */
export interface BegunRecord {
  readonly kind: 'begun';
  readonly tasks: readonly (readonly [task: string, attempt: number])[];
}

/** An attempt failed that another one follows. */
export interface AttemptRecord {
  readonly kind: 'attempt';
  readonly task: string;
  readonly attempt: number;
  /** When the next one may begin, in ms as the run's clock counts. */
  readonly until: number;
  /** It was lost with the worker it ran on. */
  readonly lost?: true;
}

/** The process gave the run back; attempts that were under way were stopped, not lost. */
export interface StoppedRecord {
  readonly kind: 'stopped';
}

/** A task failed for good, was cancelled by itself, or skipped: by its own condition, or one that was added. */
export interface FailedRecord extends Provenance {
  readonly kind: 'failed';
  readonly task: string;
  readonly version: string;
  /** Left out: it failed. */
  readonly status?: 'cancelled' | 'skipped';
  /** With `cancelled`; `condition`, with `skipped`: that was decided. */
  readonly reason?: 'cancelled' | 'lost' | 'condition';
  readonly error: unknown;
  readonly attempt: number;
  readonly at: readonly [startedAt: number, endedAt: number];
  readonly waits?: WaitTimes;
  /** As in a commit. */
  readonly usage?: LoggedUsage;
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
  /** What they had written is not taken back. */
  readonly stays?: true;
}

/** A task asked a person; again, where the answer it had does not count any more. Times as the run's clock counts. */
export interface QuestionRecord {
  readonly kind: 'question';
  readonly id: string;
  readonly task: string;
  readonly key?: string;
  readonly prompt: string;
  readonly context?: unknown;
  /** What may be answered, as JSON Schema, where that is known. */
  readonly schema?: Readonly<Record<string, unknown>>;
  readonly at: number;
  readonly deadline?: number;
  /** A program answers it by this. */
  readonly token?: string;
}

/** What the person, or program, said, before the schema; or the default, because nobody had said anything by the deadline. */
export interface AnswerRecord {
  readonly kind: 'answer';
  readonly id: string;
  readonly value: unknown;
  readonly by: 'person' | 'deadline';
}

/** A task said something, or asked another one (then `channel` is `@TASK`). The envelope of a message, as it is. */
export interface MessageRecord extends Message {
  readonly kind: 'message';
}

/** A task answered what it was asked. */
export interface ReplyRecord {
  readonly kind: 'reply';
  /** Version of the envelope. */
  readonly v: 1;
  /** The message it answers. */
  readonly id: string;
  /** The task that answered. */
  readonly from: string;
  /** When, in ms as the run's clock counts. */
  readonly at: number;
  readonly value: unknown;
}

/** A task began to read a channel that does not replay everything: it gets what comes after so many messages, always. */
export interface ReaderRecord {
  readonly kind: 'reader';
  readonly task: string;
  readonly channel: string;
  readonly after: number;
}

/** The state as a whole. What was written before is in it; what follows changes it. */
export interface StateRecord {
  readonly kind: 'state';
  readonly state: unknown;
  /** Parts that a fork was given: what tasks had written there before is not taken back any more. */
  readonly given?: readonly StatePath[];
  /** In a compacted log: the number of the last record this and those before stand for. */
  readonly upTo?: number;
}

/** A place in the state, key by key. */
export type StatePath = readonly (string | number)[];

/** One change of the state, as Immer writes it. */
export interface StatePatch {
  readonly op: 'add' | 'remove' | 'replace';
  readonly path: StatePath;
  readonly value?: unknown;
}

/** What a log is made of. */
export type LogRecord =
  | RunRecord
  | ResumedRecord
  | CommitRecord
  | FailedRecord
  | UsageRecord
  | DroppedRecord
  | AddedRecord
  | BegunRecord
  | AttemptRecord
  | StoppedRecord
  | StateRecord
  | QuestionRecord
  | AnswerRecord
  | MessageRecord
  | ReplyRecord
  | ReaderRecord;

/** A question in a log, and its answer where it has one. */
export interface PastQuestion {
  readonly record: QuestionRecord;
  answer: AnswerRecord | undefined;
}

/** What a log says about messages. */
export type PastMessage = MessageRecord | ReplyRecord | ReaderRecord;
