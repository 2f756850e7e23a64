import type { Hedge } from '../graph/node.js';
import { TaskNode } from '../graph/node.js';
import type { Signal } from '../graph/signal.js';
import { DurationWindow } from '../kernel/duration-window.js';
import { WorkflowCancelledError } from '../kernel/errors.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import type { Lifecycle } from './lifecycle.js';
import type { Streaming } from './streaming.js';

/** What an attempt says of its work. */
type Said = Exclude<Signal, { readonly kind: 'skipped' }>;

/** Attempts that must have succeeded before a quantile of them means something. */
const leastSamples = 20;

/**
 * Second attempts beside slow ones, only where a place is free. The first success is the task's; the last failure is, when
 * all have failed. Source: J. Dean, L. A. Barroso, "The Tail at Scale", CACM 56(2), 2013.
 */
export class Hedging {
  readonly #lifecycle: Lifecycle;
  readonly #streaming: Streaming;
  readonly #launch: (rival: TaskNode) => void;
  /** By type of task; made for those that hedge by quantile. */
  readonly #durations = new Map<string, DurationWindow>();

  /** `launch` runs an attempt that has its slot. */
  constructor(lifecycle: Lifecycle, streaming: Streaming, launch: (rival: TaskNode) => void) {
    this.#lifecycle = lifecycle;
    this.#streaming = streaming;
    this.#launch = launch;
  }

  /** An attempt begins. */
  arm(node: TaskNode): void {
    const after = this.#delayOf(node);
    if (after === undefined) return;
    const hedge: Hedge = { node, rivals: [], made: 0, timer: undefined };
    node.more().hedge = hedge;
    this.#wait(hedge, after);
  }

  /** Takes what an attempt says; an answer only where the scheduler is to go on with it. */
  onSignal(item: Said): Said | undefined {
    const hedge = item.node.extra?.hedge;
    if (hedge === undefined) {
      if (item.kind === 'succeeded') this.#learn(item.node);
      return item;
    }
    const isRival = item.node !== hedge.node;
    if (item.kind === 'value') return isRival ? undefined : item;
    if (item.kind === 'succeeded') {
      this.#learn(item.node);
      if (isRival) return this.#win(hedge, item);
      this.#lifecycle.dropRivals(item.node, new WorkflowCancelledError('lost'));
      return item;
    }
    return this.#lose(hedge, item);
  }

  #delayOf({ definition, id }: TaskNode): number | undefined {
    const { hedge, type = id } = definition;
    if (hedge === undefined) return undefined;
    if (hedge.after !== 'p95') return hedge.after;
    const durations = getOrInsert(this.#durations, type, () => new DurationWindow());
    return durations.size < leastSamples ? undefined : durations.quantile(0.95);
  }

  #learn({ definition, id, startedAt }: TaskNode): void {
    if (definition.hedge?.after !== 'p95') return;
    this.#durations.get(definition.type ?? id)?.add(this.#lifecycle.clock.elapsed() - startedAt);
  }

  #wait(hedge: Hedge, after: number): void {
    hedge.timer = this.#lifecycle.clock.after(after, () =>
      this.#lifecycle.command(() => {
        const { node } = hedge;
        if (node.extra?.hedge !== hedge || node.ended || node.committing) return;
        this.#try(hedge);
        if (hedge.made < (node.definition.hedge?.max ?? 1)) this.#wait(hedge, after);
      }),
    );
  }

  /** Hedges only what runs, and only with what nobody else waits for. */
  #try(hedge: Hedge): void {
    const { node } = hedge;
    if (node.status !== 'running' || node.running === undefined) return;
    const rival = new TaskNode(node.handle, node.definition, node.seq, node.lane.origin);
    rival.status = 'running';
    rival.inEdges = node.inEdges;
    rival.attempt = node.attempt;
    rival.priority = node.priority;
    rival.rank = node.rank;
    rival.startedAt = rival.since = this.#lifecycle.clock.elapsed();
    rival.principal = node;
    rival.more().hedge = hedge;
    if (!this.#lifecycle.book(rival)) return;
    rival.calls = 1;
    hedge.rivals.push(rival);
    hedge.made += 1;
    node.calls += 1;
    this.#launch(rival);
  }

  /** The one beside was first: what it returned is the result of the task. */
  #win(hedge: Hedge, item: Signal & { readonly kind: 'succeeded' }): Said {
    const { node } = hedge;
    const rival = item.node;
    const lost = new WorkflowCancelledError('lost');
    this.#lifecycle.free(rival, item);
    hedge.rivals.splice(hedge.rivals.indexOf(rival), 1);
    this.#lifecycle.dropRivals(node, lost);
    const first = node.running;
    if (first !== undefined) {
      this.#lifecycle.bookAttempt(node, lost);
      this.#lifecycle.free(node, { kind: 'stopped', error: lost });
      first.stop(lost);
    }
    this.#lifecycle.attempt(rival, 'succeeded');
    this.#streaming.retract(node);
    node.startedAt = rival.startedAt;
    return { ...item, node };
  }

  /** An attempt has failed: as long as another one goes on the task does. */
  #lose(hedge: Hedge, item: Signal & { readonly kind: 'failed' }): Said | undefined {
    const { node, rivals } = hedge;
    const { error, retryAfter } = item.failure;
    if (item.node !== node) {
      rivals.splice(rivals.indexOf(item.node), 1);
      const isLast = rivals.length === 0 && node.running === undefined;
      if (!isLast) this.#lifecycle.bookRival(node, item.node, error);
      this.#lifecycle.free(item.node, item.failure);
      this.#lifecycle.attempt(item.node, 'failed', error, retryAfter);
      if (!isLast) return undefined;
      node.startedAt = item.node.startedAt;
      this.#lifecycle.forgetHedge(hedge);
      return { ...item, node };
    }
    if (rivals.length === 0) {
      this.#lifecycle.forgetHedge(hedge);
      return item;
    }
    this.#lifecycle.free(node, item.failure);
    // It is announced when the task goes on without the others.
    this.#lifecycle.bookAttempt(node, error, retryAfter);
    this.#streaming.retract(node);
    return undefined;
  }
}
