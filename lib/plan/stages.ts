import { ItemsEdge } from '../graph/items-edge.js';
import type { TaskNode } from '../graph/node.js';
import { type DefinitionFault, truncate } from '../kernel/errors.js';

/** What is wrong with stages of `flow.each` among tasks that were added: whom they take items from, and whom they wait for. */
export function stageFaults(added: readonly TaskNode[]): DefinitionFault[] {
  const faults: DefinitionFault[] = [];
  for (const node of added) {
    if (node.definition.stage === undefined) continue;
    const source = node.inEdges.find((edge) => edge instanceof ItemsEdge)?.from;
    if (source === undefined) continue;
    const name = `flow.each "${truncate(node.id)}"`;
    const taskId = node.id;
    if (source.definition.feeds !== true) {
      const message = `${name} takes its items from "${truncate(source.id)}", which is no flow.each; give one, or take that task as a dependency and let from be a function of its result.`;
      faults.push({ kind: 'bad-option', taskId, message });
      continue;
    }
    const late = laterThan(source, node);
    if (late === undefined) continue;
    const message = `${name} takes items from "${truncate(source.id)}" while they come, but waits for "${truncate(late.id)}", which ends after that one: neither could go on. Take "${truncate(late.id)}" out of its dependencies.`;
    faults.push({ kind: 'bad-option', taskId, message });
  }
  return faults;
}

/** A dependency of `node` that cannot end before `source` has: the room between the two would be full before. */
function laterThan(source: TaskNode, node: TaskNode): TaskNode | undefined {
  for (const edge of node.inEdges) {
    if (edge instanceof ItemsEdge) continue;
    const seen = new Set([edge.from]);
    for (const one of seen) {
      if (one === source) return edge.from;
      for (const { from } of one.inEdges) seen.add(from);
    }
  }
  return undefined;
}
