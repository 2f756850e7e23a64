import { ChoiceState, choiceOf, isDecided } from '../graph/choice-state.js';
import type { Edge, TaskNode } from '../graph/node.js';
import { StreamEdge } from '../graph/stream-edge.js';
import { copy } from '../kernel/copy.js';
import { RxhiveError, truncate } from '../kernel/errors.js';
import type { DependencyMode, Settled } from '../model/dependency.js';
import { isSuccess } from '../model/status.js';

/** What one dependency delivers at this moment. */
function delivered(from: TaskNode, mode: DependencyMode | 'join', fallback: unknown): unknown {
  if (mode === 'failed') return from.error;
  const succeeded = isSuccess(from.status);
  if (mode === 'settled') {
    return succeeded
      ? { status: 'succeeded', value: from.value }
      : ({
          status: from.status,
          error: from.error,
          ...(isDecided(from) && { decided: true }),
        } as Settled<never>);
  }
  if (succeeded) return from.value;
  return mode === 'orElse' ? fallback : undefined;
}

/** Sets any key as an own property, `__proto__` included. */
function put(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__')
    Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
  else target[key] = value;
}

/**
 * The inputs of a task whose dependencies have all delivered: a record or a tuple, as it was declared. Copies, so that
 * each who gets them may change them. `values`: what its edges deliver; default: what they do at this moment.
 */
export function inputsOf(node: TaskNode, values?: readonly unknown[]): unknown {
  const edges = node.inEdges;
  if (edges.length === 0) return Array.isArray(node.definition.dependencies) ? [] : {};
  const merged = values === undefined && node.streaming ? firstMerged(edges) : undefined;
  if (merged !== undefined)
    return mergedInput(node, inputNames(node).get(merged) as string, merged.now, edges.map(read));
  const inputs = values === undefined ? edges.map(deliver) : values.map(copy);
  const whole = edges.every(isInput);
  if (Array.isArray(node.definition.dependencies))
    return whole ? inputs : inputs.filter((_, i) => isInput(edges[i] as Edge));
  const record: Record<string, unknown> = {};
  for (let i = 0; i < edges.length; i++) {
    const edge = edges[i] as Edge;
    if (whole || isInput(edge)) put(record, edge.key as string, inputs[i]);
  }
  return record;
}

/** Items come one by one, not as an input; of what a task comes after alone it is given nothing. */
function isInput(edge: Edge): boolean {
  const { mode } = edge;
  return mode !== 'items' && mode !== 'after' && mode !== 'ended' && isFirst(edge);
}

/**
 * A value of a merged dependency: which of them has said it, and what those deliver that are not merged, where there are
 * any. `values`: what all edges deliver.
 */
export function mergedInput(
  node: TaskNode,
  from: string | number,
  value: unknown,
  values: readonly unknown[],
): unknown {
  const beside = node.inEdges.flatMap((one, i) =>
    one.mode === 'merged' || !isInput(one) ? [] : [{ key: one.key, value: copy(values[i]) }],
  );
  if (beside.length === 0) return { from, value: copy(value) };
  if (Array.isArray(node.definition.dependencies))
    return { from, value: copy(value), inputs: beside.map((other) => other.value) };
  const inputs: Record<string, unknown> = {};
  for (const other of beside) put(inputs, other.key as string, other.value);
  return { from, value: copy(value), inputs };
}

/** Names of inputs, or their places where the dependencies are a tuple. */
export function inputNames({ inEdges }: TaskNode): ReadonlyMap<Edge, string | number> {
  return new Map(inEdges.filter(isInput).map((edge, place) => [edge, edge.key ?? place]));
}

/** One of the edges that are merged, which has spoken where one has. */
function firstMerged(edges: readonly Edge[]): StreamEdge | undefined {
  const merged = edges.filter(
    (edge): edge is StreamEdge => edge instanceof StreamEdge && edge.mode === 'merged',
  );
  return merged.find((edge) => edge.satisfied) ?? merged[0];
}

/** Of the edges of a race or quorum only the first stands for an input. */
function isFirst(edge: Edge): boolean {
  const edges = choiceOf(edge)?.edges;
  return edges === undefined || edges[0] === edge;
}

function deliver(edge: Edge): unknown {
  return edge.mode === 'value' ? copy(edge.from.value) : copy(read(edge));
}

/** What an edge delivers at this moment; not a copy. */
export function read(edge: Edge): unknown {
  if (edge.mode === 'items') return undefined;
  if (edge instanceof StreamEdge) return edge.now;
  const choice = choiceOf(edge);
  if (choice === undefined) return delivered(edge.from, edge.mode, edge.fallback);
  return isFirst(edge) ? choice.value : undefined;
}

function tooFew({ mode, need, edges }: ChoiceState): RxhiveError {
  const failed = edges.map(({ from }) => from).filter((from) => from.ended && from.error !== undefined);
  const names = failed.slice(0, 5).map(({ id, status }) => `"${truncate(id)}" (${status})`);
  const message = `A ${mode} needed ${need} of ${edges.length} tasks, and too few succeeded: ${names.join(', ')}.`;
  return new RxhiveError('TOO_FEW_SUCCEEDED', message, {
    cause: new AggregateError(failed.map(({ error }) => error)),
    details: { need, tasks: edges.map(({ from }) => from.id) },
  });
}

export type JoinShape = 'one' | 'tuple' | 'record';

/** One target of `ctx.join`. */
export interface JoinTarget {
  readonly node: TaskNode | ChoiceState;
  readonly mode: DependencyMode;
  readonly key: string | undefined;
  readonly fallback: unknown;
}

/**
 * Results of joined tasks in the shape they were asked for.
 * @throws the error of a failed one; `TASK_SKIPPED` for one that never ran.
 */
export function joined(targets: readonly JoinTarget[], shape: JoinShape): unknown {
  for (const { node, mode } of targets) {
    if (node instanceof ChoiceState) {
      if (node.state === 'won') continue;
      throw tooFew(node);
    }
    if (mode !== 'value' || node.status === 'succeeded' || node.status === 'restored') continue;
    if (node.status === 'failed' || (node.status === 'skipped' && node.error !== undefined)) throw node.error;
    throw new RxhiveError(
      'TASK_SKIPPED',
      `Task "${truncate(node.id)}" was ${node.status}, so it has no result to join.`,
    );
  }
  const values = targets.map(({ node, mode, fallback }) =>
    copy(node instanceof ChoiceState ? node.value : delivered(node, mode, fallback)),
  );
  if (shape === 'one') return values[0];
  if (shape === 'tuple') return values;
  const record: Record<string, unknown> = {};
  targets.forEach((target, i) => {
    put(record, target.key as string, values[i]);
  });
  return record;
}
