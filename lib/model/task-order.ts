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
}

/** What decides who goes first. */
type Order = Pick<OrderedTask, 'urgency' | 'rank' | 'seq'>;

/** Who goes first: urgency (priority with aging), then the longer path behind it, then the older. */
export function runsBefore(a: Order, b: Order): boolean {
  if (a.urgency !== b.urgency) return a.urgency > b.urgency;
  if (a.rank !== b.rank) return a.rank > b.rank;
  return a.seq < b.seq;
}
