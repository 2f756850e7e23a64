import { RxhiveError, shown } from '../kernel/errors.js';

/** What a page may do to a run. */
export interface ActionTarget {
  cancel(): void;
  cancelTask(id: string): void;
  setConcurrency(limit: number): void;
  setGroupConcurrency(name: never, limit: number): void;
}

/** Limits before a pause, by run. */
const paused = new WeakMap<object, number>();
const usual = 16;

/** Does what a page asks for. The wish comes from outside: nothing in it is trusted. @throws RxhiveError INVALID_OPTION */
export function act(target: Partial<ActionTarget>, wish: unknown): void {
  const { action, taskId, group, limit, concurrency } = (
    typeof wish === 'object' && wish !== null ? wish : {}
  ) as Record<string, unknown>;
  const { cancel } = target;
  if (cancel === undefined)
    throw new RxhiveError('INVALID_OPTION', 'This is a log, not a run; there is nothing to act on.');
  const run = target as ActionTarget;
  switch (action) {
    case 'cancel':
      run.cancel();
      break;
    case 'cancelTask':
      run.cancelTask(textOf(taskId, 'taskId'));
      break;
    case 'pause':
      paused.set(run, typeof concurrency === 'number' ? concurrency : usual);
      run.setConcurrency(0);
      break;
    case 'resume':
      run.setConcurrency(paused.get(run) ?? usual);
      break;
    case 'setLimit':
      if (group === undefined || group === null) run.setConcurrency(limit as number);
      else run.setGroupConcurrency(textOf(group, 'group') as never, limit as number);
      break;
    default:
      throw new RxhiveError('INVALID_OPTION', `There is no action ${shown(action)}.`);
  }
}

function textOf(value: unknown, name: string): string {
  if (typeof value === 'string') return value;
  throw new RxhiveError('INVALID_OPTION', `${name} is ${shown(value)}; give a text.`);
}
