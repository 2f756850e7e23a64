import type { RxhiveError } from '../kernel/errors.js';
import { faultOf } from '../kernel/guard.js';
import type { ProviderError } from '../kernel/provider-error.js';
import type { EventBody } from '../model/event.js';
import type { UsageReport } from '../model/usage.js';
import type { Blocker, Lane } from './lane.js';
import type { TaskNode } from './node.js';

/** How an attempt ended, for gates that learn from it. */
export interface AttemptEnd {
  readonly kind: 'succeeded' | 'failed' | 'stopped';
  /** With `failed` and `stopped`. */
  readonly error?: unknown;
  /** Ms a provider asked to wait, as long as anybody wants to; also where no attempt follows. */
  readonly retryAfter?: number | undefined;
  /** What the error of the body means: read once, for all gates. */
  readonly read?: ProviderError;
}

/** The end of an attempt that has failed; `stopped`: it was lost with its worker, which says nothing about who was called. */
export interface Failure extends AttemptEnd {
  readonly kind: 'failed' | 'stopped';
  readonly error: unknown;
}

/** How a task ends that a gate will not let in. */
export interface Refusal {
  readonly status: 'skipped' | 'failed';
  readonly error: RxhiveError;
}

/**
 * What decides, beside slots, groups and resources, whether a task may start: a limiter, a budget, a circuit breaker,
 * memory. Gates of the run are asked first, then those of the group. One that has opened calls the function it was
 * given by {@link Gate.connect}.
 */
export interface Gate extends Blocker {
  /** What the wait is booked as. */
  readonly waitsFor: 'permit' | 'slot';
  /** While it does not admit, only people open it. Default: it opens by itself. */
  readonly stays?: boolean;
  /** `node`, which it does not admit, is not going to be admitted, as far as it can know. */
  lasts?(node: TaskNode): boolean;
  /**
   * The scheduler begins: `opened` lets those who wait try again, now or from any later call; with `node`, only that one: by
   * `acquire`, `wait` or `unwait` tells the gate what became of it.
   */
  connect(opened: (node?: TaskNode) => void): void;
  /**
   * May `node`, the best of its lane, go on now? Asked often and without effect. No: all of its lane wait.
   * A node with `node.running` has started before and comes back from a pause.
   */
  admits(node: TaskNode): boolean;
  /** `node` was not admitted, and is now the one its lane waits with. */
  wait?(node: TaskNode): void;
  /** The one that `wait` named has been taken away before it could start. */
  unwait?(node: TaskNode): void;
  /** `node` goes on: what `admits` promised is taken. */
  acquire(node: TaskNode): void;
  /** The task gave its slot back; its attempt lives on. */
  pause(node: TaskNode): void;
  /** The attempt has ended, paused or not. */
  release(node: TaskNode, end: AttemptEnd): void;
  /** A task that passes here used something, or an earlier process did. May be negative: a call was none. */
  charge?(used: UsageReport): void;
  /** A ready task is not to wait: it ends so. Asked when it becomes ready, and for all of them by the scheduler's `Refusals`. */
  refuses?(node: TaskNode): Refusal | undefined;
  /** `node` may not go on before others have tried whether anybody can: their end opens the gate, nothing else. */
  holdsBack?(node: TaskNode): boolean;
  /** Share, 0 to 1, of what it can still give with `queued` to come: where there is a choice, tasks go where most is left. */
  shareLeft?(queued: number): number;
  /** Ms until it lets one more start behind `queued` others, as far as it opens by itself; 0: at once. */
  opensIn?(queued: number): number;
  /** An answer that a task got had these headers. */
  onHeaders?(headers: unknown): void;
  /** What it has told and what still holds, as events of now. */
  standing?(): readonly EventBody[];
  /** The run has ended. */
  dispose?(): void;
  /** What is waited for, as the end of "Task x waits for ...". */
  reason(node: TaskNode): string;
}

/** Tells the gates of a task how its attempt ended; returns what code of the user threw that one of them asked about it. */
export function releaseGates(node: TaskNode, end: AttemptEnd): RxhiveError | undefined {
  let fault: RxhiveError | undefined;
  for (const gates of node.lane.gates)
    for (const gate of gates) {
      try {
        gate.release(node, end);
      } catch (error) {
        fault ??= faultOf(error, 'limiter');
      }
    }
  return fault;
}

/** What all gates have in common. What one does not do when an attempt goes on, pauses or ends, it leaves out. */
export abstract class ClosingGate {
  readonly parked = new Set<Lane>();
  /** Lets those who wait try again. */
  protected opened: (node?: TaskNode) => void = () => undefined;

  connect(opened: (node?: TaskNode) => void): void {
    this.opened = opened;
  }

  acquire(_node: TaskNode): void {}

  pause(_node: TaskNode): void {}

  release(_node: TaskNode, _end: AttemptEnd): void {}
}

/** A breaker that lets a few attempts through to try, and nobody else until they have ended. */
export interface ProbingGate extends Gate {
  /** Attempts that try; empty: none, or it is not half-open. */
  readonly probes: ReadonlySet<TaskNode>;
}

/** Is a ready task held back until others have tried? */
export function isHeldBack(node: TaskNode): boolean {
  const { status, lane } = node;
  return (
    status === 'ready' && lane.gates.some((list) => list.some((gate) => gate.holdsBack?.(node) === true))
  );
}
