import type { TaskNode } from '../graph/node.js';
import { inspect, messageOf, RxhiveError, truncate } from '../kernel/errors.js';
import { isRecord } from '../kernel/plain.js';
import type { TaskContext } from '../model/context.js';
import { Dependency, dependedOn, type Settled, Task } from '../model/dependency.js';
import type { WorkflowDefinition } from '../model/workflow.js';

/** One output of a nested workflow. */
interface Wanted {
  readonly key: string;
  /** Within the workflow. */
  readonly id: string;
  /** Without its result there is none. */
  readonly required: boolean;
  readonly dependency: Dependency;
}

/** The end of a nested workflow: what it depends on, and the result it makes of what that delivers. */
export interface NestedEnd {
  readonly dependencies: readonly Dependency[];
  /** Ends itself as skipped where what is missing was. @throws RxhiveError NESTED_FAILED */
  result(values: readonly unknown[], ctx: EndContext): unknown;
}

/** What the end is given; `node`: it, in a run. */
export interface EndContext extends Pick<TaskContext, 'skip'> {
  readonly node?: TaskNode;
}

/**
 * The end of a workflow whose result is made of `output`; it comes when all its tasks have ended. `inside`: the task of the run
 * that stands for one of its own; `fault` is told what makes no sense.
 */
export function endOf(
  { ids, tasks, handles, owner, settings }: WorkflowDefinition,
  output: unknown,
  inside: (task: Task) => Task,
  fault: (message: string) => void,
): NestedEnd {
  const needed = new Set(tasks.flatMap((task) => dependedOn(task?.dependencies).map(({ id }) => id)));
  const last = handles.filter((_, i) => !needed.has(ids[i] as string));
  const given: unknown =
    output ?? (last.length === 1 ? last[0] : Object.fromEntries(last.map((one) => [one.id, one])));
  const isOne = given instanceof Task || given instanceof Dependency;
  const shape = isOne ? 'one' : Array.isArray(given) ? 'tuple' : 'record';
  if (!isOne && !isRecord(given) && !Array.isArray(given))
    fault(`output is ${inspect(given)}; give a task of the workflow, or a record of tasks.`);
  const entries = isOne ? [['', given] as const] : Object.entries(given ?? {});
  const wanted = entries.flatMap(([key, one]: readonly [string, unknown]): Wanted[] => {
    const task: unknown = one instanceof Dependency ? one.task : one;
    const { mode, fallback } =
      one instanceof Dependency ? one : { mode: 'value' as const, fallback: undefined };
    const isOurs = task instanceof Task && (task.owner === owner || task.owner === undefined);
    if (isOurs && modes.includes(mode)) {
      const required = mode === 'value';
      const dependency = new Dependency(inside(task), required ? 'settled' : mode, fallback);
      return [{ key, id: task.id, required, dependency }];
    }
    fault(
      `output has ${inspect(one)}; give tasks of the workflow, or optional(...), settled(...) or orElse(...) of them.`,
    );
    return [];
  });
  const known = new Set(wanted.map(({ id }) => id));
  // A task that is skipped early ends before some that it depends on: each is waited for by itself.
  const rest = handles.filter(({ id }) => !known.has(id));
  return {
    dependencies: [
      ...wanted.map(({ dependency }) => dependency),
      ...rest.map((one) => new Dependency(inside(one), 'ended')),
    ],
    result: (values, ctx) => {
      const results = resultsOf(settings.name, wanted, values, ctx);
      if (shape === 'one') return results[0];
      return shape === 'tuple' ? results : Object.fromEntries(wanted.map(({ key }, i) => [key, results[i]]));
    },
  };
}

const modes: readonly string[] = ['value', 'optional', 'settled', 'orElse'];

/** @throws RxhiveError NESTED_FAILED */
function resultsOf(
  workflow: string,
  wanted: readonly Wanted[],
  values: readonly unknown[],
  ctx: EndContext,
): unknown[] {
  const ends = values as readonly Settled<unknown>[];
  const missing = wanted.filter(({ required }, i) => required && ends[i]?.status !== 'succeeded');
  if (missing.length === 0)
    return wanted.map(({ required }, i) => (required ? (values[i] as { value: unknown }).value : values[i]));
  const names = missing.slice(0, 5).map(({ id }) => `"${truncate(id)}"`);
  const isDecided = (one: Wanted): boolean => {
    const end = ends[wanted.indexOf(one)];
    return end?.status === 'skipped' && end.decided === true;
  };
  if (missing.every(isDecided)) ctx.skip(`${names.join(', ')} did not run`);
  const cause = ctx.node && causeOf(ctx.node);
  const why =
    cause === undefined ? '.' : `, as "${truncate(cause.id)}" ${cause.status}: ${messageOf(cause.error)}`;
  throw new RxhiveError(
    'NESTED_FAILED',
    `Workflow "${truncate(workflow)}" has no result of ${names.join(', ')}${why}`,
    {
      cause: cause?.error,
      details: { workflow, tasks: missing.map(({ id }) => id) },
    },
  );
}

/** The first failure that goes before a task, also through tasks that were skipped. */
function causeOf(node: TaskNode): TaskNode | undefined {
  const seen = new Set([node]);
  for (const one of seen)
    for (const { from, mode } of one.inEdges) {
      if (mode === 'ended') continue;
      if (from.status === 'failed') return from;
      if (from.status === 'skipped') seen.add(from);
    }
  return undefined;
}
