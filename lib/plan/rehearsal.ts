import type { TaskNode } from '../graph/node.js';
import { getOrInsert } from '../kernel/get-or-insert.js';

/** One thing tasks share: the slots of the run, the places of a group, a resource. */
interface Pool {
  readonly capacity: number;
}

interface Demand {
  readonly pool: number;
  readonly amount: number;
}

/** A plan played through without running anything. Times in the unit of the estimates. */
export interface Played {
  readonly makespan: number;
  readonly starts: Float64Array;
  /** Tasks in the order in which they started. */
  readonly order: Int32Array;
}

/**
 * Plays a plan through with expected durations, the way the scheduler would: whenever a task ends, ready tasks
 * start best first, and one that does not fit is passed over. Forward from the first tasks to the last, or backward
 * in time. Source: J. E. Kelley, "The critical-path method", 1963 (parallel schedule generation).
 */
export class Rehearsal {
  readonly size: number;
  readonly durations: Float64Array;
  /** Steps taken so far: the measure of what rehearsing has cost, about 0.1 us each. */
  steps = 0;
  readonly #priorities: Float64Array;
  readonly #demands: (readonly Demand[])[];
  readonly #pools: Pool[];
  readonly #after: number[][];
  readonly #before: number[][];

  /**
   * `nodes` are all tasks of a graph in order of `seq`; `slots` run at once; `before` are the numbers of the tasks each
   * one waits for, by default its dependencies. Durations may be changed between two plays.
   */
  constructor(
    nodes: readonly TaskNode[],
    durations: Float64Array,
    slots: number,
    before: number[][] = nodes.map((node) => node.inEdges.map((edge) => edge.from.seq)),
  ) {
    const count = nodes.length;
    this.size = count;
    this.durations = durations;
    this.#priorities = Float64Array.from(nodes, (node) => node.priority);
    this.#pools = [{ capacity: slots }];
    this.#after = Array.from({ length: count }, () => []);
    this.#before = before;
    this.#before.forEach((list, i) => {
      for (const from of list) this.#after[from]?.push(i);
    });
    this.#demands = this.#demandsOf(nodes);
  }

  /** No plan can be shorter: the longest path, and the work each pool has to do. */
  lowerBound(longestPath: number): number {
    const work = this.#pools.map(() => 0);
    for (let i = 0; i < this.size; i++) {
      for (const { pool, amount } of this.#demands[i] as readonly Demand[])
        work[pool] = (work[pool] as number) + amount * (this.durations[i] as number);
    }
    return Math.max(longestPath, ...work.map((sum, pool) => sum / (this.#pools[pool] as Pool).capacity));
  }

  /** Smaller keys go first among equal priorities, then the older task; backward the other way round in time. */
  play(keys: Float64Array, direction: 'forward' | 'backward'): Played {
    const forward = direction === 'forward';
    const { size, durations } = this;
    const place = this.#places(keys, forward);
    const after = forward ? this.#after : this.#before;
    const before = forward ? this.#before : this.#after;
    const pending = Int32Array.from(before, (list) => list.length);
    const free = this.#pools.map((pool) => pool.capacity);
    const starts = new Float64Array(size);
    const order = new Int32Array(size);
    const startedAs = new Int32Array(size);
    const ready = new IndexHeap((a, b) => (place[a] as number) < (place[b] as number));
    const running = new IndexHeap((a, b) => {
      const gap = endOf(a) - endOf(b);
      return gap === 0 ? (startedAs[a] as number) < (startedAs[b] as number) : gap < 0;
    });
    const endOf = (i: number): number => (starts[i] as number) + (durations[i] as number);
    let now = 0;
    let started = 0;
    const passed: number[] = [];
    const startWhatFits = (): void => {
      while ((free[0] as number) > 0) {
        const i = ready.pop();
        if (i === undefined) break;
        this.steps += 1;
        const demands = this.#demands[i] as readonly Demand[];
        if (demands.some(({ pool, amount }) => (free[pool] as number) < amount)) {
          passed.push(i);
          continue;
        }
        for (const { pool, amount } of demands) free[pool] = (free[pool] as number) - amount;
        starts[i] = now;
        startedAs[i] = started;
        order[started++] = i;
        running.push(i);
      }
      for (const i of passed) ready.push(i);
      passed.length = 0;
    };
    for (let i = 0; i < size; i++) if (pending[i] === 0) ready.push(i);
    startWhatFits();
    for (let i = running.pop(); i !== undefined; i = running.pop()) {
      now = endOf(i);
      for (const { pool, amount } of this.#demands[i] as readonly Demand[])
        free[pool] = (free[pool] as number) + amount;
      for (const next of after[i] as number[]) {
        const left = (pending[next] as number) - 1;
        pending[next] = left;
        if (left === 0) ready.push(next);
      }
      // What ends together ends before anything starts.
      const next = running.peek();
      if (next === undefined || endOf(next) > now + sameTime) startWhatFits();
    }
    return { makespan: now, starts, order };
  }

  /** Each task's place in the order of preference. */
  #places(keys: Float64Array, forward: boolean): Int32Array {
    const sign = forward ? 1 : -1;
    const priorities = this.#priorities;
    const sorted = Int32Array.from(keys, (_, i) => i).sort(
      (a, b) =>
        sign * ((priorities[b] as number) - (priorities[a] as number)) ||
        (keys[a] as number) - (keys[b] as number) ||
        sign * (a - b),
    );
    const place = new Int32Array(this.size);
    for (let k = 0; k < sorted.length; k++) place[sorted[k] as number] = k;
    this.steps += this.size;
    return place;
  }

  #demandsOf(nodes: readonly TaskNode[]): (readonly Demand[])[] {
    const pools = new Map<object, number>();
    const poolOf = (thing: object, capacity: number): number => {
      return getOrInsert(pools, thing, () => this.#pools.push({ capacity }) - 1);
    };
    const slot: Demand = { pool: 0, amount: 1 };
    const byLane = new Map<object, readonly Demand[]>();
    return nodes.map(({ lane }) => {
      let demands = byLane.get(lane);
      if (demands === undefined) {
        const { group, needs } = lane;
        demands = [
          slot,
          ...(group === undefined ? [] : [{ pool: poolOf(group, group.limit), amount: 1 }]),
          ...needs.map(({ resource, amount }) => ({ pool: poolOf(resource, resource.capacity), amount })),
        ];
        byLane.set(lane, demands);
      }
      return demands;
    });
  }
}

/** Times that differ by less are the same: sums of decimal fractions do. */
const sameTime = 1e-6;

/** Binary heap of numbers; `before` must be a strict total order. */
class IndexHeap {
  readonly #items: number[] = [];
  readonly #before: (a: number, b: number) => boolean;

  constructor(before: (a: number, b: number) => boolean) {
    this.#before = before;
  }

  peek(): number | undefined {
    return this.#items[0];
  }

  push(item: number): void {
    const items = this.#items;
    let at = items.push(item) - 1;
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = items[up] as number;
      if (!this.#before(item, parent)) break;
      items[at] = parent;
      at = up;
    }
    items[at] = item;
  }

  pop(): number | undefined {
    const items = this.#items;
    const first = items[0];
    const last = items.pop();
    if (items.length === 0 || last === undefined) return first;
    let at = 0;
    for (let down = 1; down < items.length; down = 2 * at + 1) {
      const right = down + 1;
      if (right < items.length && this.#before(items[right] as number, items[down] as number)) down = right;
      const child = items[down] as number;
      if (!this.#before(child, last)) break;
      items[at] = child;
      at = down;
    }
    items[at] = last;
    return first;
  }
}
