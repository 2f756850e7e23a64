import { RxhiveError } from '../kernel/errors.js';
import { isRefusal, statusOf } from '../kernel/provider-error.js';
import type { DependencyMode } from '../model/dependency.js';
import type { AttemptEvent, PlanEvent, PlannedTask, WorkflowEvent } from '../model/event.js';
import { isEnd, type RunStatus, type TaskStatus } from '../model/status.js';
import { readEventLog } from '../observe/event-log.js';

/** How one attempt of a recorded task went. */
export interface RecordedAttempt {
  /** Ms it held its slot, all stretches together. */
  readonly runningMs: number;
  /** `open`: something else ended it, a clock of the task or a cancel. */
  readonly end: 'succeeded' | 'failed' | 'open';
  /** With `failed`: what tells the error. */
  readonly code?: string;
  /** Ms until the next attempt. */
  readonly delay?: number;
  /** HTTP status of the error. */
  readonly status?: number;
  /** Ms its provider asked to wait, or made its group wait where it did not say. */
  readonly asked?: number;
  /** Ms of its running time after which it joined the tasks it had added. */
  readonly joins: readonly number[];
  /** Ms of its running time after which it emitted a value, before its end. */
  readonly values: readonly number[];
}

/** A task of a recorded run. */
export interface RecordedTask {
  readonly plan: PlannedTask;
  /** Undefined: it was there at the start, or came from outside. */
  readonly parent?: string;
  /** Ms of the run; 0: it was there at the start. */
  readonly addedAt: number;
  readonly attempts: readonly RecordedAttempt[];
  readonly changes: readonly { readonly at: number; readonly status: TaskStatus }[];
  /** Set when it was cancelled by itself, ms of the run. */
  readonly cancelledAt?: number;
}

/** A run as its events tell it: enough to run it again without doing its work. */
export interface Recording {
  readonly workflow: string;
  readonly runId: string;
  readonly plan: PlanEvent;
  readonly tasks: readonly RecordedTask[];
  readonly status: RunStatus | undefined;
  readonly wallMs: number;
  /** Set when the run as a whole was cancelled, ms. */
  readonly cancelledAt?: number;
  /** Limits that were changed while it went on. */
  readonly limits: readonly { readonly at: number; readonly group?: string; readonly concurrency: number }[];
  /** Answers of status 429. */
  readonly refused: number;
}

/** Reads a log, or events, of one run. @throws RxhiveError INVALID_INPUT when its beginning is not there */
export function recordingOf(log: string | readonly WorkflowEvent[]): Recording {
  const events = typeof log === 'string' ? readEventLog(log) : log;
  const started = events.find((event) => event.type === 'run' && event.reason === 'started');
  const plan = events.find((event) => event.type === 'plan' && event.reason === 'initial');
  if (started?.type !== 'run' || plan?.type !== 'plan')
    throw new RxhiveError(
      'INVALID_INPUT',
      'The log does not begin with a run and its plan; give one that rxhive run --log has written.',
    );
  const tasks = new Map<string, TaskNotes>();
  for (const task of plan.tasks) tasks.set(task.id, new TaskNotes(task, undefined, 0));
  let ended: WorkflowEvent | undefined;
  let refused = 0;
  const limits: { at: number; group?: string; concurrency: number }[] = [];
  for (const event of events) {
    if (event.type === 'run' && event.reason === 'ended') ended = event;
    else if (event.type === 'plan' && event.reason === 'added')
      for (const task of event.tasks) tasks.set(task.id, new TaskNotes(task, event.parent, event.at));
    else if (event.type === 'group' && event.reason === 'gated') {
      for (const notes of tasks.values())
        if (notes.plan.group === event.group) notes.gated(event.at, event.delay ?? 0);
    } else if (event.type === 'group' && event.reason === 'limit' && event.concurrency !== undefined) {
      const { at, group, concurrency } = event;
      limits.push({ at, concurrency, ...(group !== undefined && { group }) });
    } else if ('taskId' in event) tasks.get(event.taskId)?.note(event);
    if (event.type === 'attempt' && statusOf(event.error) === 429) refused += 1;
  }
  const status = ended?.type === 'run' ? ended.status : undefined;
  const recorded = [...tasks.values()].map((notes) => notes.recorded(status === 'cancelled'));
  return {
    workflow: started.workflow ?? 'recorded',
    runId: started.runId,
    plan,
    tasks: recorded,
    status,
    wallMs: events.at(-1)?.at ?? 0,
    limits,
    refused,
    ...(status === 'cancelled' && ended !== undefined && { cancelledAt: ended.at }),
  };
}

interface OpenAttempt {
  runningMs: number;
  readonly joins: number[];
  readonly values: number[];
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Puts the events of one task together. */
class TaskNotes {
  readonly plan: PlannedTask;
  readonly #parent: string | undefined;
  readonly #addedAt: number;
  readonly #attempts: Mutable<RecordedAttempt>[] = [];
  readonly #changes: { at: number; status: TaskStatus }[];
  #now: OpenAttempt | undefined;
  #since = 0;
  #cancelledAt: number | undefined;

  constructor(plan: PlannedTask, parent: string | undefined, addedAt: number) {
    this.plan = plan;
    this.#parent = parent;
    this.#addedAt = addedAt;
    this.#changes = [{ at: addedAt, status: 'waiting' }];
  }

  note(event: WorkflowEvent): void {
    if (event.type === 'task') this.#status(event.at, event.reason, event);
    else if (event.type === 'value') this.#now?.values.push(this.#ran(event.at));
    else if (event.type === 'attempt' && event.reason === 'failed') this.#end(event.at, 'failed', event);
    else if (event.type === 'attempt' && event.reason === 'succeeded') this.#end(event.at, 'succeeded');
    else if (event.type === 'attempt' && event.reason === 'stopped') this.#end(event.at, 'open');
  }

  /** The group is held back because of an attempt that fails at that moment. */
  gated(at: number, delay: number): void {
    this.#gate = { at, delay };
  }

  recorded(runCancelled: boolean): RecordedTask {
    return {
      plan: this.plan,
      ...(this.#parent !== undefined && { parent: this.#parent }),
      addedAt: this.#addedAt,
      attempts: this.#attempts,
      changes: this.#changes,
      ...(this.#cancelledAt !== undefined && !runCancelled && { cancelledAt: this.#cancelledAt }),
    };
  }

  #gate: { readonly at: number; readonly delay: number } | undefined;

  #status(at: number, status: TaskStatus, event: WorkflowEvent & { readonly type: 'task' }): void {
    if (this.#now !== undefined && this.#changes.at(-1)?.status === 'running')
      this.#now.runningMs += at - this.#since;
    this.#since = at;
    if (status === 'running') this.#now ??= { runningMs: 0, joins: [], values: [] };
    if (status === 'suspended') this.#now?.joins.push(this.#now.runningMs);
    const last = this.#attempts.at(-1);
    if (last !== undefined && event.delay !== undefined) last.delay = event.delay;
    if (status === 'cancelled' && reasonOf(event.error) === 'cancelled') this.#cancelledAt = at;
    this.#changes.push({ at, status });
    if (isEnd(status)) this.#now = undefined;
  }

  #ran(at: number): number {
    const running = this.#changes.at(-1)?.status === 'running';
    return (this.#now?.runningMs ?? 0) + (running ? at - this.#since : 0);
  }

  #end(at: number, end: RecordedAttempt['end'], failed?: AttemptEvent): void {
    const { joins = [], values = [] } = this.#now ?? {};
    const runningMs = this.#ran(at);
    const status = statusOf(failed?.error);
    const gate = isRefusal(failed?.error) && this.#gate?.at === at ? this.#gate.delay : undefined;
    const asked = failed?.retryAfter ?? gate;
    this.#attempts.push({
      runningMs,
      end,
      joins,
      values,
      ...(failed !== undefined && { code: codeOf(failed.error) }),
      ...(status !== undefined && { status }),
      ...(asked !== undefined && { asked }),
    });
    this.#now = undefined;
  }
}

/** What tells one error from another: its `code`, else its HTTP `status`, else its name or itself as text. */
export function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return String(error);
  const { code, status, name } = error as { code?: unknown; status?: unknown; name?: unknown };
  return String(code ?? status ?? name ?? 'error');
}

/** What a task depends on: a task in one of the modes, or for a race or quorum `need` of several. */
export interface Needed {
  readonly mode: DependencyMode;
  readonly need: number;
  readonly ids: readonly string[];
}

/** What a planned task depends on, each race and quorum once. */
export function dependenciesIn(list: PlannedTask['dependencies']): Needed[] {
  const found: Needed[] = [];
  const choices = new Map<number, string[]>();
  for (const { id, mode, choice, need = 1 } of list) {
    const known = choice === undefined ? undefined : choices.get(choice);
    known?.push(id);
    if (known !== undefined) continue;
    const ids = [id];
    found.push({ mode, need, ids });
    if (choice !== undefined) choices.set(choice, ids);
  }
  return found;
}

function reasonOf(error: unknown): unknown {
  if (typeof error !== 'object' || error === null) return undefined;
  const { reason, message } = error as { reason?: unknown; message?: unknown };
  // A log keeps the message of an error, not its details.
  return reason ?? (/cancel\(\) was called/.test(String(message)) ? 'cancelled' : undefined);
}
