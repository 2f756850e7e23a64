import {
  audit,
  combineLatest,
  concatWith,
  ignoreElements,
  map,
  type Observable,
  of,
  skip,
  startWith,
  take,
} from 'rxjs';
import { ChoiceState, choiceOf } from '../graph/choice-state.js';
import { type Edge, LatestEdge, type TaskNode } from '../graph/node.js';
import { copy } from '../kernel/copy.js';
import { RxhiveError, truncate } from '../kernel/errors.js';
import type { DependencyMode, Settled } from '../model/dependency.js';

/** What one dependency delivers at this moment. */
function delivered(from: TaskNode, mode: DependencyMode | 'join', fallback: unknown): unknown {
  const succeeded = from.status === 'succeeded' || from.status === 'restored';
  if (mode === 'settled') {
    return succeeded
      ? { status: 'succeeded', value: from.value }
      : ({ status: from.status, error: from.error } as Settled<never>);
  }
  if (succeeded) return from.value;
  if (mode === 'latest') return from.extra?.live?.value;
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

/** Items come one by one, not as an input. */
function isInput(edge: Edge): boolean {
  return edge.mode !== 'items' && isFirst(edge);
}

/** Of the edges of a race or quorum only the first stands for an input. */
function isFirst(edge: Edge): boolean {
  const edges = choiceOf(edge)?.edges;
  return edges === undefined || edges[0] === edge;
}

function deliver(edge: Edge): unknown {
  return edge.mode === 'value' ? copy(edge.from.value) : copy(read(edge));
}

function read(edge: Edge): unknown {
  if (edge.mode === 'items') return undefined;
  const choice = choiceOf(edge);
  if (choice === undefined) return delivered(edge.from, edge.mode, edge.fallback);
  return isFirst(edge) ? choice.value : undefined;
}

/**
 * Inputs of a streaming task over time: first what is there, then what is new, until all dependencies have ended. At most
 * once a turn, at its end, when all that is nearer to the sources has spoken: `combineLatest` alone would show a diamond
 * mixtures of old and new values.
 */
export function inputs$(node: TaskNode, turnEnd$: Observable<void>): Observable<unknown> {
  return combineLatest(node.inEdges.map((edge) => valuesOf(edge, turnEnd$))).pipe(
    skip(1), // what is there
    audit(() => turnEnd$),
    map((values) => inputsOf(node, values)),
    startWith(inputsOf(node)),
  );
}

/** What an edge delivers now, and the values that follow; it ends with the turn, after the last of them is shown. */
function valuesOf(edge: Edge, turnEnd$: Observable<void>): Observable<unknown> {
  const now = read(edge);
  if (!(edge instanceof LatestEdge) || edge.from.ended) return of(now);
  return edge.values$.pipe(startWith(now), concatWith(turnEnd$.pipe(take(1), ignoreElements())));
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
export function joined(targets: readonly JoinTarget[], shape: 'one' | 'tuple' | 'record'): unknown {
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
