import type { TaskNode } from '../graph/node.js';
import type { Snapshot } from '../model/result.js';
import type { TaskStatus } from '../model/status.js';

/** State and statuses at this moment. */
export function snapshotOf<S>(
  seq: number,
  state: unknown,
  nodes: ReadonlyMap<string, TaskNode>,
): Snapshot<S> {
  return {
    seq,
    state: state as S,
    get tasks(): ReadonlyMap<string, TaskStatus> {
      return new Map([...nodes].map(([id, node]) => [id, node.status]));
    },
  };
}
