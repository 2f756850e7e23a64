import type { DashboardOptions } from '../dashboard/server.js';
import { inspect } from '../kernel/errors.js';
import { storeAt } from '../stores/at-path.js';
import { isWorkflow, type Runnable } from './load.js';
import { remember } from './stored.js';
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
    const taken = new Set((await storeAt(store).runs()).map((run) => run.runId));
    const to = freeId(runId, taken);
    await remember(store, to, module);
    say(`run ${to}, a fork of ${runId} after ${inspect(taskId)}`);
    return source.fork(store, runId, { runId: to, at: point.seq, suspend: 'wait' });
  };
}

/** An id for a fork that no run has. */
export function freeId(from: string, taken: ReadonlySet<string>): string {
  let n = 1;
  while (taken.has(`${from}-fork-${n}`)) n += 1;
  return `${from}-fork-${n}`;
}
