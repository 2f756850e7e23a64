import { RxhiveError, truncate } from '../kernel/errors.js';
import type { LogEntry } from '../model/store.js';

/** The error of an append that would leave a gap in a log, or write over it. */
export function outOfOrder(runId: string, seq: number, next: number): RxhiveError {
  const message = `Record ${seq} of run "${truncate(runId)}" cannot be written, record ${next} is next; append records in order.`;
  return new RxhiveError('STORE_FAILED', message);
}

/** Holds records to be those that come after `last` ones. @throws RxhiveError STORE_FAILED */
export function inOrder(runId: string, entries: readonly LogEntry[], last: number): void {
  for (const [i, { seq }] of entries.entries())
    if (seq !== last + i + 1) throw outOfOrder(runId, seq, last + i + 1);
}
