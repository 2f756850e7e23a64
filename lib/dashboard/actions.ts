import { inspect, RxhiveError } from '../kernel/errors.js';

import type { GroupLimits } from '../model/limiter.js';

/** What a page may do to a run. */
export interface ActionTarget {
  cancel(why?: string): void;
  cancelTask(id: string, why?: string): void;
  setConcurrency(limit: number): void;
  setGroupConcurrency(name: never, limit: number): void;
  /** Without these, a page pauses by a limit of 0 and cannot step or answer. */
  pause?(group?: never): void;
  step?(): void;
  continue?(group?: never): void;
  setPriority?(task: string, priority: number): void;
  setResource?(name: string, amount: number): void;
  /** How much of the limits is used, for the gauges. */
  limits?(): readonly GroupLimits[];
  answer?(questionId: string, value: unknown): Promise<void>;
}

/** Limits before a pause, by run. */
const paused = new WeakMap<object, number>();
const usual = 16;
const byPage = 'somebody did so on the page';

/**
 * Does what a page asks for. The wish comes from outside: nothing in it is trusted. What it promises is to be waited for.
 * @throws RxhiveError INVALID_OPTION
 */
export function act(target: Partial<ActionTarget>, wish: unknown): Promise<void> | undefined {
  const { action, taskId, group, limit, concurrency, questionId, value, priority, resource, amount } = (
    typeof wish === 'object' && wish !== null ? wish : {}
  ) as Record<string, unknown>;
  const { cancel } = target;
  if (cancel === undefined)
    throw new RxhiveError('INVALID_OPTION', 'This is a log, not a run; there is nothing to act on.');
  const run = target as ActionTarget;
  const isOfGroup = group !== undefined && group !== null;
  switch (action) {
    case 'cancel':
      run.cancel(byPage);
      break;
    case 'cancelTask':
      run.cancelTask(textOf(taskId, 'taskId'), byPage);
      break;
    case 'pause':
      if (isOfGroup) return onGroup(run.pause?.bind(run), group);
      if (run.pause !== undefined) return run.pause() as undefined;
      paused.set(run, typeof concurrency === 'number' ? concurrency : usual);
      run.setConcurrency(0);
      break;
    case 'resume':
      if (isOfGroup) return onGroup(run.continue?.bind(run), group);
      if (run.continue !== undefined) return run.continue() as undefined;
      run.setConcurrency(paused.get(run) ?? usual);
      break;
    case 'setLimit':
      if (!isOfGroup) run.setConcurrency(limit as number);
      else run.setGroupConcurrency(textOf(group, 'group') as never, limit as number);
      break;
    case 'setPriority':
      if (run.setPriority === undefined) throw cannot('other priorities');
      run.setPriority(textOf(taskId, 'taskId'), priority as number);
      break;
    case 'setResource':
      if (run.setResource === undefined) throw cannot('other resources');
      run.setResource(textOf(resource, 'resource'), amount as number);
      break;
    case 'step':
      if (run.step === undefined) throw cannot('single step');
      run.step();
      break;
    case 'answer':
      if (run.answer === undefined) throw cannot('answers');
      return run.answer(textOf(questionId, 'questionId'), value);
    default:
      throw new RxhiveError('INVALID_OPTION', `There is no action ${inspect(action)}.`);
  }
  return undefined;
}

function onGroup(change: ((group: never) => void) | undefined, group: unknown): undefined {
  if (change === undefined) throw cannot('pauses of groups');
  change(textOf(group, 'group') as never);
  return undefined;
}

function cannot(what: string): RxhiveError {
  return new RxhiveError('INVALID_OPTION', `What is served here knows no ${what}; serve a run.`);
}

/** A text of a wish. @throws RxhiveError INVALID_OPTION */
export function textOf(value: unknown, name: string): string {
  if (typeof value === 'string') return value;
  throw new RxhiveError('INVALID_OPTION', `${name} is ${inspect(value)}; give a text.`);
}
