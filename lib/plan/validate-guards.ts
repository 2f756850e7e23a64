import { isObservable } from 'rxjs';
import { type DefinitionFault, inspect, truncate } from '../kernel/errors.js';
import { disown } from '../kernel/guard.js';
import { budgetLimits } from '../model/budget.js';
import { Dependency, type TaskDefinition } from '../model/task.js';
import type { OptionNames, WorkflowSettings } from '../model/workflow.js';

type Fault = (kind: DefinitionFault['kind'], message: string) => void;
type Bag = Readonly<Record<string, unknown>>;

/** Everything wrong with prices, budgets, breakers and watermarks. */
export function validateGuards(settings: WorkflowSettings, fault: Fault, names: OptionNames): void {
  if (settings.load$ !== undefined && !isObservable(settings.load$))
    fault('bad-option', `load$ is ${inspect(settings.load$)}; give an Observable, such as systemLoad().`);
  checkWatermarks(fault, settings.memory);
  checkPrices(fault, settings.prices);
  checkBudget(fault, 'budget', settings.budget);
  for (const [name, group] of Object.entries(settings.groups ?? {})) {
    checkBudget(fault, `${names.groups}.${truncate(name)}.budget`, group?.budget);
    checkBreaker(fault, `${names.groups}.${truncate(name)}.breaker`, group?.breaker);
  }
}

/** Says what is wrong with a race or quorum. */
export function problemOf(need: unknown, tasks: unknown): string | undefined {
  if (!Array.isArray(tasks) || tasks.length === 0) return 'without tasks; give an array of tasks.';
  if (new Set(tasks).size < tasks.length) return 'in which a task is twice; name each once.';
  if (typeof need === 'number' && Number.isInteger(need) && need >= 1 && need <= tasks.length)
    return undefined;
  return `that needs ${inspect(need)} of ${tasks.length}; give a whole number from 1 to ${tasks.length}.`;
}

function checkWatermarks(fault: Fault, memory: unknown): void {
  if (!isBag(fault, 'memory', memory, '{ soft, hard, spillAbove }')) return;
  known(fault, 'memory', memory, ['soft', 'hard', 'spillAbove']);
  const { soft, hard } = memory;
  for (const [name, share] of Object.entries({ soft, hard }))
    if (share !== undefined && !(typeof share === 'number' && share > 0 && share <= 1))
      fault(
        'bad-number',
        `memory.${name} is ${inspect(share)}; give a share of the limit above 0, at most 1.`,
      );
  if (Number(soft) > Number(hard))
    fault('bad-number', `memory.soft ${inspect(soft)} is above memory.hard ${inspect(hard)}; exchange them.`);
}

function checkPrices(fault: Fault, prices: unknown): void {
  if (!isBag(fault, 'prices', prices, '{ "model": { input, output } }')) return;
  for (const [model, price] of Object.entries(prices)) {
    const where = `prices.${truncate(model)}`;
    if (price === undefined) fault('bad-option', `${where} is undefined; give { input, output }.`);
    if (!isBag(fault, where, price, '{ input, output }')) continue;
    known(fault, where, price, ['input', 'output']);
    for (const name of ['input', 'output']) {
      const amount = price[name];
      disown(amount);
      if (!(typeof amount === 'number' && Number.isFinite(amount) && amount >= 0))
        fault(
          'bad-number',
          `${where}.${name} is ${inspect(amount)}; give a price per million tokens, from 0.`,
        );
    }
  }
}

function checkBudget(fault: Fault, where: string, budget: unknown): void {
  if (!isBag(fault, where, budget, '{ calls, tokens, cost, hard }')) return;
  known(fault, where, budget, [...budgetLimits, 'hard']);
  checkCaps(fault, where, budget);
  const { hard } = budget;
  const caps = budgetLimits.filter((name) => budget[name] !== undefined);
  if (typeof hard === 'object' && hard !== null) {
    const own = hard as Bag;
    known(fault, `${where}.hard`, own, budgetLimits);
    checkCaps(fault, `${where}.hard`, own);
    for (const name of caps)
      if (Number(own[name]) < Number(budget[name]))
        fault(
          'bad-number',
          `${where}.hard.${name} is ${inspect(own[name])}, below ${where}.${name}; the hard cap comes last.`,
        );
    caps.push(...budgetLimits.filter((name) => own[name] !== undefined));
  } else if (hard !== undefined && typeof hard !== 'boolean') {
    fault('bad-option', `${where}.hard is ${inspect(hard)}; give true, or { calls, tokens, cost }.`);
  }
  if (caps.length === 0) fault('bad-option', `${where} has no cap; give calls, tokens or cost.`);
}

function checkCaps(fault: Fault, where: string, caps: Bag): void {
  for (const name of budgetLimits) {
    const cap = caps[name];
    if (cap === undefined) continue;
    const whole = name === 'calls';
    if (typeof cap === 'number' && cap > 0 && Number.isFinite(cap) && (!whole || Number.isInteger(cap)))
      continue;
    const kind = whole ? 'a whole number from 1' : 'a number above 0';
    fault('bad-number', `${where}.${name} is ${inspect(cap)}; give ${kind}, or leave it out for no cap.`);
  }
}

function checkBreaker(fault: Fault, where: string, breaker: unknown): void {
  if (!isBag(fault, where, breaker, '{ failures, openFor }')) return;
  known(fault, where, breaker, ['failures', 'openFor', 'halfOpen', 'whenOpen', 'counts']);
  const { failures, openFor, halfOpen, whenOpen, counts } = breaker;
  if (typeof failures === 'object' && failures !== null) {
    const share = failures as Bag;
    known(fault, `${where}.failures`, share, ['rate', 'window', 'least']);
    const { rate, window, least } = share;
    if (!(typeof rate === 'number' && rate > 0 && rate <= 1))
      fault('bad-number', `${where}.failures.rate is ${inspect(rate)}; give a share above 0, at most 1.`);
    if (!isMs(window))
      fault('bad-number', `${where}.failures.window is ${inspect(window)}; give ms above 0.`);
    if (least !== undefined) checkCount(fault, `${where}.failures.least`, least);
  } else checkCount(fault, `${where}.failures`, failures);
  if (openFor !== undefined && !isMs(openFor))
    fault('bad-number', `${where}.openFor is ${inspect(openFor)}; give ms above 0.`);
  if (halfOpen !== undefined) checkCount(fault, `${where}.halfOpen`, halfOpen);
  checkWhenOpen(fault, `${where}.whenOpen`, whenOpen);
  if (counts !== undefined && typeof counts !== 'function')
    fault('bad-option', `${where}.counts is ${inspect(counts)}; give a function of the error.`);
}

/** The option of a breaker, and of a task. */
export function checkWhenOpen(fault: Fault, where: string, whenOpen: unknown): void {
  if (whenOpen !== undefined && whenOpen !== 'wait' && whenOpen !== 'fail')
    fault('bad-option', `${where} is ${inspect(whenOpen)}; use "wait" or "fail".`);
}

/** The option `hedge` of a task. */
export function checkHedge(fault: Fault, where: string, { hedge, dependencies }: TaskDefinition): void {
  if (!isBag(fault, `${where}: hedge`, hedge, '{ after, max }')) return;
  known(fault, `${where}: hedge`, hedge, ['after', 'max']);
  const { after, max } = hedge;
  if (after !== 'p95' && !isMs(after))
    fault('bad-number', `${where}: hedge.after is ${inspect(after)}; give ms above 0, or "p95".`);
  if (max !== undefined) checkCount(fault, `${where}: hedge.max`, max);
  const list = typeof dependencies === 'object' && dependencies !== null ? Object.values(dependencies) : [];
  if (list.some((one) => one instanceof Dependency && one.mode === 'latest'))
    fault(
      'bad-option',
      `${where}: hedge cannot be used with latest(...); a stream that grows has no second attempt.`,
    );
}

function checkCount(fault: Fault, where: string, count: unknown): void {
  if (!(typeof count === 'number' && Number.isInteger(count) && count >= 1))
    fault('bad-number', `${where} is ${inspect(count)}; give a whole number from 1.`);
}

function isMs(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value) && value > 0;
}

function known(fault: Fault, where: string, bag: Bag, names: readonly string[]): void {
  for (const name of Object.keys(bag))
    if (!names.includes(name))
      fault('bad-option', `${where}.${truncate(name)} is unknown; use ${names.join(', ')}.`);
}

/** False for what is absent, and (with a fault) for what is no object. */
function isBag(fault: Fault, where: string, value: unknown, shape: string): value is Bag {
  if (value === undefined) return false;
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return true;
  fault('bad-option', `${where} is ${inspect(value)}; give ${shape}.`);
  return false;
}
