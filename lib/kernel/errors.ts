import { escapeControl } from './escape-control.js';

/**
 * Every code an {@link RxhiveError} can carry. Codes are stable: decide by them, never by message text.
 */
export type ErrorCode =
  | 'WORKFLOW_DEFINITION'
  | 'INVALID_OPTION'
  | 'INVALID_INPUT'
  | 'INVALID_RESULT'
  | 'TASK_TIMEOUT'
  | 'TASK_SKIPPED'
  | 'TRANSACTION_CONFLICT'
  | 'LIMIT_EXCEEDED'
  | 'CIRCUIT_OPEN'
  | 'TOO_FEW_SUCCEEDED'
  | 'CHECKPOINT_CORRUPT'
  | 'STORE_FAILED'
  | 'RUN_LEASED'
  | 'NOT_SERIALIZABLE'
  | 'WORKFLOW_CANCELLED'
  | 'PARTIAL_WORKFLOW'
  | 'ATTEMPT_ENDED'
  | 'RUN_ENDED'
  | 'HANDLER_FAILED'
  | 'CALLBACK_FAILED'
  | 'LIMITER_FAILED'
  | 'JOIN_CYCLE'
  | 'WAIT_CYCLE'
  | 'CHANNEL_ENDED'
  | 'NO_REPLY'
  | 'INVALID_MESSAGE'
  | 'QUESTION_UNKNOWN'
  | 'QUESTION_CLOSED'
  | 'ALREADY_ANSWERED'
  | 'ANSWER_REFUSED'
  | 'RUN_SUSPENDED'
  | 'AGENT_FAILED'
  | 'CHILD_MISSING'
  | 'NESTED_FAILED'
  | 'LOOP_LIMIT'
  | 'ATTEMPT_LOST'
  | 'WORKER_LOST'
  | 'UNKNOWN_AGENT'
  | 'QUEUE_FAILED'
  | 'QUEUE_FULL'
  | 'STREAM_FAILED';

/** Where each code has its section. From `homepage` of package.json, which the core does not read; a spec compares. */
const sections = 'https://rxhive.github.io/rxhive/errors#';

const address = new RegExp(`[ \\n]See ${sections.replaceAll('.', '\\.')}[A-Z_]+`, 'g');

/** A message without the addresses of errors it is made from: it shall end with its own, if with any. */
export function withoutAddress(message: string): string {
  return message.includes(sections) ? message.replaceAll(address, '') : message;
}

/**
 * Base of every error rxhive makes. The message ends with the address of what the documentation says of its code. `details` holds
 * typed facts, free of task inputs and secrets.
 */
export class RxhiveError extends Error {
  /** Stable, machine-readable reason. */
  readonly code: ErrorCode;
  /** Facts behind the message: ids, limits, kinds. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: { readonly cause?: unknown; readonly details?: Readonly<Record<string, unknown>> } = {},
  ) {
    const said = withoutAddress(message);
    const gap = said.includes('\n') ? '\n' : ' ';
    super(`${said}${gap}See ${sections}${code}`, 'cause' in options ? { cause: options.cause } : undefined);
    this.name = new.target.name;
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** One thing that is wrong with a workflow definition. */
export interface DefinitionFault {
  /** What kind of fault it is. */
  readonly kind:
    | 'bad-id'
    | 'duplicate-id'
    | 'unknown-dependency'
    | 'foreign-dependency'
    | 'cycle'
    | 'unknown-group'
    | 'unknown-agent'
    | 'unknown-resource'
    | 'bad-number'
    | 'bad-option';
  /** The task it is about, where there is one. */
  readonly taskId?: string;
  /** For a cycle: the ids along it, the first one repeated at the end. */
  readonly path?: readonly string[];
  /** One sentence that says what to change. */
  readonly message: string;
}

/** A definition that cannot run. Lists *all* faults; nothing was started. */
export class WorkflowDefinitionError extends RxhiveError {
  declare readonly faults: readonly DefinitionFault[];

  constructor(workflow: string, faults: readonly DefinitionFault[]) {
    const lines = linesOf(faults);
    const shown = lines.slice(0, 20).map((line) => `\n  - ${line}`);
    const more = lines.length > 20 ? `\n  - and ${lines.length - 20} more` : '';
    super(
      'WORKFLOW_DEFINITION',
      `Workflow "${truncate(workflow)}" has ${faults.length} fault${faults.length === 1 ? '' : 's'}; nothing was started:${shown.join('')}${more}`,
      { details: { faults: faults.length } },
    );
    // The message has it: what prints errors with their fields shall not say it again.
    Object.defineProperty(this, 'faults', { value: faults });
  }
}

/** One line for tasks with the same fault. */
function linesOf(faults: readonly DefinitionFault[]): string[] {
  const found = new Map<string, { readonly message: string; readonly head: string; more: number }>();
  for (const { taskId, message } of faults) {
    const head = taskId === undefined ? '' : `Task "${truncate(taskId)}"`;
    const rest = message.startsWith(head) ? message.slice(head.length) : message;
    const known = found.get(rest);
    if (known === undefined || head === '') found.set(rest, { message, head, more: 0 });
    else known.more += 1;
  }
  return [...found].map(([rest, { message, head, more }]) =>
    more === 0 ? message : `${head} (and ${more} more)${rest}`,
  );
}

/** Which clock of a task ran out. */
export type TimeoutKind = 'attempt' | 'total' | 'idle' | 'queue' | 'answer' | 'message' | 'reply';

const timeoutMeaning: Record<TimeoutKind, string> = {
  attempt: 'one attempt took longer than',
  total: 'all attempts together took longer than',
  idle: 'no value arrived for',
  queue: 'it waited for a slot longer than',
  answer: 'nobody answered its question within',
  message: 'no message came within',
  reply: 'the task it asked did not reply within',
};

const timeoutAdvice: Partial<Record<TimeoutKind, string>> = {
  answer: 'Raise the deadline of the question or give it a default.',
  message: 'Raise the timeout of ctx.receive or catch this.',
  reply: 'Raise the timeout of ctx.ask or catch this.',
};

/** A task ran out of time. `kind` says which of its clocks. */
export class TaskTimeoutError extends RxhiveError {
  readonly taskId: string;
  readonly kind: TimeoutKind;
  /** The limit that was passed, in ms. */
  readonly limit: number;

  constructor(taskId: string, kind: TimeoutKind, limit: number) {
    const advice = timeoutAdvice[kind] ?? `Raise timeout.${kind} or make the task faster.`;
    super(
      'TASK_TIMEOUT',
      `Task "${truncate(taskId)}" timed out: ${timeoutMeaning[kind]} ${limit} ms. ${advice}`,
      { details: { taskId, kind, limit } },
    );
    this.taskId = taskId;
    this.kind = kind;
    this.limit = limit;
  }
}

/** Who or what ended a run or a task early. */
export type CancelReason =
  | 'cancelled'
  | 'unsubscribed'
  | 'signal'
  | 'fail-fast'
  | 'budget'
  | 'lost'
  | 'parent';

/** The run, or one task of it, was cancelled. Also the `reason` of the task's AbortSignal. */
export class WorkflowCancelledError extends RxhiveError {
  readonly reason: CancelReason;

  constructor(reason: CancelReason, cause?: unknown) {
    const why: Record<CancelReason, string> = {
      cancelled: 'cancel() was called',
      unsubscribed: 'the last subscriber left',
      signal: 'the AbortSignal given to the run was aborted',
      'fail-fast': 'a task failed and failurePolicy is "fail-fast"',
      budget: 'a hard budget was passed',
      lost: 'another attempt or task was first, and nothing else needs this one',
      parent: 'the task it was for has ended',
    };
    // Those who cancel say why; the other causes are errors that are told elsewhere.
    const said = cause !== undefined && (reason === 'cancelled' || reason === 'signal');
    super('WORKFLOW_CANCELLED', `Cancelled: ${why[reason]}${said ? `: ${messageOf(cause)}` : '.'}`, {
      ...(cause === undefined ? {} : { cause }),
      details: { reason },
    });
    this.reason = reason;
  }
}

/** What a serializable task had read, or writes exclusively, was written by another task before it could commit. */
export class TransactionConflictError extends RxhiveError {
  readonly taskId: string;
  /** The task that wrote. */
  readonly otherTaskId: string;
  /** Where in the state. */
  readonly path: readonly PropertyKey[];
  /** The value that was read. Not in the message: it may be a secret. */
  readonly readValue: unknown;
  /** The value that is there now. */
  readonly currentValue: unknown;

  constructor(
    taskId: string,
    otherTaskId: string,
    path: readonly PropertyKey[],
    values: { readonly read: unknown; readonly current: unknown },
    does: 'read' | 'writes' = 'read',
  ) {
    const cure = does === 'read' ? 'Use onConflict "rerun", read less' : 'Let them write to different places';
    const where = path.length === 0 ? 'the state' : `state.${truncate(path.map(String).join('.'))}`;
    super(
      'TRANSACTION_CONFLICT',
      `Task "${truncate(taskId)}" ${does} ${where}, and task "${truncate(otherTaskId)}" wrote it before the commit. ${cure}, or make one depend on the other.`,
      { details: { taskId, otherTaskId, path } },
    );
    this.taskId = taskId;
    this.otherTaskId = otherTaskId;
    this.path = path;
    this.readValue = values.read;
    this.currentValue = values.current;
  }
}

/** What a body returned does not fit the `result` schema of its task. Retried like an error of the body. */
export class InvalidResultError extends RxhiveError {
  readonly taskId: string;
  /** What does not fit, for instance to tell it to the model. Not in the message: it may show parts of the value. */
  readonly issues: readonly { readonly path: string; readonly message: string }[];

  constructor(taskId: string, issues: InvalidResultError['issues'], places: string) {
    const message = `The result of task "${truncate(taskId)}" does not fit its schema at ${places}. Retry, or change the schema.`;
    super('INVALID_RESULT', message, { details: { taskId, paths: issues.map(({ path }) => path) } });
    this.taskId = taskId;
    this.issues = issues;
  }
}

/** A message, or a reply, does not fit its schema. A message was not sent. */
export class InvalidMessageError extends RxhiveError {
  /** Name of the channel; `@TASK` for what that task was asked. */
  readonly channel: string;
  /** What does not fit. Not in the message: it may show parts of the value. */
  readonly issues: readonly { readonly path: string; readonly message: string }[];

  constructor(channel: string, issues: InvalidMessageError['issues'], places: string) {
    const what = channel.startsWith('@') ? 'A reply of task' : 'A message on channel';
    const message = `${what} "${truncate(channel.replace(/^@/, ''))}" does not fit its schema at ${places}. Say something else, or change the schema.`;
    super('INVALID_MESSAGE', message, { details: { channel, paths: issues.map(({ path }) => path) } });
    this.channel = channel;
    this.issues = issues;
  }
}

/** An answer does not fit the schema of its question. Nothing has changed: the question is open. */
export class AnswerRefusedError extends RxhiveError {
  readonly questionId: string;
  /** What does not fit, for the person who answered. Not in the message: it may show parts of the answer. */
  readonly issues: readonly { readonly path: string; readonly message: string }[];

  constructor(questionId: string, issues: AnswerRefusedError['issues'], places: string) {
    const message = `The answer to "${truncate(questionId)}" does not fit its schema at ${places}. The question is still open: answer again.`;
    super('ANSWER_REFUSED', message, { details: { questionId, paths: issues.map(({ path }) => path) } });
    this.questionId = questionId;
    this.issues = issues;
  }
}

/** A log is damaged or foreign. Nothing was started and nothing in it was changed. */
export class CheckpointCorruptError extends RxhiveError {
  readonly runId: string;
  /** The record that is wrong, from 1; 0 for the store as a whole. */
  readonly seq: number;

  constructor(runId: string, seq: number, why: string) {
    const what = seq === 0 ? 'The store' : `Record ${seq} of run "${truncate(runId)}"`;
    super(
      'CHECKPOINT_CORRUPT',
      `${what} is damaged: ${why}. Restore it from a copy, or start a new run under another runId.`,
      { details: { runId, seq } },
    );
    this.runId = runId;
    this.seq = seq;
  }
}

/** A limit that guards the run was reached (`maxTasks`, a full buffer, a budget). */
export class LimitExceededError extends RxhiveError {
  /** The option that set the limit. */
  readonly limitName: string;
  readonly limit: number;

  constructor(limitName: string, limit: number, message: string, cause?: unknown) {
    super('LIMIT_EXCEEDED', message, {
      ...(cause === undefined ? {} : { cause }),
      details: { limitName, limit },
    });
    this.limitName = limitName;
    this.limit = limit;
  }
}

/** A task did not run because that was decided: by its condition, by `ctx.skip`, or by a rule such as `failed(...)`. No failure. */
export class TaskSkippedError extends RxhiveError {
  /** The task for which it was decided. Those that need it are skipped with the same error. */
  readonly taskId: string;
  /** Why, in words. */
  readonly because: string;

  constructor(taskId: string, because: string) {
    const message = `Task "${truncate(taskId)}" was skipped: ${because}. Let tasks that can do without its result depend on it with optional(), settled() or orElse().`;
    super('TASK_SKIPPED', message, { details: { taskId, reason: 'condition', because } });
    this.taskId = taskId;
    this.because = because;
  }
}

/** An id for a message: one of 10 kB must not make a line of 10 kB, and none is to change what a terminal does. */
export function truncate(text: string): string {
  // Callers without types give anything.
  const all = String(text);
  const shortened = all.length > 80 ? `${all.slice(0, 60)}… (${all.length} characters)` : all;
  return escapeControl(shortened.replaceAll(/[\n\r\t]+/g, ' '));
}

/**
 * What something that was thrown says, in at most 2,000 characters and without the address of its code, for texts that are
 * about more than this one error. Never throws, whatever it is.
 */
export function messageOf(error: unknown): string {
  let text: string;
  try {
    const message: unknown = (error as { readonly message?: unknown } | null | undefined)?.message;
    text = withoutAddress(typeof message === 'string' && message !== '' ? message : String(error));
  } catch {
    text = `${inspect(error)} that cannot be shown`;
  }
  return escapeControl(text.length > 2_000 ? `${text.slice(0, 1_960)}… (${text.length} characters)` : text);
}

/** Shows a wrong value in a message without printing its content. */
export function inspect(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean' || value === undefined || value === null) {
    return String(value);
  }
  if (typeof value === 'string') return `"${truncate(value)}"`;
  return isArray(value) ? 'an array' : `a value of type ${typeof value}`;
}

/** Is it an error of rxhive? False also for a proxy that refuses to say what it is made from. */
export function isRxhiveError(error: unknown): error is RxhiveError {
  try {
    return error instanceof RxhiveError;
  } catch {
    return false;
  }
}

/** False for a proxy that was revoked: asking what it is throws. */
function isArray(value: unknown): boolean {
  try {
    return Array.isArray(value);
  } catch {
    return false;
  }
}
