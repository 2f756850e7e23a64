import type { Clock } from '../kernel/clock.js';
import { copy } from '../kernel/copy.js';
import { inspect, RxhiveError } from '../kernel/errors.js';
import { disown } from '../kernel/guard.js';
import {
  checkAll,
  checked,
  number,
  oneOf,
  optional,
  options as optionsOf,
  type Rule,
  type Rules,
  required,
  rule,
} from '../kernel/option-rules.js';
import type { Breakpoint } from '../model/breakpoint.js';
import { Task } from '../model/dependency.js';
import type { QueueOptions, ResolvedRunOptions, RunOptions } from '../model/run-options.js';
import { placesOf, validate } from '../model/schema.js';
import type { WorkflowDefinition, WorkflowSettings } from '../model/workflow.js';
import { loadRule } from './validate.js';

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

/** A text that names a run. */
export const runIdRule: Rule = required(
  (value) => typeof value === 'string' && /\S/.test(value),
  'give a text that is not empty, the same for the same run',
);

const isBreakpoint = (one: unknown): boolean =>
  typeof one === 'string' || typeof one === 'function' || one instanceof Task;

const breakpoints: Rule = (points, _, fault) => {
  if (points === undefined || (Array.isArray(points) && points.every(isBreakpoint))) return;
  const bad: unknown = Array.isArray(points) ? points.find((one) => !isBreakpoint(one)) : points;
  const message = `pauseBefore got ${inspect(bad)}; give tasks, their ids, or functions of the task that would start.`;
  fault('bad-option', message);
};

/** A record of texts. */
export const tagsRule: Rule = (value, _, fault) => {
  const texts = typeof value === 'object' && value !== null ? Object.values(value) : undefined;
  if (value !== undefined && texts?.every((one) => typeof one === 'string') !== true)
    fault('bad-option', `tags are ${inspect(value)}; give a record of texts, such as { tenant: "acme" }.`);
};

/** Options of a run, and what they may be. */
const runRules: Rules<RunOptions> = {
  runId: optional(runIdRule),
  pauseBefore: breakpoints,
  atBreakpoint: oneOf(['wait', 'exit'], 'give "wait" or "exit"'),
  storeTimeout: rule((value) => typeof value === 'number' && value > 0, 'give ms above 0, or leave it out'),
  load$: loadRule,
  priority: rule(Number.isFinite, 'give a finite number'),
  tags: tagsRule,
  keep: number(0, 'whole', 'infinite'),
  queue: optionsOf<QueueOptions>('{ limit, onFull }', {
    limit: required((value) => Number.isInteger(value) && Number(value) >= 1, 'give a whole number from 1'),
    onFull: oneOf(['reject', 'wait', 'drop-lowest', 'drop-oldest']),
  }),
  suspend: oneOf(['wait', 'exit', 'end'], 'give "wait", "exit" or "end"'),
};

/** Options of a run of a workflow, when they make sense. @throws RxhiveError INVALID_OPTION with all that do not */
export function checkOptions<
  O extends Pick<RunOptions, 'suspend' | 'load$' | 'keepOpen' | 'queue' | 'keep'> & {
    readonly store?: unknown;
  },
>(options: O, { load$, memory }: WorkflowSettings): O {
  const watermark = (['soft', 'hard'] as const).find((name) => memory?.[name] !== undefined);
  return checked(options, '', (_, __, fault) => {
    checkAll(runRules, options, '', fault);
    for (const name of ['queue', 'keep'] as const)
      if (options[name] !== undefined && options.keepOpen !== true)
        fault('bad-option', `${name} has no effect in a run that ends by itself; add keepOpen: true.`);
    if (watermark !== undefined && (options.load$ ?? load$) === undefined)
      fault(
        'bad-option',
        `memory.${watermark} needs load$, which tells how much memory is taken; give load$: systemLoad() of rxhive/load.`,
      );
    if (options.suspend === 'exit' && options.store === undefined)
      fault(
        'bad-option',
        'suspend: "exit" needs a store, or the run could not go on; give one, or suspend: "wait", or "end" to end it for good.',
      );
  });
}

/**
 * The id of a run. One without a letter is mostly a variable that was not set: all runs with it would be one.
 * @throws RxhiveError INVALID_OPTION
 */
export function checkRunId(id: string, name = 'runId'): string {
  return checked(id, name, runIdRule);
}

/** Where a run is to pause. @throws RxhiveError INVALID_OPTION */
export function checkBreakpoints(points: readonly Breakpoint[]): readonly Breakpoint[] {
  return checked(points, 'pauseBefore', breakpoints);
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
  return checked(limit, 'The concurrency', number(0, 'whole', 'infinite'));
}

/** The id of a run that was given none. */
export function newRunId(workflow: string, clock: Pick<Clock, 'random'>): string {
  return `${workflow}-${Math.floor(clock.random() * 2 ** 52).toString(36)}`;
}
