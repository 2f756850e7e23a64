import type { Failure, Refusal } from '../graph/gate.js';
import type { AttemptHandle, TaskNode } from '../graph/node.js';
import type { CommitOutcome } from '../graph/ports.js';
import type { Signal } from '../graph/signal.js';
import { type RxhiveError, WorkflowCancelledError } from '../kernel/errors.js';
import type { WorkerFacts } from '../model/worker.js';
import type { Dependents } from './dependents.js';
import type { Hedging } from './hedging.js';
import type { Lifecycle } from './lifecycle.js';
import type { Streaming } from './streaming.js';

/**
 * What comes of attempts: a commit, another attempt, or the end of the task. A retry is no `retry()` of RxJS: it gives
 * slot and permit back, waits, and passes the queue and the limiter again like any other attempt.
 */
export class Outcomes {
  readonly #lifecycle: Lifecycle;
  readonly #streaming: Streaming;
  readonly #dependents: Dependents;
  readonly #hedging: Hedging;

  constructor(lifecycle: Lifecycle, streaming: Streaming, dependents: Dependents, hedging: Hedging) {
    this.#lifecycle = lifecycle;
    this.#streaming = streaming;
    this.#dependents = dependents;
    this.#hedging = hedging;
    lifecycle.deadlines.signals.aborted = (nodes, cause) =>
      this.cancel(nodes, new WorkflowCancelledError('signal', cause));
  }

  /** An attempt begins. The result of a replay is there: no clock may end it, no other attempt may win. */
  began(node: TaskNode): void {
    if (node.definition.feeds === true) this.#dependents.feeds(node);
    if (node.extra?.replay !== undefined) return;
    if (node.definition.remote === true) node.more().handedOver = true;
    else this.#atWork(node);
    this.#lifecycle.ports.log.began(node);
  }

  /** A worker has begun with the attempt `source` of `node`. */
  begun(node: TaskNode, source: AttemptHandle, worker: WorkerFacts | undefined): void {
    if (node.running !== source || node.extra?.handedOver !== true) return;
    this.#lifecycle.workerBegan(node, worker);
    if (node.principal === node) this.#atWork(node);
  }

  #atWork(node: TaskNode): void {
    this.#lifecycle.deadlines.armTotal(node);
    if (node.definition.hedge !== undefined) this.#hedging.arm(node);
  }

  /** An attempt that goes on has something to say. */
  onSignal(signal: Signal): void {
    if (signal.kind === 'skipped') {
      const { principal } = signal.node;
      this.#lifecycle.stop(principal, signal.error);
      this.#dependents.endTask(principal, 'skipped', signal.error);
      return;
    }
    const item = signal.node.definition.hedge === undefined ? signal : this.#hedging.onSignal(signal);
    if (item === undefined) return;
    const { node } = item;
    if (item.kind === 'succeeded') {
      const fault = this.#lifecycle.free(node, item);
      if (fault === undefined) this.#commit(node, item.source, item.value);
      else this.#failed(node, fault);
    } else if (item.kind === 'failed') this.#fail(node, item.failure, item.delay);
    else {
      node.more().live = { value: item.value };
      this.#lifecycle.ports.value(node, item.value);
      this.#dependents.show(node, item.value);
    }
  }

  /** A gate will not let it in. */
  turnAway(node: TaskNode, { status, error }: Refusal): void {
    this.#lifecycle.free(node);
    if (status === 'failed') this.#dependents.fail(node, error);
    else this.#dependents.endTask(node, status, error);
  }

  /** Ends a task from outside: clocks, gates and `cancelTask`. */
  abandon(node: TaskNode, status: 'failed' | 'cancelled' | 'skipped', error: RxhiveError): void {
    this.#lifecycle.stop(node, error);
    if (status === 'failed') this.#fail(node, { kind: 'failed', error });
    else this.#dependents.endTask(node, status, error);
  }

  /** Cancels tasks, all before anything else happens; their dependents are skipped. */
  cancel(nodes: readonly TaskNode[], reason: WorkflowCancelledError): void {
    this.#lifecycle.command(() => {
      for (const node of nodes) {
        // A run that has ended to wait for people leaves its tasks as they are.
        if (this.#lifecycle.ended || node.ended || node.committing) continue;
        this.abandon(node, 'cancelled', reason);
      }
    });
  }

  /** Skips a task that waits: others wait already, as many as may. */
  drop(node: TaskNode, error: RxhiveError): void {
    this.#lifecycle.command(() => {
      if (!this.#lifecycle.ended && !node.ended && node.attempt === 0) this.abandon(node, 'skipped', error);
    });
  }

  /** `delay`: ms until the next attempt; undefined: there is none. */
  #fail(node: TaskNode, failure: Failure, delay?: number): void {
    const { error, retryAfter } = failure;
    const fault = this.#lifecycle.free(node, failure);
    if (delay === undefined || fault !== undefined) this.#failed(node, fault ?? error, retryAfter);
    else this.#retry(node, error, delay, retryAfter, failure.kind === 'stopped');
  }

  #failed(node: TaskNode, error: unknown, retryAfter?: number): void {
    this.#lifecycle.attempt(node, 'failed', error, retryAfter);
    this.#dependents.fail(node, error);
  }

  /** `isLost`: the worker is gone, another one does it at once. */
  #retry(
    node: TaskNode,
    error: unknown,
    delay: number,
    retryAfter: number | undefined,
    isLost: boolean,
  ): void {
    const { ports } = this.#lifecycle;
    this.#lifecycle.attempt(node, 'failed', error, retryAfter);
    this.#lifecycle.bookAttempt(node, error, retryAfter);
    ports.log.used(node);
    ports.log.retries(node, delay, isLost);
    this.#streaming.retract(node);
    if (isLost) this.#lifecycle.ready(node);
    else this.#lifecycle.backOff(node, delay, error);
  }

  /** `attempt` is over and has given everything back; its value is the task's result if the commit works. */
  #commit(node: TaskNode, attempt: AttemptHandle, value: unknown): void {
    const { ports, deadlines } = this.#lifecycle;
    node.value = value;
    let outcome: CommitOutcome;
    try {
      outcome = ports.commit(node, attempt);
    } catch (error) {
      this.#lost(node, error);
      return;
    }
    if (outcome === 'wait') node.value = undefined;
    else if (outcome === 'rerun') this.#rerun(node);
    else if (outcome === 'later') {
      // Nothing outside may end the task any more: its record may be in the log.
      node.committing = true;
      deadlines.disarm(node);
    } else this.#succeed(node, outcome === 'restored' ? 'restored' : 'succeeded');
  }

  /** The body runs again with what it reads now. Not a retry, so it does not count as an attempt. */
  #rerun(node: TaskNode): void {
    node.value = undefined;
    node.attempt -= 1;
    // What its condition has read may be another now.
    if (node.extra !== undefined) node.extra.admitted = false;
    this.#lifecycle.ports.log.used(node);
    this.#streaming.retract(node);
    this.#lifecycle.ready(node);
  }

  /** A commit that had to wait can be tried again: that of `attempt`, made in the call of this number. */
  commitAgain(node: TaskNode, attempt: AttemptHandle, value: unknown, calls: number): void {
    this.#lifecycle.command(() => {
      if (node.status === 'running' && node.running === undefined && node.calls === calls)
        this.#commit(node, attempt, value);
      // It was ended, or begins anew.
      else attempt.reads?.close();
    });
  }

  /** The log has the task's success, or will never have it. */
  durable(node: TaskNode, error: RxhiveError | undefined): void {
    this.#lifecycle.command(() => {
      node.committing = false;
      if (error === undefined) this.#succeed(node, 'succeeded');
      else this.#lost(node, error);
    });
  }

  #succeed(node: TaskNode, status: 'succeeded' | 'restored'): void {
    this.#lifecycle.attempt(node, 'succeeded');
    this.#dependents.endTask(node, status, undefined);
  }

  #lost(node: TaskNode, error: unknown): void {
    node.value = undefined;
    this.#fail(node, { kind: 'failed', error });
  }
}
