import type { Resource } from '../graph/lane.js';
import type { TaskNode } from '../graph/node.js';
import { notify } from '../kernel/guard.js';
import { type Place, type PlaceUse, slotsOf } from '../model/executor.js';

/** What one run uses of a place, and what the place was told of it. */
interface Use {
  readonly told: PlaceUse | undefined;
  ready: number;
  running: number;
  changed: boolean;
}

/** The places of one run whose slots come and go: hears how many there are, and tells them what the run could use. */
export class LivePlaces {
  readonly #resize: (resource: Resource, slots: number) => void;
  readonly #failed: (error: unknown) => void;
  readonly #uses = new Map<Place, Use>();
  /** Tasks that a place was told of: are they at work? */
  readonly #counted = new Map<TaskNode, boolean>();

  /**
   * `resize` is called, also from outside of the loop of the run, when a place has another number of slots; `failed`, with
   * what places throw.
   */
  constructor(resize: (resource: Resource, slots: number) => void, failed: (error: unknown) => void) {
    this.#resize = resize;
    this.#failed = failed;
  }

  /** Begins to watch the places that tasks need. */
  use(nodes: readonly TaskNode[]): void {
    for (const { definition, lane } of nodes) {
      const { place } = definition;
      if (place?.watch === undefined || this.#uses.has(place)) continue;
      const need = lane.needs.find(({ resource }) => resource.place === place);
      if (need === undefined) continue;
      const { resource } = need;
      const changed = (): void => {
        if (this.#uses.has(place)) this.#resize(resource, slotsOf(place));
      };
      const told = notify(() => place.watch?.(changed), this.#failed);
      this.#uses.set(place, { told, ready: 0, running: 0, changed: false });
      changed();
    }
  }

  /** The status of a task that needs a place has changed, or a worker has begun with it. */
  note(node: TaskNode): void {
    if (this.#uses.size === 0) return;
    const use = this.#uses.get(node.definition.place as Place);
    if (use === undefined) return;
    const { status, extra } = node;
    const isThere = status === 'ready' || status === 'running';
    const isAtWork = status === 'running' && extra?.handedOver !== true;
    const before = this.#counted.get(node);
    if (before !== undefined) use[before ? 'running' : 'ready'] -= 1;
    if (isThere) {
      use[isAtWork ? 'running' : 'ready'] += 1;
      this.#counted.set(node, isAtWork);
    } else this.#counted.delete(node);
    use.changed ||= before !== (isThere ? isAtWork : undefined);
  }

  /** Tells the places what has changed. */
  tell(): void {
    for (const use of this.#uses.values()) {
      if (!use.changed) continue;
      use.changed = false;
      notify(() => use.told?.demand?.(use.ready, use.running), this.#failed);
    }
  }

  /** The run uses them no more. */
  close(): void {
    for (const { told } of this.#uses.values()) notify(() => told?.close(), this.#failed);
    this.#uses.clear();
    this.#counted.clear();
  }
}
