import { brief, RxhiveError } from '../kernel/errors.js';

/** The error of an append that would leave a gap in a log, or write over it. */
export function outOfOrder(runId: string, seq: number, next: number): RxhiveError {
  const message = `Record ${seq} of run "${brief(runId)}" cannot be written, record ${next} is next; append records in order.`;
  return new RxhiveError('STORE_FAILED', message);
}
