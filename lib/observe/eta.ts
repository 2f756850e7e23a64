import type { TaskNode } from '../graph/node.js';

/** How far a run is. */
export interface RunProgress {
  /** Ms since the run started. */
  now(): number;
  /** Slots of the run. */
  readonly limit: number;
  /** Times that or the limit of a group has changed. */
  readonly limitChanges: number;
  /** Tasks that have not ended, and attempts that have begun. */
  readonly open: number;
  readonly starts: number;
}

/** Above so many open tasks it is not counted anew for each call. */
const few = 200;
/** A count holds while less than one in so many open tasks has changed, and that part of the time left has passed. */
const part = 20;

/** {@link etaOf}, counted as often as needed: counting looks at all tasks, and pages ask often. */
export class Eta {
  #counted: (Omit<RunProgress, 'now' | 'limit'> & { eta: number; size: number; at: number }) | undefined;

  of(
    nodes: ReadonlyMap<string, TaskNode>,
    progress: RunProgress,
    expectedOf: (node: TaskNode) => number | undefined,
  ): number | undefined {
    const { size } = nodes;
    const { limitChanges, open, starts } = progress;
    const now = progress.now();
    const before = this.#counted;
    if (before !== undefined && open > few && limitChanges === before.limitChanges) {
      const changes =
        Math.abs(size - before.size) + Math.abs(open - before.open) + Math.abs(starts - before.starts);
      const passed = now - before.at;
      if (changes * part < open && passed * part < before.eta) return Math.round(before.eta - passed);
    }
    const eta = etaOf(nodes, progress, expectedOf);
    this.#counted = eta === undefined ? undefined : { eta, size, at: now, limitChanges, open, starts };
    return eta;
  }
}

/**
 * Ms until a run ends, were everything to go as expected: the longest path that is left, or the work that is left over
 * the slots, a group or a resource, whichever is most. Critical path first comes close to that bound. A task of which
 * nothing is known counts as the mean of the others; undefined: nothing is known of any, or what is left is paused.
 */
export function etaOf(
  nodes: ReadonlyMap<string, TaskNode>,
  progress: RunProgress,
  expectedOf: (node: TaskNode) => number | undefined,
): number | undefined {
  const open: TaskNode[] = [];
  /** What is expected of each, below 0 where nothing is known; then what is left of it. */
  const left: number[] = [];
  let sum = 0;
  let known = 0;
  for (const node of nodes.values()) {
    if (node.ended) continue;
    const ms = expectedOf(node);
    open.push(node);
    left.push(ms ?? -1);
    if (ms === undefined) continue;
    sum += ms;
    known += 1;
  }
  if (open.length === 0) return 0;
  if (known === 0) return undefined;
  const mean = sum / known;
  const now = progress.now();
  for (const [i, node] of open.entries()) {
    const ms = left[i] as number;
    left[i] = remaining(node, ms < 0 ? mean : ms, now);
  }
  const eta = Math.max(longestPath(open, left), mostWork(open, left, progress.limit));
  return Number.isFinite(eta) ? Math.round(eta) : undefined;
}

/** What runs longer than expected is expected to take a tenth of its time more. */
function remaining(node: TaskNode, expected: number, now: number): number {
  if (node.status !== 'running') return expected;
  const spent = node.runningMs + now - node.since;
  return Math.max(expected - spent, spent / 10);
}

function longestPath(open: readonly TaskNode[], left: readonly number[]): number {
  const paths = new Map<TaskNode, number>();
  let longest = 0;
  for (const i of deepestFirst(open)) {
    const node = open[i] as TaskNode;
    let behind = 0;
    for (let edge = node.firstOut; edge !== undefined; edge = edge.nextOut)
      behind = Math.max(behind, paths.get(edge.to) ?? 0);
    const path = behind + (left[i] as number);
    paths.set(node, path);
    longest = Math.max(longest, path);
  }
  return longest;
}

/** Places of tasks, dependents before what they depend on, for they are deeper; equals in their order. */
function deepestFirst(open: readonly TaskNode[]): Uint32Array {
  let deepest = 0;
  for (const { depth } of open) deepest = Math.max(deepest, depth);
  // Counted by depth: to sort by comparing was most of the work.
  const starts = new Uint32Array(deepest + 2);
  for (const { depth } of open) (starts[deepest - depth + 1] as number) += 1;
  for (let i = 1; i < starts.length; i++) (starts[i] as number) += starts[i - 1] as number;
  const places = new Uint32Array(open.length);
  for (const [i, { depth }] of open.entries()) {
    places[starts[deepest - depth] as number] = i;
    (starts[deepest - depth] as number) += 1;
  }
  return places;
}

function mostWork(open: readonly TaskNode[], left: readonly number[], limit: number): number {
  let work = 0;
  const shares = new Map<object, number>();
  const add = (pool: object, share: number): void => void shares.set(pool, (shares.get(pool) ?? 0) + share);
  for (const [i, { lane }] of open.entries()) {
    const ms = left[i] as number;
    work += ms;
    if (lane.group !== undefined) add(lane.group, ms / lane.group.limit);
    for (const { resource, amount } of lane.needs)
      add(resource, (ms * amount) / Math.max(1, resource.capacity));
  }
  let most = work / limit;
  for (const share of shares.values()) most = Math.max(most, share);
  return most;
}
