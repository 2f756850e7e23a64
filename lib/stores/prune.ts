import { RxhiveError } from '../kernel/errors.js';
import { bag, checked, number } from '../kernel/option-rules.js';
import type { CheckpointStore, StoredRun } from '../model/store.js';
import { storeAt } from './at-path.js';

/** Which runs {@link prune} removes. At least one of `olderThan` and `keep` has to be given. */
export interface PruneOptions {
  /** Ms since the log was written last, at least; 0 is any age. Default: any age. */
  readonly olderThan?: number;
  /** The newest ones that stay whatever their age. A whole number from 0. Default: none. */
  readonly keep?: number;
  /** Those it is about, and `keep` counts. Default: all of the store. */
  readonly of?: (run: StoredRun) => boolean;
}

const optionRules = bag('an object of options', {
  olderThan: number(0, 'infinite'),
  keep: number(0, 'whole'),
});

/**
 * Removes old runs from a store, and says which; one that a process has at the moment stays. A log with
 * `RUNID/compensate` is a run of its own.
 * @example await prune(store, { olderThan: 30 * 24 * 3_600_000, keep: 100 })
 * @throws RxhiveError INVALID_OPTION; STORE_FAILED
 */
export async function prune(
  store: CheckpointStore | string,
  { olderThan, keep, of = () => true }: PruneOptions,
): Promise<string[]> {
  if (olderThan === undefined && keep === undefined)
    throw new RxhiveError(
      'INVALID_OPTION',
      'prune got neither olderThan nor keep; it would remove every run.',
    );
  checked({ olderThan, keep }, 'prune', optionRules);
  const before = Date.now() - (olderThan ?? 0);
  const place = storeAt(store);
  const runs = [...(await place.runs())].filter(of).sort((a, b) => b.updatedAt - a.updatedAt);
  const removed: string[] = [];
  for (const { runId, updatedAt } of runs.slice(keep ?? 0)) {
    if (updatedAt > before) continue;
    try {
      await place.remove(runId);
      removed.push(runId);
    } catch (error) {
      if (!(error instanceof RxhiveError && error.code === 'RUN_LEASED')) throw error;
    }
  }
  return removed;
}
