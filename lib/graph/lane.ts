import { BoundedHeap } from '../kernel/bounded-heap.js';
import type { Share } from '../kernel/fair-heap.js';
import { Heap, type HeapItem } from '../kernel/heap.js';
import { RowHeap } from '../kernel/row-heap.js';
import type { GroupState } from '../model/context.js';
import type { Place } from '../model/executor.js';
import { goesBefore, runsBefore } from '../model/task-order.js';
import type { Gate } from './gate.js';
import type { TaskNode } from './node.js';

/** A thing lanes wait for: a group with a free place, or a gate that opens. */
export interface Blocker {
  /** Lanes taken out of the ready queue until this is released. */
  readonly parked: Set<Lane>;
}

/** The slots of one run. Lanes of several runs may stand in one queue: then each keeps its own limit there. */
export class RunSlots implements Blocker {
  limit: number;
  /** Slots in use. */
  active = 0;
  readonly parked = new Set<Lane>();
  /** The run begins nothing any more. */
  closed = false;
  /** The run ends early: only its cleanup begins. */
  ending = false;
  /** Among the runs of a controller, the order in which they were made. */
  readonly order: number;
  /** Ms on the clock of the queue when that of the run was at 0. */
  readonly offset: number;

  constructor(limit: number, order = 0, offset = 0) {
    this.limit = limit;
    this.order = order;
    this.offset = offset;
  }

  /** Ms on the clock of the run at `now` on that of the queue. */
  at(now: number): number {
    return now - this.offset;
  }
}

/** A concurrency group while a run goes on. */
export class Group implements Blocker {
  readonly name: string;
  limit: number;
  active = 0;
  /** Candidates of fallbacks that are in it and have not ended. */
  assigned = 0;
  /** Those of them that have not started. */
  readonly queued = new Set<TaskNode>();
  readonly parked = new Set<Lane>();
  readonly gates: Gate[] = [];

  constructor(name: string, limit: number) {
    this.name = name;
    this.limit = limit;
  }

  /** A candidate of a fallback is to run in it. */
  assign(candidate: TaskNode): void {
    this.assigned += 1;
    this.queued.add(candidate);
  }

  /** The candidate has ended. */
  dismiss(candidate: TaskNode): void {
    this.assigned -= 1;
    this.queued.delete(candidate);
  }

  /** How it stands, for bodies that choose. */
  get state(): GroupState {
    const { active, limit, assigned, gates, queued } = this;
    const places = Number.isFinite(limit) ? Math.max(0, limit - active) / Math.max(1, limit) : 1;
    const left = Math.min(places, ...gates.map((gate) => gate.shareLeft?.(queued.size) ?? 1));
    const opensIn = Math.max(0, ...gates.map((gate) => gate.opensIn?.(queued.size) ?? 0));
    return { active, limit, assigned, left, opensIn };
  }
}

/** The group that an event is about; nothing: it is about the run. */
export function named(group: Group | undefined): { readonly group?: string } {
  return group === undefined ? {} : { group: group.name };
}

/** A countable resource while a run goes on, or the slots of a place. */
export class Resource {
  readonly name: string;
  readonly place: Place | undefined;
  /** How much there is; another number for places that come and go. */
  capacity: number;
  readonly order: number;
  free: number;
  /** Lanes that wait for it, by the amount they need: only those there is enough for are let try. */
  readonly short = new BoundedHeap<Lane>(startsBefore);
  /** Those of them that claim nothing, because a gate does not let them pass either. */
  readonly gated = new BoundedHeap<Lane>(startsBefore);
  /** Since when the first of those in `short` have been ready, or before that. */
  oldest = Number.POSITIVE_INFINITY;
  /** Lanes that wait for more than there is, the most urgent first: those less urgent may not take it meanwhile. */
  readonly claims = new Heap<Claim>((a, b) => startsBefore(a.lane, b.lane));

  /** `order`: number of those of its kind that were defined before. */
  constructor(name: string, capacity: number, order: number, place?: Place) {
    this.name = name;
    this.place = place;
    this.capacity = capacity;
    this.order = order;
    this.free = capacity;
  }

  /** There is another amount now; `free` is below 0 where more was taken. */
  resize(capacity: number): void {
    this.free += capacity - this.capacity;
    this.capacity = capacity;
  }
}

/** An amount of one resource. */
export interface Need {
  readonly resource: Resource;
  readonly amount: number;
}

/** A place among those who wait for a resource. */
export class Claim implements HeapItem {
  heapIndex = -1;
  readonly lane: Lane;
  readonly resource: Resource;
  /** Who waits, and how many equals that come after it have taken of the resource meanwhile. */
  #first: TaskNode | undefined;
  #overtaken = 0;

  constructor(lane: Lane, resource: Resource) {
    this.lane = lane;
    this.resource = resource;
  }

  /** `node` takes of the resource. */
  overtakenBy(node: TaskNode): void {
    const first = this.lane.ready.peek();
    if (first === undefined || node.lane === this.lane || !isEqualAfter(node, first)) return;
    if (this.#first !== first) this.#overtaken = 0;
    this.#first = first;
    this.#overtaken += 1;
  }

  /** Is `node` to leave the resource alone: it is less urgent, or an equal that comes after, once `most` of those went first? */
  stops(node: TaskNode, most: number): boolean {
    const first = this.lane.ready.peek() as TaskNode;
    if (first.urgency !== node.urgency) return first.urgency > node.urgency;
    // Only who comes after, or lanes could wait for each other in a circle.
    return this.#first === first && this.#overtaken >= most && isEqualAfter(node, first);
  }
}

function isEqualAfter(node: TaskNode, first: TaskNode): boolean {
  return node.urgency === first.urgency && goesBefore(first, node);
}

/**
 * Ready tasks of a run that wait for the same things: one group and the same amounts of resources. If the first may
 * not start, none of the lane may, so a blocked lane is set aside as a whole and nothing behind it is
 * scanned. Lanes that want what a more urgent one waits for wait behind that lane.
 */
export class Lane implements HeapItem {
  heapIndex = -1;
  /** One for each need, made when it first has to wait. */
  claims: readonly Claim[] | undefined;
  readonly ready = new RowHeap<TaskNode>(runsBefore);
  readonly slots: RunSlots;
  readonly group: Group | undefined;
  readonly needs: readonly Need[];
  /** Who takes turns with others; see the option `fair` of a controller. */
  readonly share: Share | undefined;
  blockedBy: Blocker | Resource | Lane | undefined;
  /** The resource it waits for, also where it waits behind a lane that claims it. */
  shortOf: Resource | undefined;
  /** The resource that let it try; when it has tried, the next one may. */
  servedBy: Resource | undefined;
  /** The gate that opened for one of its tasks, and has not heard of that one since. */
  called: { readonly gate: Gate; readonly node: TaskNode } | undefined;
  /** What has to let a task pass: gates of the controller, of the run, then of the group. Filled before the run starts. */
  readonly gates: readonly (readonly Gate[])[];
  /** Ms this lane has waited for permits, and since when it does; undefined: it does not. */
  #permitMs = 0;
  #permitSince: number | undefined;
  #resumeLane: Lane | undefined;
  /** The lane in which an attempt begins; another one for those that come back from a pause. */
  origin: Lane = this;

  /** `outer`: gates all tasks of the run have to pass. */
  constructor(
    slots: RunSlots,
    group: Group | undefined,
    needs: readonly Need[],
    outer: readonly (readonly Gate[])[],
    share?: Share,
  ) {
    this.slots = slots;
    this.group = group;
    this.needs = needs;
    this.gates = group === undefined ? outer : [...outer, group.gates];
    this.share = share;
  }

  /** Does it claim what it waits for? */
  get claiming(): boolean {
    return this.claims?.some((claim) => claim.heapIndex >= 0) === true;
  }

  /** Is there as much as it needs, taken or not? */
  get isPossible(): boolean {
    return this.needs.every(({ resource, amount }) => resource.capacity >= amount);
  }

  /** Would all gates let its first task pass? There is one. */
  get admitted(): boolean {
    const first = this.ready.peek() as TaskNode;
    return this.gates.every((list) => list.every((gate) => gate.admits(first)));
  }

  get gated(): boolean {
    for (const { length } of this.gates) if (length > 0) return true;
    return false;
  }

  /** Where tasks that come back from a pause wait: a gate must not make them wait behind those it does not admit. */
  get resumeLane(): Lane {
    if (!this.gated || this.origin !== this) return this;
    if (this.#resumeLane === undefined) {
      const outer = this.group === undefined ? this.gates : this.gates.slice(0, -1);
      this.#resumeLane = new Lane(this.slots, this.group, this.needs, outer, this.share);
      this.#resumeLane.origin = this;
    }
    return this.#resumeLane;
  }

  /** Books the time from `now` on as waiting for a permit, or not. */
  waitForPermit(waits: boolean, now: number): void {
    if (this.#permitSince !== undefined) this.#permitMs += now - this.#permitSince;
    this.#permitSince = waits ? now : undefined;
  }

  /** Has it ever waited for a permit? */
  get waitedForPermits(): boolean {
    return this.#permitMs > 0 || this.#permitSince !== undefined;
  }

  /** Ms waited for permits until `now`; the difference of two moments is what a task waited between them. */
  permitMs(now: number): number {
    return this.#permitMs + (this.#permitSince === undefined ? 0 : now - this.#permitSince);
  }
}

/** Which of two lanes goes first; both have a task that is ready. */
export function startsBefore(a: Lane, b: Lane): boolean {
  return goesBefore(a.ready.peek() as TaskNode, b.ready.peek() as TaskNode);
}

/** How much the first task of a lane that has one weighs. */
export function urgencyOf(lane: Lane): number {
  return (lane.ready.peek() as TaskNode).urgency;
}
