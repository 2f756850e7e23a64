import { TaskNode } from '../graph/node.js';
import type { Timer } from '../kernel/clock.js';
import type { RxhiveError } from '../kernel/errors.js';
import {
  badReturn,
  callForBoolean,
  callForNumber,
  callUser,
  disown,
  faultOf,
  readable,
} from '../kernel/guard.js';
import type { ProviderLimit } from '../kernel/http-headers.js';
import { isPromise } from '../kernel/maybe-promise.js';
import { WindowLimiter } from '../limiters/window-limiter.js';
import {
  type Limiter,
  type LimiterClient,
  type LimiterSeat,
  type LimiterState,
  type Permit,
  type PermitRequest,
  windowOf,
} from '../model/limiter.js';

type Failed = (error: unknown) => void;

/** A place at a limiter, as gates have it. */
export interface Seat extends LimiterSeat {
  /** `request` waits, and nobody knows of anything that could end that. */
  lasts?(request: PermitRequest): boolean;
}

/** How many attempts of this process hold a permit of a limiter of the user's. */
const holders = new WeakMap<Limiter, number>();

/**
 * A place at a limiter. What one of the user's throws there, or answers without sense, is CALLBACK_FAILED; where it
 * promises an answer that nobody waits for, `failed` is told how that ends. Who gives no place lets nobody in.
 */
export function seatAt(limiter: Limiter, client: LimiterClient, failed: Failed): Seat {
  if (limiter instanceof WindowLimiter) return limiter.seat(client);
  try {
    const seat: unknown = callUser('limiter.seat', () => limiter.seat(guarded(client, failed)));
    if (typeof seat !== 'object' || seat === null || isPromise(seat))
      throw badReturn('limiter.seat', seat, 'a LimiterSeat');
    return new GuardedSeat(limiter, seat as LimiterSeat, client, failed);
  } catch (error) {
    return noSeat(faultOf(error, 'limiter.seat'));
  }
}

/** What a limiter of the user's may call: with tasks that it was asked for, and no others. */
function guarded(client: LimiterClient, failed: Failed): LimiterClient {
  return {
    clock: client.clock,
    run: client.run,
    opened: (node) => client.opened(node instanceof TaskNode ? node : undefined),
    failed: (node, cause) => {
      if (node instanceof TaskNode) client.failed(node, readable(cause, 'A limiter'));
      else failed(badReturn('LimiterClient.failed', node, 'the task of a request'));
    },
  };
}

/** What a limiter says that says nothing. */
export const quiet: LimiterState = { inUse: 0, maxConcurrent: undefined, windows: [], heldFor: 0 };

/** What a limiter of the user's gave for an attempt. */
class GuardedPermit implements Permit {
  readonly at: number;
  readonly given: Permit;
  /** It is one of those who hold a permit. */
  held = false;
  readonly #seat: GuardedSeat;

  constructor(given: Permit, seat: GuardedSeat) {
    this.at = given.at;
    this.given = given;
    this.#seat = seat;
  }

  pause(): void {
    this.#seat.back(this, 'permit.pause', () => this.given.pause());
  }

  release(tokens: number | 'none' | undefined): void {
    this.#seat.back(this, 'permit.release', () => this.given.release(tokens));
  }
}

class GuardedSeat implements Seat {
  readonly #limiter: Limiter;
  readonly #seat: LimiterSeat;
  readonly #client: LimiterClient;
  readonly #failed: Failed;
  readonly #waiting = new Set<PermitRequest['node']>();
  /** Looks again when what holds everybody is over. */
  #recheck: Timer | undefined;

  constructor(limiter: Limiter, seat: LimiterSeat, client: LimiterClient, failed: Failed) {
    this.#limiter = limiter;
    this.#seat = seat;
    this.#client = client;
    this.#failed = failed;
  }

  /** Takes a permit back. Who waits longest asks again: a limiter may have forgotten to say that it has opened. */
  back(permit: GuardedPermit, callback: string, call: () => unknown): void {
    this.#hold(permit, false);
    try {
      this.#notify(callback, call);
    } finally {
      const [first] = this.#waiting;
      if (first !== undefined) this.#client.opened(first);
    }
  }

  lasts(request: PermitRequest): boolean {
    if ((holders.get(this.#limiter) ?? 0) > 0) return false;
    try {
      const { heldFor } = this.state();
      if (heldFor > 0) this.#lookAgain(heldFor);
      return heldFor === 0 && this.delay(request, 0) === undefined;
    } catch {
      return true; // It does not know of anything either.
    }
  }

  /** It may not say that it has opened; where it has not, somebody is to hear that they wait for ever. */
  #lookAgain(heldFor: number): void {
    const { clock, opened } = this.#client;
    this.#recheck ??= clock.after(heldFor, () => {
      this.#recheck = undefined;
      opened();
    });
  }

  #notify(callback: string, call: () => unknown): void {
    disown(callUser(callback, call), (error) => this.#failed(faultOf(error, callback)));
  }

  #hold(permit: GuardedPermit, held: boolean): void {
    if (permit.held === held) return;
    permit.held = held;
    holders.set(this.#limiter, (holders.get(this.#limiter) ?? 0) + (held ? 1 : -1));
  }

  admits(request: PermitRequest): boolean {
    return callForBoolean('limiter.admits', () => this.#seat.admits(request));
  }

  wait(request: PermitRequest): void {
    this.#waiting.add(request.node);
    this.#notify('limiter.wait', () => this.#seat.wait(request));
  }

  unwait(node: TaskNode): void {
    this.#waiting.delete(node);
    this.#notify('limiter.unwait', () => this.#seat.unwait(node));
  }

  take(request: PermitRequest, permit?: Permit): Permit {
    this.#waiting.delete(request.node);
    const given = callUser('limiter.take', () => {
      const one = this.#seat.take(request, permit === undefined ? undefined : givenBy(permit));
      return typeof one?.release === 'function' && typeof one.pause === 'function'
        ? new GuardedPermit(one, this)
        : badReturn('limiter.take', one, 'a permit');
    });
    if (!(given instanceof GuardedPermit)) throw given;
    const taken = permit instanceof GuardedPermit ? permit : given;
    this.#hold(taken, true);
    return taken;
  }

  delay(request: PermitRequest, ahead: number): number | undefined {
    const answer: unknown = callUser('limiter.delay', () => this.#seat.delay(request, ahead));
    return answer === undefined ? undefined : callForNumber('limiter.delay', () => answer as number);
  }

  refused(permit: Permit, retryAfter: number | undefined): number | undefined {
    const answer: unknown = callUser('limiter.refused', () =>
      this.#seat.refused(givenBy(permit), retryAfter),
    );
    return answer === undefined ? undefined : callForNumber('limiter.refused', () => answer as number);
  }

  passed(permit: Permit): void {
    this.#notify('limiter.passed', () => this.#seat.passed(givenBy(permit)));
  }

  told(limits: readonly ProviderLimit[]): void {
    this.#notify('limiter.told', () => this.#seat.told(limits));
  }

  state(): LimiterState {
    const answer = callUser('limiter.state', () => this.#seat.state());
    if (callUser('limiter.state', () => isState(answer))) return answer;
    throw badReturn('limiter.state', answer, '{ inUse, maxConcurrent, windows, heldFor }');
  }

  close(): void {
    this.#notify('limiter.close', () => this.#seat.close());
  }
}

/** In place of a seat that a limiter did not give. */
function noSeat(fault: RxhiveError): Seat {
  const refuse = (): never => {
    throw fault;
  };
  const nothing = (): undefined => undefined;
  return {
    ...{ admits: refuse, take: refuse, state: () => quiet, delay: nothing, refused: nothing },
    ...{ wait: nothing, unwait: nothing, passed: nothing, told: nothing, close: nothing },
  };
}

function givenBy(permit: Permit): Permit {
  return permit instanceof GuardedPermit ? permit.given : permit;
}

function isState(answer: LimiterState): boolean {
  const { inUse, maxConcurrent, windows, heldFor } = answer;
  return (
    isAmount(inUse) &&
    isAmount(heldFor) &&
    (maxConcurrent === undefined || typeof maxConcurrent === 'number') &&
    Array.isArray(windows) &&
    windows.every(
      ({ name, used, max, resetsIn }) =>
        windowOf(name) !== undefined && isAmount(used) && isAmount(resetsIn) && max > 0,
    )
  );
}

function isAmount(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}
