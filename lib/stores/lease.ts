import { randomUUID } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { firstValueFrom, Observable } from 'rxjs';
import type { Clock } from '../kernel/clock.js';
import { inspect, RxhiveError, truncate } from '../kernel/errors.js';
import { type MaybePromise, settleMaybe } from '../kernel/maybe-promise.js';

/** How long a lease holds after it was last renewed, in ms, unless a store says otherwise. */
const leaseMs = 30_000;

/** Options of a store whose logs are leased. */
export interface LeaseOptions {
  /**
   * Ms that a run belongs to its process after the lease was renewed last, which happens three times as often: from 1,000 to
   * 3,600,000. Default 30,000. Others wait that long for a run whose process they cannot ask, and a process that stands still for
   * longer loses it.
   */
  readonly lease?: number;
}

/** @throws RxhiveError INVALID_OPTION */
export function leaseOf({ lease = leaseMs }: LeaseOptions): number {
  if (typeof lease === 'number' && lease >= 1_000 && lease <= 3_600_000) return Math.round(lease);
  throw new RxhiveError('INVALID_OPTION', `lease is ${inspect(lease)}; give ms from 1000 to 3600000.`);
}

/** Ms between two looks at a lease that is watched. */
const lookMs = 1_000;

let place: string | undefined;

/** Names the one who opens a log: where its process is, its id, and a part of its own. */
export function newOwner(): string {
  place ??= placeOf();
  return `${place} ${process.pid} ${randomUUID()}`;
}

/** True for an owner whose process was of this machine, and is gone. */
export function isDead(owner: string): boolean {
  place ??= placeOf();
  const [where, pid] = owner.split(' ');
  if (where !== place) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return (error as { code?: string }).code === 'ESRCH';
  }
}

/** Ms of a clock that nobody sets; all processes of one kernel have the same. */
export function sinceBoot(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}

/** A lease as it is written by processes of one machine. */
export interface LocalLease {
  readonly owner: string;
  /** Ms since 1970; 0: it was given back. */
  readonly expires: number;
  /** {@link sinceBoot} of whoever renewed it last; 0: not known. */
  readonly renewed: number;
  /** Ms that it holds. */
  readonly lasts: number;
}

/** May another process of this machine take it? */
export function isOver({ owner, expires, renewed, lasts }: LocalLease): boolean {
  if (expires === 0 || isDead(owner)) return true;
  place ??= placeOf();
  if (renewed > 0 && kernelOf(owner) === kernelOf(place)) {
    const age = sinceBoot() - renewed;
    // Where a boot has no name, it may have been another one.
    return age < 0 || age >= lasts;
  }
  // No clock is shared with another boot but the time of day: no lease is longer than it.
  const left = expires - Date.now();
  return left <= 0 || left > lasts;
}

/** What a store that machines share says of a lease. */
export interface SharedLease {
  /** Another one after each renewal. */
  readonly beat: string;
  /** Ms that are left of it by the clock of the store. */
  readonly left: number;
  /** Ms that it holds. */
  readonly lasts: number;
}

/**
 * Finds out whether leases are over in a store whose clock somebody may set: one that should be over counts for half a
 * lease more, one with more time left than any has for a whole, by a clock of our own, and each renewal is seen.
 */
export class LeaseWatch {
  readonly #clock: Clock;
  /** Since when a lease has stood still, also from one time it is asked for to the next. */
  readonly #stands = new Map<string, { readonly beat: string; readonly since: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Is the lease over that `look` tells of? At once, where it plainly has time left: then it is not. `look` tells undefined
   * when it is not there any more.
   */
  async isOver(runId: string, look: () => Promise<SharedLease | undefined>): Promise<boolean> {
    let first: string | undefined;
    for (;;) {
      const lease = await look();
      if (lease === undefined) {
        this.#stands.delete(runId);
        return true;
      }
      const { beat, left, lasts } = lease;
      const now = this.#clock.now();
      const stands = this.#stands.get(runId);
      const since = stands?.beat === beat ? stands.since : now;
      this.#stands.set(runId, { beat, since });
      if (now - since >= (left <= 0 ? lasts / 2 : lasts)) return true;
      first ??= beat;
      if (beat !== first || (left > 0 && left <= lasts)) return false;
      await firstValueFrom(
        new Observable<void>((subscriber) => {
          const timer = this.#clock.after(lookMs, () => subscriber.next());
          return () => this.#clock.cancel(timer);
        }),
      );
    }
  }
}

/** Host and process id of an owner, as `host:4711`. */
export function shownOwner(owner: string): string {
  const [where = '?', pid = '?'] = owner.split(' ');
  return `${where.split('/')[0]}:${pid}`;
}

/** The error of a log that is open elsewhere. */
export function heldBy(runId: string, owner: string): RxhiveError {
  const [where = '?', pid = '?'] = owner.split(' ');
  const host = where.split('/')[0] as string;
  return new RxhiveError(
    'RUN_LEASED',
    `Run "${truncate(runId)}" goes on in process ${truncate(pid)} on ${truncate(host)}; wait for its end, or use another id.`,
  );
}

/** The error of a process that was believed dead, and whose run another one continues. */
export function takenOver(runId: string): RxhiveError {
  return new RxhiveError(
    'RUN_LEASED',
    `Another process has taken run "${truncate(runId)}" over; this one stops.`,
  );
}

/** Renews a lease as long as it is used. */
export interface Heartbeat {
  /** Calls `listener`, once, when the lease turns out to be lost. */
  onLost(listener: (error: unknown) => void): void;
  stop(): void;
}

/** Calls `renew` three times within a lease of `lasts` ms. It keeps no process alive. */
export function beat(lasts: number, renew: () => MaybePromise<void>): Heartbeat {
  let lost: RxhiveError | undefined;
  let listener: ((error: unknown) => void) | undefined;
  const failed = (error: unknown): void => {
    // A store that is busy or cannot be reached is asked again, and says by itself what it is when it is used.
    if (!(error instanceof RxhiveError) || error.code !== 'RUN_LEASED') return;
    clearInterval(timer);
    lost = error;
    listener?.(error);
  };
  const timer = setInterval(() => settleMaybe(renew, () => undefined, failed), lasts / 3);
  timer.unref();
  return {
    stop: () => clearInterval(timer),
    onLost: (given) => {
      listener = given;
      if (lost !== undefined) given(lost);
    },
  };
}

/** Processes with the same one have the same clock since boot. */
function kernelOf(owner: string): string {
  const [host, boot, , times] = (owner.split(' ')[0] as string).split('/');
  return boot === '' ? `${host}` : `${boot}/${times}`;
}

/** Host, and on Linux its boot and the namespaces its process ids and clocks are of: containers may share a host name. */
function placeOf(): string {
  const read = (what: () => string): string => {
    try {
      return what().trim();
    } catch {
      return '';
    }
  };
  const boot = read(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')).slice(0, 8);
  const space = (kind: string): string =>
    read(() => readlinkSync(`/proc/self/ns/${kind}`)).replaceAll(/\D/g, '');
  return `${hostname().replaceAll(/[ /]/g, '_')}/${boot}/${space('pid')}/${space('time')}`;
}
