import type { WorkflowEvent } from '../model/event.js';
import type { TaskStatus } from '../model/status.js';
import type { EventLogOptions } from '../observe/event-log.js';
import { type Change, StateReplay } from './changes.js';
import { recorded } from './recorded.js';
import type { RunView, Span } from './run-view.js';

/** An attempt as the events tell it, ms of the run. */
export interface InspectedAttempt {
  readonly attempt: number;
  readonly startedAt: number;
  endedAt?: number;
  /** How it ended; undefined while it runs. */
  end?: 'succeeded' | 'failed' | 'stopped';
  error?: unknown;
  /** Ms a provider asked to wait. */
  retryAfter?: number;
  /** It ran beside another attempt. */
  readonly hedge?: true;
  /** Id of the worker that made it, where that is another process. */
  worker?: string;
}

/** Everything that is known of one task of a run. */
export interface TaskInspection {
  readonly id: string;
  readonly type: string;
  readonly group?: string;
  /** The task that added it. */
  readonly parent?: string;
  readonly status: TaskStatus;
  /** What it depends on, and what that gave. */
  readonly inputs: readonly {
    readonly id: string;
    readonly mode: string;
    readonly status?: TaskStatus;
    readonly value?: unknown;
  }[];
  readonly attempts: readonly InspectedAttempt[];
  /** What it waited for, and when it ran; ms of the run. */
  readonly spans: readonly Span[];
  readonly usage: { readonly inputTokens: number; readonly outputTokens: number; readonly cost: number };
  readonly model?: string;
  readonly messages: readonly { readonly at: number; readonly message: string; readonly data?: unknown }[];
  /** The newest values of its stream, and how many there were. */
  readonly stream: readonly unknown[];
  readonly streamed: number;
  /** What it changed in the state, each time it did: the state before and after. */
  readonly commits: readonly {
    readonly commit: number;
    readonly at: number;
    readonly changes: readonly Change[];
    readonly before: unknown;
    readonly after: unknown;
  }[];
  readonly value?: unknown;
  readonly error?: unknown;
}

/**
 * What the events of a run tell of one task: inputs, every attempt, waits, usage, messages, the state before and after
 * its commit, its result. Secrets are hidden as in a log. Undefined: there is no such task.
 */
export function inspectTask(
  events: Iterable<WorkflowEvent>,
  taskId: string,
  options: EventLogOptions = {},
): TaskInspection | undefined {
  return inspectionOf(recorded(events, options), taskId);
}

/** The same of a run that has been read. */
export function inspectionOf(view: RunView, taskId: string): TaskInspection | undefined {
  const task = view.tasks.get(taskId);
  if (task === undefined) return undefined;
  const { id, type, group, parent, status, spans, usage, model, stream, streamed } = task;
  const replay = new StateReplay();
  const stateAfter = (n: number): unknown => replay.at(view.initialState, view.commits, n);
  return {
    id,
    type,
    ...(group !== undefined && { group }),
    ...(parent !== undefined && { parent }),
    status,
    inputs: task.dependencies.map(({ id: needed, mode }) => {
      const from = view.tasks.get(needed);
      const given = from?.value === undefined ? {} : { value: from.value };
      return { id: needed, mode, ...(from !== undefined && { status: from.status }), ...given };
    }),
    attempts: attemptsOf(view, id),
    spans,
    usage,
    ...(model !== undefined && { model }),
    messages: task.messages.map(({ at, message, data }) => ({
      at,
      message,
      ...(data !== undefined && { data }),
    })),
    stream,
    streamed,
    commits: view.commits.flatMap(({ commit, at, taskId: author, changes }, i) =>
      author === id ? [{ commit, at, changes, before: stateAfter(i), after: stateAfter(i + 1) }] : [],
    ),
    ...(task.value !== undefined && { value: task.value }),
    ...(task.error !== undefined && { error: task.error }),
  };
}

function attemptsOf(view: RunView, taskId: string): InspectedAttempt[] {
  const attempts: InspectedAttempt[] = [];
  for (const event of view.events) {
    if (event.type !== 'attempt' || event.taskId !== taskId) continue;
    const { attempt, at, reason, hedge, error, retryAfter } = event;
    if (reason === 'started') {
      attempts.push({ attempt, startedAt: at, ...(hedge && { hedge }) });
      continue;
    }
    const begun = attempts.findLast((one) => one.attempt === attempt && one.hedge === hedge);
    if (begun === undefined) continue;
    if (reason === 'begun') {
      if (event.worker !== undefined) begun.worker = event.worker.id;
      continue;
    }
    begun.endedAt = at;
    begun.end = reason;
    if (error !== undefined) begun.error = error;
    if (retryAfter !== undefined) begun.retryAfter = retryAfter;
  }
  return attempts;
}
