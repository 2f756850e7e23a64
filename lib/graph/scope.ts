import { RxhiveError } from '../kernel/errors.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import { Channel } from '../model/channel.js';
import type { Recipe } from '../model/context.js';
import { Choice, type Dependencies, Dependency, Task } from '../model/dependency.js';
import type { Scope } from '../model/scope.js';
import type { TaskDefinition } from '../model/task.js';
import type { TaskNode } from './node.js';

/** The nested workflow a task is part of; undefined: it is one of the run's own. Who was added is where its parent is. */
export function scopeOf(node: TaskNode): Scope | undefined {
  for (let one: TaskNode | undefined = node.principal; one !== undefined; one = one.parent?.principal)
    if (one.definition?.scope !== undefined) return one.definition.scope;
  return undefined;
}

/** With a task that is a workflow the tasks in it, but for their cleanup; else the task alone. */
export function wholeOf(node: TaskNode, nodes: Iterable<TaskNode>): TaskNode[] {
  const { id, definition } = node;
  if (definition.within !== id) return [node];
  const inside = [...nodes].filter(
    (one) =>
      one !== node &&
      one.definition.always !== true &&
      (one.definition.within === id || one.definition.within?.startsWith(`${id}/`) === true),
  );
  return [node, ...inside];
}

/** The task that code means: within a nested workflow handles and ids are those of its own tasks. */
export function meant(scope: Scope | undefined, task: Task): Task {
  if (scope === undefined) return task;
  const { prefix, owner } = scope;
  const isOurs = task.owner === owner || (task.owner === undefined && !task.id.startsWith(prefix));
  return isOurs ? new Task(prefix + task.id) : task;
}

/** A task of a nested workflow as one of the run; its dependencies are left as they are. */
export function placed(scope: Scope, definition: TaskDefinition): TaskDefinition {
  const { resources, retry, timeout, priority } = scope;
  const { item, stored } = definition;
  return {
    ...definition,
    priority: (definition.priority ?? 0) + priority,
    ...(definition.retry === undefined && retry !== undefined && { retry }),
    ...(definition.timeout === undefined && timeout !== undefined && { timeout }),
    ...(definition.feeds !== true &&
      resources !== undefined && { resources: { ...resources, ...definition.resources } }),
    ...(item !== undefined && { item: (...given: Parameters<typeof item>) => placed(scope, item(...given)) }),
    ...(stored?.type !== undefined && { stored: { ...stored, type: scope.prefix + stored.type } }),
    within: definition.within ?? scope.prefix.slice(0, -1),
    scope,
  };
}

/** A task that one of a nested workflow adds. */
export function addedIn(
  scope: Scope,
  id: string,
  definition: TaskDefinition,
): { id: string; definition: TaskDefinition } {
  const { dependencies } = definition;
  const own = mapped(dependencies, (task) => meant(scope, task));
  return {
    id: typeof id === 'string' ? scope.prefix + id : id,
    definition: placed(scope, dependencies === undefined ? definition : { ...definition, dependencies: own }),
  };
}

/** Dependencies on other tasks in place of theirs. What is no dependency stays, for the plan to tell. */
export function mapped<D>(given: D, place: (task: Task) => Task): D {
  // One for each handle: a race in which a task is twice is told by that.
  const places = new Map<Task, Task>();
  const change = (task: Task): Task => getOrInsert(places, task, () => place(task));
  const one = (item: unknown): unknown => {
    if (item instanceof Task) return change(item);
    if (item instanceof Dependency) return new Dependency(change(item.task), item.mode, item.fallback);
    return item instanceof Choice && Array.isArray(item.tasks)
      ? new Choice(
          item.mode,
          item.need,
          item.tasks.map((task) => (task instanceof Task ? change(task) : task)),
        )
      : item;
  };
  if (typeof given !== 'object' || given === null) return given;
  if (Array.isArray(given)) return given.map(one) as D;
  return Object.fromEntries(
    Object.entries(given as Dependencies).map(([key, item]) => [key, one(item)]),
  ) as D;
}

/** A change of the state of a nested workflow, as one of the run's. */
export function changeIn(scope: Scope | undefined, recipe: Recipe<never>): Recipe<never> {
  if (scope === undefined) return recipe;
  const { state } = scope;
  if (state === undefined)
    return () => {
      throw new RxhiveError(
        'INVALID_OPTION',
        'ctx.update was called but the nested workflow has no state; add state to its options.',
      );
    };
  return (draft: unknown) => recipe(at(draft, state) as never);
}

/** What is read of the state of a nested workflow, as something that is read of the run's. */
export function readIn<T>(
  scope: Scope | undefined,
  select: ((state: never) => T) | undefined,
): ((state: never) => T) | undefined {
  if (scope === undefined) return select;
  const { state } = scope;
  return (whole: unknown) => {
    const own = state === undefined ? undefined : at(whole, state);
    return select === undefined ? (own as T) : select(own as never);
  };
}

function at(state: unknown, path: readonly string[]): unknown {
  return path.reduce((one, key) => (one as Readonly<Record<string, unknown>> | undefined)?.[key], state);
}

/** Channels of nested workflows by the prefix of their scope. */
const channels = new WeakMap<object, Map<string, Channel<never>>>();

/** A channel as tasks of a nested workflow mean it: their own, `ID.NAME`, however often the workflow is nested. */
export function channelIn(scope: Scope | undefined, channel: Channel<never>): Channel<never> {
  if (scope === undefined) return channel;
  const { prefix } = scope;
  const known = getOrInsert(channels, channel, () => new Map<string, Channel<never>>());
  return getOrInsert(known, prefix, () => {
    const name = `${prefix.replaceAll('/', '.')}${channel.name}`;
    return Object.assign(Object.create(Channel.prototype), channel, { name }) as Channel<never>;
  });
}
