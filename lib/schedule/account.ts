import type { TaskNode } from '../model/node.js';

/** Books the time since the last change of status; the parts add up to the wall time. */
export function account(node: TaskNode, spent: number): void {
  if (node.status === 'waiting') node.dependenciesMs += spent;
  else if (node.status === 'ready') node.slotMs += spent;
  else if (node.status === 'running') node.runningMs += spent;
  else if (node.status === 'backing-off') node.more().backoffMs += spent;
  else node.more().suspendedMs += spent;
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
