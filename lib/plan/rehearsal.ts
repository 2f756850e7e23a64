import type { TaskNode } from '../graph/node.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import { Heap, type HeapItem } from '../kernel/heap.js';

/** One thing tasks share: the slots of the run, the places of a group, a resource. */
interface Pool {
  readonly capacity: number;
}

interface Demand {
  readonly pool: number;
  readonly amount: number;
}

/** A task that is ready or runs. */
interface Step extends HeapItem {
  readonly i: number;
  /** In the order of preference. */
  readonly place: number;
  /** When it ends, and how many had started before it. */
  end: number;
  after: number;
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
    const ready = new Heap<Step>((a, b) => a.place < b.place);
    const running = new Heap<Step>((a, b) => (a.end === b.end ? a.after < b.after : a.end < b.end));
    const enter = (i: number): void =>
      ready.push({ i, place: place[i] as number, end: 0, after: 0, heapIndex: -1 });
    let now = 0;
    let started = 0;
    const passed: Step[] = [];
    const startWhatFits = (): void => {
      while ((free[0] as number) > 0) {
        const next = ready.pop();
        if (next === undefined) break;
        const { i } = next;
        this.steps += 1;
        const demands = this.#demands[i] as readonly Demand[];
        if (demands.some(({ pool, amount }) => (free[pool] as number) < amount)) {
          passed.push(next);
          continue;
        }
        for (const { pool, amount } of demands) free[pool] = (free[pool] as number) - amount;
        starts[i] = now;
        next.end = now + (durations[i] as number);
        next.after = started;
        order[started++] = i;
        running.push(next);
      }
      for (const one of passed) ready.push(one);
      passed.length = 0;
    };
    for (let i = 0; i < size; i++) if (pending[i] === 0) enter(i);
    startWhatFits();
    for (let ended = running.pop(); ended !== undefined; ended = running.pop()) {
      const { i, end } = ended;
      now = end;
      for (const { pool, amount } of this.#demands[i] as readonly Demand[])
        free[pool] = (free[pool] as number) + amount;
      for (const next of after[i] as number[]) {
        const left = (pending[next] as number) - 1;
        pending[next] = left;
        if (left === 0) enter(next);
      }
      // What ends together ends before anything starts.
      const next = running.peek();
      if (next === undefined || next.end > now + sameTime) startWhatFits();
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
    return nodes.map(({ lane }) =>
      getOrInsert(byLane, lane, () => {
        const { group, needs } = lane;
        return [
          slot,
          ...(group === undefined ? [] : [{ pool: poolOf(group, group.limit), amount: 1 }]),
          ...needs.map(({ resource, amount }) => ({ pool: poolOf(resource, resource.capacity), amount })),
        ];
      }),
    );
  }
}

/** Times that differ by less are the same: sums of decimal fractions do. */
const sameTime = 1e-6;
