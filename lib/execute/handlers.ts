import type { TaskNode } from '../graph/node.js';
import type { CompletionHandler } from '../model/workflow.js';

const none: readonly CompletionHandler[] = [];

/** Handlers by id and by type; one registered for both is called once. */
export function handlersOf(
  node: TaskNode,
  handlers: ReadonlyMap<string, readonly CompletionHandler[]>,
): readonly CompletionHandler[] {
  if (handlers.size === 0) return none;
  const byType =
    node.definition.type === undefined ? [] : (handlers.get(`type:${node.definition.type}`) ?? []);
  return [...new Set([...(handlers.get(`id:${node.id}`) ?? []), ...byType])];
}
