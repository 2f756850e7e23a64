import type { Spawned, TaskNode } from '../graph/node.js';
import type { Replay } from '../graph/replay.js';
import { callerContext } from '../kernel/async-context.js';
import { RxhiveError, truncate } from '../kernel/errors.js';
import type { Task } from '../model/dependency.js';
import type { TaskDefinition } from '../model/task.js';
import type { ExecutePorts } from './ports.js';

/** The tasks that an attempt adds: kept until it commits, or until somebody has to see them. */
export class Additions {
  readonly #node: TaskNode;
  readonly #ports: ExecutePorts;
  /** In a replay: all that was wanted has come back. */
  readonly #complete: () => void;
  spawned: Spawned[] | undefined;
  #ids: Set<string> | undefined;

  constructor(node: TaskNode, ports: ExecutePorts, complete: () => void) {
    this.#node = node;
    this.#ports = ports;
    this.#complete = complete;
  }

  /** @throws RxhiveError WORKFLOW_DEFINITION for one that was added before */
  add(id: string, definition: TaskDefinition, by?: 'handler'): Task {
    const replay = this.#node.extra?.replay;
    if (replay !== undefined) return this.#addAgain(replay, id, definition);
    if (this.#ids?.has(id)) {
      throw new RxhiveError(
        'WORKFLOW_DEFINITION',
        `Task "${truncate(this.#node.id)}" adds "${truncate(id)}" twice; use another id.`,
      );
    }
    const handle = this.#ports.handleFor(this.#node, id);
    if (this.#ports.graph.find(handle) === undefined) {
      this.spawned ??= [];
      this.#ids = (this.#ids ?? new Set()).add(id);
      this.spawned.push({ handle, definition, context: callerContext(), ...(by && { by }) });
    }
    return handle;
  }

  /** In a replay: adds what is wanted at once, and nothing else. */
  #addAgain({ wanted }: Replay, id: string, definition: TaskDefinition): Task {
    const handle = this.#ports.handleFor(this.#node, id);
    if (!wanted.delete(id)) return handle;
    this.#ports.flush(this.#node, [{ handle, definition, context: callerContext() }]);
    if (wanted.size === 0) this.#complete();
    return handle;
  }

  /** Everybody is to see them now. */
  flush(): void {
    const { spawned } = this;
    this.spawned = this.#ids = undefined;
    if (spawned !== undefined) this.#ports.flush(this.#node, spawned);
  }
}
