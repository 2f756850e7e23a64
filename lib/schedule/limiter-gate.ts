import { brief, LimitExceededError, RxhiveError, shown } from '../kernel/errors.js';
import { toldLimits } from '../kernel/http-headers.js';
import { isRefusal, readProviderError, statusOf } from '../kernel/provider-error.js';
import type { AttemptEnd, Gate, Refusal } from '../model/gate.js';
import type { Group, Lane } from '../model/lane.js';
import {
  type Limiter,
  type LimiterSeat,
  type LimiterState,
  mostTokens,
  type Permit,
  type PermitRequest,
} from '../model/limiter.js';
import type { TaskNode } from '../model/node.js';
import type { GatePorts } from './gates.js';
import { type Estimate, estimatesOf, type TokenEstimates } from './token-estimates.js';

/** What an attempt holds. */
interface Held {
  readonly permit: Permit;
  readonly rough: number;
  /** Tokens the task had used before this attempt, and calls it had made. */
  readonly before: number;
  readonly calls: number;
}

/** Tasks before another one that are counted to explain its wait. */
const mostAhead = 1_000;

/** A limiter as a gate: asks for permits, settles tokens, and lets one refusal speak for the whole group. */
export class LimiterGate implements Gate {
  readonly waitsFor = 'permit';
  readonly limiter: Limiter;
  parked: Lane[] = [];
  readonly #group: Group | undefined;
  readonly #adaptive: boolean;
  readonly #ports: GatePorts;
  readonly #estimates: TokenEstimates;
  /** Guesses for tasks that wait; a task is asked for often and its inputs may be large. */
  readonly #guessed = new Map<TaskNode, Estimate | RxhiveError>();
  readonly #held = new Map<TaskNode, Held>();
  #seat: LimiterSeat | undefined;

  /** Without `group` for the whole run. `adaptive`: its concurrency finds its own answer to a 429 that names no time. */
  constructor(limiter: Limiter, group: Group | undefined, adaptive: boolean, ports: GatePorts) {
    this.limiter = limiter;
    this.#group = group;
    this.#adaptive = adaptive;
    this.#ports = ports;
    this.#estimates = estimatesOf(limiter);
  }

  connect(opened: () => void): void {
    const { clock, scheduler } = this.#ports;
    this.#seat = this.limiter.seat({ clock, run: scheduler, opened });
  }

  admits(node: TaskNode): boolean {
    const request = this.#request(node);
    return !(request instanceof RxhiveError) && this.#at.admits(request);
  }

  wait(node: TaskNode): void {
    const request = this.#request(node);
    // Its limit was lowered while it waited.
    if (request instanceof RxhiveError) this.#ports.scheduler.turnstile.refuse(this);
    else this.#at.wait(request);
  }

  refuses(node: TaskNode): Refusal | undefined {
    if (node.definition.tokens === undefined) return undefined;
    const request = this.#request(node);
    return request instanceof RxhiveError ? { status: 'failed', error: request } : undefined;
  }

  unwait(node: TaskNode): void {
    this.#guessed.delete(node);
    this.#at.unwait(node);
  }

  enter(node: TaskNode): void {
    const held = this.#held.get(node);
    const request = this.#request(node) as PermitRequest;
    if (held !== undefined) {
      this.#at.take(request, held.permit);
      return;
    }
    const guess = this.#guessed.get(node) as Estimate | undefined;
    this.#guessed.delete(node);
    const permit = this.#at.take(request);
    this.#held.set(node, { permit, rough: guess?.rough ?? 0, before: usedBy(node), calls: node.calls });
  }

  pause(node: TaskNode): void {
    this.#held.get(node)?.permit.pause();
  }

  leave(node: TaskNode, end: AttemptEnd): void {
    const held = this.#held.get(node);
    if (held === undefined) return;
    this.#held.delete(node);
    const used = usedBy(node) - held.before;
    if (end.kind === 'succeeded') {
      if (used > 0 && held.rough > 0) this.#estimates.learn(node, held.rough, used);
      this.#at.passed(held.permit);
    } else if (end.kind === 'failed') this.#refused(node, held.permit, end);
    // An answer with an error status was not worked on; what was cut off or got lost may have been.
    const status = end.kind === 'failed' ? statusOf(end.error) : undefined;
    const unused = status !== undefined && status >= 400;
    if (used > 0) held.permit.release(used);
    else held.permit.release(node.calls === held.calls ? 'none' : unused ? 0 : undefined);
  }

  /** Headers of an answer that one of its tasks got. */
  told(headers: unknown): void {
    const limits = toldLimits(headers, this.#ports.clock.wall());
    if (limits.length > 0) this.#at.told(limits);
  }

  state(): LimiterState {
    return this.#at.state();
  }

  close(): void {
    this.#guessed.clear();
    this.#at.close();
  }

  because(node: TaskNode): string {
    const { heldFor, windows } = this.state();
    const whose = this.#group === undefined ? 'the run' : `group "${brief(this.#group.name)}"`;
    if (heldFor > 0) return `${whose}, which its provider holds for another ${Math.ceil(heldFor)} ms`;
    const request = this.#request(node);
    if (request instanceof RxhiveError) return `its end: ${request.message}`;
    const ahead = node.lane.ready.before(node, mostAhead);
    const [about, exactly] = ahead < mostAhead ? ['about', ''] : ['more than', 'at least '];
    const ms = this.#at.delay(request, ahead);
    const when = ms === undefined ? '' : `, ${about} ${(ms / 1000).toFixed(1)} s`;
    const order = ahead === 0 ? '' : `, ${exactly}${ahead} before it`;
    const full = windows.filter((one) => one.used > 0).map((one) => `${one.name} ${one.used} of ${one.max}`);
    return `a permit of ${whose}${when}${order}${full.length === 0 ? '' : ` (${full.join(', ')})`}`;
  }

  get #at(): LimiterSeat {
    return this.#seat as LimiterSeat;
  }

  /** The provider said no, or told how its books stand. */
  #refused(node: TaskNode, permit: Permit, { error, retryAfter }: AttemptEnd): void {
    if (!this.#answersFor(node)) return;
    for (const headers of readProviderError(error, 0).headers) this.told(headers);
    if (!isRefusal(error, retryAfter) || (retryAfter === undefined && this.#adaptive)) return;
    const delay = this.#at.refused(permit, retryAfter);
    const { watch } = this.#ports;
    if (delay === undefined || !watch.active) return;
    const group = this.#group === undefined ? {} : { group: this.#group.name };
    watch.emit({ type: 'group', reason: 'gated', ...group, delay });
  }

  /** The limiter of the group hears of refusals; that of the run where the group has none. */
  #answersFor(node: TaskNode): boolean {
    const { group } = node.lane;
    return group === this.#group || group?.gates.some((gate) => gate instanceof LimiterGate) === false;
  }

  /** What to ask for; an error where the task can never start. */
  #request(node: TaskNode): PermitRequest | RxhiveError {
    if (node.running !== undefined) return { node, tokens: 0, again: true };
    const { settings } = this.limiter;
    const most = mostTokens(settings);
    if (most === undefined) return { node, tokens: 0, again: false };
    let guess = this.#guessed.get(node);
    if (guess === undefined) {
      guess = this.#estimate(node);
      this.#guessed.set(node, guess);
    }
    if (guess instanceof RxhiveError) return guess;
    if (guess.tokens > most.max) {
      const message = `Task "${brief(node.id)}" needs ${guess.tokens} tokens, but ${most.name} is ${most.max}; it could never start. Raise the limit or make the task smaller.`;
      return new LimitExceededError(most.name, most.max, message);
    }
    return { node, tokens: guess.tokens, again: false };
  }

  #estimate(node: TaskNode): Estimate | RxhiveError {
    const { tokens } = node.definition;
    try {
      if (tokens === undefined)
        return this.#estimates.guess(node, this.#ports.inputsOf(node), this.limiter.settings);
      const said = typeof tokens === 'function' ? tokens(this.#ports.inputsOf(node) as never) : tokens;
      if (Number.isFinite(said) && said >= 0) return { tokens: Math.ceil(said), rough: 0 };
      const message = `Task "${brief(node.id)}": tokens gave ${shown(said)}; give a number from 0.`;
      return new RxhiveError('INVALID_OPTION', message, { details: { taskId: node.id } });
    } catch (cause) {
      const message = `The tokens of task "${brief(node.id)}" could not be estimated: ${String((cause as Error)?.message ?? cause)}`;
      return new RxhiveError('INVALID_OPTION', message, { cause, details: { taskId: node.id } });
    }
  }
}

function usedBy({ extra }: TaskNode): number {
  return (extra?.spent?.tokens ?? 0) - (extra?.beside ?? 0);
}
