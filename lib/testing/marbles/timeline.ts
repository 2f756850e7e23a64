import type { WorkflowEvent } from '../../model/event.js';
import type { TaskStatus } from '../../model/status.js';
import { isEnd } from '../../model/status.js';
import { statusStyles } from '../../views/status-style.js';

/** The alphabet of timelines: one character for what a task is doing. `_` is before it was added. */
export const timelineAlphabet: Readonly<Record<TaskStatus, string>> = Object.fromEntries(
  Object.entries(statusStyles).map(([status, { letter }]) => [status, letter]),
) as Record<TaskStatus, string>;

/** The statuses of one task over time. */
export interface TimelineRow {
  readonly taskId: string;
  readonly changes: readonly { readonly at: number; readonly status: TaskStatus }[];
}

/** A run as it is drawn. */
export interface TimelinePicture {
  readonly rows: readonly TimelineRow[];
  /** What tasks emitted, results included. */
  readonly values: readonly { readonly taskId: string; readonly at: number; readonly value: unknown }[];
  /** When it ended, ms. */
  readonly endedAt: number;
  /** Ms one character of the test stands for. */
  readonly unit: number;
}

/** The life of each task from the events of a run; `ids` are the tasks it began with. */
export function timelineOf(ids: Iterable<string>, events: readonly WorkflowEvent[]): TimelineRow[] {
  const rows = new Map<string, { at: number; status: TaskStatus }[]>();
  const remote = new Set<string>();
  for (const id of ids) rows.set(id, [{ at: 0, status: 'waiting' }]);
  for (const event of events) {
    if (event.type === 'plan')
      for (const task of event.tasks) {
        if (task.remote === true) remote.add(task.id);
        if (!rows.has(task.id)) rows.set(task.id, [{ at: event.at, status: 'waiting' }]);
      }
    const begins = event.type === 'attempt' && event.reason === 'begun' && event.hedge !== true;
    if (event.type !== 'task' && !begins) continue;
    const changes = rows.get(event.taskId) ?? [];
    rows.set(event.taskId, changes);
    if (event.type !== 'task') changes.push({ at: event.at, status: 'running' });
    // What waits for a worker is ready until one has begun.
    else if (event.reason !== 'running' || !remote.has(event.taskId) || changes.at(-1)?.status !== 'ready')
      changes.push({ at: event.at, status: event.reason });
  }
  return [...rows].map(([taskId, changes]) => ({ taskId, changes }));
}

/**
 * One row as text: a column is `unit` ms and shows the status at its beginning, or the end if the task ended within
 * it. So times are rounded down to the unit, and a status that lasts shorter may not be seen.
 */
export function drawRow(row: TimelineRow, unit: number): string {
  const [first] = row.changes;
  let text = '';
  if (first === undefined) return text;
  let status: string = '_';
  for (const change of row.changes) {
    const column = Math.floor(change.at / unit + 1e-9);
    text += status.repeat(Math.max(0, column - text.length));
    status = timelineAlphabet[change.status];
    if (isEnd(change.status)) return text.slice(0, column) + status;
  }
  return `${text}${status}`;
}

/** The whole run as a picture: a row for each task, in the order in which they were defined or added. */
export function drawTimeline(rows: readonly TimelineRow[], unit = 1): string {
  const width = Math.max(0, ...rows.map(({ taskId }) => taskId.length));
  return rows.map((row) => `${row.taskId.padEnd(width)}  ${drawRow(row, unit)}`).join('\n');
}

/** Rows of a drawn timeline: the last word of a line is the picture, what stands before it the id. */
export function readTimeline(text: string): Map<string, string> {
  const rows = new Map<string, string>();
  for (const line of text.split('\n')) {
    const match = /^\s*(.*?)\s+(\S+)\s*$/.exec(line);
    if (match !== null) rows.set(match[1] as string, match[2] as string);
  }
  return rows;
}
