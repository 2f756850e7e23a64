import { type AttemptEnd, ClosingGate, type ProbingGate, type Refusal } from '../graph/gate.js';
import type { Group } from '../graph/lane.js';
import type { TaskNode } from '../graph/node.js';
import { RxhiveError, TaskTimeoutError, truncate } from '../kernel/errors.js';
import { callForBoolean } from '../kernel/guard.js';
import { speaksAgainstProvider } from '../kernel/provider-error.js';
import type { BreakerOptions, BreakerState } from '../model/breaker.js';
import type { EventBody } from '../model/event.js';
import type { GatePorts } from './ports.js';

const defaultOpenFor = 30_000;
const defaultLeast = 10;

/**
 * A circuit breaker: closed, it counts outcomes; open, it lets nothing through; half-open, a few probes decide.
 * Outcomes of attempts that began before it opened tell nothing new and are not counted.
 * Source: M. Nygard, "Release It!", 2007.
 */
export class Breaker extends ClosingGate implements ProbingGate {
  readonly waitsFor = 'permit';
  readonly #group: Group;
  readonly #options: BreakerOptions;
  readonly #ports: GatePorts;
  readonly #probeLimit: number;
  readonly probes = new Set<TaskNode>();
  /** Attempts that were let through because a probe needs them. */
  readonly #helpers = new Set<TaskNode>();
  /** Attempts that began while it was closed, since it last closed. */
  #counted = new Set<TaskNode>();
  #outcomes: { readonly at: number; readonly failed: boolean }[] = [];
  #failures = 0;
  #successes = 0;
  #state: BreakerState = 'closed';
  #openUntil = 0;
  #lastError: unknown;

  constructor(group: Group, options: BreakerOptions, ports: GatePorts) {
    super();
    this.#group = group;
    this.#options = options;
    this.#ports = ports;
    this.#probeLimit = options.halfOpen ?? 1;
  }

  admits(node: TaskNode): boolean {
    if (node.running !== undefined || this.#state === 'closed') return true;
    return this.#state === 'half-open' && (this.#hasRoom || this.#ports.scheduler.probing.helps(this, node));
  }

  holdsBack(node: TaskNode): boolean {
    return this.#state === 'half-open' && !this.admits(node);
  }

  override acquire(node: TaskNode): void {
    if (node.running !== undefined) return;
    if (this.#state === 'half-open') (this.#hasRoom ? this.probes : this.#helpers).add(node);
    else this.#counted.add(node);
  }

  override release(node: TaskNode, end: AttemptEnd): void {
    // What a probe needs is part of it: either may tell how the provider is.
    const probe = this.probes.delete(node) || this.#helpers.delete(node);
    const counted = this.#counted.delete(node);
    let fault: unknown;
    const outcome = this.#judge(end, (error) => {
      fault = error;
    });
    if (probe && this.#state === 'half-open') {
      if (outcome === 'bad') this.#open(end.error);
      else if (outcome === 'good') this.#proved();
      // It says nothing about the provider: another one may try.
      else this.opened();
    } else if (counted && this.#state === 'closed' && outcome !== 'none') this.#count(outcome, end.error);
    if (fault !== undefined) throw fault;
  }

  refuses(node: TaskNode): Refusal | undefined {
    const patient = node.definition.whenOpen ?? this.#options.whenOpen ?? 'wait';
    if (this.#state === 'closed' || patient === 'wait' || this.admits(node)) return undefined;
    const message = `Task "${truncate(node.id)}" did not start: the circuit breaker of group "${truncate(this.#group.name)}" is ${this.#state}.`;
    const error = new RxhiveError('CIRCUIT_OPEN', message, {
      cause: this.#lastError,
      details: { group: this.#group.name, state: this.#state },
    });
    return { status: 'failed', error };
  }

  shareLeft(): number {
    return this.#state === 'closed' ? 1 : 0;
  }

  standing(): readonly EventBody[] {
    if (this.#state === 'closed') return [];
    const delay = this.#openUntil - this.#ports.clock.now();
    const facts = this.#state === 'open' ? { delay, error: this.#lastError } : {};
    return [{ type: 'breaker', reason: this.#state, group: this.#group.name, ...facts }];
  }

  reason(): string {
    const name = `the circuit breaker of group "${truncate(this.#group.name)}"`;
    if (this.#state === 'half-open') {
      const names = [...this.probes].map(
        ({ principal, status }) => `"${truncate(principal.id)}" (${status})`,
      );
      return `${name}, which lets ${this.#probeLimit} through to try: ${names.slice(0, 5).join(', ')}`;
    }
    return `${name}, which is open for another ${this.#openUntil - this.#ports.clock.now()} ms`;
  }

  get #hasRoom(): boolean {
    return this.probes.size + this.#successes < this.#probeLimit;
  }

  #judge({ kind, error, read }: AttemptEnd, failed: (fault: unknown) => void): 'good' | 'bad' | 'none' {
    if (kind === 'succeeded') return 'good';
    if (kind === 'stopped' && !(error instanceof TaskTimeoutError)) return 'none';
    const { counts } = this.#options;
    if (counts === undefined) return speaksAgainstProvider(error, read) ? 'bad' : 'none';
    try {
      return callForBoolean('breaker.counts', () => counts(error)) ? 'bad' : 'none';
    } catch (fault) {
      // What it could not judge counts.
      failed(fault);
      return 'bad';
    }
  }

  #count(outcome: 'good' | 'bad', error: unknown): void {
    const { failures } = this.#options;
    const failed = outcome === 'bad';
    if (typeof failures === 'number') {
      this.#failures = failed ? this.#failures + 1 : 0;
      if (this.#failures >= failures) this.#open(error);
      return;
    }
    const now = this.#ports.clock.now();
    this.#outcomes.push({ at: now, failed });
    const first = this.#outcomes.findIndex(({ at }) => at > now - failures.window);
    this.#outcomes.splice(0, first);
    const bad = this.#outcomes.filter((one) => one.failed).length;
    const enough = this.#outcomes.length >= (failures.least ?? defaultLeast);
    if (failed && enough && bad / this.#outcomes.length >= failures.rate) this.#open(error);
  }

  #open(error: unknown): void {
    const delay = this.#options.openFor ?? defaultOpenFor;
    this.#lastError = error;
    this.probes.clear();
    this.#helpers.clear();
    this.#counted.clear();
    this.#openUntil = this.#ports.clock.now() + delay;
    this.#enterState('open', { delay, error });
    this.#ports.scheduler.refusals.refuse(this);
    this.#ports.clock.after(delay, () => {
      this.#successes = 0;
      this.#enterState('half-open');
      this.opened();
    });
  }

  #proved(): void {
    this.#successes += 1;
    if (this.#successes < this.#probeLimit) return;
    this.#failures = 0;
    this.#outcomes = [];
    this.#counted = new Set();
    this.#enterState('closed');
    this.opened();
  }

  #enterState(state: BreakerState, facts: { readonly delay?: number; readonly error?: unknown } = {}): void {
    this.#state = state;
    if (state === 'half-open') this.#ports.scheduler.probing.begin(this);
    else this.#ports.scheduler.probing.end(this);
    const { watch } = this.#ports;
    if (watch.active) watch.emit({ type: 'breaker', reason: state, group: this.#group.name, ...facts });
  }
}
