import { ClosingGate, type Gate } from '../graph/gate.js';
import type { TaskNode } from '../graph/node.js';
import type { EventBody } from '../model/event.js';
import type { MemoryOptions } from '../model/memory.js';
import { percent } from './load-limit.js';
import type { GatePorts } from './ports.js';

/** Share of a mark below which it is left: at the mark itself admission would flap. */
const released = 0.95;

type Level = 'released' | 'soft' | 'hard';

/** What a memory gate is given to work with. */
export interface MemoryPorts extends Pick<GatePorts, 'watch'> {
  /** From now on results are to leave memory, or need not any more. `by`: default the gate itself. */
  short(isShort: boolean, by?: 'controller'): void;
}

/**
 * Lets one task run at a time while memory is short, so that what is taken can become free and yet nothing stands still.
 * Above `soft` that holds for tasks that would begin, above `hard` for those that come back from a pause, too.
 */
export class MemoryGate extends ClosingGate implements Gate {
  readonly waitsFor = 'slot';
  readonly #soft: number;
  readonly #hard: number;
  readonly #ports: MemoryPorts;
  readonly #running = new Set<TaskNode>();
  #level: Level = 'released';
  #share = 0;

  constructor({ soft, hard = Number.POSITIVE_INFINITY }: MemoryOptions, ports: MemoryPorts) {
    super();
    this.#soft = soft ?? hard;
    this.#hard = hard;
    this.#ports = ports;
  }

  admits(node: TaskNode): boolean {
    if (this.#level === 'released' || this.#running.size === 0) return true;
    return this.#level === 'soft' && node.running !== undefined;
  }

  override acquire(node: TaskNode): void {
    this.#running.add(node);
  }

  override pause(node: TaskNode): void {
    this.release(node);
  }

  override release(node: TaskNode): void {
    if (this.#running.delete(node) && this.#running.size === 0 && this.#level !== 'released') this.opened();
  }

  /** So much of the limit is taken now. */
  update(share: number): void {
    this.#share = share;
    const before = this.#level;
    const level = this.#levelAt(share);
    if (level === before) return;
    this.#level = level;
    const { watch, short } = this.#ports;
    if (watch.active) watch.emit({ type: 'memory', reason: level, share });
    if ((level === 'hard') !== (before === 'hard')) short(level === 'hard');
    if (level === 'released' || before === 'hard') this.opened();
  }

  standing(): readonly EventBody[] {
    return this.#level === 'released' ? [] : [{ type: 'memory', reason: this.#level, share: this.#share }];
  }

  reason(): string {
    const mark = this.#level === 'hard' ? this.#hard : this.#soft;
    return `memory: ${percent(this.#share)} of the limit is taken, and from ${percent(mark)} on one task runs at a time`;
  }

  #levelAt(share: number): Level {
    if (share >= this.#hard * (this.#level === 'hard' ? released : 1)) return 'hard';
    return share >= this.#soft * (this.#level === 'released' ? 1 : released) ? 'soft' : 'released';
  }
}
