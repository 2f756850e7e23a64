/** Where a task is in its life. The last five are ends. */
export type TaskStatus =
  | 'waiting'
  | 'ready'
  | 'running'
  | 'backing-off'
  | 'suspended'
  | 'succeeded'
  | 'failed'
  | 'skipped'
  | 'cancelled'
  | 'restored';

/** How a run is, or ended. `partial`: something succeeded and something did not. */
export type RunStatus = 'succeeded' | 'partial' | 'failed' | 'cancelled' | 'suspended';

/** What the time of a task goes into: work, or a wait as reports name it. */
export type TimeKind = 'dependencies' | 'slot' | 'permit' | 'backoff' | 'suspended' | 'running';

/** What the time in a status goes into; undefined: it is an end. */
export const timeIn: Readonly<Record<TaskStatus, TimeKind | undefined>> = {
  waiting: 'dependencies',
  ready: 'slot',
  running: 'running',
  'backing-off': 'backoff',
  suspended: 'suspended',
  succeeded: undefined,
  failed: undefined,
  skipped: undefined,
  cancelled: undefined,
  restored: undefined,
};

/** True for a status nothing leaves. */
export function isEnd(status: TaskStatus): boolean {
  return (
    status === 'succeeded' ||
    status === 'failed' ||
    status === 'skipped' ||
    status === 'cancelled' ||
    status === 'restored'
  );
}

/** Is there a result? */
export function isSuccess(status: TaskStatus): boolean {
  return status === 'succeeded' || status === 'restored';
}
