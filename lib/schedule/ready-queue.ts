import { Heap } from '../kernel/heap.js';
import type { AttemptEnd, Gate } from '../model/gate.js';
import { type Blocker, type Lane, runsBefore } from '../model/lane.js';
import type { TaskNode } from '../model/node.js';
import { Aging } from './aging.js';

/**
 * Ready tasks, best first, without ever looking twice at one that may not start: lanes whose group is full
 * or whose resources are taken leave the queue until exactly that is released.
 */
export class ReadyQueue {
  readonly #lanes = new Heap<Lane>((a, b) =>
    runsBefore(a.ready.peek() as TaskNode, b.ready.peek() as TaskNode),
  );
  /** Lane for which resources are being kept, because its first task has waited too long. */
  #reserved: Lane | undefined;
  readonly #now: () => number;
  readonly #patience: number;
  readonly #aging: Aging;

  /**
   * `aging`: ms of waiting for others that weigh as much as one step of priority, and after which a task that needs much
   * is no longer overtaken by tasks that need little; false: never.
   */
  constructor(now: () => number, aging: number | false) {
    this.#now = now;
    this.#patience = aging === false ? Number.POSITIVE_INFINITY : aging;
    this.#aging = new Aging(now, this.#patience);
  }

  /** Takes a task in that became ready at `node.since`. */
  push(node: TaskNode): void {
    node.urgency = this.#aging.enter(node.priority);
    const lane = node.lane;
    const waited = lane.permitMs(this.#now());
    if (waited > 0 || node.extra !== undefined) node.more().permitMark = waited;
    lane.ready.push(node);
    if (lane.blockedBy !== undefined) {
      // What a gate did not admit was another task.
      if (lane.ready.peek() === node) this.#tryAgain(lane);
      return;
    }
    if (lane.heapIndex < 0) this.#lanes.push(lane);
    else this.#lanes.update(lane);
  }

  /** Takes a task out that will not start (cancelled, timed out). */
  remove(node: TaskNode): void {
    if (node.heapIndex < 0) return;
    const { lane } = node;
    const first = lane.ready.peek() === node;
    lane.ready.remove(node);
    this.#aging.leave(node.priority);
    if (first && lane.blockedBy !== undefined) {
      gateOf(lane.blockedBy)?.unwait?.(node);
      this.#tryAgain(lane);
    } else this.#afterRemoval(lane);
  }

  /** Some task is ready that nothing but a slot keeps waiting, as far as was tried. */
  get some(): boolean {
    return this.#lanes.peek() !== undefined;
  }

  /** The best task that may start now. */
  peek(): TaskNode | undefined {
    for (let lane = this.#lanes.peek(); lane !== undefined; lane = this.#lanes.peek()) {
      const blocker = this.#blockerOf(lane);
      if (blocker === undefined) return lane.ready.peek();
      this.#lanes.remove(lane);
      lane.blockedBy = blocker;
      lane.waitForPermit(gateOf(blocker)?.waitsFor === 'permit', this.#now());
      blocker.parked.push(lane);
      gateOf(blocker)?.wait?.(lane.ready.peek() as TaskNode);
    }
    return undefined;
  }

  /** Takes the task {@link ReadyQueue.peek} showed and books its group and resources. */
  take(): TaskNode | undefined {
    const node = this.peek();
    if (node === undefined) return undefined;
    const { lane } = node;
    lane.ready.pop();
    this.#aging.leave(node.priority);
    this.#aging.started(node.priority);
    this.#take(node);
    this.#afterRemoval(lane);
    if (this.#reserved === lane) this.#unreserve();
    node.holdsSlot = true;
    return node;
  }

  /** Books for an attempt beside the queue, if nothing is in its way and nobody waits for the same. */
  book(node: TaskNode): boolean {
    const { lane } = node;
    if (lane.ready.size > 0 || this.#blockerOf(lane, node) !== undefined) return false;
    this.#take(node);
    node.holdsSlot = true;
    return true;
  }

  #take(node: TaskNode): void {
    const { group, needs, gates } = node.lane;
    if (group !== undefined) group.active += 1;
    for (const need of needs) need.resource.free -= need.amount;
    for (const list of gates) for (const gate of list) gate.enter(node);
  }

  /** Gives back what `take` booked, or the place in the queue; true: a slot is free. The attempt lives on. */
  pause(node: TaskNode): boolean {
    if (node.holdsSlot) for (const gates of node.lane.gates) for (const gate of gates) gate.pause(node);
    return this.#release(node);
  }

  /** The same for an attempt that has ended like this, or, without `end`, for a task that has none. */
  leave(node: TaskNode, end?: AttemptEnd): boolean {
    if (end !== undefined && node.running !== undefined)
      for (const gates of node.lane.gates) for (const gate of gates) gate.leave(node, end);
    return this.#release(node);
  }

  /** Lets the lanes that waited for `blocker` try again. */
  unpark(blocker: Blocker): void {
    if (blocker.parked.length === 0) return;
    const lanes = blocker.parked;
    blocker.parked = [];
    for (const lane of lanes) this.#reopen(lane);
  }

  #release(node: TaskNode): boolean {
    if (!node.holdsSlot) {
      this.remove(node);
      return false;
    }
    node.holdsSlot = false;
    const { group, needs } = node.lane;
    if (group !== undefined) {
      group.active -= 1;
      this.unpark(group);
    }
    for (const { resource, amount } of needs) {
      resource.free += amount;
      this.unpark(resource);
    }
    return true;
  }

  #blockerOf(lane: Lane, first = lane.ready.peek()): Blocker | undefined {
    const group = lane.group;
    if (group !== undefined && group.active >= group.limit) return group;
    for (const { resource, amount } of lane.needs) {
      const kept = this.#reserved !== undefined && this.#reserved !== lane && this.#keeps(resource);
      if (resource.free >= amount && !kept) continue;
      // One reservation at a time: two could wait for each other for ever.
      if (
        this.#reserved === undefined &&
        first !== undefined &&
        this.#now() - first.since >= this.#patience
      ) {
        this.#reserved = lane;
      }
      return resource;
    }
    for (const gates of lane.gates)
      for (const gate of gates) if (!gate.admits(first as TaskNode)) return gate;
    return undefined;
  }

  /** A lane that waits for a gate has another first task: the gate may let that one pass. */
  #tryAgain(lane: Lane): void {
    const gate = gateOf(lane.blockedBy);
    if (gate !== undefined) {
      gate.parked.splice(gate.parked.indexOf(lane), 1);
      this.#reopen(lane);
    }
    if (lane.ready.size === 0 && this.#reserved === lane) this.#unreserve();
  }

  /** The lane may try again. */
  #reopen(lane: Lane): void {
    lane.blockedBy = undefined;
    lane.waitForPermit(false, this.#now());
    if (lane.ready.size > 0) this.#lanes.push(lane);
  }

  #keeps(resource: Blocker): boolean {
    return this.#reserved?.needs.some((need) => need.resource === resource) === true;
  }

  #unreserve(): void {
    const lane = this.#reserved;
    this.#reserved = undefined;
    for (const need of lane?.needs ?? []) this.unpark(need.resource);
  }

  /** Puts a lane that lost a task in its new place, before any other lane is compared with it. */
  #afterRemoval(lane: Lane): void {
    if (lane.heapIndex >= 0) {
      if (lane.ready.size === 0) this.#lanes.remove(lane);
      else this.#lanes.update(lane);
    }
    if (lane.ready.size === 0 && this.#reserved === lane) this.#unreserve();
  }
}

/** The gate a lane waits for; undefined: it waits for a group or a resource. */
function gateOf(blocker: Blocker | undefined): Gate | undefined {
  return blocker !== undefined && 'admits' in blocker ? (blocker as Gate) : undefined;
}
