import { RxhiveError } from '../kernel/errors.js';
import type { StoreFailure } from './store.js';

const advice: Record<StoreFailure, string> = {
  busy: 'Another process holds it: try again when that is done',
  closed: 'It has been closed: make another one',
  'read-only': 'It is read-only: allow writing to it, or name another one',
  full: 'It is full: make room, and start the run again, it goes on',
  gone: 'It cannot be reached, or is not there any more: check its address, and bring it back',
  silent: 'What it was given last may be written or not: go on with the run once the store answers again',
};

/** STORE_FAILED, with `details.reason` where it is known. `what` failed, `said` is what the driver says. */
export function storeFailed(
  what: string,
  reason: StoreFailure | undefined,
  said: string,
  options: { readonly cause?: unknown; readonly details?: Readonly<Record<string, unknown>> } = {},
): RxhiveError {
  const more = reason === undefined ? '' : ` ${advice[reason]}.`;
  return new RxhiveError('STORE_FAILED', `${what} failed: ${said}.${more}`, {
    ...options,
    details: { ...options.details, ...(reason && { reason }) },
  });
}

/** Why a store failed; undefined for what is no failure of a store, or one of another kind. */
export function reasonOf(error: unknown): StoreFailure | undefined {
  const { code, details } = (error ?? {}) as Partial<RxhiveError>;
  return code === 'STORE_FAILED' ? (details?.reason as StoreFailure | undefined) : undefined;
}

/** Codes of operating systems, as stores of files and sockets pass them on. */
const systemCodes: Readonly<Record<string, StoreFailure>> = {
  EAGAIN: 'busy',
  EBUSY: 'busy',
  ETXTBSY: 'busy',
  EACCES: 'read-only',
  EPERM: 'read-only',
  EROFS: 'read-only',
  EDQUOT: 'full',
  EFBIG: 'full',
  ENOSPC: 'full',
  EAI_AGAIN: 'gone',
  ECONNREFUSED: 'gone',
  ECONNRESET: 'gone',
  EHOSTUNREACH: 'gone',
  ENETUNREACH: 'gone',
  ENOENT: 'gone',
  ENOTFOUND: 'gone',
  EPIPE: 'gone',
  ETIMEDOUT: 'gone',
};

/** What the code of an error of the operating system means for a store. */
export function systemReason(error: unknown): StoreFailure | undefined {
  return systemCodes[String((error as { code?: unknown } | undefined)?.code)];
}
