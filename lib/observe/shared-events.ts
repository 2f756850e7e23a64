import type { TaskNode } from '../graph/node.js';
import type { Watch } from '../graph/ports.js';
import type { EventBody, WorkflowEvent } from '../model/event.js';

/** A run under way, as far as events of its controller concern it. */
interface ToldRun {
  readonly hub: Watch;
  readonly graph: { readonly nodes: ReadonlyMap<string, TaskNode> };
}

/**
 * Where gates of a controller tell what happens: in the events of the controller, and in those of each run whose tasks
 * have to pass the gate.
 */
export class SharedEvents implements Watch {
  readonly #own: Watch;
  readonly #runs: () => readonly ToldRun[];
  /** Events of runs that the controller has told itself. */
  readonly #copies = new WeakSet<object>();

  /** `own`: events of the controller. */
  constructor(own: Watch, runs: () => readonly ToldRun[]) {
    this.#own = own;
    this.#runs = runs;
  }

  get active(): boolean {
    return this.#own.active || this.#runs().some(({ hub }) => hub.active);
  }

  /** Tells an event of now: each run has a clock of its own. */
  emit(body: EventBody): void {
    for (const run of this.#runs()) this.#tell(run, body);
    if (this.#own.active) this.#own.emit(body);
  }

  /** A run has joined: it is told what was said before and still holds. */
  greet(run: ToldRun, standing: readonly EventBody[]): void {
    for (const body of standing) this.#tell(run, body);
  }

  #tell(run: ToldRun, body: EventBody): void {
    if (!run.hub.active || !concerns(run, 'group' in body ? body.group : undefined)) return;
    const copy = { ...body };
    this.#copies.add(copy);
    run.hub.emit(copy);
  }

  /** Is it the copy of an event that the controller tells, too? */
  isCopy(event: WorkflowEvent): boolean {
    return this.#copies.has(event);
  }
}

/** Has the run tasks to do in the group that has this name? Without a name it is a gate of all tasks. */
function concerns({ graph }: ToldRun, group: string | undefined): boolean {
  if (group === undefined) return true;
  for (const { ended, lane } of graph.nodes.values()) if (!ended && lane.group?.name === group) return true;
  return false;
}
