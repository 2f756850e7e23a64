import type { TaskNode } from '../graph/node.js';
import { scopeOf } from '../graph/scope.js';
import type { CompletionHandler } from '../model/workflow.js';

export const noHandlers: readonly CompletionHandler[] = [];

/** Handlers by id and by type; one registered for both is called once. */
export function handlersOf(
  node: TaskNode,
  handlers: ReadonlyMap<string, readonly CompletionHandler[]>,
): readonly CompletionHandler[] {
  if (handlers.size === 0) return noHandlers;
  const { type } = node.definition;
  const prefix = scopeOf(node)?.prefix ?? '';
  const byType = type === undefined ? [] : (handlers.get(`type:${prefix}${type}`) ?? []);
  return [...new Set([...(handlers.get(`id:${node.id}`) ?? []), ...byType])];
}
