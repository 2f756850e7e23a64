import type { TaskNode } from '../graph/node.js';
import { truncate } from '../kernel/errors.js';
import type { CommitRecord, FailedRecord, StatePath } from '../model/record.js';
import { type Added, onlyEndsElse, type ReplayedLog, type Stale, touches } from './resume.js';

/** What runs again when a run goes on. */
export interface RerunRequest {
  readonly nodes: ReadonlyMap<string, TaskNode>;
  readonly added: ReadonlyMap<string, Added>;
  /** Why a task itself runs again: it was changed, or somebody asked for it. */
  own(id: string, record: CommitRecord | FailedRecord): string | undefined;
  /** Tasks that are to run again, whether they had ended or not. */
  readonly rerun: readonly string[];
  /** Failed tasks that are tried again: what they had added holds. */
  readonly retried: ReadonlySet<string>;
}

/**
 * The tasks whose end does not hold, by where things come from: what depends on a task that runs again, joined it, was
 * added by it, or wrote over what it had written, and the `flow.each` of an item that does. So does a stream of which
 * somebody who runs needs every value: the log has the last.
 */
export function staleTasks(
  past: ReplayedLog,
  { nodes, added, own, rerun, retried }: RerunRequest,
): Map<string, Stale> {
  const stale = new Map<string, Stale>();
  let changed = false;
  const mark = (id: string, reason: string, keeps = false): void => {
    const known = stale.get(id);
    if (known !== undefined && (keeps || !known.keeps)) return;
    stale.set(id, { reason: known?.reason ?? reason, keeps });
    changed = true;
  };
  const ends = [...past.commits.values(), ...past.failures.values()];
  for (const record of ends) {
    const why = own(record.task, record);
    if (why !== undefined) mark(record.task, why, onlyEndsElse(nodes.get(record.task), record));
  }
  for (const id of rerun) mark(id, 'it was asked to run again');
  const readers = readersOf(nodes, added);
  if (stale.size === 0 && retried.size === 0 && readers.length === 0) return stale;
  // Who had added tasks that have ended, and has not ended: they go where it goes.
  const adders = new Set(ends.flatMap(({ task }) => added.get(task)?.parent ?? []));
  const again = (id: string): boolean => stale.has(id) || retried.has(id);
  const sources = (id: string): readonly string[] =>
    nodes.get(id)?.inEdges.map(({ from }) => from.id) ??
    added.get(id)?.dependencies?.map((one) => one.id) ??
    [];
  /** What runs again that a task depends on, also through tasks without an end of their own: they were skipped. */
  const behind = (task: string): string | undefined => {
    const direct = sources(task);
    const found = direct.find(again);
    if (found !== undefined || direct.every((id) => past.has(id))) return found;
    const seen = new Set(direct.filter((id) => !past.has(id)));
    for (const open of seen)
      for (const id of sources(open)) {
        if (again(id)) return id;
        if (!past.has(id)) seen.add(id);
      }
    return undefined;
  };
  const runs = (id: string): boolean => again(id) || !past.has(id);
  const isLost = (id: string): boolean => past.failures.has(id) && !again(id);
  const givesItems = (from: string, to: string): boolean =>
    nodes.get(to)?.inEdges.some((edge) => edge.mode === 'items' && edge.from.id === from) === true;
  do {
    changed = false;
    for (const { id, streams } of readers)
      if (runs(id) && !sources(id).some(isLost))
        for (const stream of streams)
          if (past.commits.get(stream)?.streamed === true)
            mark(stream, `"${truncate(id)}" needs each of its values`);
    for (const id of adders) {
      const above = past.has(id) ? undefined : behind(id);
      if (above !== undefined) mark(id, `"${truncate(above)}" runs again`, givesItems(above, id));
    }
    const written: StatePath[] = [];
    for (const record of ends) {
      const { task } = record;
      const above = behind(task);
      // Its items are told by their data from those it would be given now.
      if (above !== undefined) mark(task, `"${truncate(above)}" runs again`, givesItems(above, task));
      const joined = record.joined?.find(again);
      if (joined !== undefined) mark(task, `"${truncate(joined)}", which it waited for, runs again`, true);
      const parent = added.get(task)?.parent;
      if (parent !== undefined && stale.get(parent)?.keeps === false)
        mark(task, `"${truncate(parent)}", which had added it, runs again`);
      if (record.kind === 'commit') {
        const paths = past.pathsOf(record);
        if (paths.some((path) => written.some((one) => touches(one, path))))
          mark(task, 'it changed what a task that runs again had written');
        if (stale.has(task)) written.push(...paths);
      }
      if (parent !== undefined && record.item !== undefined && again(task))
        mark(parent, `its item "${truncate(task)}" runs again`, true);
    }
  } while (changed);
  return stale;
}

/** Tasks that need every value of streams, and those streams. */
function readersOf(
  nodes: ReadonlyMap<string, TaskNode>,
  added: ReadonlyMap<string, Added>,
): { readonly id: string; readonly streams: readonly string[] }[] {
  const isEach = (mode: string | undefined): boolean => mode === 'paired' || mode === 'merged';
  const readers: { id: string; streams: string[] }[] = [];
  for (const { id, streaming, inEdges } of nodes.values())
    if (streaming)
      readers.push({ id, streams: inEdges.filter(({ mode }) => isEach(mode)).map(({ from }) => from.id) });
  for (const [id, { dependencies = [] }] of added)
    readers.push({ id, streams: dependencies.filter(({ mode }) => isEach(mode)).map((one) => one.id) });
  return readers.filter(({ streams }) => streams.length > 0);
}
