import { type AttemptEnd, ClosingGate, type Gate, type Refusal } from '../graph/gate.js';
import { type Group, named } from '../graph/lane.js';
import type { TaskNode } from '../graph/node.js';
import type { Timer } from '../kernel/clock.js';
import { LimitExceededError, messageOf, RxhiveError, truncate } from '../kernel/errors.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import { badReturn, callForNumber, faultOf } from '../kernel/guard.js';
import { providerLimits } from '../kernel/http-headers.js';
import { isPromise } from '../kernel/maybe-promise.js';
import { type ProviderError, saysNotNow } from '../kernel/provider-error.js';
import { WindowLimiter } from '../limiters/window-limiter.js';
import type { EventBody } from '../model/event.js';
import {
  amountOf,
  type Limiter,
  type LimiterSettings,
  type LimiterState,
  mostTokens,
  type Permit,
  type PermitRequest,
  type WindowName,
  windowOf,
} from '../model/limiter.js';
import { quiet, type Seat, seatAt } from './limiter-seat.js';
import { mostAhead, permitWords } from './permit-words.js';
import type { GatePorts } from './ports.js';
import { estimatesOf, type TokenEstimates } from './token-estimates.js';

/** What an attempt holds. */
interface Held {
  readonly permit: Permit;
  /** Tokens of its inputs; undefined: the task said what it needs. */
  readonly rough: number | undefined;
  /** Tokens the task had used before this attempt, and calls it had made. */
  readonly before: number;
  readonly calls: number;
  /** The attempt is of a type of which nobody knows what it uses: over when it pauses or ends. */
  readonly trial: Trial | undefined;
}

interface Trial {
  readonly over: () => void;
  /** It lasts a minute at most: others wait for it. */
  readonly timer: Timer;
}

/** What an attempt needs, as the task says or by its inputs. */
type Sizes =
  | { readonly tokens: number; readonly rough?: undefined }
  | { readonly tokens?: undefined; readonly rough: number };

const longestTrial = 60_000;

/** A limiter as a gate: asks for permits, settles tokens, and lets one refusal speak for the whole group. */
export class LimiterGate extends ClosingGate implements Gate {
  readonly waitsFor = 'permit';
  readonly limiter: Limiter;
  readonly #group: Group | undefined;
  readonly #adaptive: boolean;
  readonly #ports: GatePorts;
  readonly #estimates: TokenEstimates;
  /** Guesses for tasks that wait; a task is asked for often and its inputs may be large. */
  #guessed = new WeakMap<TaskNode, Sizes | RxhiveError>();
  readonly #held = new Map<TaskNode, Held>();
  /** What the task was admitted with that is to begin now. */
  #admitted: PermitRequest | undefined;
  /** Tasks that cannot get a permit because code of the user failed. */
  readonly #faults = new WeakMap<TaskNode, RxhiveError>();
  #taken: Seat | undefined;
  /** It could not say how it stands. */
  #mute = false;

  /** Without `group` for the whole run. `adaptive`: its concurrency finds its own answer to a 429 that names no time. */
  constructor(limiter: Limiter, group: Group | undefined, adaptive: boolean, ports: GatePorts) {
    super();
    this.limiter = limiter;
    this.#group = group;
    this.#adaptive = adaptive;
    this.#ports = ports;
    this.#estimates = estimatesOf(limiter);
  }

  admits(node: TaskNode): boolean {
    const request = this.#request(node);
    this.#admitted = undefined;
    if (request instanceof RxhiveError || !this.#admits(node, request) || this.#isHeardOfFirst(node))
      return false;
    this.#admitted = request;
    return true;
  }

  wait(node: TaskNode): void {
    const request = this.#request(node);
    const fault = this.#faults.get(node) ?? (request instanceof RxhiveError ? request : undefined);
    // Its limit was lowered while it waited, or nobody can say what it needs.
    if (fault !== undefined) this.#failTask(node, fault);
    // The ledger wakes whoever waits; time has gone on since it was asked.
    else if (this.#isHeardOfFirst(node) && this.#admits(node, request as PermitRequest)) {
      this.#estimates.wait(this.opened);
      this.#guard(node, () => this.#seat.unwait(node));
    } else this.#guard(node, () => this.#seat.wait(request as PermitRequest));
  }

  refuses(node: TaskNode): Refusal | undefined {
    const { tokens } = node.definition;
    // A guess cannot refuse, and what it is made from may be large.
    const settings = this.#settings();
    if (settings instanceof RxhiveError) return { status: 'failed', error: settings };
    if (tokens === undefined && settings.countTokens === undefined) return undefined;
    const request = this.#request(node);
    return request instanceof RxhiveError ? { status: 'failed', error: request } : undefined;
  }

  unwait(node: TaskNode): void {
    this.#guessed.delete(node);
    this.#faults.delete(node);
    this.#guard(node, () => this.#seat.unwait(node));
  }

  override acquire(node: TaskNode): void {
    const held = this.#held.get(node);
    const known = this.#admitted?.node === node ? this.#admitted : undefined;
    const request = known ?? (this.#request(node) as PermitRequest);
    this.#admitted = undefined;
    if (held !== undefined) {
      this.#guard(node, () => this.#seat.take(request, held.permit));
      return;
    }
    const guess = this.#guessed.get(node) as Sizes | undefined;
    this.#guessed.delete(node);
    const trial = this.#isUnseen(node, guess) ? this.#try() : undefined;
    const rough = guess?.rough;
    this.#guard(node, () => {
      const permit = this.#seat.take(request);
      this.#held.set(node, { permit, rough, before: usedBy(node), calls: node.calls, trial });
    });
  }

  override pause(node: TaskNode): void {
    const held = this.#held.get(node);
    this.#guard(node, () => held?.permit.pause());
    this.#stop(held?.trial);
  }

  override release(node: TaskNode, end: AttemptEnd): void {
    const held = this.#held.get(node);
    if (held === undefined) return;
    this.#held.delete(node);
    const used = usedBy(node) - held.before;
    // What a task it joined was refused is that task's: its own call was answered.
    const own = end.kind === 'failed' && node.extra?.joinError !== end.error;
    const read = own ? end.read : undefined;
    try {
      if (end.kind === 'succeeded') {
        this.#learn(node, held, used);
        this.#seat.passed(held.permit);
      } else if (end.kind === 'failed') {
        if (held.trial !== undefined && used === 0) this.#estimates.failed();
        if (read !== undefined) this.#refused(node, held.permit, read, end.retryAfter);
      }
    } finally {
      this.#settle(node, held, used, read?.status);
    }
  }

  /** `status`: of the answer it got, where that was an error. */
  #settle(node: TaskNode, held: Held, used: number, status: number | undefined): void {
    // An answer with an error status was not worked on; what was cut off or got lost may have been.
    const unused = status !== undefined && status >= 400;
    if (used > 0) held.permit.release(used);
    else held.permit.release(node.calls === held.calls ? 'none' : unused ? 0 : saidNothing(held));
    this.#stop(held.trial);
  }

  /** Headers of an answer that one of its tasks got. */
  onHeaders(headers: unknown): void {
    const limits = providerLimits(headers, this.#ports.clock.wall());
    if (limits.length > 0) this.#seat.told(limits);
  }

  /** For those who look; one that cannot say it is told of once, and has nothing to say. */
  state(): LimiterState {
    try {
      return this.#seat.state();
    } catch (error) {
      if (!this.#mute) this.#ports.failed(error);
      this.#mute = true;
      return quiet;
    }
  }

  /** A limiter of the user's that gives no permit and says no time, while nobody in this process has one. */
  lasts(node: TaskNode): boolean {
    if (!this.parked.has(node.lane)) return false;
    const request = this.#request(node);
    return !(request instanceof RxhiveError) && this.#seat.lasts?.(request) === true;
  }

  standing(): readonly EventBody[] {
    const { heldFor } = this.state();
    return heldFor > 0 ? [{ type: 'group', reason: 'gated', ...named(this.#group), delay: heldFor }] : [];
  }

  shareLeft(queued: number): number {
    const { windows, heldFor, inUse, maxConcurrent } = this.state();
    const free = windows.map(({ name, max, used }) => (max - used - queued * this.#need(name)) / max);
    if (maxConcurrent !== undefined) free.push((maxConcurrent - inUse - queued) / maxConcurrent);
    return heldFor > 0 ? 0 : Math.max(0, Math.min(1, ...free));
  }

  opensIn(queued: number): number {
    const { windows, heldFor } = this.state();
    const waits = windows.map(({ name, max, used, resetsIn, fills }) => {
      const over = used + (queued + 1) * Math.min(max, this.#need(name)) - max;
      if (over <= 0) return 0;
      const size = fills ?? windowOf(name)?.size ?? 0;
      // Where nothing is taken yet, those before will take it.
      return (resetsIn === 0 ? size : resetsIn) + Math.floor((over - 1) / max) * size;
    });
    return Math.max(heldFor, ...waits);
  }

  dispose(): void {
    this.#guessed = new WeakMap();
    this.#estimates.forget(this.opened);
    for (const { trial } of this.#held.values()) this.#stop(trial);
    this.#taken?.close();
  }

  reason(node: TaskNode): string {
    const state = this.state();
    const { heldFor } = state;
    const whose = this.#group === undefined ? 'the run' : `group "${truncate(this.#group.name)}"`;
    if (heldFor > 0) return `${whose}, which its provider holds for another ${Math.ceil(heldFor)} ms`;
    const request = this.#request(node);
    if (request instanceof RxhiveError) return `its end: ${messageOf(request)}`;
    if (this.#admits(node, request) && this.#isHeardOfFirst(node))
      return `the first attempt of its kind to end: nobody knows yet how many tokens one needs, and ${whose} has a limit`;
    const ahead = node.lane.ready.before(node, mostAhead);
    return permitWords(state, whose, ahead, this.#delay(request, ahead), this.lasts(node));
  }

  #delay(request: PermitRequest, ahead: number): number | undefined {
    try {
      return this.#seat.delay(request, ahead);
    } catch {
      return undefined; // It is asked for people who want to know; they hear that it does not say.
    }
  }

  /** What the limiter is set to; an error where it cannot say. */
  #settings(): LimiterSettings | RxhiveError {
    if (this.limiter instanceof WindowLimiter) return this.limiter.settings;
    try {
      const { settings } = this.limiter;
      return typeof settings === 'object' && settings !== null && !isPromise(settings)
        ? settings
        : badReturn('limiter.settings', settings, 'the settings');
    } catch (error) {
      return faultOf(error, 'limiter.settings');
    }
  }

  #admits(node: TaskNode, request: PermitRequest): boolean {
    try {
      return this.#seat.admits(request);
    } catch (error) {
      this.#faults.set(node, faultOf(error, 'limiter.admits'));
      return false;
    }
  }

  /** Calls code that may be a limiter of the user's; what it throws ends the task. */
  #guard(node: TaskNode, call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#failTask(node, faultOf(error, 'limiter'));
    }
  }

  #failTask(node: TaskNode, error: RxhiveError): void {
    this.#ports.scheduler.refusals.turnAway(node, { status: 'failed', error });
  }

  #refusedBy(node: TaskNode, cause: unknown): RxhiveError {
    const whose = this.#group === undefined ? 'the run' : `group "${truncate(this.#group.name)}"`;
    const message = `Task "${truncate(node.id)}" got no permit: the limiter of ${whose} gives none. ${messageOf(cause)}`;
    return new RxhiveError('LIMITER_FAILED', message, { cause, details: { group: this.#group?.name } });
  }

  /** Its place at the limiter; taken when first needed: only a run that has started knows its time. */
  get #seat(): Seat {
    if (this.#taken !== undefined) return this.#taken;
    const { clock, scheduler } = this.#ports;
    const failed = (node: TaskNode, cause: unknown): void =>
      this.#failTask(node, this.#refusedBy(node, cause));
    const told = (error: unknown): void => this.#ports.failed(error);
    this.#taken = seatAt(this.limiter, { clock, run: scheduler, opened: this.opened, failed }, told);
    return this.#taken;
  }

  /** Is its type one of which nobody knows yet what it uses, and would one more be too many at once? */
  #isHeardOfFirst(node: TaskNode): boolean {
    if (node.running !== undefined || !this.#isUnseen(node, this.#guessed.get(node))) return false;
    const settings = this.#settings();
    const most = settings instanceof RxhiveError ? undefined : mostTokens(settings);
    const window = this.state().windows.find(({ name }) => name === most?.name);
    return window !== undefined && !this.#estimates.mayTry(window.max - window.used);
  }

  /** What one attempt takes of a window, as far as is known. */
  #need(name: WindowName): number {
    return amountOf(name, { tokens: Math.max(1, this.#estimates.usual) });
  }

  #isUnseen(node: TaskNode, guess: Sizes | RxhiveError | undefined): boolean {
    return (
      guess !== undefined &&
      !(guess instanceof RxhiveError) &&
      guess.rough !== undefined &&
      this.#estimates.isUnseen(node)
    );
  }

  #try(): Trial {
    const over = this.#estimates.try();
    return { over, timer: this.#ports.clock.after(longestTrial, over) };
  }

  #stop(trial: Trial | undefined): void {
    if (trial === undefined) return;
    this.#ports.clock.cancel(trial.timer);
    trial.over();
  }

  /** One that never tells what it uses is taken at what was guessed: that is known then. */
  #learn(node: TaskNode, { rough, calls }: Held, used: number): void {
    if (rough === undefined) return;
    if (used > 0) this.#estimates.learn(node, rough, used);
    else if (node.calls > calls && this.#estimates.isUnseen(node)) this.#estimates.learn(node, rough, rough);
  }

  /** The provider said no, or told what is left of its limits. */
  #refused(node: TaskNode, permit: Permit, read: ProviderError, retryAfter: number | undefined): void {
    if (!this.#answersFor(node)) return;
    for (const headers of read.headers) this.onHeaders(headers);
    if (!saysNotNow(read, retryAfter) || (retryAfter === undefined && this.#adaptive)) return;
    const delay = this.#seat.refused(permit, retryAfter);
    const { watch } = this.#ports;
    if (delay === undefined || !watch.active) return;
    watch.emit({ type: 'group', reason: 'gated', ...named(this.#group), delay });
  }

  /** The limiter of the group hears of refusals; that of the run where the group has none. */
  #answersFor(node: TaskNode): boolean {
    const { group } = node.lane;
    return group === this.#group || group?.gates.some((gate) => gate instanceof LimiterGate) === false;
  }

  /** What to ask for; an error where the task can never start. */
  #request(node: TaskNode): PermitRequest | RxhiveError {
    if (node.running !== undefined) return { node, tokens: 0, again: true };
    const settings = this.#settings();
    if (settings instanceof RxhiveError) return settings;
    const most = mostTokens(settings);
    const behind = Math.max(0, node.lane.ready.size - 1);
    if (most === undefined) return { node, tokens: 0, again: false, behind };
    const guess = getOrInsert(this.#guessed, node, () => this.#estimate(node));
    if (guess instanceof RxhiveError) return guess;
    const tokens = guess.tokens ?? this.#estimates.guess(node, guess.rough, settings);
    if (tokens > most.max) {
      const message = `Task "${truncate(node.id)}" needs ${tokens} tokens, but ${most.name} is ${most.max}; it could never start. Raise the limit or make the task smaller.`;
      return new LimitExceededError(most.name, most.max, message);
    }
    return { node, tokens, again: false, behind };
  }

  #estimate(node: TaskNode): Sizes | RxhiveError {
    const { tokens } = node.definition;
    try {
      if (tokens === undefined)
        return { rough: this.#estimates.rough(node, this.#ports.inputsOf(node), this.limiter.settings) };
      if (typeof tokens !== 'function') return { tokens: Math.ceil(tokens) };
      const said = callForNumber('tokens', () => tokens(this.#ports.inputsOf(node) as never));
      return { tokens: Math.ceil(said) };
    } catch (error) {
      return faultOf(error, 'tokens');
    }
  }
}

/** What stays set aside for an attempt that may have used something; undefined: the estimate. */
function saidNothing({ trial, rough }: Held): number | undefined {
  return trial === undefined || rough === undefined ? undefined : Math.ceil(rough);
}

function usedBy({ extra }: TaskNode): number {
  return (extra?.spent?.tokens ?? 0) - (extra?.beside ?? 0);
}
