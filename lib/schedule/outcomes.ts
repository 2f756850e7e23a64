import { isForgiven } from '../graph/choice-state.js';
import type { AttemptEnd, Refusal } from '../graph/gate.js';
import type { TaskNode } from '../graph/node.js';
import type { SchedulerPorts } from '../graph/ports.js';
import type { Signal } from '../graph/signal.js';
import type { Clock } from '../kernel/clock.js';
import { type RxhiveError, WorkflowCancelledError } from '../kernel/errors.js';
import type { TaskStatus } from '../model/status.js';
import type { WorkflowSettings } from '../model/workflow.js';
import { accountAttempt } from './account.js';
import type { Announcer } from './announcer.js';
import { Commits } from './commits.js';
import type { Deadlines } from './deadlines.js';
import { Hedging } from './hedging.js';
import type { Streaming } from './streaming.js';

/** What {@link Outcomes} may ask of the scheduler, the only writer of status. */
export interface OutcomeMoves {
  now(): number;
  enter(node: TaskNode, status: TaskStatus, error?: unknown, delay?: number): void;
  ready(node: TaskNode): void;
  end(node: TaskNode, status: TaskStatus, error: unknown): void;
  /** Gives back what an attempt that is over held; returns what code of the user threw that was asked about it. */
  free(node: TaskNode, end?: AttemptEnd): RxhiveError | undefined;
  /** Ends an attempt from outside. */
  stop(node: TaskNode, reason: RxhiveError): void;
  /** Takes a slot and all else for an attempt beside another one, if nobody waits for any of it. */
  book(rival: TaskNode): boolean;
  /** Runs an attempt that has been booked. */
  launch(rival: TaskNode): void;
  cancelAll(reason: RxhiveError): void;
  /** Runs `work` in the drain loop. */
  command(work: () => void): void;
}

/** The parts of the scheduler it works with. */
export interface OutcomeParts {
  readonly announcer: Announcer;
  readonly deadlines: Deadlines;
  readonly streaming: Streaming;
}

/** What comes of attempts: a commit, another attempt, or the end of the task. */
export class Outcomes {
  readonly hedging: Hedging;
  readonly #commits: Commits;
  readonly #ports: SchedulerPorts;
  readonly #settings: WorkflowSettings;
  readonly #parts: OutcomeParts;
  readonly #moves: OutcomeMoves;

  constructor(
    clock: Clock,
    ports: SchedulerPorts,
    settings: WorkflowSettings,
    parts: OutcomeParts,
    moves: OutcomeMoves,
  ) {
    const { announcer, deadlines, streaming } = parts;
    this.#ports = ports;
    this.#settings = settings;
    this.#parts = parts;
    this.#moves = moves;
    this.#commits = new Commits((node, attempt, done) => ports.commit(node, attempt, done), {
      succeed: (node, status) => {
        announcer.attempt(node, 'succeeded');
        moves.end(node, status, undefined);
      },
      fail: (node, error) => this.fail(node, error),
      // Not a retry, so it does not count as an attempt.
      rerun: (node) => {
        node.attempt -= 1;
        ports.used(node);
        streaming.retract(node);
        moves.ready(node);
      },
      shield: (node) => deadlines.disarm(node),
      command: (work) => moves.command(work),
    });
    this.hedging = new Hedging(clock, {
      now: () => moves.now(),
      book: (rival) => moves.book(rival),
      launch: (rival) => {
        announcer.attempt(rival, 'started');
        moves.launch(rival);
      },
      free: (node, end) => moves.free(node, end),
      stop: (node, reason) => moves.stop(node, reason),
      announce: (node, reason, error, gate) => announcer.attempt(node, reason, error, gate),
      retract: (node) => streaming.retract(node),
      commit: (node, attempt, value) => this.#commits.begin(node, attempt, value),
      command: (work) => moves.command(work),
    });
  }

  /** An attempt that goes on has something to say. */
  hear(signal: Signal): void {
    const item = signal.node.definition.hedge === undefined ? signal : this.hedging.hear(signal);
    if (item === undefined) return;
    const { node } = item;
    if (item.kind === 'succeeded') {
      const fault = this.#moves.free(node, { kind: 'succeeded' });
      if (fault === undefined) this.#commits.begin(node, item.source, item.value);
      else this.#failed(node, fault);
    } else if (item.kind === 'failed') this.fail(node, item.error, item.gate);
    else if (item.kind === 'retry') this.#retry(node, item.error, item.delay, item.gate);
    else this.#parts.streaming.value(node, item.value);
  }

  /** `gate`: ms a provider asked to wait. */
  fail(node: TaskNode, error: unknown, gate?: number): void {
    const fault = this.#moves.free(node, { kind: 'failed', error, retryAfter: gate });
    this.#failed(node, fault ?? error, gate);
  }

  #failed(node: TaskNode, error: unknown, gate?: number): void {
    this.#parts.announcer.attempt(node, 'failed', error, gate);
    this.end(node, error);
  }

  /** A gate will not let it in. */
  turnAway(node: TaskNode, { status, error }: Refusal): void {
    this.#moves.free(node);
    if (status === 'failed') this.end(node, error);
    else this.#moves.end(node, status, error);
  }

  /** The task has failed for good. */
  end(node: TaskNode, error: unknown): void {
    this.#moves.end(node, 'failed', error);
    this.failFast(node);
  }

  /** Ends the run where a failure is to do so, also one of an earlier process. */
  failFast(node: TaskNode): void {
    if (this.#settings.failurePolicy !== 'fail-fast' || node.status !== 'failed' || isForgiven(node)) return;
    this.#moves.cancelAll(new WorkflowCancelledError('fail-fast', node.error));
  }

  #retry(node: TaskNode, error: unknown, delay: number, gate: number | undefined): void {
    const { announcer, streaming } = this.#parts;
    const fault = this.#moves.free(node, { kind: 'failed', error, retryAfter: gate });
    if (fault !== undefined) {
      this.#failed(node, fault, gate);
      return;
    }
    announcer.attempt(node, 'failed', error, gate);
    accountAttempt(node, this.#moves.now(), error, gate);
    this.#ports.used(node);
    this.#ports.retries(node, delay);
    streaming.retract(node);
    this.backOff(node, delay, error);
  }

  /** An attempt begins. The result of a replay is there: no clock may end it, no other attempt may win. */
  began(node: TaskNode): void {
    if (node.extra?.replay !== undefined) return;
    this.#parts.deadlines.armTotal(node);
    if (node.definition.hedge !== undefined) this.hedging.arm(node);
    this.#ports.began(node);
  }

  /** Goes on with a backoff of an earlier process, where there is something left of it. */
  holdsBack(node: TaskNode): boolean {
    const left = node.extra?.backoffLeft ?? 0;
    if (left > 0) this.backOff(node, left);
    return left > 0;
  }

  /** The next attempt begins after `delay` ms. */
  backOff(node: TaskNode, delay: number, error?: unknown): void {
    node.more().backoffLeft = 0;
    this.#moves.enter(node, 'backing-off', error, delay);
    this.#parts.deadlines.backOff(node, delay, () => {
      this.#moves.command(() => {
        if (node.status === 'backing-off') this.#moves.ready(node);
      });
    });
  }
}
