import { inspect, RxhiveError } from '../kernel/errors.js';
import type { GroupLimits } from '../model/limiter.js';

/** What a page may do to a run. */
export interface ActionTarget {
  cancel(why?: string): void;
  cancelTask(id: string, why?: string): void;
  setConcurrency(limit: number): void;
  setGroupConcurrency(name: never, limit: number): void;
  pause(group?: never): void;
  step(): void;
  continue(group?: never): void;
  setPriority(task: string, priority: number): void;
  setResource(name: string, amount: number): void;
  /** How much of the limits is used, for the gauges. */
  limits(): readonly GroupLimits[];
  answer(questionId: string, value: unknown): Promise<void>;
}

const byPage = 'somebody did so on the page';

/**
 * Does what a page asks for. The wish comes from outside: nothing in it is trusted. What it promises is to be waited for.
 * @throws RxhiveError INVALID_OPTION
 */
export function act(target: Partial<ActionTarget>, wish: unknown): Promise<void> | undefined {
  const { action, taskId, group, limit, questionId, value, priority, resource, amount } = (
    typeof wish === 'object' && wish !== null ? wish : {}
  ) as Record<string, unknown>;
  if (!isRun(target))
    throw new RxhiveError('INVALID_OPTION', 'This is a log, not a run; there is nothing to act on.');
  const named = group === undefined || group === null ? undefined : (textOf(group, 'group') as never);
  switch (action) {
    case 'cancel':
      target.cancel(byPage);
      break;
    case 'cancelTask':
      target.cancelTask(textOf(taskId, 'taskId'), byPage);
      break;
    case 'pause':
      target.pause(named);
      break;
    case 'resume':
      target.continue(named);
      break;
    case 'setLimit':
      if (named === undefined) target.setConcurrency(limit as number);
      else target.setGroupConcurrency(named, limit as number);
      break;
    case 'setPriority':
      target.setPriority(textOf(taskId, 'taskId'), priority as number);
      break;
    case 'setResource':
      target.setResource(textOf(resource, 'resource'), amount as number);
      break;
    case 'step':
      target.step();
      break;
    case 'answer':
      return target.answer(textOf(questionId, 'questionId'), value);
    default:
      throw new RxhiveError('INVALID_OPTION', `There is no action ${inspect(action)}.`);
  }
  return undefined;
}

/** A log can do nothing, and others may only be cancelled: what can be paused is a run, and can all. */
function isRun(target: Partial<ActionTarget>): target is ActionTarget {
  return target.pause !== undefined;
}

/** A text of a wish. @throws RxhiveError INVALID_OPTION */
export function textOf(value: unknown, name: string): string {
  if (typeof value === 'string') return value;
  throw new RxhiveError('INVALID_OPTION', `${name} is ${inspect(value)}; give a text.`);
}
