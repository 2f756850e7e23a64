import { defer, mergeMap, type Observable, type OperatorFunction, tap } from 'rxjs';
import { LimitExceededError } from './kernel/errors.js';
import { checked, number } from './kernel/option-rules.js';
import type { WorkflowResult } from './model/result.js';
import type { Workflow } from './workflow.js';

/** How {@link runWorkflow} treats its source. */
export interface RunWorkflowOptions {
  /** Runs at once. Whole number from 1. Default 1. */
  readonly concurrency?: number;
  /** Values that may wait for a run before the operator fails with `LIMIT_EXCEEDED`. Default 10,000. */
  readonly capacity?: number;
}

/**
 * A workflow as an operator: one run per source value, which becomes the run's input; emits results in order
 * of completion, each at the moment its run ends, so that it is `mergeMap` (and with `concurrency` 1, the default,
 * `concatMap`) also in a `TestScheduler`. An Observable cannot be slowed down: what comes while all runs are busy is buffered up to
 * `capacity`, and one more fails the stream, so memory stays bounded. Unsubscribing cancels all runs.
 * @throws RxhiveError INVALID_OPTION
 */
export function runWorkflow<S, I, G extends string, X extends string>(
  flow: Workflow<S, I, G, X>,
  options: RunWorkflowOptions = {},
): OperatorFunction<I, WorkflowResult<S>> {
  const { concurrency = 1, capacity = 10_000 } = options;
  checked(concurrency, 'runWorkflow concurrency', number(1, 'whole'));
  return (source) =>
    defer(() => {
      let open = 0;
      const oneRun = (input: I): Observable<WorkflowResult<S>> => {
        const run = flow.run(...([{ input }] as unknown as Parameters<typeof flow.run>));
        return run.result$().pipe(
          tap(() => {
            open -= 1;
          }),
        );
      };
      return source.pipe(
        tap(() => {
          open += 1;
          if (open <= concurrency + capacity) return;
          const message = `More than ${capacity} inputs wait for runWorkflow; slow the source down or raise capacity.`;
          throw new LimitExceededError('capacity', capacity, message);
        }),
        mergeMap(oneRun, concurrency),
      );
    });
}
