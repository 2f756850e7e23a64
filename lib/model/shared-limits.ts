import type { MaybePromise } from '../kernel/maybe-promise.js';
import type { WindowName } from './limiter.js';

/** Ms after which a process that says nothing has no places any more and waits no longer. */
export const lease = 8_000;

/** A window as the process that asks has it. */
export interface SharedWindow {
  readonly name: WindowName;
  readonly kind: 'requests' | 'tokens';
  readonly max: number;
  /** Ms, with the margin. The longest one that a live process names holds. */
  readonly size: number;
  /** Ms: what was taken within one grain is kept as one amount, and leaves with its last part. */
  readonly grain: number;
}

/** A correction of what was taken. */
export interface SharedChange {
  /** Ms of the server: whose grain is corrected. */
  readonly at: number;
  readonly requests: number;
  readonly tokens: number;
  /** Something is taken now, rather than corrected: also where nothing was taken at that time. */
  readonly take?: boolean;
}

/** Permits a process would like to have. */
export interface SharedRequest {
  /** At most so many. */
  readonly count: number;
  /** Of each. */
  readonly tokens: number;
  /** It has started before and needs a place alone. */
  readonly again: boolean;
}

/**
 * Everything a process has to say, at once. Whoever keeps the limits does what it says in this order: corrections, what a
 * provider said, the hold, the request.
 */
export interface SharedMessage {
  /** The process, by an id of its own. */
  readonly from: string;
  /** Number of the message. The same number again has the same answer, and no other effect. */
  readonly seq: number;
  readonly windows: readonly SharedWindow[];
  /** Attempts at once, over all processes; 0: no limit. */
  readonly places: number;
  /** Ms from one start to the next. */
  readonly gap: number;
  /** Places this process has. */
  readonly held: number;
  readonly changes: readonly SharedChange[];
  /** What a provider said is left of windows, and in how many ms all is back. */
  readonly told: readonly { readonly name: WindowName; readonly left: number; readonly ms: number }[];
  /** Ms nobody may start for; 0: that is not known. */
  readonly hold: number;
  readonly ask?: SharedRequest;
}

/** The answer to a message. */
export interface SharedAnswer {
  /** Ms of the server; never less than before. */
  readonly now: number;
  /** Permits that were given: they count from `now` on. */
  readonly granted: number;
  /** Where none was: ms after which it is worth asking again. */
  readonly wait: number;
  /** Ms nobody may start for. */
  readonly hold: number;
  /** Places taken, over all processes. */
  readonly inUse: number;
  readonly used: Readonly<Partial<Record<WindowName, number>>>;
}

/** The port of whatever keeps limits for several processes. */
export interface SharedLimits {
  /**
   * Rejects where nobody answers; the same message comes again then. @throws RxhiveError INVALID_OPTION where something has
   * to be set up otherwise
   */
  exchange(message: SharedMessage): MaybePromise<SharedAnswer>;
  /** Somebody waits or has places: the process is to live on. */
  busy(is: boolean): void;
}
