/** A circuit breaker of a group: after enough failures of the provider its tasks are held back for a while. */
export interface BreakerOptions {
  /** Failures one after the other that open it, or a share of the outcomes within a sliding window. */
  readonly failures:
    | number
    | {
        /** Above 0, at most 1. */
        readonly rate: number;
        /** Ms. */
        readonly window: number;
        /** Outcomes there must be in the window. Default 10. */
        readonly least?: number;
      };
  /** Ms it stays open. Default 30,000. */
  readonly openFor?: number;
  /** Attempts let through to try, and successes needed to close it. Default 1. */
  readonly halfOpen?: number;
  /** What happens to tasks while it is open: they wait, or fail at once with `CIRCUIT_OPEN`. Default `wait`. */
  readonly whenOpen?: 'wait' | 'fail';
  /**
   * Does an error speak against the provider? Default: HTTP 5xx and 408, timeouts, errors of the network. Not a 429,
   * which limits and Retry-After answer, and not a bug of the task.
   */
  readonly counts?: (error: unknown) => boolean;
}

/** Where a breaker is. */
export type BreakerState = 'closed' | 'open' | 'half-open';
