import { encode } from '../codec/codec.js';
import { type Path, shownData, shownInState, shownPart } from '../codec/plain-records.js';
import { isDecided, isLost } from '../graph/choice-state.js';
import type { AttemptHandle, Spawned, TaskNode } from '../graph/node.js';
import { RxhiveError, truncate } from '../kernel/errors.js';
import { reservedNames } from '../kernel/plain.js';
import type { CommitRecord, FailedRecord, Provenance } from '../model/record.js';
import type { StoredTask } from '../model/task.js';
import { addedBy, described } from './added.js';
import { unlogged } from './ledger.js';
import { versionOf } from './resume.js';
import type { StateChange } from './state.js';

/** A success as text, `at` ms since the process began with the run. @throws RxhiveError NOT_SERIALIZABLE */
export function commitText(
  node: TaskNode,
  attempt: AttemptHandle,
  change: StateChange | undefined,
  at: number,
  owner: object,
  spilled: string | undefined,
): string {
  const { patches = [], inverse = [] } = change ?? {};
  const bad = patches.find(({ path }) =>
    path.some((key) => typeof key === 'symbol' || reservedNames.has(key)),
  );
  if (bad !== undefined) {
    const message = `Task "${truncate(node.id)}" writes state.${bad.path.map(String).join('.')}, a symbol or reserved name; use another key, or a collection().`;
    throw new RxhiveError('NOT_SERIALIZABLE', message);
  }
  const record = {
    kind: 'commit',
    ...courseOf(node, at),
    value: spilled === undefined ? node.value : undefined,
    ...(spilled !== undefined && { spilled }),
    ...(node.extra?.live !== undefined && { streamed: true as const }),
    ...(attempt.returned !== undefined && returnedBy(attempt.returned.value, node.value)),
    ...(patches.length > 0 && { patches, inverse }),
    ...provenanceOf(node, attempt.spawned),
    ...(node.lane.slots.ending && { cleanup: true as const }),
    ...(node.parent === undefined && node.handle.owner === owner && { outside: true as const }),
  } satisfies CommitRecord;
  const write = (one: CommitRecord): string =>
    encode(one, { name: (path) => placeInCommit(record, change, path), isState: inPatch });
  try {
    return write(record);
  } catch (error) {
    if (node.item === undefined) throw error;
    // It may be the item itself that cannot be stored.
    return write({ ...record, item: {} });
  }
}

/** Has an end that is no success to be in the log? `owner`: whom handles of tasks that were added belong to. */
export function isNoted(node: TaskNode, owner: object): boolean {
  const { status, parent, definition, extra, startedAt, handle } = node;
  const isAdded = parent !== undefined || handle.owner === owner;
  if (status !== 'cancelled' && status !== 'skipped') return status === 'failed';
  // A condition was asked: once is enough. What was added would need who added it to be skipped again.
  if (isDecided(node) && (startedAt >= 0 || isAdded)) return true;
  // What is part of the definition is skipped again, or may run again; what was added has ended.
  return isAdded && definition.candidate !== true && extra?.held !== true;
}

/** A failure as text; an error that cannot be stored leaves its message. */
export function failureText(node: TaskNode, at: number): string {
  const { status, error } = node;
  const record = {
    kind: 'failed',
    ...courseOf(node, at),
    ...(status !== 'failed' && { status: status as 'cancelled' | 'skipped' }),
    ...(isDecided(node) && { reason: 'condition' as const }),
    ...(status === 'cancelled' && { reason: isLost(node) ? ('lost' as const) : ('cancelled' as const) }),
    ...provenanceOf(node, undefined),
    ...(node.item !== undefined && { item: itemOf(node.definition.stored) }),
  } as const;
  try {
    return encode({ ...record, error: status === 'cancelled' ? undefined : error } satisfies FailedRecord, {
      lossy: true,
    });
  } catch {
    const message = String((error as Error)?.message ?? 'an error that cannot be stored');
    return encode({ ...record, error: new Error(message) } satisfies FailedRecord);
  }
}

function inPatch(path: Path): boolean {
  return path[0] === 'patches' || path[0] === 'inverse';
}

/** A place in the record of a commit, as who wrote the task knows it. */
function placeInCommit(record: CommitRecord, change: StateChange | undefined, path: Path): string {
  const [part, at, , ...rest] = path;
  const patch = inPatch(path) && typeof at === 'number' ? record[part as 'patches']?.[at] : undefined;
  if (patch !== undefined) return shownInState(change?.next, patch.path, rest);
  const child = part === 'spawned' && typeof at === 'number' ? record.spawned?.[at] : undefined;
  if (typeof child === 'object') return shownData(child, rest);
  return shownPart(
    { value: 'the result', returned: 'what the body returned', patches: 'what the task writes to the state' },
    path,
  );
}

/** Who added it, whom it added, and whom it waited for. */
function provenanceOf(node: TaskNode, spawned: readonly Spawned[] | undefined): Provenance {
  const { extra, parent, item, definition } = node;
  if (
    extra?.children === undefined &&
    spawned === undefined &&
    parent === undefined &&
    extra?.joined === undefined
  )
    return {};
  const added = addedBy(node, spawned);
  const own = parent?.ended === false && item === undefined ? described(node.id, definition) : '';
  return {
    ...(added.length > 0 && { spawned: added }),
    ...(extra?.joined !== undefined && { joined: [...extra.joined] }),
    ...(parent !== undefined && { parent: parent.id }),
    ...(typeof own !== 'string' && { added: own }),
    ...(item !== undefined && { item: dataOf(definition.stored) }),
  };
}

/** An item of `flow.each`; without its data where they cannot be stored. */
function itemOf(stored: StoredTask | undefined): NonNullable<Provenance['item']> {
  try {
    encode(stored?.data);
    return dataOf(stored);
  } catch {
    return {};
  }
}

function dataOf(stored: StoredTask | undefined): NonNullable<Provenance['item']> {
  const keys = stored?.keys;
  return { data: stored?.data, ...(keys !== undefined && { keys }) };
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
    ...(Math.max(...waits) > 0 && { waits }),
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
