import { RxhiveError, shown } from '../kernel/errors.js';
import type { WorkflowDefinition } from '../model/workflow.js';

/**
 * The input of a run as its schema returns it.
 * @throws RxhiveError INVALID_INPUT with all issues; INVALID_OPTION for a schema that answers later
 */
export function checkInput(definition: WorkflowDefinition, input: unknown): unknown {
  const schema = definition.settings.input;
  if (schema === undefined) return input;
  const checked = schema['~standard'].validate(input);
  if ('then' in checked) {
    throw new RxhiveError(
      'INVALID_OPTION',
      'The input schema is asynchronous; use one that validates at once.',
    );
  }
  if (checked.issues === undefined) return checked.value;
  const issues = checked.issues.map((issue) => issue.message).join('; ');
  throw new RxhiveError(
    'INVALID_INPUT',
    `The input does not fit its schema: ${issues}. Nothing was started.`,
  );
}

/** A concurrency given while a run goes on. @throws RxhiveError INVALID_OPTION */
export function checkLimit(limit: number): number {
  if (limit === Number.POSITIVE_INFINITY || (Number.isInteger(limit) && limit >= 0)) return limit;
  throw new RxhiveError(
    'INVALID_OPTION',
    `The concurrency is ${shown(limit)}; give a whole number from 0, or Infinity.`,
  );
}
