import { Observable } from 'rxjs';
import { copy } from '../kernel/copy.js';
import { inspect, RxhiveError, truncate } from '../kernel/errors.js';
import {
  options as bagOf,
  checkAll,
  isAboveZero,
  isFunction,
  number,
  type Rules,
  required,
  rule,
} from '../kernel/option-rules.js';
import type { TaskContext } from '../model/context.js';
import { Dependency, Task } from '../model/dependency.js';
import type { BatchOptions, ScanOptions } from '../model/each.js';
import type { TaskDefinition } from '../model/task.js';
import { waitingRules } from '../model/waiting.js';
import type { AttemptContext } from './context.js';
import { Feed, type Options } from './feed.js';
import { isItems, isStream } from './item-source.js';

const rules: Rules<Options> = {
  ...(waitingRules as Rules<Options>),
  buffer: number(1, 'whole', 'infinite'),
  ordered: rule((value) => typeof value === 'boolean', 'give true or false'),
  keyBy: rule(isFunction, 'give a function of the item'),
  batch: bagOf<BatchOptions>('{ size, ms }', {
    size: required((value) => Number.isInteger(value) && Number(value) >= 1, 'give a whole number from 1'),
    ms: rule(isAboveZero, 'give ms above 0, or leave it out'),
  }),
  scan: bagOf<ScanOptions<unknown, unknown, unknown>>('{ seed, step }', {
    seed: () => undefined,
    step: required(isFunction, 'give a function of what there is and a result'),
  }),
};

/** Under this name the stage before is among the dependencies; it is no input. */
const sourceName = 'items of flow.each';

/**
 * The task behind `flow.each`: takes items from a source as slots become free, and adds a task for each, which is
 * forgotten when it has ended.
 * @throws RxhiveError INVALID_OPTION
 */
export function eachTask(id: string, options: Options): TaskDefinition {
  const { from, run, dependencies, group, priority, retry, timeout, resources, tolerate, buffer, batch } =
    options;
  check(id, options);
  const before = from instanceof Task ? from : undefined;
  const shared: Omit<TaskDefinition, 'run'> = {
    group,
    priority,
    ...(retry !== undefined && { retry }),
    ...(timeout !== undefined && { timeout }),
    ...(resources !== undefined && { resources }),
    ...(tolerate !== undefined && { tolerate }),
    type: id,
    version: options.version ?? String(run),
  };
  const passed = before === undefined && batch === undefined ? {} : { passed: true };
  const item: TaskDefinition['item'] = (data, inputs, keys) => ({
    ...shared,
    stored: { data, ...passed, ...(keys !== undefined && { keys }) },
    run: (_: unknown, ctx: unknown) => run(copy(data), ctx as TaskContext, inputs() as never),
  });
  const needs = before === undefined ? dependencies : withSource(dependencies, before);
  return {
    ...(needs !== undefined && { dependencies: needs as never }),
    priority,
    // The workflow's are for the items: beginning the source again would take all of them again.
    retry: 0,
    timeout: {},
    version: options.version ?? `${before === undefined ? String(from) : before.id}\n${String(run)}`,
    feeds: true,
    stage: { group, buffer, size: batch?.size ?? 1 },
    item,
    run: (inputs: unknown, ctx: unknown) =>
      new Observable((subscriber) => new Feed(ctx as AttemptContext, inputs, options, subscriber).begin()),
  };
}

/** The stage before is a dependency, too. */
function withSource(dependencies: unknown, before: Task): unknown {
  const source = new Dependency(before, 'items');
  if (Array.isArray(dependencies)) return [...dependencies, source];
  // What is no record is refused with the other faults.
  if (typeof (dependencies ?? {}) !== 'object') return dependencies;
  return { ...(dependencies as object), [sourceName]: source };
}

function check(id: string, options: Options): void {
  const { from, run, key, keep } = options;
  const fail = (message: string): never => {
    throw new RxhiveError('INVALID_OPTION', `flow.each "${truncate(String(id))}": ${message}`);
  };
  const wrong = (what: string, value: unknown, instead: string): never =>
    fail(`${what} is ${inspect(value)}; ${instead}.`);
  if (typeof from !== 'function' && !(from instanceof Task) && !isItems(from) && !isStream(from))
    wrong(
      'from',
      from,
      'give an iterable, an asynchronous iterable, an Observable, another flow.each, or a function that returns one of the first three',
    );
  if (typeof run !== 'function') wrong('run', run, 'give a function of the item');
  if (key !== undefined && typeof key !== 'function') wrong('key', key, 'give a function of the item');
  if (keep !== undefined && typeof keep !== 'boolean') wrong('keep', keep, 'give true or false');
  checkAll(rules, options, '', (_, message) => fail(message));
  const { buffer = Infinity, batch } = options;
  if (batch !== undefined && buffer < batch.size)
    fail(`buffer is ${buffer}, below batch.size ${batch.size}: no batch could be full; raise it.`);
}
