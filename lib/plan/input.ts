import { isObservable } from 'rxjs';
import { copy } from '../kernel/copy.js';
import { inspect, RxhiveError } from '../kernel/errors.js';
import { disown } from '../kernel/guard.js';
import type { Breakpoint } from '../model/breakpoint.js';
import type { ResolvedRunOptions, RunOptions } from '../model/run-options.js';
import { placesOf, validate } from '../model/schema.js';
import { Task } from '../model/task.js';
import type { WorkflowDefinition, WorkflowSettings } from '../model/workflow.js';

/**
 * The input of a run as its schema returns it.
 * @throws RxhiveError INVALID_INPUT with all issues; INVALID_OPTION for a schema that answers later
 */
export function checkInput(definition: WorkflowDefinition, input: unknown): unknown {
  const schema = definition.settings.input;
  // Whoever gave it may change it.
  if (schema === undefined) return copy(input);
  const checked = validate(schema, input);
  if ('then' in checked) {
    disown(checked);
    throw new RxhiveError(
      'INVALID_OPTION',
      'The input schema is asynchronous; use one that validates at once.',
    );
  }
  if ('value' in checked) return copy(checked.value);
  const { issues } = checked;
  throw new RxhiveError(
    'INVALID_INPUT',
    `The input does not fit its schema at ${placesOf(issues)}. Nothing was started.`,
    { details: { paths: issues.map(({ path }) => path) } },
  );
}

/** Options of a run of a workflow, when they make sense. @throws RxhiveError INVALID_OPTION */
export function checkOptions<
  O extends Pick<RunOptions, 'suspend' | 'store' | 'storeTimeout' | 'load$' | 'pauseBefore' | 'runId'>,
>(options: O, { load$: otherwise, memory }: WorkflowSettings): O {
  const { suspend, store, storeTimeout, load$ = otherwise, pauseBefore = [] } = options;
  if (options.runId !== undefined) checkRunId(options.runId);
  checkBreakpoints(pauseBefore);
  const watermark = memory?.soft !== undefined ? 'soft' : memory?.hard !== undefined ? 'hard' : undefined;
  if (watermark !== undefined && load$ === undefined)
    throw new RxhiveError(
      'INVALID_OPTION',
      `memory.${watermark} needs load$, which tells how much memory is taken; give load$: systemLoad() of rxhive/load.`,
    );
  if (storeTimeout !== undefined && !(typeof storeTimeout === 'number' && storeTimeout > 0))
    throw new RxhiveError(
      'INVALID_OPTION',
      `storeTimeout is ${inspect(storeTimeout)}; give ms above 0, or leave it out.`,
    );
  if (options.load$ !== undefined && !isObservable(options.load$))
    throw new RxhiveError(
      'INVALID_OPTION',
      `load$ is ${inspect(options.load$)}; give an Observable, such as systemLoad().`,
    );
  if (suspend === undefined || suspend === 'wait' || suspend === 'end') return options;
  if (suspend === 'exit' && store !== undefined) return options;
  const message =
    suspend === 'exit'
      ? 'suspend: "exit" needs a store, or the run could not go on; give one, or suspend: "wait", or "end" to end it for good.'
      : `suspend is ${inspect(suspend)}; give "wait", "exit" or "end".`;
  throw new RxhiveError('INVALID_OPTION', message);
}

/**
 * The id of a run. One without a letter is mostly a variable that was not set: all runs with it would be one.
 * @throws RxhiveError INVALID_OPTION
 */
export function checkRunId(runId: string, name = 'runId'): string {
  if (typeof runId === 'string' && /\S/.test(runId)) return runId;
  const message = `${name} is ${inspect(runId)}; give a text that is not empty, the same for the same run.`;
  throw new RxhiveError('INVALID_OPTION', message);
}

/** Where a run is to pause. @throws RxhiveError INVALID_OPTION */
export function checkBreakpoints(points: readonly Breakpoint[]): readonly Breakpoint[] {
  const bad = Array.isArray(points)
    ? points.find((one) => typeof one !== 'string' && typeof one !== 'function' && !(one instanceof Task))
    : points;
  if (Array.isArray(points) && bad === undefined && !points.includes(undefined)) return points;
  throw new RxhiveError(
    'INVALID_OPTION',
    `pauseBefore got ${inspect(bad)}; give tasks, their ids, or functions of the task that would start.`,
  );
}

/** The input that a run begins with; a fork without one takes that of its log. @throws as {@link checkInput} */
export function inputOf(
  definition: WorkflowDefinition,
  { input, fork, inputOfLog }: ResolvedRunOptions,
): unknown {
  if (inputOfLog === true) return undefined;
  return fork === undefined || fork.input !== undefined ? checkInput(definition, input) : undefined;
}

/** A concurrency given while a run goes on. @throws RxhiveError INVALID_OPTION */
export function checkLimit(limit: number): number {
  if (limit === Number.POSITIVE_INFINITY || (Number.isInteger(limit) && limit >= 0)) return limit;
  throw new RxhiveError(
    'INVALID_OPTION',
    `The concurrency is ${inspect(limit)}; give a whole number from 0, or Infinity.`,
  );
}
