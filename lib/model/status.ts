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

/**
 * What may follow each status.
 *
 * ```
 *             +------------- a stream it reads begins again -----------+
 *             v                                                        |
 * added -> waiting -> ready -> running -> succeeded | failed           |
 *                      ^ ^ ^      | | |                                |
 *                      | | |      | | +-> suspended (waits, no slot) --+
 *                      | | +------+ | what it read has changed         |
 *                      | +----------+ backing-off (before a retry) ----+
 *                      +--- suspended: what it waited for is there
 *
 * any of them -> skipped (cannot run) | cancelled | failed (a timeout, a gate) | restored (the log has its result)
 * ```
 */
export const movesFrom: Readonly<Record<TaskStatus, readonly TaskStatus[]>> = {
  waiting: ['ready', 'backing-off', 'skipped', 'cancelled', 'failed', 'restored'],
  ready: ['running', 'suspended', 'waiting', 'skipped', 'cancelled', 'failed', 'restored'],
  running: [
    'succeeded',
    'failed',
    'ready',
    'backing-off',
    'suspended',
    'waiting',
    'skipped',
    'cancelled',
    'restored',
  ],
  'backing-off': ['ready', 'waiting', 'skipped', 'cancelled', 'failed'],
  suspended: ['ready', 'succeeded', 'failed', 'backing-off', 'waiting', 'skipped', 'cancelled', 'restored'],
  succeeded: [],
  failed: [],
  skipped: [],
  cancelled: [],
  restored: [],
};

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
