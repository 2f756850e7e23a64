import { readsStream } from '../../model/dependency.js';
import { isEnd, type TaskStatus } from '../../model/status.js';
import type { Invariant, ObservedRun } from './observed-run.js';

/** Slots, groups and resources are never taken beyond their limits. */
const limits: Invariant = {
  name: 'limits hold',
  event: (event, observed) => {
    const hedges = event.type === 'attempt' && event.hedge === true && event.reason === 'started';
    if (!hedges && (event.type !== 'task' || event.reason !== 'running')) return undefined;
    const running = [...holdersOf(observed, pausesUnseen), ...(hedges ? [event.taskId] : [])];
    if (running.length > observed.concurrency)
      return `${running.length} tasks run at once (${running.join(', ')}), the limit is ${observed.concurrency}`;
    const group = observed.planned.get(event.taskId)?.group;
    const limit = group === undefined ? undefined : observed.groups.get(group)?.limit;
    const members = running.filter((id) => observed.planned.get(id)?.group === group);
    if (limit !== undefined && members.length > limit)
      return `${members.length} tasks of group ${group} run at once (${members.join(', ')}), the limit is ${limit}`;
    for (const [name, capacity] of Object.entries(observed.settings.resources ?? {})) {
      const taken = running.reduce((sum, id) => sum + (observed.planned.get(id)?.resources?.[name] ?? 0), 0);
      if (taken > capacity) return `${taken} of resource ${name} are taken, there are ${capacity}`;
    }
    return undefined;
  },
};

/** Who has a slot, once for each attempt; once in all where `unless` says that more cannot be known. */
function holdersOf(
  observed: ObservedRun,
  unless: (observed: ObservedRun, taskId: string) => boolean = () => false,
): string[] {
  return observed.holding.flatMap((id) =>
    Array<string>(unless(observed, id) ? 1 : Math.max(1, observed.attemptsOf(id))).fill(id),
  );
}

/** A task that pauses gives slots back; of an attempt beside the first nobody is told when. */
function pausesUnseen(observed: ObservedRun, taskId: string): boolean {
  return observed.paused.has(taskId);
}

/** A body runs after what it depends on, in its slot, and not while another attempt of its task does. */
const order: Invariant = {
  name: 'dependencies come first',
  body: (taskId, observed) => {
    const status = observed.statuses.get(taskId);
    if (status !== 'running') return `the body of ${taskId} is called while the task is ${status}`;
    for (const { ids, mode, need } of observed.dependenciesOf(taskId)) {
      const fitting = ids.filter((id) => fits(observed.statuses.get(id), mode));
      if (fitting.length >= need) continue;
      const statuses = ids.map((id) => `${id} is ${observed.statuses.get(id) ?? 'unknown'}`).join(', ');
      return `${taskId} starts while its ${mode} dependency ${statuses}`;
    }
    return undefined;
  },
};

function fits(status: TaskStatus | undefined, mode: string): boolean {
  if (status === undefined) return false;
  // Where it began again, what it has said holds for those alone who sample it, or others with it.
  if (mode === 'sampled' || mode === 'merged') return status !== 'waiting';
  if (mode === 'items' || readsStream(mode)) return status !== 'waiting' && status !== 'ready';
  if (mode === 'value' || mode === 'race' || mode === 'quorum')
    return status === 'succeeded' || status === 'restored';
  return isEnd(status);
}

/** What is in the log is not run again, unless that was announced. */
const paidOnce: Invariant = {
  name: 'no committed task runs again',
  body: (taskId, observed) => {
    if (!observed.committed.has(taskId) || observed.rerun.has(taskId)) return undefined;
    return `the body of ${taskId} is called again although its result is in the log`;
  },
  event: (event, observed) =>
    event.type === 'task' && event.reason === 'running' && observed.committed.has(event.taskId)
      ? againOf(event.taskId, observed)
      : undefined,
};

function againOf(taskId: string, observed: ObservedRun): string | undefined {
  // Completion handlers of a restored task run within an attempt.
  if (observed.before.has(taskId) || observed.rerun.has(taskId)) return undefined;
  return `${taskId} runs again after its commit`;
}

/** Nobody sees a result that a crash could take back. */
const written: Invariant = {
  name: 'a result is written before it is seen',
  event: (event, observed) => {
    if (observed.durability !== 'sync' || event.type !== 'task') return undefined;
    if (event.reason !== 'succeeded' || observed.committed.has(event.taskId)) return undefined;
    return `${event.taskId} is seen to have succeeded before its result is in the log`;
  },
};

/** A run that goes on has what the one before had written. */
const nothingLost: Invariant = {
  name: 'no result is lost',
  end: (observed) => {
    const { result } = observed.trialRun;
    if (result === undefined || result.status === 'cancelled') return undefined;
    for (const id of observed.before) {
      const status = observed.statuses.get(id);
      if (status === 'restored' || observed.missing.has(id) || heldAbove(id, observed)) continue;
      if (!observed.rerun.has(id))
        return `the result of ${id} was in the log, now the task is ${status ?? 'gone'}`;
      if (!goesOn(id, observed)) return `${id} was announced to run again, and is ${status ?? 'gone'}`;
    }
    for (const id of observed.in('succeeded'))
      if (!result.results.has(id) && !observed.isItem(id))
        return `${id} succeeded, and its result is not there at the end`;
    return undefined;
  },
};

/** What a task of items, or one that tries candidates, came to tells of those. */
function heldAbove(id: string, observed: ObservedRun): boolean {
  const parent = observed.parents.get(id);
  if (parent === undefined || !(observed.isItem(id) || observed.planned.get(id)?.candidate === true))
    return false;
  return endedOf(parent, observed) || heldAbove(parent, observed);
}

/** It has run again or is about to, or who adds it ran again and did so no more. */
function goesOn(id: string, observed: ObservedRun): boolean {
  const status = observed.statuses.get(id);
  if (status !== undefined) return isEnd(status) || observed.trialRun.result?.status === 'suspended';
  const parent = observed.parents.get(id);
  if (parent === undefined || observed.statuses.get(parent) === 'restored') return false;
  return endedOf(parent, observed) || goesOn(parent, observed);
}

function endedOf(id: string, observed: ObservedRun): boolean {
  const status = observed.statuses.get(id);
  return status !== undefined && isEnd(status);
}

/** The run ends when everything has, not before, and says so truly. */
const noEarlyEnd: Invariant = {
  name: 'no early success',
  event: (event, observed) => {
    if (event.type !== 'run' || event.reason !== 'ended') return undefined;
    const open = [...observed.statuses].filter(([, status]) => !isEnd(status));
    if (open.length > 0)
      return `the run ends while ${open.map(([id, status]) => `${id} is ${status}`).join(', ')}`;
    const bad = [...observed.statuses].filter(
      ([id, status]) => status !== 'succeeded' && status !== 'restored' && !isExcused(id, observed),
    );
    if (event.status !== 'succeeded') return undefined;
    const gone = [...observed.failedBefore].filter(
      (id) => !observed.statuses.has(id) && !isExcused(id, observed),
    );
    const all = [
      ...bad.map(([id, status]) => `${id} was ${status}`),
      ...gone.map((id) => `${id} had failed`),
    ];
    return all.length === 0 ? undefined : `the run has succeeded although ${all.join(', ')}`;
  },
};

/** It need not succeed: it lost, its parent tells how it went, or only races and quorums wanted it. */
function isExcused(taskId: string, observed: ObservedRun): boolean {
  const { candidate, tolerate } = observed.planned.get(taskId) ?? {};
  if (observed.lost.has(taskId) || candidate === true || tolerate === true) return true;
  const wanted = [...observed.statuses.keys()].flatMap((id) =>
    observed.dependenciesOf(id).filter(({ ids }) => ids.includes(taskId)),
  );
  const isChoice = ({ mode }: { readonly mode: string }): boolean => mode === 'race' || mode === 'quorum';
  // A join is not announced: its parent tells whether it could do without.
  const joined = observed.paused.has(observed.parents.get(taskId) ?? '');
  return wanted.every(isChoice) && (wanted.length > 0 || joined);
}

/** Waits and running time of a task are its whole time, exactly. */
const booked: Invariant = {
  name: 'waits and running add up',
  end: (observed) => {
    for (const [id, { waits, runningMs, status }] of observed.trialRun.result?.tasks ?? []) {
      if (status === 'restored') continue;
      const spent = Object.values(waits).reduce((sum, ms) => sum + ms, runningMs);
      const wall = (observed.endedAt.get(id) ?? 0) - (observed.addedAt.get(id) ?? 0);
      if (spent !== wall) return `${id} has ${spent} ms in its report and lived ${wall} ms`;
    }
    return undefined;
  },
};

/** Every run ends. */
const quiescence: Invariant = {
  name: 'the run ends',
  end: (observed) =>
    observed.trialRun.ended || observed.crashed
      ? undefined
      : `nothing happens any more, but: ${observed.trialRun.open.join(' ') || 'no task is open'}`,
};

/** No slot stays free while a task that could have it is ready. */
const noIdleSlot: Invariant = {
  name: 'no slot is left idle',
  rest: (observed) => {
    const running = holdersOf(observed);
    if (observed.trialRun.ended || running.length >= observed.concurrency) return undefined;
    for (const id of observed.in('ready')) {
      const task = observed.planned.get(id);
      if (task === undefined || Object.keys(task.resources ?? {}).length > 0 || gated(observed, task.group))
        continue;
      const members = running.filter((one) => observed.planned.get(one)?.group === task.group);
      const limit = task.group === undefined ? undefined : observed.groups.get(task.group)?.limit;
      if (limit === undefined || members.length < limit)
        return `${id} is ready and ${running.length} of ${observed.concurrency} slots are in use`;
    }
    return undefined;
  },
};

/** Something other than the number of running tasks decides: a provider, a limiter, a budget. */
function gated(observed: ObservedRun, name: string | undefined): boolean {
  const more = (options: object | undefined, known: readonly string[]): boolean =>
    Object.keys(options ?? {}).some((key) => !known.includes(key));
  if (more(observed.settings, plainSettings)) return true;
  if (name === undefined) return false;
  const until = observed.groups.get(name)?.gatedUntil ?? 0;
  return until > observed.now || more(observed.settings.groups?.[name], ['concurrency']);
}

const plainSettings = [
  'name',
  'state',
  'input',
  'concurrency',
  'groups',
  'resources',
  'retry',
  'timeout',
  'failurePolicy',
  'aging',
  'policy',
  'maxTasks',
  'retryBudget',
];

/** What holds for every workflow, whatever happens. */
export const defaultInvariants: readonly Invariant[] = [
  limits,
  order,
  paidOnce,
  written,
  nothingLost,
  noEarlyEnd,
  booked,
  noIdleSlot,
  quiescence,
];
