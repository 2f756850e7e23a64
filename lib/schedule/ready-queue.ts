import { type AttemptEnd, type Gate, releaseGates } from '../graph/gate.js';
import { type Blocker, Claim, Lane, Resource, startsBefore, urgencyOf } from '../graph/lane.js';
import type { TaskNode } from '../graph/node.js';
import type { RxhiveError } from '../kernel/errors.js';
import { FairHeap } from '../kernel/fair-heap.js';
import { Heap } from '../kernel/heap.js';
import { Aging } from './aging.js';

const defaultAging = 60_000;
/** How often equals that need the same resource may start before a task that waits for more of it than is free. */
const mostOvertakes = 16;

/**
 * Ready tasks, best first, without ever looking twice at one that may not start: lanes whose group is full
 * or whose resources are taken leave the queue until exactly that is released.
 */
export class ReadyQueue {
  /** Slots in use, and how many there are for all runs together. */
  active = 0;
  limit = Number.POSITIVE_INFINITY;
  /** Tasks that have been given a slot so far. */
  taken = 0;
  readonly #lanes: Heap<Lane> | FairHeap<Lane>;
  /** The same, where shares take turns. */
  readonly #fair: FairHeap<Lane> | undefined;
  /** Lane for which resources are being kept, because its first task has waited too long. */
  #reserved: Lane | undefined;
  /** The resource that {@link ReadyQueue.#blockerOf} found too little of, or claimed by others. */
  #short: Resource | undefined;
  readonly #now: () => number;
  readonly #patience: number;
  readonly #aging: Aging;

  /**
   * `aging`: ms of waiting for others that weigh as much as one step of priority, and after which a task that needs much
   * is no longer overtaken by anyone who needs little; false: never. `fair`: shares take turns among equals in urgency.
   */
  constructor(now: () => number, aging: number | false = defaultAging, fair = false) {
    this.#now = now;
    this.#fair = fair ? new FairHeap(startsBefore, urgencyOf) : undefined;
    this.#lanes = this.#fair ?? new Heap(startsBefore);
    this.#patience = aging === false ? Number.POSITIVE_INFINITY : aging;
    this.#aging = new Aging(now, this.#patience);
  }

  /** Takes a task in that became ready at `node.since`. */
  push(node: TaskNode): void {
    node.urgency = this.#aging.add(node.priority);
    const lane = node.lane;
    const waited = lane.waitedForPermits ? lane.permitMs(lane.slots.at(this.#now())) : 0;
    if (waited > 0 || node.extra !== undefined) node.more().permitMark = waited;
    lane.ready.push(node);
    if (lane.blockedBy !== undefined) {
      if (lane.ready.peek() === node) this.#firstChanged(lane);
      return;
    }
    if (lane.heapIndex < 0) this.#lanes.push(lane);
    else this.#lanes.update(lane);
    this.#rankClaims(lane);
  }

  /** Takes a task out that will not start (cancelled, timed out). */
  remove(node: TaskNode): void {
    if (node.heapIndex < 0) return;
    const { lane } = node;
    const first = lane.ready.peek() === node;
    lane.ready.remove(node);
    this.#aging.remove(node.priority);
    if (first && lane.blockedBy !== undefined) {
      gateOf(lane.blockedBy)?.unwait?.(node);
      this.#firstChanged(lane);
    } else {
      this.#reorder(lane);
      if (lane.ready.size === 0) {
        this.#leave(lane);
        this.#answer(lane);
      }
    }
    // Who waits behind the lane may be more urgent than what is first in it now.
    if (first) this.#serveClaims(lane);
  }

  /** Puts a ready task into another lane. */
  relane(node: TaskNode, lane: Lane): void {
    this.remove(node);
    node.lane = lane;
    this.push(node);
  }

  /** Gives a task, in the queue or not, the priority and rank of somebody who waits for it. */
  raise(node: TaskNode, priority: number, rank: number): void {
    if (node.heapIndex >= 0) this.#aging.change(node.priority, priority);
    // What it has gained by waiting it keeps.
    node.urgency = priority - (node.priority - node.urgency);
    node.priority = priority;
    node.rank = rank;
    node.running?.raised?.();
    if (node.heapIndex < 0) return;
    const { lane } = node;
    lane.ready.update(node);
    if (lane.heapIndex >= 0) this.#lanes.update(lane);
    if (lane.ready.peek() === node) this.#firstChanged(lane);
  }

  /** Some task is ready that nothing but a slot keeps waiting, as far as was tried. */
  get some(): boolean {
    return this.#lanes.peek() !== undefined;
  }

  /** The best task that may start now. */
  peek(): TaskNode | undefined {
    for (let lane = this.#lanes.peek(); lane !== undefined; lane = this.#lanes.peek()) {
      const first = lane.ready.peek();
      const blocker = this.#blockerOf(lane, first);
      if (blocker === undefined) return first;
      this.#lanes.remove(lane);
      this.#park(lane, blocker);
    }
    return undefined;
  }

  #park(lane: Lane, blocker: Blocker | Resource | Lane): void {
    const gate = gateOf(blocker);
    const first = lane.ready.peek() as TaskNode;
    lane.blockedBy = blocker;
    lane.waitForPermit(gate?.waitsFor === 'permit', lane.slots.at(this.#now()));
    if (blocker instanceof Resource || blocker instanceof Lane) {
      const short = this.#short as Resource;
      const amount = lane.needs.find(({ resource }) => resource === short)?.amount ?? 0;
      lane.shortOf = short;
      short.short.add(lane, amount);
      short.oldest = Math.min(short.oldest, first.since + lane.slots.offset);
      // The first there is enough for, but it is kept for others: from those behind this lane as well.
      const last = this.#keeps(short) || short.short.best(short.free) === lane;
      if (lane.servedBy === short && last) lane.servedBy = undefined;
    } else blocker.parked.add(lane);
    gate?.wait?.(first);
    this.#answer(lane, gate, first);
    this.#claim(lane);
    this.#served(lane);
  }

  /** Takes the task {@link ReadyQueue.peek} has just shown and books its group and resources. */
  take(node = this.peek()): TaskNode | undefined {
    if (node === undefined) return undefined;
    const { lane } = node;
    lane.ready.remove(node);
    this.#aging.remove(node.priority);
    this.#aging.started(node.priority);
    this.#take(node);
    this.#answer(lane, lane.called?.gate, node);
    this.#reorder(lane);
    this.#leave(lane);
    // Who goes on after a pause has had its turn.
    if (node.running === undefined) this.#fair?.took(lane.share);
    return node;
  }

  /** Books for an attempt beside the queue, if nothing is in its way and nobody waits for the same. */
  book(node: TaskNode): boolean {
    const { lane } = node;
    if (lane.ready.size > 0 || this.#blockerOf(lane, node) !== undefined) return false;
    this.#take(node);
    return true;
  }

  #take(node: TaskNode): void {
    const { slots, group, needs, gates } = node.lane;
    node.holdsSlot = true;
    slots.active += 1;
    this.active += 1;
    this.taken += 1;
    if (group !== undefined) {
      group.active += 1;
      group.queued.delete(node);
    }
    for (const { resource, amount } of needs) {
      resource.free -= amount;
      resource.claims.peek()?.overtakenBy(node);
    }
    for (const list of gates) for (const gate of list) gate.acquire(node);
  }

  /** Gives back what `take` booked, or the place in the queue. The attempt lives on. */
  pause(node: TaskNode): void {
    if (node.holdsSlot) for (const gates of node.lane.gates) for (const gate of gates) gate.pause(node);
    this.#freePlaces(node);
  }

  /**
   * The same for an attempt that has ended like this, or, without `end`, for a task that has none. Returns what code
   * of the user threw that a gate asked about it.
   */
  release(node: TaskNode, end?: AttemptEnd): RxhiveError | undefined {
    const fault = end !== undefined && node.running !== undefined ? releaseGates(node, end) : undefined;
    this.#freePlaces(node);
    return fault;
  }

  /** There is more or less of a resource. */
  resize(resource: Resource, capacity: number): void {
    if (resource.capacity === capacity) return;
    resource.resize(capacity);
    if (this.#reserved?.isPossible === false) this.#unreserve();
    for (const lane of [...resource.short.items]) this.#reopen(lane);
  }

  /** Lets the lanes that waited for `blocker` try again. */
  unpark(blocker: Blocker): void {
    if (blocker.parked.size === 0) return;
    const lanes = [...blocker.parked];
    blocker.parked.clear();
    for (const lane of lanes) this.#reopen(lane);
  }

  /** Lets those who wait for `gate` try again; with `node` its lane alone: the gate hears then what becomes of it. */
  opened(gate: Gate, node?: TaskNode): void {
    if (node === undefined) {
      this.unpark(gate);
      return;
    }
    const { lane } = node;
    if (lane.blockedBy !== gate) {
      gate.unwait?.(node);
      return;
    }
    gate.parked.delete(lane);
    lane.called = { gate, node };
    this.#reopen(lane);
  }

  /** The gate that called the lane hears that the task it meant has not come: another one has, or something else stops it. */
  #answer(lane: Lane, gate?: Gate, came?: TaskNode): void {
    const { called } = lane;
    if (called === undefined) return;
    lane.called = undefined;
    if (called.gate !== gate || called.node !== came) called.gate.unwait?.(called.node);
  }

  #freePlaces(node: TaskNode): void {
    if (!node.holdsSlot) {
      this.remove(node);
      return;
    }
    node.holdsSlot = false;
    const { slots, group, needs } = node.lane;
    slots.active -= 1;
    this.active -= 1;
    this.unpark(slots);
    if (group !== undefined) {
      group.active -= 1;
      this.unpark(group);
    }
    for (const { resource, amount } of needs) {
      resource.free += amount;
      this.#serve(resource);
    }
  }

  #blockerOf(lane: Lane, first: TaskNode | undefined): Blocker | Resource | Lane | undefined {
    const { slots, group } = lane;
    if (slots.active >= slots.limit || slots.closed) return slots;
    if (group !== undefined && group.active >= group.limit) return group;
    for (const { resource, amount } of lane.needs) {
      this.#short = resource;
      const kept = this.#reserved !== undefined && this.#reserved !== lane && this.#keeps(resource);
      if (resource.free >= amount && !kept) {
        const claim = resource.claims.peek();
        if (claim === undefined || claim.lane === lane || this.#reserved === lane) continue;
        if (claim.stops(first as TaskNode, mostOvertakes)) return claim.lane;
        continue;
      }
      // One reservation at a time: two could wait for each other for ever.
      if (
        this.#reserved === undefined &&
        first !== undefined &&
        lane.isPossible &&
        lane.slots.at(this.#now()) - first.since >= this.#patience
      ) {
        this.#reserved = lane;
      }
      return resource;
    }
    for (const gates of lane.gates)
      for (const gate of gates) if (!gate.admits(first as TaskNode)) return gate;
    return undefined;
  }

  /** The lane has another first task, or none: a gate, or who claims a resource, may let that one pass. */
  #firstChanged(lane: Lane): void {
    const gate = gateOf(lane.blockedBy);
    const empty = lane.ready.size === 0;
    gate?.parked.delete(lane);
    if (gate !== undefined || lane.shortOf !== undefined) this.#reopen(lane);
    if (empty) this.#unclaim(lane);
    else this.#rankClaims(lane);
    if (empty && this.#reserved === lane) this.#unreserve();
  }

  /**
   * What a lane waits for is kept from less urgent ones, where resources alone are in its way: else those who need little
   * would take each bit that comes free, for ever.
   */
  #claim(lane: Lane): void {
    const { blockedBy, needs } = lane;
    const short = blockedBy instanceof Resource || blockedBy instanceof Lane;
    if (!short || !lane.admitted || !lane.isPossible) {
      this.#unclaim(lane);
      lane.shortOf?.gated.add(lane, 0);
      return;
    }
    lane.claims ??= needs.map(({ resource }) => new Claim(lane, resource));
    for (const claim of lane.claims) if (claim.heapIndex < 0) claim.resource.claims.push(claim);
  }

  /** Puts the claims of a lane where its first task belongs. */
  #rankClaims(lane: Lane): void {
    if (lane.claims === undefined) return;
    for (const claim of lane.claims) if (claim.heapIndex >= 0) claim.resource.claims.update(claim);
  }

  #unclaim(lane: Lane): void {
    if (!lane.claiming) return;
    for (const claim of lane.claims ?? []) claim.resource.claims.remove(claim);
    this.#serveClaims(lane);
  }

  /** What it claims, or has claimed, may be for others now. */
  #serveClaims(lane: Lane): void {
    for (const { resource } of lane.claims ?? []) this.#serve(resource);
  }

  /** The lane has tried: it has started, or waits for something else. */
  #served(lane: Lane): void {
    const { servedBy } = lane;
    lane.servedBy = undefined;
    if (servedBy !== undefined) this.#serve(servedBy);
  }

  /** Lets the best lane try for which there may be enough; when it has, the next one. The others would wait again. */
  #serve(resource: Resource): void {
    const { short, gated, claims, free, oldest } = resource;
    if (short.size === 0) return;
    if (this.#reserved === undefined && this.#now() - oldest >= this.#patience) {
      // Somebody has waited so long that it is kept for them.
      resource.oldest = Number.POSITIVE_INFINITY;
      for (const lane of short.items) this.#reopen(lane);
      return;
    }
    // Gates have opened for who could not claim, or closed for who does.
    for (const lane of [gated.best(0), claims.peek()?.lane])
      if (lane?.shortOf !== undefined && lane.admitted !== lane.claiming) this.#reopen(lane);
    const lane = this.#keeps(resource) ? this.#reserved : short.best(free);
    if (lane?.shortOf !== resource) return;
    this.#reopen(lane);
    lane.servedBy = resource;
  }

  /** The lane may try again. */
  #reopen(lane: Lane): void {
    lane.shortOf?.short.remove(lane);
    lane.shortOf?.gated.remove(lane);
    lane.shortOf = undefined;
    lane.blockedBy = undefined;
    lane.waitForPermit(false, lane.slots.at(this.#now()));
    if (lane.ready.size > 0) this.#lanes.push(lane);
  }

  #keeps(resource: Resource): boolean {
    return this.#reserved?.needs.some((need) => need.resource === resource) === true;
  }

  #unreserve(): void {
    const lane = this.#reserved;
    this.#reserved = undefined;
    for (const need of lane?.needs ?? []) this.#serve(need.resource);
  }

  /** Puts a lane that lost a task in its new place, before any other lane is compared with it. */
  #reorder(lane: Lane): void {
    if (lane.ready.size === 0) this.#lanes.remove(lane);
    else {
      if (lane.heapIndex >= 0) this.#lanes.update(lane);
      this.#rankClaims(lane);
    }
  }

  /** The lane no longer waits for what it claimed, or was to have. */
  #leave(lane: Lane): void {
    if (lane.needs.length === 0) return;
    this.#unclaim(lane);
    if (this.#reserved === lane) this.#unreserve();
    this.#served(lane);
  }
}

/** The gate a lane waits for; undefined: it waits for a group or a resource. */
function gateOf(blocker: Blocker | Resource | Lane | undefined): Gate | undefined {
  return blocker !== undefined && 'admits' in blocker ? (blocker as Gate) : undefined;
}
