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
