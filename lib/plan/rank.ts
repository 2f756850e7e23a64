import type { TaskNode } from '../graph/node.js';
import type { Expected } from '../graph/ports.js';
import { type DefinitionFault, truncate } from '../kernel/errors.js';
import { mostOf } from '../model/adaptive.js';
import { defaultConcurrency, type WorkflowSettings } from '../model/workflow.js';
import { improveRanks } from './improve.js';

/**
 * Orders new nodes by their dependencies, reports a cycle with its path, and ranks: a node's rank is its
 * estimate plus the largest rank behind it (upward rank), so equal priorities go by critical path. Priority
 * is inherited upward, or an important task would wait behind an unimportant dependency. Where durations are
 * expected, the ranks are then improved by rehearsing the whole.
 * Source: H. Topcuoglu et al., "HEFT", IEEE TPDS 13(3), 2002.
 */
export function orderAndRank(
  added: readonly TaskNode[],
  faults: DefinitionFault[],
  settings: WorkflowSettings,
  expected: Expected,
): void {
  const first = added[0]?.seq ?? 0;
  const inOrder = deepen(added);
  const order = inOrder ? added : sort(added, first);
  if (!inOrder) deepen(order);
  const blocked = order.length < added.length ? added.find((node) => node.pending > 0) : undefined;
  if (blocked !== undefined) {
    const path = cyclePath(blocked);
    const shownPath = path.map((id) => `"${truncate(id)}"`).join(' -> ');
    faults.push({
      kind: 'cycle',
      taskId: path[0] as string,
      path,
      message: `Tasks wait for each other: ${shownPath}; remove one of these dependencies.`,
    });
  }
  if (!inOrder) for (const node of added) node.pending = node.needs;
  if (faults.length > 0) return;
  rank(order, added, settings, expected);
}

/** Sets how deep each node is, in one pass; false where one comes before what it depends on: then depths may be too small. */
function deepen(nodes: readonly TaskNode[]): boolean {
  let inOrder = true;
  for (const node of nodes) {
    for (const { from } of node.inEdges) {
      if (from.depth >= node.depth) node.depth = from.depth + 1;
      if (from.seq >= node.seq) inOrder = false;
    }
  }
  return inOrder;
}

/** Ranks a graph of which nothing has started again: more is known by now. */
export function rankAgain(nodes: readonly TaskNode[], settings: WorkflowSettings, expected: Expected): void {
  for (const node of nodes) node.rank = 0;
  // What is depended on is less deep.
  const order = [...nodes].sort((a, b) => a.depth - b.depth);
  rank(order, nodes, settings, expected);
}

/** `order`: the same nodes, dependencies first. */
function rank(
  order: readonly TaskNode[],
  nodes: readonly TaskNode[],
  settings: WorkflowSettings,
  expected: Expected,
): void {
  const known = expect(nodes, expected);
  for (let i = order.length - 1; i >= 0; i--) raise(order[i] as TaskNode);
  if (settings.policy === 'depth-first') for (const node of nodes) node.rank = node.depth;
  if (known && nodes[0]?.seq === 0 && (settings.policy ?? 'critical-path') === 'critical-path')
    improveRanks(nodes, mostOf(settings.concurrency, defaultConcurrency));
}

/**
 * Handles can only be used after they were made, so most plans are in order already; those made of string
 * ids need not be. Source: A. B. Kahn, "Topological sorting of large networks", CACM 5(11), 1962.
 */
function sort(added: readonly TaskNode[], first: number): TaskNode[] {
  const order: TaskNode[] = [];
  for (const node of added) {
    node.pending = 0;
    for (const edge of node.inEdges) if (edge.from.seq >= first) node.pending += 1;
    if (node.pending === 0) order.push(node);
  }
  for (let i = 0; i < order.length; i++) {
    for (let edge = order[i]?.firstOut; edge !== undefined; edge = edge.nextOut) {
      edge.to.pending -= 1;
      if (edge.to.pending === 0) order.push(edge.to);
    }
  }
  return order;
}

/** Sets what each task is expected to take; false: nothing is known of any. */
function expect(nodes: readonly TaskNode[], expected: Expected): boolean {
  let sum = 0;
  let count = 0;
  for (const node of nodes) {
    const ms = expected(node.id, node.definition);
    // Found again below: what is known is above 0 or 0, never less.
    node.expected = ms ?? -1;
    if (ms === undefined) continue;
    sum += ms;
    count += 1;
  }
  const mean = count === 0 ? 1 : sum / count;
  for (const node of nodes) if (node.expected < 0) node.expected = mean;
  return count > 0;
}

/** Computes rank and priority from what is behind. */
function raise(node: TaskNode): void {
  let behind = 0;
  let priority = node.priority;
  for (let edge = node.firstOut; edge !== undefined; edge = edge.nextOut) {
    if (edge.to.rank > behind) behind = edge.to.rank;
    if (edge.to.priority > priority) priority = edge.to.priority;
  }
  node.rank = Math.max(node.rank, node.expected + behind);
  node.priority = priority;
}

/** Walks up through unordered nodes until one repeats; each of them has an unordered dependency. */
function cyclePath(start: TaskNode): string[] {
  const seen = new Map<TaskNode, number>();
  const path: TaskNode[] = [];
  let node: TaskNode = start;
  while (!seen.has(node)) {
    seen.set(node, path.length);
    path.push(node);
    node = node.inEdges.find((edge) => edge.from.pending > 0)?.from as TaskNode;
  }
  const cycle = path.slice(seen.get(node)).reverse();
  return [...cycle, cycle[0] as TaskNode].map((one) => one.id);
}
