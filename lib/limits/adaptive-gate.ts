import { type AttemptEnd, ClosingGate, type Gate } from '../graph/gate.js';
import type { Group } from '../graph/lane.js';
import type { TaskNode } from '../graph/node.js';
import type { Timer } from '../kernel/clock.js';
import { TaskTimeoutError, truncate } from '../kernel/errors.js';
import { callForBoolean } from '../kernel/guard.js';
import { isOverload } from '../kernel/provider-error.js';
import type { AdaptiveOptions } from '../model/adaptive.js';
import { AdaptiveLimit, type LimitedCall } from './aimd.js';
import type { GatePorts } from './ports.js';

type Ports = Pick<GatePorts, 'clock' | 'effectiveLimits'>;

/** An attempt under way. */
interface AdaptiveAttempt extends LimitedCall {
  level: number;
  readonly order: number;
  /** Ms it ran before its last pause, and since when it runs again. */
  ran: number;
  since: number | undefined;
}

/**
 * Tells an {@link AdaptiveLimit} what attempts tell, and sets the limit it finds. After a refusal
 * each answer lets one call start, until none was refused for a round trip: a slot freed by a refusal must not at once
 * ask for the next.
 */
export class AdaptiveGate extends ClosingGate implements Gate {
  readonly waitsFor = 'permit';
  readonly #group: Group | undefined;
  readonly #ports: Ports;
  readonly #limit: AdaptiveLimit;
  readonly #overloaded: AdaptiveOptions['overloaded'];
  readonly #attempts = new Map<TaskNode, AdaptiveAttempt>();
  #hold: Timer | undefined;
  /** Calls that may start although the group is held. */
  #answers = 0;
  #active = 0;
  #order = 0;

  constructor(group: Group | undefined, options: AdaptiveOptions, ports: Ports) {
    super();
    this.#group = group;
    this.#ports = ports;
    this.#limit = new AdaptiveLimit(options, () => ports.effectiveLimits.get(group, 'user'));
    this.#overloaded = options.overloaded;
  }

  /** How many it would let run. */
  get target(): number {
    return this.#limit.limit;
  }

  override connect(opened: () => void): void {
    this.opened = opened;
    this.#apply();
  }

  admits(node: TaskNode): boolean {
    return this.#hold === undefined || this.#answers > 0 || node.running !== undefined;
  }

  override acquire(node: TaskNode): void {
    this.#active += 1;
    const now = this.#ports.clock.now();
    const attempt = this.#attempts.get(node);
    if (attempt !== undefined) attempt.since = now;
    else {
      this.#attempts.set(node, {
        ran: 0,
        since: now,
        startedAt: now,
        level: this.#active,
        order: this.#order++,
      });
      this.#answers = Math.max(0, this.#answers - 1);
      if (this.#limit.gap > 0) this.#wait(this.#limit.gap);
    }
  }

  override pause(node: TaskNode): void {
    const attempt = this.#attempts.get(node);
    if (attempt?.since === undefined) return;
    attempt.ran = this.#msOf(attempt);
    attempt.since = undefined;
    this.#active -= 1;
  }

  override release(node: TaskNode, end: AttemptEnd): void {
    const attempt = this.#attempts.get(node);
    if (attempt === undefined) return;
    const now = this.#ports.clock.now();
    this.#attempts.delete(node);
    const ms = this.#msOf(attempt);
    let fault: unknown;
    const told = (error: unknown): void => {
      fault = error;
    };
    if (end.kind === 'failed' && this.#isOverload(end, told)) {
      this.#discount(attempt);
      this.#limit.refused(attempt, now, end.retryAfter);
      this.#answers = 0;
      this.#wait(this.#limit.gap > 0 ? this.#limit.gap : this.#limit.pause);
    } else if (end.error instanceof TaskTimeoutError) this.#limit.timedOut(ms);
    else if (end.kind === 'succeeded') {
      this.#limit.answered(attempt, now, ms, this.#active);
      if (this.#hold !== undefined && this.#limit.gap === 0) {
        this.#answers += 1;
        this.opened();
      }
    }
    if (attempt.since !== undefined) this.#active -= 1;
    this.#apply();
    if (fault !== undefined) throw fault;
  }

  shareLeft(): number {
    return this.opensIn() > 0 ? 0 : 1;
  }

  opensIn(): number {
    if (this.#hold === undefined || this.#answers > 0) return 0;
    return Math.max(1, this.#hold.due - this.#ports.clock.now());
  }

  reason(): string {
    const whose = this.#group === undefined ? 'all tasks' : `group "${truncate(this.#group.name)}"`;
    return `an answer: ${whose} found its limit, now ${this.#limit.limit}, and lets one start per answer after a refusal`;
  }

  /** A refused call was never under way with the provider: those that started after it were one fewer. */
  #discount(refused: AdaptiveAttempt): void {
    for (const attempt of this.#attempts.values()) if (attempt.order > refused.order) attempt.level -= 1;
  }

  #wait(ms: number): void {
    const { clock } = this.#ports;
    clock.cancel(this.#hold);
    this.#hold = clock.after(ms, () => this.#open());
  }

  #open(): void {
    this.#ports.clock.cancel(this.#hold);
    this.#hold = undefined;
    this.#answers = 0;
    this.opened();
  }

  #apply(): void {
    this.#ports.effectiveLimits.set(this.#group, 'learnt', this.#limit.limit);
  }

  /** What the user's function cannot judge counts as no overload; `failed` is told. */
  #isOverload({ error, read }: AttemptEnd, failed: (fault: unknown) => void): boolean {
    const overloaded = this.#overloaded;
    if (overloaded === undefined) return read !== undefined && isOverload(read);
    try {
      return callForBoolean('adaptive.overloaded', () => overloaded(error));
    } catch (fault) {
      failed(fault);
      return false;
    }
  }

  #msOf({ ran, since }: AdaptiveAttempt): number {
    return since === undefined ? ran : ran + this.#ports.clock.now() - since;
  }
}
