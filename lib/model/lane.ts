import { Heap, type HeapItem } from '../kernel/heap.js';
import type { TaskNode } from './node.js';

/** A thing lanes wait for: a group with a free place, or a resource with enough left. */
export interface Blocker {
  /** Lanes taken out of the ready queue until this is released. */
  parked: Lane[];
}

/** A concurrency group while a run goes on. */
export class Group implements Blocker {
  readonly name: string;
  limit: number;
  active = 0;
  /** Tasks start again at this time, in ms of the clock; 0 is now. */
  gatedUntil = 0;
  parked: Lane[] = [];

  constructor(name: string, limit: number) {
    this.name = name;
    this.limit = limit;
  }
}

/** A countable resource while a run goes on. */
export class Resource implements Blocker {
  readonly name: string;
  readonly capacity: number;
  free: number;
  parked: Lane[] = [];

  constructor(name: string, capacity: number) {
    this.name = name;
    this.capacity = capacity;
    this.free = capacity;
  }
}

/** An amount of one resource. */
export interface Need {
  readonly resource: Resource;
  readonly amount: number;
}

/**
 * Ready tasks that wait for the same things: one group and the same amounts of resources. If the first may
 * not start, none of the lane may, so a blocked lane is set aside as a whole and nothing behind it is
 * scanned.
 */
export class Lane implements HeapItem {
  heapIndex = -1;
  readonly ready = new Heap<TaskNode>(runsBefore);
  readonly group: Group | undefined;
  readonly needs: readonly Need[];
  blockedBy: Blocker | undefined;

  constructor(group: Group | undefined, needs: readonly Need[]) {
    this.group = group;
    this.needs = needs;
  }
}

/** Who goes first: urgency (priority with aging), then the longer path behind it, then the older. */
export function runsBefore(a: TaskNode, b: TaskNode): boolean {
  if (a.urgency !== b.urgency) return a.urgency > b.urgency;
  if (a.rank !== b.rank) return a.rank > b.rank;
  return a.seq < b.seq;
}
