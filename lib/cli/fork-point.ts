import type { DashboardOptions } from '../dashboard/server.js';
import { inspect } from '../kernel/errors.js';
import { isWorkflow, type Runnable } from './load.js';
import { freeId, remember } from './stored.js';
import { WrongCall } from './wrong-call.js';

/** How a dashboard forks runs of a store; undefined where they cannot be: those of an orchestrator. */
export function forksOf(
  source: Runnable,
  store: string,
  module: string,
  say: (line: string) => void,
): DashboardOptions['fork'] {
  if (!isWorkflow(source)) return undefined;
  return async ({ runId, taskId }) => {
    const past = await source.history(store, runId);
    const point = past.timeline().find((task) => task.taskId === taskId && task.status === 'succeeded');
    if (point === undefined)
      throw new WrongCall(`the log of ${inspect(runId)} has no commit of ${inspect(taskId)} yet`);
    const to = await freeId(store, runId);
    await remember(store, to, module);
    say(`run ${to}, a fork of ${runId} after ${inspect(taskId)}`);
    return source.fork(store, runId, { runId: to, at: point.seq, suspend: 'wait' });
  };
}
