import { isObservable, Observable, type ObservableInput, type OperatorFunction } from 'rxjs';
import type { AttemptContext } from '../execute/context.js';
import {
  checkAll,
  checked,
  isFunction,
  oneOf,
  optional,
  type Rule,
  type Rules,
  required,
  rule,
} from '../kernel/option-rules.js';
import type { Pulled } from '../kernel/pulled-items.js';
import type { TaskContext } from '../model/context.js';
import { bodied } from '../model/executor.js';
import type { ScheduleOptions, StreamOptions } from '../model/stream-options.js';
import type { TaskDefinition } from '../model/task.js';
import { waitingRules } from '../model/waiting.js';
import { runIdRule, tagsRule } from '../plan/input.js';
import type { Entry } from './entry.js';
import { Pass, type Strategy } from './pass.js';
import type { AskForRun } from './task-run.js';

/** A function of each value, run as a task. */
export type Project<T, R> = (value: T, ctx: TaskContext, index: number) => R;

/**
 * An operator for `pipe` that also takes what is no Observable: a source that can be asked for values, such as an async
 * iterable, is asked for as many as can start.
 */
export interface TaskOperator<T, R> extends OperatorFunction<T, R> {
  (source: ObservableInput<T>): Observable<R>;
}

const isText = (value: unknown): boolean => typeof value === 'string' && value !== '';

/** Options of work that is no workflow. */
const workRules: Rules<ScheduleOptions> = {
  tags: tagsRule,
  runId: optional(runIdRule),
};

const streamRules: Rules<StreamOptions> = {
  ...(workRules as Rules<StreamOptions>),
  key: rule(isFunction, 'give a function of a value'),
  ...(waitingRules as Rules<StreamOptions>),
  onError: oneOf(['error', 'skip', 'materialize'], 'give "error", "skip" or "materialize"'),
};

const scheduleRules: Rules<ScheduleOptions> = {
  ...workRules,
  key: rule(
    (value) => isText(value) || Number.isFinite(value),
    'give a text that is not empty, or a finite number',
  ),
  signal: rule(
    (value) => typeof (value as AbortSignal | null)?.addEventListener === 'function',
    'give an AbortSignal',
  ),
};
const work = required(isFunction, 'give a function of a value');

/** Options of `schedule`, when they make sense. @throws RxhiveError INVALID_OPTION */
export function checkSchedule<O extends ScheduleOptions>(options: O): O {
  return checked(options, '', (_, __, fault) => {
    checkAll(scheduleRules, options, '', fault);
    checkStore(options, fault);
    if (options.store !== undefined && options.key === undefined)
      fault('bad-option', 'store needs a key, what tells this work from other work of its name; give one.');
  });
}

function checkStore(options: ScheduleOptions | StreamOptions, fault: Parameters<Rule>[2]): void {
  if (options.store !== undefined) return;
  for (const name of ['key', 'runId', 'version'] as const)
    if (options[name] !== undefined)
      fault('bad-option', `${name} needs a store; give one, or leave ${name} out.`);
}

/** An operator that runs a task for each value. `passes`: its subscriptions. @throws RxhiveError INVALID_OPTION */
export function taskOperator<T, R>(
  strategy: Strategy,
  { ask, passes }: { readonly ask: AskForRun; readonly passes: Set<{ readonly queued: number }> },
  given: Omit<TaskDefinition, 'run'>,
  project: Project<T, R>,
  options: StreamOptions<string, string, T>,
): TaskOperator<T, unknown> {
  checked(options, '', (_, __, fault) => {
    work(project, 'The work', fault);
    checkAll(streamRules, options, '', fault);
    checkStore(options as StreamOptions, fault);
  });
  const { version = String(project) } = options;
  // One for all values: each finds its own where it runs.
  const definition = bodied({
    ...given,
    shared: true,
    ...(options.store !== undefined && { version }),
    run: (_: unknown, ctx: unknown) => {
      const { item, index } = (ctx as AttemptContext).node.principal.item as Entry<T>;
      return project(item, ctx as TaskContext, index);
    },
  } as TaskDefinition);
  return (source: ObservableInput<T>) =>
    new Observable<unknown>((subscriber) => {
      const pass = new Pass<T>(strategy, definition, options, subscriber);
      passes.add(pass);
      subscriber.add(() => {
        passes.delete(pass);
        pass.stop();
      });
      pass.begin(ask, source, isPulled(source, strategy));
    });
}

/** Can it be asked for values, and does it matter when? */
function isPulled<T>(
  source: ObservableInput<T>,
  strategy: Strategy,
): source is ObservableInput<T> & Pulled<T> {
  if (strategy === 'switch' || strategy === 'exhaust' || isObservable(source)) return false;
  const thing = source as Partial<AsyncIterable<T> & Iterable<T>>;
  return typeof thing[Symbol.asyncIterator] === 'function' || typeof thing[Symbol.iterator] === 'function';
}
