import type { Share } from '../kernel/fair-heap.js';
import type { TaskStatus } from './status.js';

/** A task, as those see it who choose which one goes first. */
export interface OrderedTask {
  readonly id: string;
  readonly status: TaskStatus;
  /** Its priority, with what waiting (`aging`) has added. */
  readonly urgency: number;
  /** Among equals: the longer the chain of work behind it, the sooner. */
  readonly rank: number;
  /** Order of arrival. */
  readonly seq: number;
  /** Below 0: it is in no queue. */
  readonly heapIndex: number;
  /** Under a controller: among its runs, the order in which they were made. Default: 0. */
  readonly runOrder?: number;
  /** Under a controller with `fair`: who takes turns with whom. Default: nobody. */
  readonly share?: Share | undefined;
}

/** What decides who goes first. */
type Order = Pick<OrderedTask, 'urgency' | 'rank' | 'seq' | 'runOrder'>;

/** Which of two tasks of one run goes first: urgency (priority with aging), then the longer path behind it, then the older. */
export function runsBefore(a: Order, b: Order): boolean {
  if (a.urgency !== b.urgency) return a.urgency > b.urgency;
  if (a.rank !== b.rank) return a.rank > b.rank;
  return a.seq < b.seq;
}

/** The same for tasks of several runs: of equals that of the older run goes first. */
export function goesBefore(a: Order, b: Order): boolean {
  if (a.urgency !== b.urgency) return a.urgency > b.urgency;
  if (a.rank !== b.rank) return a.rank > b.rank;
  const { runOrder: first = 0 } = a;
  const { runOrder: other = 0 } = b;
  return first === other ? a.seq < b.seq : first < other;
}
