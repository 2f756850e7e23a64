import { Heap } from '../kernel/heap.js';
import type { Gate } from '../model/gate.js';
import { type Blocker, Group, type Lane, Resource, runsBefore } from '../model/lane.js';
import type { TaskNode } from '../model/node.js';

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

  /**
   * `aging`: ms of waiting that weigh as much as one step of priority, and after which a task that needs much is no
   * longer overtaken by tasks that need little; false: never.
   */
  constructor(now: () => number, aging: number | false) {
    this.#now = now;
    this.#patience = aging === false ? Number.POSITIVE_INFINITY : aging;
  }

  /** Takes a task in that became ready at `node.since`. */
  push(node: TaskNode): void {
    node.urgency = node.priority - Math.floor(node.since / this.#patience);
    const lane = node.lane;
    const waited = lane.permitMs(this.#now());
    if (waited > 0 || node.extra !== undefined) node.more().permitMark = waited;
    lane.ready.push(node);
    if (lane.blockedBy !== undefined) return;
    if (lane.heapIndex < 0) this.#lanes.push(lane);
    else this.#lanes.update(lane);
  }

  /** Takes a task out that will not start (cancelled, timed out). */
  remove(node: TaskNode): void {
    if (node.heapIndex < 0) return;
    node.lane.ready.remove(node);
    this.#afterRemoval(node.lane);
  }

  /** The best task that may start now. */
  peek(): TaskNode | undefined {
    for (let lane = this.#lanes.peek(); lane !== undefined; lane = this.#lanes.peek()) {
      const blocker = this.#blockerOf(lane);
      if (blocker === undefined) return lane.ready.peek();
      this.#lanes.remove(lane);
      lane.blockedBy = blocker;
      lane.waitForPermit(this.#isPermit(blocker), this.#now());
      blocker.parked.push(lane);
    }
    return undefined;
  }

  /** Takes the task {@link ReadyQueue.peek} showed and books its group and resources. */
  take(): TaskNode | undefined {
    const node = this.peek();
    if (node === undefined) return undefined;
    const { lane } = node;
    lane.ready.pop();
    if (lane.group !== undefined) lane.group.active += 1;
    for (const need of lane.needs) need.resource.free -= need.amount;
    for (const gates of lane.gates) for (const gate of gates) gate.enter(node);
    this.#afterRemoval(lane);
    if (this.#reserved === lane) this.#unreserve();
    return node;
  }

  /** Gives back what `take` booked. */
  release(lane: Lane): void {
    if (lane.group !== undefined) {
      lane.group.active -= 1;
      this.unpark(lane.group);
    }
    for (const { resource, amount } of lane.needs) {
      resource.free += amount;
      this.unpark(resource);
    }
  }

  /** Lets the lanes that waited for `blocker` try again. */
  unpark(blocker: Blocker): void {
    if (blocker.parked.length === 0) return;
    const lanes = blocker.parked;
    blocker.parked = [];
    for (const lane of lanes) {
      lane.blockedBy = undefined;
      lane.waitForPermit(false, this.#now());
      if (lane.ready.size > 0) this.#lanes.push(lane);
    }
  }

  #blockerOf(lane: Lane): Blocker | undefined {
    const group = lane.group;
    if (group !== undefined && (group.active >= group.limit || group.gatedUntil > this.#now())) return group;
    for (const { resource, amount } of lane.needs) {
      const kept = this.#reserved !== undefined && this.#reserved !== lane && this.#keeps(resource);
      if (resource.free >= amount && !kept) continue;
      const first = lane.ready.peek();
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
      for (const gate of gates) if (!gate.admits(lane.ready.peek() as TaskNode)) return gate;
    return undefined;
  }

  /** A provider that holds its group back counts as one that gives no permits. */
  #isPermit(blocker: Blocker): boolean {
    if (blocker instanceof Group) return blocker.gatedUntil > this.#now();
    return !(blocker instanceof Resource) && (blocker as Gate).waitsFor === 'permit';
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
