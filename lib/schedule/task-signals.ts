import type { TaskNode } from '../graph/node.js';
import { onAbort } from '../kernel/abort.js';

/** Whom a signal cancels, and how to stop listening to it. */
interface Listening {
  readonly nodes: Set<TaskNode>;
  stop(): void;
}

/** The signals that tasks have of their own. */
export class TaskSignals {
  /** Told whom a signal cancels: all at once, so that none of them begins in between. */
  aborted: (nodes: readonly TaskNode[], reason: unknown) => void = () => undefined;
  readonly #listening = new Map<AbortSignal, Listening>();

  /** The task is there: from now on its signal cancels it. */
  listen(node: TaskNode): void {
    const { signal } = node.definition;
    if (signal === undefined || node.ended) return;
    const known = this.#listening.get(signal);
    if (signal.aborted) this.aborted([node], signal.reason);
    else if (known !== undefined) known.nodes.add(node);
    else {
      const nodes = new Set([node]);
      const stop = onAbort(signal, (reason) => {
        this.#listening.delete(signal);
        this.aborted([...nodes], reason);
      });
      this.#listening.set(signal, { nodes, stop });
    }
  }

  /** The task has ended. */
  leave(node: TaskNode): void {
    const { signal } = node.definition;
    const listening = signal && this.#listening.get(signal);
    if (signal === undefined || !listening?.nodes.delete(node) || listening.nodes.size > 0) return;
    this.#listening.delete(signal);
    listening.stop();
  }
}
