import { partsOf } from '../graph/shared-parts.js';
import { messageOf, truncate, WorkflowDefinitionError } from '../kernel/errors.js';
import {
  type AnyDependency,
  Choice,
  Dependency,
  dependedOn,
  needsSuccess,
  runsAnyway,
} from '../model/dependency.js';
import { exponential, type RetryOptions, timeoutsOf } from '../model/policy.js';
import type { TaskDefinition } from '../model/task.js';
import type { Definable, WorkflowDefinition } from '../model/workflow.js';
import { plan } from './graph.js';
import { Membership } from './membership.js';

/** Something in a workflow that cannot work, or has no effect, whatever happens. */
export interface Finding {
  /**
   * `definition`: the run would refuse to start. `unreachable`: can never run, something it needs can never succeed.
   * `retry-in-vain`, `timeout-in-vain`, `queue-in-vain`: an option whose effect another one makes impossible.
   * `tolerate-in-vain`: a dependent needs the result all the same. `always-in-vain`: cleanup that needs a result is skipped
   * without it, and such that depends on nothing begins with the run.
   * `budget-too-small`: there are more tasks than calls. `unused-group`, `unused-resource`: nobody names it.
   */
  readonly kind:
    | 'definition'
    | 'unreachable'
    | 'retry-in-vain'
    | 'timeout-in-vain'
    | 'queue-in-vain'
    | 'tolerate-in-vain'
    | 'always-in-vain'
    | 'budget-too-small'
    | 'unused-group'
    | 'unused-resource';
  /** The task it is about, where there is one. */
  readonly taskId?: string;
  /** One sentence that says what is wrong and what to change. */
  readonly message: string;
}

/**
 * Faults of a workflow that can be known before a token is spent, all of them. Tasks added at run time are not known
 * yet. Throws nothing: a definition that cannot run is a finding.
 */
export function checkWorkflow(flow: Definable): Finding[] {
  let definition: WorkflowDefinition;
  try {
    definition = flow.definition();
  } catch (error) {
    return faultsOf(error);
  }
  const findings: Finding[] = [];
  try {
    const { settings } = definition;
    plan(definition, {}, new Membership(settings, { runId: 'check' }, partsOf(settings.controller), 0));
  } catch (error) {
    findings.push(...faultsOf(error));
  }
  definition.ids.forEach((id, i) => {
    const task = definition.tasks[i];
    if (typeof task === 'object' && task !== null) findings.push(...inVain(id, task, definition));
  });
  return [
    ...findings,
    ...unreachable(definition, findings),
    ...queues(definition),
    ...unused(definition),
    ...toleratedInVain(definition),
    ...alwaysInVain(definition),
  ];
}

function faultsOf(error: unknown): Finding[] {
  if (error instanceof WorkflowDefinitionError)
    return error.faults.map(({ taskId, message }) => ({
      kind: 'definition',
      ...(taskId !== undefined && { taskId }),
      message,
    }));
  return [{ kind: 'definition', message: messageOf(error) }];
}

/** Retries and timeouts of one task that rule each other out. */
function inVain(taskId: string, task: TaskDefinition, { settings }: WorkflowDefinition): Finding[] {
  const { attempt, total, idle } = timeoutsOf(task.timeout, settings.timeout) ?? {};
  const retry = task.retry ?? settings.retry;
  const count = typeof retry === 'object' && retry !== null ? retry.count : (retry ?? 0);
  const findings: Finding[] = [];
  const add = (kind: Finding['kind'], text: string): void => {
    findings.push({ kind, taskId, message: `Task "${truncate(taskId)}" ${text}` });
  };
  if (total !== undefined && attempt !== undefined && total <= attempt)
    add(
      'timeout-in-vain',
      `has timeout.total ${total} ms, so timeout.attempt ${attempt} ms never applies; make it shorter.`,
    );
  if (idle !== undefined && Math.min(attempt ?? Infinity, total ?? Infinity) <= idle)
    add(
      'timeout-in-vain',
      `has timeout.idle ${idle} ms, which never applies: an attempt ends before; make it shorter.`,
    );
  if (!(count > 0)) return findings;
  if (settings.retryBudget === 0)
    add(
      'retry-in-vain',
      'is to be retried, but the workflow has retryBudget 0; raise it or leave retry out.',
    );
  const pause = firstPause(retry as number | RetryOptions);
  if (total !== undefined && pause !== undefined && pause >= total)
    add(
      'retry-in-vain',
      `waits ${pause} ms before its first retry, but timeout.total is ${total} ms; raise it or shorten the backoff.`,
    );
  return findings;
}

/** Ms before the first retry as they can be expected; undefined: its backoff cannot say so. */
function firstPause(retry: number | RetryOptions): number | undefined {
  const backoff = typeof retry === 'number' ? undefined : retry.backoff;
  const delayOf = typeof backoff === 'function' ? backoff : exponential(backoff);
  try {
    const delay = delayOf(1, () => 0.5);
    return Number.isFinite(delay) ? delay : undefined;
  } catch {
    return undefined;
  }
}

/** Tasks behind one that can never run; those in a circle have their finding already. */
function unreachable({ ids, tasks }: WorkflowDefinition, known: readonly Finding[]): Finding[] {
  const never = new Map<string, string>();
  for (const { kind, taskId } of known)
    if (kind === 'definition' && taskId !== undefined) never.set(taskId, taskId);
  const findings: Finding[] = [];
  ids.forEach((id, i) => {
    // What has a finding may be what cannot be read.
    if (never.has(id)) return;
    const both = bothWays(tasks[i]?.dependencies);
    if (both === undefined) return;
    never.set(id, id);
    const message = `Task "${truncate(id)}" can never run: it needs "${truncate(both)}" to succeed and to fail; make one of the two optional(), or two tasks of it.`;
    findings.push({ kind: 'unreachable', taskId: id, message });
  });
  for (let before = -1; before !== never.size; ) {
    before = never.size;
    ids.forEach((id, i) => {
      if (never.has(id)) return;
      const cause = Object.values(tasks[i]?.dependencies ?? {})
        .map((one: AnyDependency) => blockedBy(one, never))
        .find((one) => one !== undefined);
      if (cause === undefined) return;
      never.set(id, cause);
      const message = `Task "${truncate(id)}" can never run: it needs "${truncate(cause)}", which can never succeed.`;
      findings.push({ kind: 'unreachable', taskId: id, message });
    });
  }
  return findings;
}

/** A task whose success and whose failure are both needed. */
function bothWays(dependencies: unknown): string | undefined {
  const all = dependedOn(dependencies);
  const isNeeded = (id: string): boolean => all.some((one) => one.id === id && needsSuccess(one.mode));
  return all.find(({ id, mode }) => mode === 'failed' && isNeeded(id))?.id;
}

function blockedBy(one: AnyDependency, never: ReadonlyMap<string, string>): string | undefined {
  if (one instanceof Choice) {
    const lost = one.tasks.filter(({ id }) => never.has(id));
    return one.tasks.length - lost.length < one.need ? never.get(lost[0]?.id ?? '') : undefined;
  }
  if (one instanceof Dependency) return runsAnyway(one.mode) ? undefined : never.get(one.task.id);
  return never.get(one?.id);
}

/** Groups whose tasks are ready at once and cannot all start before their patience is over, whatever the order. */
function queues({ tasks, settings }: WorkflowDefinition): Finding[] {
  const findings: Finding[] = [];
  for (const [name, { concurrency }] of Object.entries(settings.groups ?? {})) {
    const roots = tasks.filter(
      (task) => task?.group === name && Object.keys(task.dependencies ?? {}).length === 0,
    );
    if (typeof concurrency !== 'number' || roots.length <= concurrency) continue;
    const work = roots.map(({ estimate = 0 }) => estimate);
    // When the last one starts, at most `concurrency` of the longest have work left.
    const least = (work.reduce((sum, ms) => sum + ms, 0) - Math.max(...work) * concurrency) / concurrency;
    const patience = roots.map((task) => timeoutsOf(task.timeout, settings.timeout)?.queue ?? Infinity);
    if (Math.max(...patience) >= least) continue;
    const message = `By their estimates the tasks of group "${truncate(name)}" need ${Math.round(least)} ms until the last one starts, longer than every timeout.queue; raise timeout.queue or the concurrency.`;
    findings.push({ kind: 'queue-in-vain', message });
  }
  return findings;
}

/** Tasks whose failure is declared tolerated, while a dependent cannot do without them. */
function toleratedInVain({ ids, tasks }: WorkflowDefinition): Finding[] {
  const tolerated = new Set(ids.filter((_, i) => tasks[i]?.tolerate === true));
  if (tolerated.size === 0) return [];
  return ids.flatMap((id, i) =>
    dependedOn(tasks[i]?.dependencies).flatMap(({ id: taskId, mode }): Finding[] => {
      if (!needsSuccess(mode) || !tolerated.has(taskId)) return [];
      const message = `Task "${truncate(taskId)}" has tolerate: true, but "${truncate(id)}" needs its result: make that optional(), settled(), orElse() or failed(), or leave tolerate out.`;
      return [{ kind: 'tolerate-in-vain', taskId, message }];
    }),
  );
}

/** Cleanup that would be skipped with what it cleans up after, or does not wait for it. */
function alwaysInVain({ ids, tasks }: WorkflowDefinition): Finding[] {
  const cleanup = new Set(ids.filter((_, i) => tasks[i]?.always === true));
  if (cleanup.size === 0) return [];
  return ids.flatMap((taskId, i): Finding[] => {
    if (!cleanup.has(taskId)) return [];
    const add = (text: string): Finding[] => [
      { kind: 'always-in-vain', taskId, message: `Task "${truncate(taskId)}" has always: true, but ${text}` },
    ];
    const dependencies = dependedOn(tasks[i]?.dependencies);
    if (dependencies.length === 0)
      return add(
        'depends on nothing, so it begins with the run; name in dependencies what it cleans up after.',
      );
    return dependencies.flatMap(({ id, mode }) => {
      // Other cleanup runs in any case.
      if (!needsSuccess(mode) || cleanup.has(id)) return [];
      return add(
        `is skipped where "${truncate(id)}" does not succeed: make that settled(), optional() or orElse().`,
      );
    });
  });
}

/** Groups and resources nobody names, and budgets that end before the tasks do. */
function unused({ tasks, settings }: WorkflowDefinition): Finding[] {
  const findings: Finding[] = [];
  const members = new Map<string | undefined, number>();
  for (const task of tasks) members.set(task?.group, (members.get(task?.group) ?? 0) + 1);
  const needed = new Set(tasks.flatMap((task) => Object.keys(task?.resources ?? {})));
  for (const [name, { budget }] of Object.entries(settings.groups ?? {})) {
    const size = members.get(name) ?? 0;
    if (size === 0 && tasks.length > 0) {
      const message = `No task is in group "${truncate(name)}"; remove it, or give it to a task as group.`;
      findings.push({ kind: 'unused-group', message });
    }
    findings.push(...tooSmall(budget?.calls, size, `group "${truncate(name)}"`));
  }
  for (const name of Object.keys(settings.resources ?? {}))
    if (tasks.length > 0 && !needed.has(name))
      findings.push({
        kind: 'unused-resource',
        message: `No task needs resource "${truncate(name)}"; remove it, or give it to a task in resources.`,
      });
  return [...findings, ...tooSmall(settings.budget?.calls, tasks.length, 'the workflow')];
}

function tooSmall(calls: number | undefined, tasks: number, what: string): Finding[] {
  if (calls === undefined || tasks <= calls) return [];
  const message = `The budget of ${what} is ${calls} calls for ${tasks} tasks: at least ${tasks - calls} can never run; raise it.`;
  return [{ kind: 'budget-too-small', message }];
}
