import type { TaskNode } from '../graph/node.js';

/** Books the time since the last change of status, until `now`; the parts add up to the wall time. */
export function account(node: TaskNode, now: number): void {
  const spent = now - node.since;
  node.since = now;
  if (spent <= 0) return;
  if (node.status === 'waiting') node.dependenciesMs += spent;
  else if (node.status === 'ready') {
    const permit = permitShare(node, spent, now);
    node.slotMs += spent - permit;
    if (permit > 0) node.more().permitMs += permit;
  } else if (node.status === 'running') node.runningMs += spent;
  else if (node.status === 'backing-off') node.more().backoffMs += spent;
  else node.more().suspendedMs += spent;
}

/** The part of a wait that was for permits. */
function permitShare(node: TaskNode, spent: number, now: number): number {
  return Math.min(spent, node.lane.permitMs(now) - (node.extra?.permitMark ?? 0));
}

/** Books an attempt that another one follows; `retryAfter`: ms a provider asked to wait. */
export function accountAttempt(
  node: TaskNode,
  endedAt: number,
  error: unknown,
  retryAfter: number | undefined,
): void {
  const extra = node.more();
  extra.attempts ??= [];
  const asked = retryAfter === undefined ? {} : { retryAfter };
  extra.attempts.push({ startedAt: node.startedAt, endedAt, error, ...asked });
}
