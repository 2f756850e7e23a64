import {
  concat,
  firstValueFrom,
  ignoreElements,
  map,
  NEVER,
  Observable,
  of,
  type SchedulerLike,
  timer,
} from 'rxjs';
import { getOrInsert } from '../kernel/get-or-insert.js';
import type { TaskContext } from '../model/context.js';
import { Dependency, quorum, race, settled, Task } from '../model/dependency.js';
import type { PlannedTask } from '../model/event.js';
import type { TaskDefinition } from '../model/task.js';
import type { WorkflowSettings } from '../model/workflow.js';
import { type Workflow, workflow } from '../workflow.js';
import { dependenciesIn, type RecordedAttempt, type RecordedTask, type Recording } from './recording.js';

/** What is to be different from the recorded run. */
export interface Changes {
  /** Tasks at once. */
  readonly concurrency?: number;
  /** Tasks at once by group. */
  readonly limits?: Readonly<Record<string, number>>;
  /** Priorities by task id or type. */
  readonly priorities?: Readonly<Record<string, number>>;
}

/** A recorded run as a workflow whose bodies take the time they took, and end as they did. */
export class Rebuilt {
  readonly flow: Workflow;
  /** Tasks that came from outside while it went on. */
  readonly later: readonly { readonly at: number; readonly id: string; readonly task: TaskDefinition }[];
  readonly #recording: Recording;
  readonly #changes: Changes;
  readonly #scheduler: SchedulerLike;
  readonly #children = new Map<string, RecordedTask[]>();

  constructor(recording: Recording, changes: Changes, scheduler: SchedulerLike) {
    this.#recording = recording;
    this.#changes = changes;
    this.#scheduler = scheduler;
    for (const task of recording.tasks) {
      if (task.parent === undefined) continue;
      getOrInsert(this.#children, task.parent, () => []).push(task);
    }
    this.flow = this.#define();
    const first = new Set(recording.plan.tasks.map(({ id }) => id));
    this.later = recording.tasks
      .filter(({ plan, parent }) => parent === undefined && !first.has(plan.id))
      .map((task) => ({ at: task.addedAt, id: task.plan.id, task: this.#definition(task) }));
  }

  #define(): Workflow {
    const { plan, tasks } = this.#recording;
    const flow = workflow(settingsOf(this.#recording, this.#changes)) as unknown as Workflow;
    const known = new Map(tasks.map((task) => [task.plan.id, task]));
    for (const { id } of plan.tasks) flow.task(id, this.#definition(known.get(id) as RecordedTask) as never);
    return flow;
  }

  #definition(task: RecordedTask): TaskDefinition {
    const { plan, attempts } = task;
    const { id, type, group, resources, estimate, timeout, tolerate, always } = plan;
    const { priorities = {} } = this.#changes;
    const changed = [id, type ?? id].find((name) => Object.hasOwn(priorities, name));
    return {
      dependencies: dependenciesOf(plan),
      type,
      group,
      priority: changed === undefined ? plan.priority : priorities[changed],
      resources,
      estimate,
      ...(timeout !== undefined && { timeout }),
      tolerate,
      always,
      retry: {
        count: attempts.length,
        backoff: (retry) => attempts[retry - 1]?.delay ?? 0,
        retryIf: (_, attempt) => attempts[attempt - 1]?.delay !== undefined,
      },
      run: (_: unknown, ctx: TaskContext) => this.#attempt(task, ctx),
    };
  }

  #attempt(task: RecordedTask, ctx: TaskContext): unknown {
    const { attempts, plan } = task;
    const attempt = attempts[Math.min(ctx.attempt, attempts.length) - 1];
    if (attempt === undefined) return undefined;
    const children = this.#children.get(plan.id) ?? [];
    const spawn = (one: RecordedTask): Task => ctx.spawn(one.plan.id, this.#definition(one) as never);
    if (attempt.joins.length === 0) {
      if (attempt.end === 'succeeded') children.forEach(spawn);
      return stretch(attempt, this.#scheduler);
    }
    return this.#joining(task, attempt, children, ctx);
  }

  /** Waits for the tasks it had added whenever it had given its slot back. */
  async #joining(
    task: RecordedTask,
    attempt: RecordedAttempt,
    children: readonly RecordedTask[],
    ctx: TaskContext,
  ): Promise<unknown> {
    const pauses = task.changes.filter(({ status }) => status === 'suspended').map(({ at }) => at);
    const added = new Map<RecordedTask, Task>();
    let ran = 0;
    for (const [i, join] of attempt.joins.entries()) {
      await firstValueFrom(timer(join - ran, this.#scheduler));
      ran = join;
      for (const one of children)
        if (!added.has(one) && one.addedAt <= (pauses[i] ?? 0))
          added.set(one, ctx.spawn(one.plan.id, this.#definition(one) as never));
      await ctx.join([...added.values()].map((one) => settled(one)));
    }
    for (const one of children) if (!added.has(one)) ctx.spawn(one.plan.id, this.#definition(one) as never);
    return firstValueFrom(
      stretch({ ...attempt, runningMs: attempt.runningMs - ran, values: [] }, this.#scheduler),
    );
  }
}

/** What an attempt did, without what it did it for. */
function stretch(attempt: RecordedAttempt, scheduler: SchedulerLike): Observable<unknown> {
  const { runningMs, end, values } = attempt;
  const parts = values.map((at, i) => timer(at - (values[i - 1] ?? 0), scheduler).pipe(map(() => i)));
  if (end === 'open') return concat(...parts, NEVER);
  const rest = timer(runningMs - (values.at(-1) ?? 0), scheduler);
  const failure = new Observable<never>((subscriber) => subscriber.error(failureOf(attempt)));
  return concat(...parts, rest.pipe(ignoreElements()), end === 'failed' ? failure : of('replayed'));
}

/** An error that is told from others as the recorded one was, and asks for the same wait. */
export function failureOf({ code = 'error', status, asked }: RecordedAttempt): Error {
  const told = {
    ...(status !== undefined && { status }),
    ...(asked !== undefined && { retryAfter: asked / 1_000 }),
  };
  return Object.assign(new Error(code), { code }, told);
}

function dependenciesOf({ dependencies }: PlannedTask): TaskDefinition['dependencies'] {
  const list = dependenciesIn(dependencies).map(({ mode, need, ids }) => {
    const tasks = ids.map((id) => new Task(id));
    if (mode === 'race') return race(tasks);
    if (mode === 'quorum') return quorum(need, tasks);
    const [task] = tasks as [Task];
    return mode === 'items' ? task : new Dependency(task, mode);
  });
  return list as NonNullable<TaskDefinition['dependencies']>;
}

/** The settings of a recorded run, as far as its events tell them, with what is to be different. */
export function settingsOf({ workflow: name, plan }: Recording, changes: Changes = {}): WorkflowSettings {
  const { concurrency, groups = [], resources, aging, policy, failurePolicy } = plan;
  const { limits = {} } = changes;
  const limitOf = (group: string, was: number | null): number =>
    Object.hasOwn(limits, group) ? (limits[group] as number) : (was ?? Number.POSITIVE_INFINITY);
  const named = groups.map((one) => [one.name, { concurrency: limitOf(one.name, one.concurrency) }]);
  const all = {
    name,
    concurrency: changes.concurrency ?? concurrency ?? Number.POSITIVE_INFINITY,
    groups: named.length === 0 ? undefined : Object.fromEntries(named),
    resources,
    aging,
    policy,
    failurePolicy,
  };
  return Object.fromEntries(Object.entries(all).filter(([, one]) => one !== undefined)) as never;
}
