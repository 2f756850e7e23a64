import { Edge, type TaskNode } from './node.js';
import { PassedRow } from './passed-row.js';

/** The way of items from one `flow.each` to the next. */
export class ItemsEdge extends Edge {
  readonly row = new PassedRow();

  constructor(from: TaskNode, to: TaskNode, key: string | undefined) {
    super(from, to, 'items', key, undefined);
  }
}
