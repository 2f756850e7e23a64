import { RxhiveError, truncate } from '../kernel/errors.js';
import { SimulationScheduler } from '../kernel/simulation-scheduler.js';
import type { WorkflowEvent } from '../model/event.js';
import type { WorkflowResult } from '../model/result.js';
import type { RunStatus } from '../model/status.js';
import type { Run } from '../run.js';
import { type Changes, Rebuilt } from './rebuild.js';
import { type Recording, recordingOf } from './recording.js';

/** A recorded run beside the one it would have been. */
export interface Replay {
  readonly recorded: { readonly wallMs: number; readonly status: RunStatus | undefined };
  readonly replayed: { readonly wallMs: number; readonly status: RunStatus };
  /** The replay without changes: what a busy process lost between tasks is in the recording, but in neither replay. */
  readonly unchanged: { readonly wallMs: number };
  /** Share of the unchanged time that is saved; below 0: it takes longer. */
  readonly saved: number;
  /** Refusals (429) in the recording; they come again as they were, also where another limit would change them. */
  readonly refused: number;
  /** Events of the replayed run. */
  readonly events: readonly WorkflowEvent[];
  readonly result: WorkflowResult;
  /** The answer in one sentence. */
  readonly summary: string;
}

/**
 * Plays a recorded run again in virtual time, with what is to be different: each attempt takes the time it took and ends
 * as it did, so another limit or priority shows what it would have changed. Nothing is called and nothing is paid. Waits
 * for people and for shared things count as running; results of an earlier process as tasks that take no time.
 * @throws RxhiveError INVALID_INPUT for a log that is none, INVALID_OPTION for a group or task that is not in it
 */
export async function replay(log: string | readonly WorkflowEvent[], changes: Changes = {}): Promise<Replay> {
  const recording = recordingOf(log);
  checkChanges(recording, changes);
  const { result, events } = await play(recording, changes);
  const same = Object.values(changes).every((one) => one === undefined || Object.keys(one).length === 0);
  const unchanged = same && changes.concurrency === undefined ? result : (await play(recording, {})).result;
  return compared(recording, unchanged.report.wallMs, changes, result, events);
}

/** One run of the recording in virtual time. */
async function play(
  recording: Recording,
  changes: Changes,
): Promise<{ readonly result: WorkflowResult; readonly events: readonly WorkflowEvent[] }> {
  const scheduler = new SimulationScheduler();
  const { flow, later } = new Rebuilt(recording, changes, scheduler);
  const run = flow.run({ scheduler, seed: 1, runId: recording.runId, keepOpen: later.length > 0 });
  const events: WorkflowEvent[] = [];
  run.events$.subscribe((event) => events.push(event));
  let result: WorkflowResult | undefined;
  const ended = run.result().then((value) => {
    result = value;
  });
  repeat(recording, changes, run, scheduler);
  let left = later.length;
  for (const { at, id, task } of later)
    scheduler.schedule(() => {
      run.task(id, task as never);
      left -= 1;
      if (left === 0) run.close();
    }, at);
  while (result === undefined) {
    await new Promise((turn) => setImmediate(turn));
    if (result === undefined && !scheduler.step()) break;
  }
  // What the log does not tell the end of has none here either.
  if (result === undefined) run.cancel();
  await ended;
  return { result: result as unknown as WorkflowResult, events };
}

/** Does from outside what was done from outside. */
function repeat(recording: Recording, changes: Changes, run: Run, scheduler: SimulationScheduler): void {
  const { limits, tasks, cancelledAt } = recording;
  for (const { at, group, concurrency } of limits) {
    const changed = group === undefined ? changes.concurrency : changes.limits?.[group];
    if (changed !== undefined) continue;
    scheduler.schedule(() => {
      if (group === undefined) run.setConcurrency(concurrency);
      else run.setGroupConcurrency(group, concurrency);
    }, at);
  }
  for (const task of tasks)
    if (task.cancelledAt !== undefined)
      scheduler.schedule(() => run.cancelTask(task.plan.id), task.cancelledAt);
  if (cancelledAt !== undefined) scheduler.schedule(() => run.cancel(), cancelledAt);
}

function checkChanges({ plan, tasks }: Recording, { limits = {}, priorities = {} }: Changes): void {
  const groups = (plan.groups ?? []).map(({ name }) => name);
  const unknown = Object.keys(limits).find((name) => !groups.includes(name));
  if (unknown !== undefined)
    throw new RxhiveError(
      'INVALID_OPTION',
      `The recorded run has no group "${truncate(unknown)}"; it has ${groups.map(truncate).join(', ') || 'none'}.`,
    );
  const names = new Set(tasks.flatMap((task) => [task.plan.id, task.plan.type ?? task.plan.id]));
  const nobody = Object.keys(priorities).find((name) => !names.has(name));
  if (nobody !== undefined)
    throw new RxhiveError(
      'INVALID_OPTION',
      `The recorded run has no task and no type "${truncate(nobody)}"; check the name.`,
    );
}

function compared(
  recording: Recording,
  before: number,
  changes: Changes,
  result: WorkflowResult,
  events: readonly WorkflowEvent[],
): Replay {
  const { wallMs } = recording;
  const now = result.report.wallMs;
  const saved = before === 0 ? 0 : (before - now) / before;
  const percent = Math.abs(saved * 100).toFixed(saved !== 0 && Math.abs(saved) < 0.1 ? 1 : 0);
  const effect =
    now === before
      ? `the same ${now} ms`
      : `${percent} % ${now < before ? 'sooner' : 'later'}: ${now} ms instead of ${before} ms`;
  const { refused } = recording;
  const more =
    refused === 0
      ? ''
      : `; the ${refused} refusals (429) are replayed as they were, other limits may change them`;
  return {
    recorded: { wallMs, status: recording.status },
    replayed: { wallMs: now, status: result.status },
    unchanged: { wallMs: before },
    saved,
    refused,
    events,
    result,
    summary: `${told(recording, changes)}: ${effect}${more}.`,
  };
}

function told({ plan }: Recording, { concurrency, limits = {}, priorities = {} }: Changes): string {
  const was = (name: string): number | string =>
    plan.groups?.find((group) => group.name === name)?.concurrency ?? 'no limit';
  const parts = [
    ...(concurrency === undefined
      ? []
      : [`${concurrency} at once instead of ${plan.concurrency ?? 'no limit'}`]),
    ...Object.entries(limits).map(
      ([name, limit]) => `limit ${limit} of ${truncate(name)} instead of ${was(name)}`,
    ),
    ...Object.entries(priorities).map(([name, priority]) => `priority ${priority} of ${truncate(name)}`),
  ];
  return parts.length === 0 ? 'as recorded' : parts.join(', ');
}
