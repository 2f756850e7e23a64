import type { AttemptEnd } from '../graph/gate.js';
import type { Hedge } from '../graph/node.js';
import { type AttemptHandle, TaskNode } from '../graph/node.js';
import type { Signal } from '../graph/signal.js';
import type { Clock } from '../kernel/clock.js';
import { DurationWindow } from '../kernel/duration-window.js';
import { type RxhiveError, WorkflowCancelledError } from '../kernel/errors.js';
import { accountAttempt } from './account.js';

/** Attempts that must have succeeded before a quantile of them means something. */
const leastSamples = 20;

/** What {@link Hedging} may ask of the scheduler, the only writer of status. */
export interface HedgeMoves {
  now(): number;
  /** Takes a slot and all else `rival` needs, if nobody waits for any of it. */
  book(rival: TaskNode): boolean;
  launch(rival: TaskNode): void;
  /** Gives back what an attempt held. */
  free(node: TaskNode, end: AttemptEnd): void;
  stop(node: TaskNode, reason: RxhiveError): void;
  announce(node: TaskNode, reason: 'succeeded' | 'failed', error?: unknown, gate?: number): void;
  /** What came of the stream of an attempt that failed does not count. */
  retract(node: TaskNode): void;
  commit(node: TaskNode, attempt: AttemptHandle, value: unknown): void;
  /** Runs `work` in the drain loop. */
  command(work: () => void): void;
}

/**
 * Second attempts beside slow ones, only where a place is free. The first success is the task's; the last failure is, when
 * all have failed. Source: J. Dean, L. A. Barroso, "The Tail at Scale", CACM 56(2), 2013.
 */
export class Hedging {
  readonly #clock: Clock;
  readonly #moves: HedgeMoves;
  /** By type of task; made for those that hedge by quantile. */
  readonly #durations = new Map<string, DurationWindow>();

  constructor(clock: Clock, moves: HedgeMoves) {
    this.#clock = clock;
    this.#moves = moves;
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
  hear(item: Signal): Signal | undefined {
    const hedge = item.node.extra?.hedge;
    if (hedge === undefined) {
      if (item.kind === 'succeeded') this.#learn(item.node);
      return item;
    }
    const isRival = item.node !== hedge.node;
    if (item.kind === 'value') return isRival ? undefined : item;
    if (item.kind === 'succeeded') {
      this.#learn(item.node);
      if (isRival) this.#win(hedge, item.node, item.source, item.value);
      else this.drop(item.node, new WorkflowCancelledError('lost'));
      return isRival ? undefined : item;
    }
    return this.#lose(hedge, item);
  }

  /** The attempts of `node` are over, for whatever reason. */
  drop(node: TaskNode, reason: RxhiveError): void {
    const hedge = node.extra?.hedge;
    if (hedge === undefined || hedge.node !== node) return;
    this.#forget(hedge);
    for (const rival of hedge.rivals) {
      this.#account(hedge, rival, reason);
      this.#moves.stop(rival, reason);
    }
  }

  #delayOf({ definition, id }: TaskNode): number | undefined {
    const { hedge, type = id } = definition;
    if (hedge === undefined) return undefined;
    if (hedge.after !== 'p95') return hedge.after;
    let durations = this.#durations.get(type);
    if (durations === undefined) {
      durations = new DurationWindow();
      this.#durations.set(type, durations);
    }
    return durations.size < leastSamples ? undefined : durations.quantile(0.95);
  }

  #learn({ definition, id, startedAt }: TaskNode): void {
    if (definition.hedge?.after !== 'p95') return;
    this.#durations.get(definition.type ?? id)?.add(this.#moves.now() - startedAt);
  }

  #wait(hedge: Hedge, after: number): void {
    hedge.timer = this.#clock.after(after, () =>
      this.#moves.command(() => {
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
    rival.startedAt = rival.since = this.#moves.now();
    rival.more().hedge = hedge;
    if (!this.#moves.book(rival)) return;
    rival.calls = 1;
    hedge.rivals.push(rival);
    hedge.made += 1;
    node.calls += 1;
    this.#moves.launch(rival);
  }

  #win(hedge: Hedge, rival: TaskNode, attempt: AttemptHandle, value: unknown): void {
    const { node } = hedge;
    const lost = new WorkflowCancelledError('lost');
    this.#moves.free(rival, { kind: 'succeeded' });
    hedge.rivals.splice(hedge.rivals.indexOf(rival), 1);
    this.drop(node, lost);
    const first = node.running;
    if (first !== undefined) {
      accountAttempt(node, this.#moves.now(), lost, undefined);
      this.#moves.free(node, { kind: 'stopped', error: lost });
      first.stop(lost);
    }
    this.#moves.announce(rival, 'succeeded');
    this.#moves.retract(node);
    node.startedAt = rival.startedAt;
    this.#moves.commit(node, attempt, value);
  }

  /** An attempt has failed: as long as another one goes on the task does. */
  #lose(hedge: Hedge, item: Signal & { readonly kind: 'failed' | 'retry' }): Signal | undefined {
    const { node, rivals } = hedge;
    const { error, gate } = item;
    const end: AttemptEnd = { kind: 'failed', error, retryAfter: gate };
    if (item.node !== node) {
      rivals.splice(rivals.indexOf(item.node), 1);
      const isLast = rivals.length === 0 && node.running === undefined;
      if (!isLast) this.#account(hedge, item.node, error);
      this.#moves.free(item.node, end);
      this.#moves.announce(item.node, 'failed', error, gate);
      if (!isLast) return undefined;
      node.startedAt = item.node.startedAt;
      this.#forget(hedge);
      return { ...item, node };
    }
    if (rivals.length === 0) {
      this.#forget(hedge);
      return item;
    }
    this.#moves.free(node, end);
    // It is announced when the task goes on without the others.
    accountAttempt(node, this.#moves.now(), error, gate);
    this.#moves.retract(node);
    return undefined;
  }

  #account({ node }: Hedge, rival: TaskNode, error: unknown): void {
    const extra = node.more();
    extra.attempts ??= [];
    const { startedAt } = rival;
    extra.attempts.push({ startedAt, endedAt: this.#moves.now(), error, hedge: true });
  }

  #forget({ node, timer }: Hedge): void {
    this.#clock.cancel(timer);
    node.more().hedge = undefined;
  }
}
