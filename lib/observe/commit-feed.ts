import { Subject } from 'rxjs';
import type { TaskNode } from '../graph/node.js';
import type { OpenEvent } from '../model/event.js';
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
    if (this.made$.observed) this.made$.next();
    if (!this.#hub.active) return;
    const event: OpenEvent<'state'> = {
      type: 'state',
      reason: 'committed',
      taskId: node.id,
      commit: seq,
      seq: 0,
      at: 0,
      runId: '',
    };
    if (newest !== undefined) event.patches = newest;
    this.#hub.emit(event);
  }

  /** `node` runs again because what it had read changed. */
  conflict(node: TaskNode, commit: number): void {
    this.#hub.push({ type: 'state', reason: 'conflict', taskId: node.id, commit });
  }
}
