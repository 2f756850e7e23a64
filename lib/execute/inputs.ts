import { type Observable, ReplaySubject } from 'rxjs';
import { ChoiceState, choiceOf } from '../graph/choice-state.js';
import type { Edge, TaskNode } from '../graph/node.js';
import { copy } from '../kernel/copy.js';
import { RxhiveError, truncate } from '../kernel/errors.js';
import { GuardedStream } from '../kernel/guarded-stream.js';
import type { DependencyMode, Settled } from '../model/task.js';

/** What one dependency delivers at this moment: each who gets it may change it. */
function delivered(from: TaskNode, mode: DependencyMode | 'join', fallback: unknown): unknown {
  const succeeded = from.status === 'succeeded' || from.status === 'restored';
  if (mode === 'settled') {
    return succeeded
      ? { status: 'succeeded', value: copy(from.value) }
      : ({ status: from.status, error: from.error } as Settled<never>);
  }
  if (succeeded) return copy(from.value);
  if (mode === 'latest') return copy(from.extra?.live?.value);
  return mode === 'orElse' ? copy(fallback) : undefined;
}

/** Sets any key as an own property, `__proto__` included. */
function put(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__')
    Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
  else target[key] = value;
}

/** The inputs of a task whose dependencies have all delivered: a record or a tuple, as it was declared. */
export function inputsOf(node: TaskNode): unknown {
  const edges = node.inEdges;
  if (Array.isArray(node.definition.dependencies)) {
    return (edges.every(isFirst) ? edges : edges.filter(isFirst)).map(deliver);
  }
  const record: Record<string, unknown> = {};
  for (const edge of edges) if (isFirst(edge)) put(record, edge.key as string, deliver(edge));
  return record;
}

/** Of the edges of a race or quorum only the first stands for an input. */
function isFirst(edge: Edge): boolean {
  const edges = choiceOf(edge)?.edges;
  return edges === undefined || edges[0] === edge;
}

function deliver(edge: Edge): unknown {
  const choice = choiceOf(edge);
  if (choice !== undefined) return copy(choice.value);
  return edge.mode === 'value' ? copy(edge.from.value) : delivered(edge.from, edge.mode, edge.fallback);
}

/** Inputs of a streaming task over time: the newest of each, until all dependencies have ended. */
export class InputStream {
  readonly #node: TaskNode;
  readonly #inputs = new ReplaySubject<unknown>(1);
  #seen: readonly unknown[] = [];

  readonly #failed: (error: unknown) => void;

  /** `failed` is told what subscribers throw. */
  constructor(node: TaskNode, failed: (error: unknown) => void) {
    this.#node = node;
    this.#failed = failed;
    this.refresh();
  }

  get inputs$(): Observable<unknown> {
    return new GuardedStream(this.#failed, (subscriber) => this.#inputs.subscribe(subscriber));
  }

  /** Emits when a value is new, and completes when all dependencies have. */
  refresh(): void {
    const edges = this.#node.inEdges;
    // A choice is decided before the task starts: it has nothing new to show.
    const seen = edges.map((edge) => choiceOf(edge) ?? edge.from.extra?.live ?? edge.from);
    if (seen.length !== this.#seen.length || seen.some((mark, i) => mark !== this.#seen[i])) {
      this.#seen = seen;
      this.#inputs.next(inputsOf(this.#node));
    }
    if (edges.every((edge) => edge.from.ended || choiceOf(edge) !== undefined)) this.#inputs.complete();
  }
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
    node instanceof ChoiceState ? copy(node.value) : delivered(node, mode, fallback),
  );
  if (shape === 'one') return values[0];
  if (shape === 'tuple') return values;
  const record: Record<string, unknown> = {};
  targets.forEach((target, i) => {
    put(record, target.key as string, values[i]);
  });
  return record;
}
