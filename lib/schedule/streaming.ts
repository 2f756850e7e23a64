import type { KeptValues } from '../graph/kept-values.js';
import type { TaskNode } from '../graph/node.js';
import { isSilent, StreamEdge } from '../graph/stream-edge.js';
import { RxhiveError } from '../kernel/errors.js';
import type { Lifecycle } from './lifecycle.js';

/** Tasks that read streams, and tasks that gave their slot back: who pauses, goes on or begins again with whom. */
export class Streaming {
  readonly #lifecycle: Lifecycle;

  constructor(lifecycle: Lifecycle) {
    this.#lifecycle = lifecycle;
  }

  /** A stream begins again: who saw its values begins again too, without counting an attempt. */
  retract(producer: TaskNode): void {
    const stack = [producer];
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      if (node.extra !== undefined) node.extra.live = undefined;
      for (let edge = node.firstOut; edge !== undefined; edge = edge.nextOut) {
        const { to } = edge;
        if (!(edge instanceof StreamEdge) || to.ended || to.committing) continue;
        if (!edge.retract() || !edge.satisfied) {
          // Who reads what others say besides goes on, but without the slot that this one may need.
          if (edge.mode === 'merged') this.#lifecycle.command(() => this.starve(to));
          continue;
        }
        edge.satisfied = false;
        // Others that are merged have spoken.
        if (edge.mode !== 'merged' || (edge.kept as KeptValues).leaves() === 0) to.pending += 1;
        if (to.status === 'waiting') continue;
        if (to.running !== undefined) to.attempt -= 1;
        if (to.extra !== undefined) to.extra.admitted = false;
        const message = `Task "${to.id}" starts again: the stream it reads from is being retried.`;
        this.#lifecycle.stop(to, new RxhiveError('ATTEMPT_ENDED', message));
        this.#lifecycle.enter(to, 'waiting');
        stack.push(to);
        if (to.pending === 0) this.#lifecycle.ready(to);
      }
    }
  }

  /** The attempt gives its slot back, and so do those who read its stream. */
  suspend(node: TaskNode): void {
    const { status } = node;
    if (status !== 'running' && status !== 'ready') return;
    this.#lifecycle.suspend(node);
    if (status === 'ready' || node.extra?.watched !== true) return;
    for (let edge = node.firstOut; edge !== undefined; edge = edge.nextOut)
      if (edge instanceof StreamEdge) this.starve(edge.to);
  }

  /** A reader of a stream whose producer has no slot gives its own back too, or the two could block all. */
  starve(node: TaskNode): void {
    if (node.status !== 'running') return;
    if (!node.inEdges.some(isSilent)) return;
    node.more().starved = true;
    this.suspend(node);
  }

  /** A reader that gave its slot back goes on, if all producers do. */
  feed(node: TaskNode): void {
    if (node.extra?.starved !== true) return;
    if (node.inEdges.some(isSilent)) return;
    node.extra.starved = false;
    this.wake(node);
  }

  wake(node: TaskNode): void {
    const extra = node.extra;
    if (node.status !== 'suspended' || extra?.starved === true || (extra?.join?.pending ?? 0) > 0) return;
    this.#lifecycle.ready(node);
  }

  resume(node: TaskNode): void {
    this.#lifecycle.enter(node, 'running');
    const join = node.extra?.join;
    if (node.extra !== undefined) node.extra.join = undefined;
    for (const done of [...(join?.answers ?? []), ...(join?.done ?? [])]) done();
    this.#feedReaders(node);
  }

  #feedReaders(node: TaskNode): void {
    if (node.extra?.watched !== true) return;
    for (let edge = node.firstOut; edge !== undefined; edge = edge.nextOut)
      if (edge instanceof StreamEdge) this.feed(edge.to);
  }
}
