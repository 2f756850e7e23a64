import { createHash } from 'node:crypto';
import { CheckpointCorruptError } from '../kernel/errors.js';
import type { LogEntry } from '../model/store.js';
import { outOfOrder } from './order.js';

/** A record as a database keeps it. */
export interface Row {
  readonly seq: number;
  readonly body: string;
  readonly sum: string;
}

/** What stands before the first record of a run, so that a record of another run does not fit. */
export function originOf(runId: string): string {
  return `run ${runId}`;
}

/** Each sum covers the one before, so a record that is missing, moved or changed is noticed. SHA-256, 64 bits of it. */
export function sumOf(before: string, seq: number, body: string): string {
  return createHash('sha256').update(`${before}\n${seq}\n${body}`).digest('hex').slice(0, 16);
}

/** The last record of a log. */
export type End = Pick<Row, 'seq' | 'sum'>;

/** The end of a log without records. */
export function startOf(runId: string): End {
  return { seq: 0, sum: originOf(runId) };
}

/** Records with their sums. @throws RxhiveError STORE_FAILED for others than those that come after `end` */
export function chained(runId: string, end: End, entries: readonly LogEntry[]): Row[] {
  let { seq, sum } = end;
  return entries.map((entry) => {
    seq += 1;
    if (entry.seq !== seq) throw outOfOrder(runId, entry.seq, seq);
    sum = sumOf(sum, seq, entry.body);
    return { seq, body: entry.body, sum };
  });
}

/**
 * The records of a run, of which there must be `last`, and the sum of the last one.
 * @throws CheckpointCorruptError naming the first record that is wrong
 */
export function verified(
  runId: string,
  rows: readonly Row[],
  last: number,
): { readonly entries: LogEntry[]; readonly end: End } {
  let sum = originOf(runId);
  const entries = rows.map((row, i): LogEntry => {
    const seq = i + 1;
    sum = sumOf(sum, seq, row.body);
    if (row.seq !== seq || sum !== row.sum)
      throw new CheckpointCorruptError(runId, seq, 'its checksum does not fit');
    return { seq, body: row.body };
  });
  if (last !== rows.length)
    throw new CheckpointCorruptError(runId, rows.length + 1, `there should be ${last} records`);
  return { entries, end: { seq: last, sum } };
}

/** Checks a text kept under a key. @throws CheckpointCorruptError */
export function verifiedText(key: string, body: string, sum: string): string {
  if (sumOf(key, 0, body) !== sum)
    throw new CheckpointCorruptError('', 0, 'the checksum of a kept result does not fit');
  return body;
}
