import { isHeldBack } from '../graph/gate.js';
import type { TaskNode } from '../graph/node.js';
import { RxhiveError } from '../kernel/errors.js';
import { isEnd } from '../model/status.js';

/** What a run is about. */
interface Activity {
  /** Tasks that have a slot. */
  readonly active: number;
  readonly keepOpen: boolean;
  readonly closing: RxhiveError | undefined;
}

/** True when nothing goes on by itself: all that has not ended waits for answers, or for tasks that do. */
export function onlyPeopleCanHelp(
  { active, keepOpen, closing }: Activity,
  nodes: Iterable<TaskNode>,
): boolean {
  if (active > 0 || keepOpen || closing !== undefined) return false;
  let asking = false;
  for (const node of nodes) {
    const { status, extra, committing } = node;
    if (committing) return false;
    if (status === 'waiting' || isEnd(status) || (status === 'ready' && isHeldBack(node))) continue;
    if (status !== 'suspended') return false;
    if (extra?.join?.elsewhere === true) return false;
    for (const { timed } of extra?.messageWaits ?? []) if (timed) return false;
    asking ||= extra?.asking !== undefined && extra.asking.size > 0;
  }
  return asking;
}

/** Does anything go on by itself in a run that begins nothing new and has no slot in use? */
export function goesOnByItself(nodes: Iterable<TaskNode>): boolean {
  for (const { status, extra, committing, running } of nodes) {
    if (committing) return true;
    // It wants its slot again, or something outside of the run will let it go on.
    if (running !== undefined && (status === 'ready' || (status === 'suspended' && extra?.join?.elsewhere)))
      return true;
  }
  return false;
}

/** Why attempts are stopped, and streams end, that a later process goes on with. */
export function runSuspended(): RxhiveError {
  const message =
    'The run was suspended, for people to answer or because it was drained; it goes on when it is run again.';
  return new RxhiveError('RUN_SUSPENDED', message);
}
