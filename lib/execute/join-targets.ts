import { ChoiceState } from '../graph/choice-state.js';
import { Edge, type TaskNode } from '../graph/node.js';
import { inspect, RxhiveError } from '../kernel/errors.js';
import { Choice, Dependency, readsStream, Task } from '../model/dependency.js';
import type { JoinShape, JoinTarget } from './inputs.js';

/** In which shape tasks were given to `ctx.join`, and results go back. */
export function shapeOf(tasks: unknown): JoinShape {
  if (tasks instanceof Task || tasks instanceof Dependency || tasks instanceof Choice) return 'one';
  return Array.isArray(tasks) ? 'tuple' : 'record';
}

/** What `ctx.join` of `node` is to wait for. @throws RxhiveError INVALID_OPTION */
export function joinTargets(
  tasks: unknown,
  shape: JoinShape,
  node: TaskNode,
  find: (task: Task) => TaskNode | undefined,
): JoinTarget[] {
  const given = shape === 'one' ? [tasks] : tasks;
  if (typeof given !== 'object' || given === null)
    throw new RxhiveError(
      'INVALID_OPTION',
      `ctx.join got ${inspect(tasks)}; give tasks as a record or an array.`,
    );
  const nodeOf = (task: unknown): TaskNode => {
    const found = task instanceof Task ? find(task) : undefined;
    if (found !== undefined) return found;
    throw new RxhiveError('INVALID_OPTION', `ctx.join got ${inspect(task)}, which is no task of this run.`);
  };
  return Object.entries(given).map(([name, item]: [string, unknown]) => {
    const key = shape === 'record' ? name : undefined;
    if (item instanceof Choice)
      return { node: choiceFor(node, item, nodeOf), mode: item.mode, key, fallback: undefined };
    const dependency = item instanceof Dependency ? item : undefined;
    const target = nodeOf(dependency?.task ?? item);
    const mode = dependency?.mode ?? 'value';
    if (readsStream(mode))
      throw new RxhiveError('INVALID_OPTION', `ctx.join cannot take ${mode}(...); make it a dependency.`);
    return { node: target, mode, key, fallback: dependency?.fallback };
  });
}

/** What a task waits for is part of what its result comes from. */
export function noteJoined(node: TaskNode, targets: readonly JoinTarget[]): void {
  const extra = node.principal.more();
  extra.joined ??= new Set();
  for (const { node: target } of targets)
    for (const one of target instanceof ChoiceState ? target.edges.map(({ from }) => from) : [target])
      extra.joined.add(one.id);
}

/** A race or quorum to join; whoever takes part has an edge that leads to `node`. */
function choiceFor(
  node: TaskNode,
  { mode, need, tasks }: Choice,
  nodeOf: (task: unknown) => TaskNode,
): ChoiceState {
  if (!(tasks.length > 0 && Number.isInteger(need) && need >= 1 && need <= tasks.length)) {
    const message = `ctx.join got a ${mode} that needs ${inspect(need)} of ${tasks.length} tasks; give a number it can reach.`;
    throw new RxhiveError('INVALID_OPTION', message);
  }
  const choice = new ChoiceState(mode, need);
  // All of them first: a wrong one must leave no edge behind.
  for (const from of tasks.map(nodeOf)) choice.edges.push(new Edge(from, node, 'join', undefined, choice));
  return choice;
}
