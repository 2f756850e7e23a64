import { ClosingGate, type Gate } from '../graph/gate.js';
import type { Group } from '../graph/lane.js';
import type { TaskNode } from '../graph/node.js';
import { truncate } from '../kernel/errors.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import type { GatePorts, GateScheduler } from './ports.js';

/** What {@link GroupPauses} is given to work with. */
interface GroupPausePorts extends Pick<GatePorts, 'watch'> {
  readonly scheduler: Pick<GateScheduler, 'connect'>;
}

/** Pauses groups by hand: nothing new of them starts, what runs goes on. A group that was never paused has no gate for it. */
export class GroupPauses {
  readonly #ports: GroupPausePorts;
  readonly #gates = new Map<Group, GroupPause>();

  constructor(ports: GroupPausePorts) {
    this.#ports = ports;
  }

  halt(group: Group): void {
    const gate = getOrInsert(this.#gates, group, () => {
      const made = new GroupPause(group.name);
      group.gates.push(made);
      this.#ports.scheduler.connect(made);
      return made;
    });
    if (gate.paused) return;
    gate.paused = true;
    this.#emit('paused', group);
  }

  goOn(group: Group): void {
    const gate = this.#gates.get(group);
    if (gate?.paused !== true) return;
    gate.paused = false;
    this.#emit('continued', group);
    gate.wake();
  }

  #emit(reason: 'paused' | 'continued', { name }: Group): void {
    const { watch } = this.#ports;
    if (watch.active) watch.emit({ type: 'run', reason, group: name });
  }
}

class GroupPause extends ClosingGate implements Gate {
  readonly waitsFor = 'slot';
  readonly stays = true;
  readonly #name: string;
  paused = false;

  constructor(name: string) {
    super();
    this.#name = name;
  }

  admits(node: TaskNode): boolean {
    return !this.paused || node.running !== undefined || node.lane.slots.ending;
  }

  wake(): void {
    this.opened();
  }

  reason(): string {
    return `group "${truncate(this.#name)}", which is paused; run.resume(${JSON.stringify(truncate(this.#name))}) lets it go on`;
  }
}
