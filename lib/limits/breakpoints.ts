import { ClosingGate, type Gate } from '../graph/gate.js';
import type { TaskNode } from '../graph/node.js';
import { truncate } from '../kernel/errors.js';
import { callForBoolean } from '../kernel/guard.js';
import type { Breakpoint, StartingTask } from '../model/breakpoint.js';
import type { RunOptions } from '../model/run-options.js';
import { GroupPauses } from './group-pauses.js';
import type { GatedParts, GatePorts, GateScheduler } from './ports.js';

/** What {@link Breakpoints} is given to work with. */
export interface BreakpointPorts extends Pick<GatePorts, 'watch' | 'failed'> {
  readonly scheduler: Pick<GateScheduler, 'connect'> & { drain?(): void };
  readonly places: Pick<GatedParts, 'gates'>;
  /** What is paused, and how it goes on. Default: a run. */
  readonly words?: { readonly what: string; readonly how: string };
}

/**
 * Pauses a run: nothing new starts, what runs goes on, and clocks do too. The gate is in the way only once it has been
 * needed, so that a run without breakpoints does not pay for them.
 */
export class Breakpoints extends ClosingGate implements Gate {
  readonly waitsFor = 'slot';
  readonly stays = true;
  paused = false;
  /** Nothing new begins any more in this process. */
  #draining = false;
  readonly #ports: BreakpointPorts;
  readonly groups: GroupPauses;
  /** A breakpoint drains the run. */
  readonly #exits: boolean;
  readonly #points = new Set<Breakpoint>();
  /** Where it has been paused and told to go on: the number of attempts before the one that may start. */
  readonly #passed = new Map<TaskNode, number>();
  /** Tasks that may start all the same. */
  #steps = 0;
  #before: TaskNode | undefined;
  #placed = false;

  /** `pauseBefore`: the breakpoints a run begins with; `atBreakpoint`: what it does there. */
  constructor(ports: BreakpointPorts, options: Pick<RunOptions, 'pauseBefore' | 'atBreakpoint'> = {}) {
    super();
    const { pauseBefore = [], atBreakpoint = 'wait' } = options;
    this.#ports = ports;
    this.groups = new GroupPauses(ports);
    this.#exits = atBreakpoint === 'exit';
    if (pauseBefore.length > 0) this.add(pauseBefore);
  }

  /** Returns how to take the breakpoints away. */
  add(points: readonly Breakpoint[]): () => void {
    this.#place();
    // Each time a new one: the same function may be given twice.
    const own = points.map(
      (point): Breakpoint => (typeof point === 'function' ? (task) => point(task) : point),
    );
    const added = own.filter((point) => !this.#points.has(point));
    for (const point of added) this.#points.add(point);
    return () => {
      for (const point of added) this.#points.delete(point);
      this.opened();
    };
  }

  halt(): void {
    if (this.paused) return;
    this.#place();
    this.#stopAt(undefined);
  }

  /** For good; `deadline`: ms that are left to what runs. */
  drain(deadline: number | undefined): void {
    this.#place();
    this.#draining = true;
    const { watch } = this.#ports;
    if (watch.active)
      watch.emit({ type: 'run', reason: 'draining', ...(deadline !== undefined && { deadline }) });
  }

  step(): void {
    this.#place();
    if (!this.paused) this.#stopAt(undefined);
    this.#steps += 1;
    this.#emit('stepped');
    this.opened();
  }

  goOn(): void {
    if (!this.paused) return;
    this.paused = false;
    this.#steps = 0;
    if (this.#before !== undefined) this.#passed.set(this.#before, this.#before.attempt);
    this.#before = undefined;
    this.#emit('continued');
    this.opened();
  }

  admits(node: TaskNode): boolean {
    if (node.running !== undefined || node.lane.slots.ending) return true;
    if (this.#draining) return false;
    if (this.paused) return this.#steps > 0 && node.principal === node;
    return node.principal !== node || !this.#hit(node);
  }

  wait(node: TaskNode): void {
    if (this.paused || this.#draining) return;
    this.#stopAt(node);
    if (!this.#exits) return;
    this.drain(undefined);
    this.#ports.scheduler.drain?.();
  }

  override acquire(node: TaskNode): void {
    if (node.running !== undefined || node.principal !== node) return;
    if (this.paused) this.#steps -= 1;
    if (this.#before === node) this.#before = undefined;
    this.#passed.delete(node);
  }

  reason(): string {
    if (this.#draining) return 'the run, which is draining, to be run again';
    const at = this.#before === undefined ? '' : ` before task "${truncate(this.#before.id)}"`;
    const { what, how } = this.#ports.words ?? { what: 'the run', how: 'run.continue() or run.step()' };
    return this.paused ? `${what}, which is paused${at}; ${how} lets it go on` : 'its turn';
  }

  #place(): void {
    if (this.#placed) return;
    this.#placed = true;
    this.#ports.places.gates.push(this);
    this.#ports.scheduler.connect(this);
  }

  #hit(node: TaskNode): boolean {
    if (this.#points.size === 0 || this.#passed.get(node) === node.attempt) return false;
    const { id, definition, lane, attempt } = node;
    const { type = id } = definition;
    const starting: StartingTask = { id, type, group: lane.group?.name, attempt: attempt + 1 };
    for (const point of this.#points) {
      if (typeof point !== 'function') {
        if ((typeof point === 'string' ? point : point.id) === id) return true;
        continue;
      }
      try {
        if (callForBoolean('pauseBefore', () => point(starting))) return true;
      } catch (error) {
        // It would throw for every task; the run is worth more than the breakpoint.
        this.#points.delete(point);
        this.#ports.failed(error);
      }
    }
    return false;
  }

  #stopAt(node: TaskNode | undefined): void {
    this.paused = true;
    this.#before = node;
    this.#emit('paused', node);
  }

  #emit(reason: 'paused' | 'stepped' | 'continued', node?: TaskNode): void {
    if (this.#ports.watch.active)
      this.#ports.watch.emit({ type: 'run', reason, ...(node !== undefined && { taskId: node.id }) });
  }
}
