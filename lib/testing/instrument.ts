import type { Task } from '../model/dependency.js';
import { addedBy } from '../model/executor.js';
import type { TaskDefinition } from '../model/task.js';
import type { CompletionHandler, WorkflowDefinition } from '../model/workflow.js';

/** A body with its types forgotten. */
export type AnyBody = (inputs: never, ctx: never) => unknown;

/** Bodies by task id or by type: they take the place of the ones a workflow has. */
export type Agents = Readonly<Record<string, AnyBody>>;

/** The same workflow with other bodies; tasks added at run time and items of `flow.each` get theirs too. */
export function instrument(definition: WorkflowDefinition, agents?: Agents): WorkflowDefinition {
  if (agents === undefined) return definition;
  const change = (id: string, task: TaskDefinition): TaskDefinition => {
    if (typeof task?.run !== 'function') return task;
    const agent = agents[id] ?? (task.type === undefined ? undefined : agents[task.type]);
    // An agent for a loop makes its turns, which have it as their type.
    const run: AnyBody = task.loop === undefined && agent !== undefined ? agent : task.run;
    return {
      ...task,
      // A wrapper has the same source text whatever is in it.
      version: task.version ?? String(run),
      run: (inputs: never, ctx: never) => run(inputs, withSpawn(ctx, change)),
      ...(task.item !== undefined && { item: changeItems(task.item) }),
    };
  };
  /** Items of `flow.each` are found by their ids alone: their type is the id of who gives them. */
  const changeItems =
    (make: NonNullable<TaskDefinition['item']>): TaskDefinition['item'] =>
    (...given) => {
      const item = make(...given);
      return {
        ...item,
        run: (inputs: never, ctx: { readonly taskId: string }) =>
          (agents[ctx.taskId] ?? (item.run as AnyBody))(inputs, withSpawn(ctx as never, change)),
      };
    };
  const handlers = new Map<string, readonly CompletionHandler[]>();
  for (const [key, list] of definition.handlers)
    handlers.set(
      key,
      list.map(
        (handler): CompletionHandler =>
          (value, add) =>
            handler(value, (...given) => {
              const { id, definition: task } = addedBy(...given);
              return add(id, change(id, task));
            }),
      ),
    );
  return {
    ...definition,
    tasks: definition.tasks.map((task, i) => change(definition.ids[i] as string, task)),
    handlers,
    types: new Map(
      [...definition.types].map(([name, make]) => [name, (task) => change(task.id, make(task))] as const),
    ),
  };
}

/** The context with a `spawn` that changes what it adds; all else goes to the real one. */
function withSpawn(ctx: never, change: (id: string, task: TaskDefinition) => TaskDefinition): never {
  if (typeof ctx !== 'object' || ctx === null) return ctx;
  const real = ctx as unknown as { spawn(id: string, task: TaskDefinition): Task };
  return new Proxy(real, {
    get: (target, key) => {
      if (key === 'spawn')
        return (...given: Parameters<typeof addedBy>) => {
          const { id, definition } = addedBy(...given);
          return target.spawn(id, change(id, definition));
        };
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  }) as never;
}
