import { messageOf, RxhiveError, truncate } from '../kernel/errors.js';
import type { Results } from './result.js';
import type { RunStatus } from './status.js';

/** Thrown by `result.orThrow()` when not everything succeeded. */
export class PartialWorkflowError extends RxhiveError {
  readonly status: RunStatus;
  /** Errors of failed and cancelled tasks by id. */
  readonly failed: ReadonlyMap<string, unknown>;
  /** For each skipped task the ids of its root causes. */
  readonly skipped: ReadonlyMap<string, readonly string[]>;
  /** What did succeed. */
  readonly results: Results;

  constructor(
    workflow: string,
    status: RunStatus,
    failed: ReadonlyMap<string, unknown>,
    skipped: ReadonlyMap<string, readonly string[]>,
    results: Results,
  ) {
    const first = [...failed][0];
    const reason =
      first === undefined
        ? status === 'suspended'
          ? ' People have to answer its questions first: see result.questions.'
          : ''
        : ` First: "${truncate(first[0])}": ${messageOf(first[1])}`;
    const counts = `${failed.size} failed or cancelled, ${skipped.size} skipped`;
    super('PARTIAL_WORKFLOW', `Workflow "${truncate(workflow)}" ended ${status}: ${counts}.${reason}`, {
      cause: first?.[1],
    });
    this.status = status;
    this.failed = failed;
    this.skipped = skipped;
    this.results = results;
  }
}
