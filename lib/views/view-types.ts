import type { PlannedTask } from '../model/event.js';
import type { TaskStatus } from '../model/status.js';
import type { Change } from './changes.js';
import type { Span } from './spans.js';

/** A task as the pictures show it. */
export interface TaskView {
  readonly id: string;
  /** As its event said it. */
  readonly plan: PlannedTask;
  readonly seq: number;
  readonly type: string;
  readonly group: string | undefined;
  readonly dependencies: PlannedTask['dependencies'];
  readonly parent: string | undefined;
  /** Its own, now; undefined: 0. */
  priority: number | undefined;
  status: TaskStatus;
  /** It has failed, as it may. */
  tolerated: boolean;
  readonly spans: Span[];
  attempts: number;
  /** Ms it has waited for permits so far. */
  permitMs: number;
  /** Errors of attempts, oldest first. */
  errors: readonly { readonly attempt: number; readonly at: number; readonly error: unknown }[];
  error: unknown;
  value: unknown;
  /** Newest values of its stream, and how many there were. */
  stream: readonly unknown[];
  streamed: number;
  messages: readonly { readonly at: number; readonly message: string; readonly data?: unknown }[];
  usage: { readonly inputTokens: number; readonly outputTokens: number; readonly cost: number };
  model: string | undefined;
}

/** A group, or without a name the whole run, as the gauges show it. */
export interface GroupView {
  readonly name: string | undefined;
  /** Tasks at work; undefined limit: none. */
  active: number;
  /** Most that were at work at once. */
  most: number;
  limit: number | undefined;
  /** Waiting for a place or a permit. */
  ready: number;
  /** Held back until, ms of the run. */
  gatedUntil: number;
  /** Attempts to which the provider said "not now". */
  refused: number;
  /** Nothing new of it starts until somebody says so. */
  paused: boolean;
  /** Newest facts of limiter, breaker and budget events, by name. */
  readonly facts: Map<string, unknown>;
  /** Points for the chart: ms, active, limit. */
  readonly history: { readonly at: number; active: number; limit: number | undefined }[];
}

/** A question to a person that nobody has answered. */
export interface QuestionView {
  readonly taskId: string;
  readonly prompt: string;
  readonly context?: unknown;
  /** A program is to answer it. */
  readonly callback?: true;
  /** Ms as the clock of the run counts. */
  readonly deadline?: number;
  /** Why the last answer was refused. */
  refused?: string;
}

/** A commit to the state. */
export interface CommitView {
  readonly commit: number;
  readonly at: number;
  readonly taskId: string;
  readonly changes: readonly Change[];
}
