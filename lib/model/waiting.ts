import { LimitExceededError, truncate } from '../kernel/errors.js';
import { number, oneOf, type Rules } from '../kernel/option-rules.js';

/** Values of a source that cannot be slowed down, until somebody works on them. */
export interface WaitingOptions {
  /** Values that may wait for their start. Whole number from 0, or Infinity. Default 10,000. */
  readonly capacity?: number;
  /** One value more: fails the stream with LIMIT_EXCEEDED, or drops the oldest that waits, or itself. Default `error`. */
  readonly onFull?: 'error' | 'drop-oldest' | 'drop-newest';
}

export const usualCapacity = 10_000;

export const waitingRules: Rules<WaitingOptions> = {
  capacity: number(0, 'whole', 'infinite'),
  onFull: oneOf(['error', 'drop-oldest', 'drop-newest'], 'give "error", "drop-oldest" or "drop-newest"'),
};

/** What goes where one value more waits for `name` than may; an error ends the stream. */
export function goesWhenFull(
  name: string,
  { capacity = usualCapacity, onFull = 'error' }: WaitingOptions,
): 'oldest' | 'newest' | LimitExceededError {
  if (onFull === 'drop-oldest') return 'oldest';
  if (onFull === 'drop-newest') return 'newest';
  const message = `More than ${capacity} values wait for "${truncate(name)}"; slow the source down, raise capacity, or set onFull.`;
  return new LimitExceededError('capacity', capacity, message);
}
