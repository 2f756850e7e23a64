import * as assert from 'uvu/assert';
import type { Run, RunOptions, Workflow, WorkflowEvent, WorkflowResult } from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

/** What is done to a run that has begun. */
export type Drive = (run: Run, scheduler: SimulationScheduler) => void;

/** Runs a workflow in virtual time while `drive` does something to it: its result, and what it told. */
export async function driven(
  flow: Workflow,
  options: Partial<RunOptions> = {},
  drive: Drive = () => undefined,
  scheduler = new SimulationScheduler(),
): Promise<{ readonly result: WorkflowResult; readonly events: readonly WorkflowEvent[] }> {
  const run = flow.run({ scheduler, runId: 'r', ...options });
  const events: WorkflowEvent[] = [];
  run.events$.subscribe({ next: (event) => events.push(event), error: () => undefined });
  let result: WorkflowResult | undefined;
  run.result().then((one) => {
    result = one;
  });
  drive(run, scheduler);
  await advance(scheduler);
  assert.ok(result, 'it has ended');
  return { result, events };
}

/** The status of each task. */
export const statuses = (result: WorkflowResult): Record<string, string> =>
  Object.fromEntries([...result.tasks].map(([id, { status }]) => [id, status]));
