import type { TaskNode } from '../graph/node.js';
import type { Task } from '../model/dependency.js';

/** Results by id or handle. Each is read from its task when it is asked for: large ones may be in a store. */
export class LazyResults extends Map<string, unknown> {
  readonly #nodes: ReadonlyMap<string, TaskNode>;

  constructor(nodes: ReadonlyMap<string, TaskNode>) {
    super();
    this.#nodes = nodes;
    for (const [id, { status }] of nodes)
      if (status === 'succeeded' || status === 'restored') super.set(id, undefined);
  }

  override get(key: string | Task): unknown {
    const id = typeof key === 'string' ? key : key.id;
    return super.has(id) ? this.#nodes.get(id)?.value : undefined;
  }

  override has(key: string | Task): boolean {
    return super.has(typeof key === 'string' ? key : key.id);
  }

  override *entries(): MapIterator<[string, unknown]> {
    for (const id of this.keys()) yield [id, this.get(id)];
  }

  override *values(): MapIterator<unknown> {
    for (const id of this.keys()) yield this.get(id);
  }

  override [Symbol.iterator](): MapIterator<[string, unknown]> {
    return this.entries();
  }

  override forEach(call: (value: unknown, id: string, map: Map<string, unknown>) => void): void {
    for (const [id, value] of this) call(value, id, this);
  }
}
