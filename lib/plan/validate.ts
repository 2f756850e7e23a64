import { isObservable } from 'rxjs';
import { type DefinitionFault, inspect, truncate } from '../kernel/errors.js';
import {
  all,
  type Bag,
  bag,
  checkAll,
  each,
  either,
  type Fault,
  isAboveZero,
  isBag,
  isFunction,
  isShare,
  number,
  oneOf,
  options,
  type Rule,
  type Rules,
  required,
  rule,
} from '../kernel/option-rules.js';
import { unreadable } from '../kernel/read-once.js';
import { Adaptive, type AdaptiveOptions } from '../model/adaptive.js';
import type { BreakerOptions } from '../model/breaker.js';
import { type BudgetOptions, budgetLimits } from '../model/budget.js';
import type { CacheOptions } from '../model/cache.js';
import { candidatesOf } from '../model/candidate.js';
import { Dependency, readsStream } from '../model/dependency.js';
import type { HedgeOptions } from '../model/hedge.js';
import { isLimiter, limiterRule, mostTokens } from '../model/limiter.js';
import type { MemoryOptions } from '../model/memory.js';
import { backoffRule, type RetryOptions, type TimeoutOptions } from '../model/policy.js';
import { isSchema } from '../model/schema.js';
import type { TaskDefinition } from '../model/task.js';
import type { Price } from '../model/usage.js';
import type { GroupOptions, OptionNames, WorkflowSettings } from '../model/workflow.js';

/** Longest id in characters; longer ones are data, not names. */
export const longestId = 1_000;

const isText = (value: unknown): boolean => typeof value === 'string';
const isCount = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= 1;
const count = number(1, 'whole');
const countOrInfinity = number(1, 'whole', 'infinite');
const ms = rule(isAboveZero, 'give ms above 0', 'bad-number');
const share = rule(isShare, 'give a share of the limit above 0, at most 1', 'bad-number');
const schema = rule(isSchema, 'give a Standard Schema (zod, valibot, arktype) or typed<T>()');
const whenOpen = oneOf(['wait', 'fail']);
const price = required(
  (value) => typeof value === 'number' && Number.isFinite(value) && value >= 0,
  'give a price per million tokens, from 0',
  'bad-number',
);
const timer = all(
  rule((value) => value !== 0, 'give ms above 0, or leave it out for no limit', 'bad-number'),
  number(0, 'infinite'),
);

/** The load that a workflow or run is given. */
export const loadRule = rule(isObservable, 'give an Observable, such as systemLoad()');

const concurrency = either(
  (value) => value instanceof Adaptive,
  (value, where, fault) => {
    const given = ((value as Adaptive).options ?? {}) as Partial<AdaptiveOptions>;
    const { min = 1, max, initial } = given;
    if (max === undefined)
      fault('bad-option', `${where}: adaptive needs max, the most that may ever run at once.`);
    const overloaded = rule(isFunction, 'give a function of the error');
    const rules: Rules<AdaptiveOptions> = { max: count, min: count, initial: count, overloaded };
    checkAll(rules, given, `${where}: adaptive `, fault);
    if (max !== undefined && max >= 1 && min > max)
      fault('bad-number', `${where}: adaptive min ${min} is above max ${max}; exchange them.`);
    if (initial !== undefined && (initial < min || (max !== undefined && initial > max)))
      fault('bad-number', `${where}: adaptive initial ${initial} is not between min ${min} and max ${max}.`);
  },
  countOrInfinity,
);

const limiter: Rule = (value, where, fault) => {
  try {
    if (value !== undefined && !isLimiter(value))
      limiterRule(value, where, (_, message) => fault('bad-option', message));
  } catch (error) {
    fault('bad-option', unreadable(where, error));
  }
};

const caps: Rules<BudgetOptions> = Object.fromEntries(
  budgetLimits.map((name) => {
    const fits = name === 'calls' ? isCount : isAboveZero;
    const kind = name === 'calls' ? 'a whole number from 1' : 'a number above 0';
    return [name, rule(fits, `give ${kind}, or leave it out for no cap`, 'bad-number')];
  }),
);

const budget: Rule = all(
  options<BudgetOptions>('{ calls, tokens, cost, hard }', {
    ...caps,
    hard: either(
      isBag,
      options('', caps),
      rule((value) => typeof value === 'boolean', 'give true, or { calls, tokens, cost }'),
    ),
  }),
  (value, where, fault) => {
    if (!isBag(value)) return;
    const hard = isBag(value.hard) ? value.hard : {};
    for (const name of budgetLimits)
      if (Number(hard[name]) < Number(value[name]))
        fault(
          'bad-number',
          `${where}.hard.${name} is ${inspect(hard[name])}, below ${where}.${name}; the hard cap comes last.`,
        );
    if (budgetLimits.every((name) => value[name] === undefined && hard[name] === undefined))
      fault('bad-option', `${where} has no cap; give calls, tokens or cost.`);
  },
);

const breaker = options<BreakerOptions>('{ failures, openFor }', {
  failures: either(
    isBag,
    options('', {
      rate: required(isShare, 'give a share above 0, at most 1', 'bad-number'),
      window: required(isAboveZero, 'give ms above 0', 'bad-number'),
      least: count,
    }),
    required(isCount, 'give a whole number from 1', 'bad-number'),
  ),
  openFor: ms,
  halfOpen: count,
  whenOpen,
  counts: rule(isFunction, 'give a function of the error'),
});

const memory: Rule = all(
  options<MemoryOptions>('{ soft, hard, spillAbove }', {
    soft: share,
    hard: share,
    spillAbove: number(0, 'whole', 'infinite'),
  }),
  (value, where, fault) => {
    const { soft, hard } = (value ?? {}) as Bag;
    if (Number(soft) > Number(hard))
      fault(
        'bad-number',
        `${where}.soft ${inspect(soft)} is above ${where}.hard ${inspect(hard)}; exchange them.`,
      );
  },
);

const groupRules: Rules<GroupOptions> = { concurrency, limiter, budget, breaker };

/** Options of a workflow, and what they may be. */
const settingRules: Rules<WorkflowSettings> = {
  name: required((value) => isText(value) && value !== '', 'give the workflow a name that is not empty'),
  concurrency,
  maxTasks: countOrInfinity,
  retryBudget: number(0, 'whole', 'infinite'),
  aging: either((value) => value === false, all(), timer),
  failurePolicy: oneOf(['continue', 'fail-fast']),
  input: schema,
  policy: oneOf(['critical-path', 'fifo', 'depth-first']),
  heldResults: count,
  limiter,
  groups: each((value, where, fault) => checkAll(groupRules, (value ?? {}) as Bag, `${where}.`, fault)),
  resources: each(required(isAboveZero, 'give a capacity above 0', 'bad-number')),
  load$: loadRule,
  memory,
  prices: all(
    options('{ "model": { input, output } }', {}, false),
    either(isBag, each(bag<Price>('{ input, output }', { input: price, output: price })), all()),
  ),
  budget,
};

/** Options that a workflow has for its tasks, too. */
const policyRules: Rules<Pick<TaskDefinition, 'retry' | 'timeout'>> = {
  retry: either(
    isBag,
    all(
      (value, where, fault) => {
        if ((value as Bag).count === undefined)
          fault('bad-option', `${where}.count is missing; give the number of tries after the first.`);
      },
      options<RetryOptions>(
        '',
        {
          count: number(0, 'whole', 'infinite'),
          lost: countOrInfinity,
          maxRetryAfter: number(0, 'infinite'),
          backoff: backoffRule,
        },
        false,
      ),
    ),
    number(0, 'whole', 'infinite'),
  ),
  timeout: either(
    isBag,
    options<TimeoutOptions>(
      '',
      { attempt: timer, total: timer, idle: timer, queue: timer },
      'attempt, total, idle or queue',
    ),
    timer,
  ),
};

/** Options of a task, and what they may be by themselves. */
const taskRules: Rules<TaskDefinition> = {
  priority: rule(Number.isFinite, 'give a finite number', 'bad-number'),
  tolerate: rule((value) => typeof value === 'boolean', 'give true or leave it out'),
  always: rule((value) => typeof value === 'boolean', 'give true or leave it out'),
  estimate: number(0),
  tokens: either(isFunction, all(), number(0)),
  hedge: options<HedgeOptions>('{ after, max }', {
    after: required(
      (value) => value === 'p95' || isAboveZero(value),
      'give ms above 0, or "p95"',
      'bad-number',
    ),
    max: count,
  }),
  whenOpen,
  cache: options<CacheOptions>('{ key, ttl }, both optional', { ttl: number(0, 'infinite') }, false),
  result: schema,
  version: rule(isText, 'give a text'),
  compensate: rule(isFunction, 'give a function'),
  when: rule(isFunction, 'give a function that returns true or false'),
  signal: rule((value) => value instanceof AbortSignal, 'give the signal of an AbortController'),
  writes: oneOf(['exclusive'], 'give "exclusive" or leave it out'),
  isolation: oneOf(['serializable'], 'give "serializable" or leave it out'),
  onConflict: oneOf(['rerun', 'replay', 'fail'], 'give rerun, replay or fail'),
};

/** What {@link validateTask} looks at beside the body. */
const checkedOptions: ReadonlySet<string> = new Set([
  ...Object.keys({ ...taskRules, ...policyRules }),
  ...['executor', 'place', 'unread', 'group', 'resources', 'loop'],
]);

/** Everything wrong with the settings of a workflow. */
export function validateSettings(settings: WorkflowSettings, names: OptionNames): DefinitionFault[] {
  const faults: DefinitionFault[] = [];
  const fault: Fault = (kind, message) => faults.push({ kind, message });
  checkAll(settingRules, settings, '', fault, { ...names });
  checkAll(policyRules, settings, 'workflow.', fault);
  if (settings.heldResults !== undefined && settings.policy !== 'depth-first')
    fault(
      'bad-option',
      'heldResults needs tasks in the order in which results are used up; add policy: "depth-first".',
    );
  return faults;
}

/** Adds everything wrong with one task: its id and body, its options, and how they go with others and the workflow. */
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
  checkBody(fault, where, task);
  checkAll(taskRules, task, `${where}: `, fault);
  checkAll(policyRules, task, `${where}.`, fault);
  checkTogether(fault, where, task);
  checkAgainst(fault, where, task, settings, names);
  if (task.loop !== undefined) validateTask(id, task.loop.turn, settings, faults, names);
}

/** Most tasks: a good id, a body and no option that could be wrong. */
function isPlain(id: unknown, task: TaskDefinition): boolean {
  if (typeof id !== 'string' || id.length === 0 || id.length > longestId) return false;
  if (typeof task?.run !== 'function' || candidatesOf(task.run) !== undefined) return false;
  for (const name in task)
    if (checkedOptions.has(name) && task[name as keyof TaskDefinition] !== undefined) return false;
  return true;
}

function checkBody(fault: Fault, where: string, { run, executor, place }: TaskDefinition): void {
  if (executor !== undefined)
    fault(
      'bad-option',
      run === undefined
        ? `${where}: executor is ${inspect(executor)}; give one such as threads({ file }).`
        : `${where} has run and executor; give one of them.`,
    );
  else required(isFunction, 'give a function')(run, `${where}: run`, fault);
  const slots: unknown = place?.slots;
  const least = place?.watch === undefined ? 1 : 0;
  if (place !== undefined && !(typeof slots === 'number' && slots >= least))
    fault(
      'bad-number',
      `${where}: its executor has a place of ${inspect(slots)} slots; give ${least} or more.`,
    );
}

/** Options of a task that do not go together. */
function checkTogether(fault: Fault, where: string, task: TaskDefinition): void {
  const { hedge, dependencies, isolation } = task;
  const list = isBag(hedge) && typeof dependencies === 'object' ? Object.values(dependencies ?? {}) : [];
  const stream = list.find((one) => one instanceof Dependency && readsStream(one.mode)) as
    | Dependency
    | undefined;
  if (stream !== undefined)
    fault(
      'bad-option',
      `${where}: hedge cannot be used with ${stream.mode}(...); a stream that grows has no second attempt.`,
    );
  for (const option of ['onConflict', 'writes'] as const)
    if (task[option] !== undefined && isolation === undefined)
      fault(
        'bad-option',
        `${where}: ${option} has no effect without isolation; add isolation: "serializable".`,
      );
}

/** What a task needs that the workflow does not have. */
function checkAgainst(
  fault: Fault,
  where: string,
  { group, run, resources, tokens }: TaskDefinition,
  settings: WorkflowSettings,
  names: OptionNames,
): void {
  const own = group === undefined ? undefined : settings.groups?.[group];
  for (const one of [own?.limiter, settings.limiter]) {
    if (typeof tokens !== 'number' || typeof one !== 'object' || one === null) continue;
    const most = mostTokens(isLimiter(one) ? one.settings : one);
    if (most !== undefined && tokens > most.max)
      fault(
        'bad-number',
        `${where} needs ${tokens} tokens but ${most.name} is ${most.max}; it could never start.`,
      );
  }
  const inGroup = (who: string, name: string | undefined): void => {
    if (name !== undefined && !Object.hasOwn(settings.groups ?? {}, name))
      fault(
        'unknown-group',
        `${who} is in group ${inspect(name)}, which does not exist; add it to ${names.groups}.`,
      );
  };
  inGroup(where, group);
  for (const one of candidatesOf(run) ?? [])
    inGroup(`${where}: candidate "${truncate(one.name)}"`, one.group);
  for (const [name, amount] of Object.entries(resources ?? {})) {
    const capacity = Object.hasOwn(settings.resources ?? {}, name) ? settings.resources?.[name] : undefined;
    if (capacity === undefined)
      fault(
        'unknown-resource',
        `${where} needs resource "${truncate(name)}", which does not exist; add it to resources.`,
      );
    else if (amount !== undefined && !(Number.isFinite(amount) && amount >= 0))
      fault(
        'bad-number',
        `${where}: resources.${truncate(name)} is ${inspect(amount)}; give an amount of 0 or more.`,
      );
    else if (amount !== undefined && amount > capacity)
      fault(
        'bad-number',
        `${where} needs ${amount} of "${truncate(name)}" but there is only ${capacity}; it could never start.`,
      );
  }
}
