import { randomUUID } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { brief, RxhiveError } from '../kernel/errors.js';
import { type Late, settle } from '../kernel/maybe-promise.js';

/** How long a lease holds after it was last renewed, in ms. */
export const leaseMs = 30_000;

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

/** The error of a log that is open elsewhere. */
export function heldBy(runId: string, owner: string): RxhiveError {
  const [where = '?', pid = '?'] = owner.split(' ');
  const host = where.split('/')[0] as string;
  return new RxhiveError(
    'RUN_LEASED',
    `Run "${brief(runId)}" goes on in process ${brief(pid)} on ${brief(host)}; wait for its end, or use another id.`,
  );
}

/** The error of a process that was believed dead, and whose run another one continues. */
export function takenOver(runId: string): RxhiveError {
  return new RxhiveError(
    'RUN_LEASED',
    `Another process has taken run "${brief(runId)}" over; this one stops.`,
  );
}

/** Renews a lease as long as it is used. */
export interface Heartbeat {
  /** Calls `listener`, once, when the lease turns out to be lost. */
  onLost(listener: (error: unknown) => void): void;
  stop(): void;
}

/** Calls `renew` three times as often as a lease needs it. It keeps no process alive. */
export function beat(renew: () => Late<void>): Heartbeat {
  let lost: RxhiveError | undefined;
  let listener: ((error: unknown) => void) | undefined;
  const failed = (error: unknown): void => {
    // A store that is busy or cannot be reached is asked again, and says by itself what it is when it is used.
    if (!(error instanceof RxhiveError) || error.code !== 'RUN_LEASED') return;
    clearInterval(timer);
    lost = error;
    listener?.(error);
  };
  const timer = setInterval(() => settle(renew, () => undefined, failed), leaseMs / 3);
  timer.unref();
  return {
    stop: () => clearInterval(timer),
    onLost: (given) => {
      listener = given;
      if (lost !== undefined) given(lost);
    },
  };
}

/** Host, and on Linux its boot and the namespace its process ids are of: containers may share a host name. */
function placeOf(): string {
  const read = (what: () => string): string => {
    try {
      return what().trim();
    } catch {
      return '';
    }
  };
  const boot = read(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')).slice(0, 8);
  const pids = read(() => readlinkSync('/proc/self/ns/pid')).replaceAll(/\D/g, '');
  return `${hostname().replaceAll(' ', '_')}/${boot}/${pids}`;
}
