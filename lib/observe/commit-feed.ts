import { Subject } from 'rxjs';
import type { TaskNode } from '../graph/node.js';
import type { StatePatch } from '../model/record.js';
import type { EventHub } from './events.js';

/** Tells that the state has changed, once for each commit. */
export class CommitFeed {
  /** Emits after each commit that changed the state. */
  readonly made$ = new Subject<void>();
  readonly #hub: EventHub;
  /** Newest commit that was told. */
  #emitted = 0;

  constructor(hub: EventHub) {
    this.#hub = hub;
  }

  /** `node` has committed; `seq` is the newest commit that changed the state, by the patches `newest`. */
  made(node: TaskNode, { seq, newest }: { seq: number; newest?: readonly StatePatch[] | undefined }): void {
    if (seq === this.#emitted) return;
    this.#emitted = seq;
    this.made$.next();
    const changed = newest === undefined ? {} : { patches: newest };
    this.#hub.push({ type: 'state', reason: 'committed', taskId: node.id, commit: seq, ...changed });
  }

  /** `node` runs again because what it had read changed. */
  conflict(node: TaskNode, commit: number): void {
    this.#hub.push({ type: 'state', reason: 'conflict', taskId: node.id, commit });
  }
}
