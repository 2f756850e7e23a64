import { type DefinitionFault, inspect, truncate } from '../kernel/errors.js';
import { unreadable } from '../kernel/read-once.js';
import { Adaptive, type AdaptiveOptions } from '../model/adaptive.js';
import { candidatesOf } from '../model/candidate.js';
import { isLimiter, limiterFaults, mostTokens } from '../model/limiter.js';
import { backoffFault, type RetryOptions } from '../model/policy.js';
import { isSchema } from '../model/schema.js';
import type { TaskDefinition } from '../model/task.js';
import type { OptionNames, WorkflowSettings } from '../model/workflow.js';
import { checkHedge, checkWhenOpen, validateGuards } from './validate-guards.js';

/** Longest id in characters; longer ones are data, not names. */
export const longestId = 1_000;

type Fault = (kind: DefinitionFault['kind'], message: string) => void;

function checkNumber(
  fault: Fault,
  name: string,
  value: unknown,
  least: number,
  whole: boolean,
  infinite: boolean,
): void {
  if (value === undefined) return;
  const fits =
    typeof value === 'number' &&
    value >= least &&
    (Number.isFinite(value) || (infinite && value === Number.POSITIVE_INFINITY)) &&
    (!whole || Number.isInteger(value) || value === Number.POSITIVE_INFINITY);
  if (fits) return;
  const kind = `${whole ? 'a whole number' : 'a number'} from ${least}${infinite ? ', or Infinity' : ''}`;
  fault('bad-number', `${name} is ${inspect(value)}; give ${kind}.`);
}

function checkRetry(fault: Fault, where: string, retry: number | RetryOptions | undefined): void {
  if (retry === undefined) return;
  if (typeof retry !== 'object' || retry === null) {
    checkNumber(fault, `${where}.retry`, retry, 0, true, true);
    return;
  }
  if (retry.count === undefined)
    fault('bad-option', `${where}.retry.count is missing; give the number of tries after the first.`);
  checkNumber(fault, `${where}.retry.count`, retry.count, 0, true, true);
  if (retry.lost !== undefined) checkNumber(fault, `${where}.retry.lost`, retry.lost, 1, true, true);
  checkNumber(fault, `${where}.retry.maxRetryAfter`, retry.maxRetryAfter, 0, false, true);
  const backoff: unknown = retry.backoff;
  if (typeof backoff === 'object' && backoff !== null) {
    const numbers = backoff as Record<string, unknown>;
    checkNumber(fault, `${where}.retry.backoff.initial`, numbers.initial, 0, false, false);
    checkNumber(fault, `${where}.retry.backoff.max`, numbers.max, 0, false, true);
    checkNumber(fault, `${where}.retry.backoff.factor`, numbers.factor, 1, false, false);
    const odd = backoffFault(backoff);
    if (odd !== undefined) fault('bad-number', `${where}.retry.backoff${odd}`);
  } else if (backoff !== undefined && typeof backoff !== 'function') {
    fault(
      'bad-option',
      `${where}.retry.backoff is ${inspect(backoff)}; give exponential(...) or { initial, max, factor }.`,
    );
  }
}

function checkTimeout(fault: Fault, where: string, timeout: unknown): void {
  if (timeout === undefined) return;
  if (typeof timeout !== 'object' || timeout === null) {
    checkTimer(fault, `${where}.timeout`, timeout);
    return;
  }
  for (const [name, value] of Object.entries(timeout)) {
    if (['attempt', 'total', 'idle', 'queue'].includes(name))
      checkTimer(fault, `${where}.timeout.${name}`, value);
    else
      fault(
        'bad-option',
        `${where}.timeout.${truncate(name)} is unknown; use attempt, total, idle or queue.`,
      );
  }
}

function checkTimer(fault: Fault, name: string, value: unknown): void {
  if (value === 0) fault('bad-number', `${name} is 0; give ms above 0, or leave it out for no limit.`);
  else checkNumber(fault, name, value, 0, false, true);
}

function checkConcurrency(fault: Fault, name: string, concurrency: number | Adaptive | undefined): void {
  if (!(concurrency instanceof Adaptive)) {
    checkNumber(fault, name, concurrency, 1, true, true);
    return;
  }
  const { min = 1, max, initial, overloaded } = (concurrency.options ?? {}) as Partial<AdaptiveOptions>;
  if (max === undefined)
    fault('bad-option', `${name}: adaptive needs max, the most that may ever run at once.`);
  checkNumber(fault, `${name}: adaptive max`, max, 1, true, false);
  checkNumber(fault, `${name}: adaptive min`, min, 1, true, false);
  checkNumber(fault, `${name}: adaptive initial`, initial, 1, true, false);
  if (max !== undefined && max >= 1 && min > max)
    fault('bad-number', `${name}: adaptive min ${min} is above max ${max}; exchange them.`);
  if (initial !== undefined && (initial < min || (max !== undefined && initial > max)))
    fault('bad-number', `${name}: adaptive initial ${initial} is not between min ${min} and max ${max}.`);
  if (overloaded !== undefined && typeof overloaded !== 'function')
    fault(
      'bad-option',
      `${name}: adaptive overloaded is ${inspect(overloaded)}; give a function of the error.`,
    );
}

function checkLimiter(fault: Fault, where: string, limiter: unknown): void {
  try {
    if (limiter === undefined || isLimiter(limiter)) return;
    for (const one of limiterFaults(limiter)) fault('bad-option', `${where}${one}`);
  } catch (error) {
    fault('bad-option', unreadable(`${where}limiter`, error));
  }
}

/** Tokens a task says it needs must fit the windows of its limiters. */
function checkTokens(fault: Fault, where: string, task: TaskDefinition, settings: WorkflowSettings): void {
  const { tokens } = task;
  if (tokens === undefined || typeof tokens === 'function') return;
  checkNumber(fault, `${where}: tokens`, tokens, 0, false, false);
  const group = task.group === undefined ? undefined : settings.groups?.[task.group];
  for (const limiter of [group?.limiter, settings.limiter]) {
    if (typeof limiter !== 'object' || limiter === null) continue;
    const most = mostTokens(isLimiter(limiter) ? limiter.settings : limiter);
    if (most !== undefined && tokens > most.max)
      fault(
        'bad-number',
        `${where} needs ${tokens} tokens but ${most.name} is ${most.max}; it could never start.`,
      );
  }
}

/** Everything wrong with the settings of a workflow. */
export function validateSettings(settings: WorkflowSettings, names: OptionNames): DefinitionFault[] {
  const faults: DefinitionFault[] = [];
  const fault: Fault = (kind, message) => faults.push({ kind, message });
  if (typeof settings.name !== 'string' || settings.name === '') {
    fault('bad-option', `name is ${inspect(settings.name)}; give the workflow a name that is not empty.`);
  }
  checkConcurrency(fault, names.concurrency, settings.concurrency);
  checkNumber(fault, 'memory.spillAbove', settings.memory?.spillAbove, 0, true, true);
  checkNumber(fault, 'maxTasks', settings.maxTasks, 1, true, true);
  checkNumber(fault, 'retryBudget', settings.retryBudget, 0, true, true);
  if (settings.aging !== false) checkTimer(fault, 'aging', settings.aging);
  if (settings.failurePolicy !== undefined && !['continue', 'fail-fast'].includes(settings.failurePolicy)) {
    fault(
      'bad-option',
      `failurePolicy is ${inspect(settings.failurePolicy)}; use "continue" or "fail-fast".`,
    );
  }
  if (settings.input !== undefined && !isSchema(settings.input))
    fault(
      'bad-option',
      `input is ${inspect(settings.input)}; give a Standard Schema (zod, valibot, arktype) or typed<T>().`,
    );
  if (settings.policy !== undefined && !['critical-path', 'fifo'].includes(settings.policy)) {
    fault('bad-option', `policy is ${inspect(settings.policy)}; use "critical-path" or "fifo".`);
  }
  checkLimiter(fault, '', settings.limiter);
  checkRetry(fault, 'workflow', settings.retry);
  checkTimeout(fault, 'workflow', settings.timeout);
  for (const [name, group] of Object.entries(settings.groups ?? {})) {
    checkConcurrency(fault, `${names.groups}.${truncate(name)}.concurrency`, group?.concurrency);
    checkLimiter(fault, `${names.groups}.${truncate(name)}.`, group?.limiter);
  }
  for (const [name, capacity] of Object.entries(settings.resources ?? {})) {
    if (!(typeof capacity === 'number' && capacity > 0 && Number.isFinite(capacity))) {
      fault('bad-number', `resources.${truncate(name)} is ${inspect(capacity)}; give a capacity above 0.`);
    }
  }
  validateGuards(settings, fault, names);
  return faults;
}

/** Adds everything wrong with one task by itself: id, body, numbers, names of groups and resources. */
export function validateTask(
  id: unknown,
  task: TaskDefinition,
  settings: WorkflowSettings,
  faults: DefinitionFault[],
  names: OptionNames,
): void {
  if (isPlain(id, task)) return;
  const taskId = typeof id === 'string' ? id : inspect(id);
  const where = `Task "${truncate(taskId)}"`;
  const fault: Fault = (kind, message) => faults.push({ kind, taskId, message });
  if (typeof id !== 'string' || id === '') {
    fault('bad-id', `A task has the id ${inspect(id)}; give a string that is not empty.`);
  } else if (id.length > longestId) {
    fault(
      'bad-id',
      `${where} has an id longer than ${longestId} characters; give a short name and put the rest into its data.`,
    );
  }
  if (typeof task !== 'object' || task === null) {
    fault('bad-option', `${where} has no options; give an object with run.`);
    return;
  }
  for (const one of task.unread ?? []) fault('bad-option', `${where}: ${one}`);
  if (task.executor !== undefined)
    fault(
      'bad-option',
      task.run === undefined
        ? `${where}: executor is ${inspect(task.executor)}; give one such as threads({ file }).`
        : `${where} has run and executor; give one of them.`,
    );
  else if (typeof task.run !== 'function')
    fault('bad-option', `${where}: run is ${inspect(task.run)}; give a function.`);
  const slots: unknown = task.place?.slots;
  if (task.place !== undefined && !(typeof slots === 'number' && slots >= 1))
    fault('bad-number', `${where}: its executor has a place of ${inspect(slots)} slots; give 1 or more.`);
  if (task.priority !== undefined && !Number.isFinite(task.priority)) {
    fault('bad-number', `${where}: priority is ${inspect(task.priority)}; give a finite number.`);
  }
  if (task.tolerate !== undefined && typeof task.tolerate !== 'boolean')
    fault('bad-option', `${where}: tolerate is ${inspect(task.tolerate)}; give true or leave it out.`);
  checkNumber(fault, `${where}: estimate`, task.estimate, 0, false, false);
  checkTokens(fault, where, task, settings);
  checkRetry(fault, where, task.retry);
  checkTimeout(fault, where, task.timeout);
  checkHedge(fault, where, task);
  checkWhenOpen(fault, `${where}: whenOpen`, task.whenOpen);
  if (task.cache !== undefined && (typeof task.cache !== 'object' || task.cache === null))
    fault('bad-option', `${where}: cache is ${inspect(task.cache)}; give { key, ttl }, both optional.`);
  checkNumber(fault, `${where}: cache.ttl`, task.cache?.ttl, 0, false, true);
  if (task.result !== undefined && !isSchema(task.result))
    fault(
      'bad-option',
      `${where}: result is ${inspect(task.result)}; give a Standard Schema (zod, valibot, arktype) or typed<T>().`,
    );
  if (task.version !== undefined && typeof task.version !== 'string')
    fault('bad-option', `${where}: version is ${inspect(task.version)}; give a text.`);
  if (task.compensate !== undefined && typeof task.compensate !== 'function')
    fault('bad-option', `${where}: compensate is ${inspect(task.compensate)}; give a function.`);
  if (task.isolation !== undefined && task.isolation !== 'serializable')
    fault(
      'bad-option',
      `${where}: isolation is ${inspect(task.isolation)}; give "serializable" or leave it out.`,
    );
  if (task.onConflict !== undefined && !['rerun', 'replay', 'fail'].includes(task.onConflict))
    fault('bad-option', `${where}: onConflict is ${inspect(task.onConflict)}; give rerun, replay or fail.`);
  if (task.onConflict !== undefined && task.isolation === undefined)
    fault(
      'bad-option',
      `${where}: onConflict has no effect without isolation; add isolation: "serializable".`,
    );
  if (task.group !== undefined && !Object.hasOwn(settings.groups ?? {}, task.group)) {
    fault(
      'unknown-group',
      `${where} is in group ${inspect(task.group)}, which does not exist; add it to ${names.groups}.`,
    );
  }
  for (const { name, group } of candidatesOf(task.run) ?? []) {
    if (group !== undefined && !Object.hasOwn(settings.groups ?? {}, group))
      fault(
        'unknown-group',
        `${where}: candidate "${truncate(name)}" is in group ${inspect(group)}, which does not exist; add it to ${names.groups}.`,
      );
  }
  for (const [name, amount] of Object.entries(task.resources ?? {})) {
    const capacity = Object.hasOwn(settings.resources ?? {}, name) ? settings.resources?.[name] : undefined;
    if (capacity === undefined) {
      fault(
        'unknown-resource',
        `${where} needs resource "${truncate(name)}", which does not exist; add it to resources.`,
      );
    } else if (amount !== undefined && !(Number.isFinite(amount) && amount >= 0)) {
      fault(
        'bad-number',
        `${where}: resources.${truncate(name)} is ${inspect(amount)}; give an amount of 0 or more.`,
      );
    } else if (amount !== undefined && amount > capacity) {
      fault(
        'bad-number',
        `${where} needs ${amount} of "${truncate(name)}" but there is only ${capacity}; it could never start.`,
      );
    }
  }
}

/** Most tasks: a good id, a body and no option that could be wrong. */
function isPlain(id: unknown, task: TaskDefinition): boolean {
  return (
    typeof id === 'string' &&
    id.length > 0 &&
    id.length <= longestId &&
    typeof task?.run === 'function' &&
    task.executor === undefined &&
    task.place === undefined &&
    task.priority === undefined &&
    task.estimate === undefined &&
    task.retry === undefined &&
    task.tokens === undefined &&
    task.tolerate === undefined &&
    task.timeout === undefined &&
    task.whenOpen === undefined &&
    task.hedge === undefined &&
    task.group === undefined &&
    task.resources === undefined &&
    task.cache === undefined &&
    task.result === undefined &&
    task.compensate === undefined &&
    task.version === undefined &&
    task.unread === undefined &&
    task.isolation === undefined &&
    task.onConflict === undefined &&
    candidatesOf(task.run) === undefined
  );
}
