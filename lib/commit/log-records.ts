import { brief, RxhiveError } from '../kernel/errors.js';
import { reservedNames } from '../kernel/plain.js';
import type { AttemptHandle, TaskNode } from '../model/node.js';
import type { CommitRecord, FailedRecord } from '../model/record.js';
import { encode } from './codec.js';
import { unlogged } from './ledger.js';
import { versionOf } from './resume.js';
import type { StateChange } from './state.js';

/** A success as text, `at` ms since the process began with the run. @throws RxhiveError NOT_SERIALIZABLE */
export function commitText(
  node: TaskNode,
  attempt: AttemptHandle,
  { patches, inverse }: Partial<StateChange>,
  at: number,
  outside: boolean,
  spilled: string | undefined,
): string {
  const bad = patches?.find(({ path }) => path.some((key) => reservedNames.has(key)));
  if (bad !== undefined) {
    const message = `Task "${brief(node.id)}" writes state.${bad.path.join('.')}, a reserved name; use another key, or a collection().`;
    throw new RxhiveError('NOT_SERIALIZABLE', message);
  }
  return encode({
    kind: 'commit',
    ...courseOf(node, at),
    value: spilled === undefined ? node.value : undefined,
    ...(spilled !== undefined && { spilled }),
    ...(attempt.returned !== undefined && returnedBy(attempt.returned.value, node.value)),
    ...(patches !== undefined && patches.length > 0 && { patches, inverse: inverse ?? [] }),
    ...(attempt.children !== undefined && { spawned: attempt.children }),
    ...(outside && { outside: true as const }),
  } satisfies CommitRecord);
}

/** A failure as text; an error that cannot be stored leaves its message. */
export function failureText(node: TaskNode, at: number): string {
  const spawned = node.extra?.children;
  const record = { kind: 'failed', ...courseOf(node, at), ...(spawned && { spawned }) } as const;
  try {
    return encode({ ...record, error: node.error } satisfies FailedRecord);
  } catch {
    const message = String((node.error as Error)?.message ?? 'an error that cannot be stored');
    return encode({ ...record, error: new Error(message) } satisfies FailedRecord);
  }
}

/** How a task came to its end. */
function courseOf(
  node: TaskNode,
  at: number,
): Pick<CommitRecord, 'task' | 'version' | 'attempt' | 'at' | 'waits' | 'usage'> {
  const { extra } = node;
  const waits = [
    node.dependenciesMs,
    node.slotMs,
    extra?.permitMs ?? 0,
    extra?.backoffMs ?? 0,
    extra?.suspendedMs ?? 0,
  ] as const;
  const usage = unlogged(node);
  return {
    task: node.id,
    version: versionOf(node),
    attempt: node.attempt,
    at: [node.startedAt, at],
    ...(waits.some((ms) => ms > 0) && { waits }),
    ...(usage !== undefined && { usage }),
  };
}

/** What a schema made something else of, where it can be stored and is not the same as plain data. */
function returnedBy(returned: unknown, value: unknown): { returned?: unknown } {
  try {
    return encode(returned) === encode(value) ? {} : { returned };
  } catch {
    return {}; // The result itself decides whether the task can be stored.
  }
}
