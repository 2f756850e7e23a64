import { encode } from '../codec/codec.js';
import { type Path, shownData } from '../codec/plain-records.js';
import type { Spawned, TaskNode } from '../graph/node.js';
import {
  type AnyDependency,
  Choice,
  type ChoiceMode,
  type Dependencies,
  Dependency,
  type Task,
} from '../model/dependency.js';
import type { AddedDependency, AddedRecord, AddedTask } from '../model/record.js';
import type { StoredTask, TaskDefinition, TypeMaker } from '../model/task.js';

/** Stands for a closure that has ended: nobody calls it. */
const gone = (): undefined => undefined;

/** What a record says of the tasks a task has added: those that are in the graph, and those that come with its commit. */
export function addedBy(node: TaskNode, spawned: readonly Spawned[] | undefined): (string | AddedTask)[] {
  // What waited for it to be durable never was, where it has failed.
  const known = (node.extra?.children ?? []).filter((child) => child.extra?.held !== true);
  return [
    ...known.map((child) => described(child.id, child.definition)),
    ...(spawned ?? []).map(({ handle, definition, by }) => described(handle.id, definition, by)),
  ];
}

/** What brings a task back, or as much of it as a report needs. */
export function described(id: string, definition: TaskDefinition, by?: 'handler'): string | AddedTask {
  const { stored, candidate, group } = definition;
  const dependencies = dependenciesOf(definition.dependencies);
  const task: AddedTask = {
    id,
    ...(by && { by }),
    ...(candidate === true && { candidate }),
    ...(stored?.type !== undefined && writable(stored) && typed(stored)),
    ...(group !== undefined && { group }),
    ...(dependencies.length > 0 && { dependencies }),
  };
  return Object.keys(task).length === 1 ? id : task;
}

function typed({ type, data, options }: StoredTask): Partial<AddedTask> {
  return { ...(type !== undefined && { type }), data, ...(options !== undefined && { options }) };
}

/** Data of a registered body must be; those of an agent may be anything, and are a closure then. */
function writable({ data, options, lenient }: StoredTask): boolean {
  if (lenient !== true) return true;
  try {
    encode([data, options]);
    return true;
  } catch {
    return false;
  }
}

/** Dependencies as a record keeps them. */
function dependenciesOf(given: Dependencies | undefined): AddedDependency[] {
  if (typeof given !== 'object' || given === null) return [];
  let choices = 0;
  return Object.entries(given as Record<string, AnyDependency>).flatMap(([name, one]): AddedDependency[] => {
    const key = Array.isArray(given) ? {} : { key: name };
    if (one instanceof Choice) {
      const choice = choices++;
      return one.tasks.map(({ id }) => ({ id, mode: one.mode, ...key, choice, need: one.need }));
    }
    if (!(one instanceof Dependency)) return [{ id: one.id, ...key }];
    const fallback = one.mode === 'orElse' ? { fallback: one.fallback } : {};
    const capacity = one.capacity === undefined ? {} : { capacity: one.capacity };
    return [{ id: one.task.id, mode: one.mode, ...key, ...fallback, ...capacity }];
  });
}

/** The dependencies of a record as a definition has them. */
function restored(
  list: readonly AddedDependency[] | undefined,
  handle: (id: string) => Task,
): Dependencies | undefined {
  if (list === undefined) return undefined;
  const found: [string | undefined, AnyDependency][] = [];
  const choices = new Map<number, Task[]>();
  for (const { id, mode = 'value', key, choice, need = 1, fallback, capacity } of list) {
    const tasks = choice === undefined ? undefined : choices.get(choice);
    if (tasks !== undefined) tasks.push(handle(id));
    else if (choice === undefined)
      found.push([key, mode === 'value' ? handle(id) : new Dependency(handle(id), mode, fallback, capacity)]);
    else {
      const members = [handle(id)];
      choices.set(choice, members);
      found.push([key, new Choice(mode as ChoiceMode, need, members)]);
    }
  }
  if (found.every(([key]) => key === undefined)) return found.map(([, one]) => one);
  return Object.fromEntries(found.map(([key, one]) => [String(key), one]));
}

/** The task of a record whose body is registered; undefined: it is a closure, or of a type that is not there any more. */
export function made(
  task: AddedTask,
  types: ReadonlyMap<string, TypeMaker>,
  handle: (id: string) => Task,
): TaskDefinition | undefined {
  const make = task.type === undefined ? undefined : types.get(task.type);
  if (make === undefined) return undefined;
  const { id, data, options = {}, type } = task;
  const definition = make({ id, data, options, dependencies: restored(task.dependencies, handle) });
  return { ...definition, stored: definition.stored ?? { type: type as string, data, options } };
}

/** Stands for a closure that has ended. */
export function placeholder(
  { type, group, candidate, dependencies }: AddedTask,
  groups: { has(name: string): boolean },
  handle: (id: string) => Task,
): TaskDefinition {
  const known = restored(dependencies, handle);
  return {
    run: gone,
    ...(type !== undefined && { type }),
    ...(candidate && { candidate }),
    ...(group !== undefined && groups.has(group) && { group }),
    ...(known !== undefined && { dependencies: known }),
  };
}

/** What tells code and dependencies from others: see `versionOf`. */
export function versionText(code: string, dependencies: Iterable<AddedDependency>): string {
  let text = code;
  for (const { id, mode = 'value', need, key } of dependencies)
    text += `\n${mode}${need ?? ''} ${key ?? ''} ${id}`;
  return text;
}

/** Tasks of registered bodies that are not `known`, as a record; undefined: there are none. @throws RxhiveError NOT_SERIALIZABLE */
export function addedText(
  tasks: readonly Spawned[],
  known: ReadonlyMap<string, AddedTask> | undefined,
): string | undefined {
  const found: AddedTask[] = [];
  for (const { handle, definition } of tasks) {
    if (definition.stored?.type === undefined || known?.has(handle.id) === true) continue;
    const one = described(handle.id, definition);
    if (typeof one !== 'string' && one.type !== undefined) found.push(one);
  }
  if (found.length === 0) return undefined;
  const name = ([, at, , ...rest]: Path): string => shownData(found[Number(at)], rest);
  return encode({ kind: 'added', tasks: found } satisfies AddedRecord, { name });
}
