import type { TaskNode } from '../graph/node.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import type { SpeedUp } from '../model/result.js';
import { Rehearsal } from './rehearsal.js';

/** Candidates that are tried, and tasks of a run beyond which none is: trying one plays the whole run through. */
const mostTried = 24;
const mostTasks = 50_000;

/**
 * The three tasks of `path` that would have saved most, had they taken half their time. Each is tried: the run is
 * played through again with the times it took, in the order in which its tasks began, once as it was and once with the
 * task halved. Pauses between attempts and waits for permits are not played. Most first; none where none would help.
 */
export function speedUps(
  nodes: ReadonlyMap<string, TaskNode>,
  path: readonly string[],
  slots: number,
): SpeedUp[] {
  const all = [...nodes.values()];
  const tried = path
    .map((id) => nodes.get(id) as TaskNode)
    .filter((node) => node.runningMs > 0)
    .sort((a, b) => b.runningMs - a.runningMs || a.seq - b.seq)
    .slice(0, Math.max(3, Math.min(mostTried, Math.floor((4 * mostTasks) / all.length))));
  if (all.length > mostTasks || tried.length === 0) return [];
  const durations = Float64Array.from(all, (node) => node.runningMs);
  const rehearsal = new Rehearsal(all, durations, slots, before(all));
  const begun = Float64Array.from(all, (node) => (node.startedAt < 0 ? Number.MAX_VALUE : node.startedAt));
  const asItWas = rehearsal.play(begun, 'forward').makespan;
  return tried
    .map((node) => {
      durations[node.seq] = node.runningMs / 2;
      const savesMs = Math.round(asItWas - rehearsal.play(begun, 'forward').makespan);
      durations[node.seq] = node.runningMs;
      return { task: node.id, runningMs: node.runningMs, savesMs };
    })
    .filter(({ savesMs }) => savesMs > 0)
    .sort((a, b) => b.savesMs - a.savesMs)
    .slice(0, 3);
}

/** Who waits for whom. Added tasks come after their parent, and what depends on it after them: it may join them. */
function before(nodes: readonly TaskNode[]): number[][] {
  const children = new Map<TaskNode, number[]>();
  for (const { parent, seq } of nodes) {
    if (parent === undefined) continue;
    getOrInsert(children, parent, () => []).push(seq);
  }
  return nodes.map(({ inEdges, parent, seq }) => {
    const list = inEdges.map((edge) => edge.from.seq);
    if (parent !== undefined) list.push(parent.seq);
    for (const { from } of inEdges) {
      if (from.extra === undefined || from.extra.suspendedMs === 0) continue;
      for (const child of children.get(from) ?? []) if (child !== seq) list.push(child);
    }
    return list;
  });
}
