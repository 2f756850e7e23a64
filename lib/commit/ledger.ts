import type { TaskNode } from '../graph/node.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import type { LoggedUsage, LogRecord, UsageRecord } from '../model/record.js';
import { Spending } from '../model/usage.js';

/** What the tasks of a run have used according to its log: a budget counts it, whatever became of the results. */
export class UsageLedger {
  readonly #totals = new Map<string, { readonly group: string | undefined; readonly usage: Spending }>();
  /** By group; undefined: tasks without one. */
  readonly groups = new Map<string | undefined, Spending>();

  constructor(records: readonly LogRecord[]) {
    for (const record of records) {
      if (record.kind !== 'commit' && record.kind !== 'failed' && record.kind !== 'usage') continue;
      const used = read(record.usage);
      const group = record.usage?.group;
      getOrInsert(this.#totals, record.task, () => ({ group, usage: new Spending() })).usage.add(used);
      getOrInsert(this.groups, group, () => new Spending()).add(used);
    }
  }

  of(task: string): Spending | undefined {
    return this.#totals.get(task)?.usage;
  }

  /** What tasks used that the run has not had, so far: nobody was billed for it. */
  get unbilled(): { readonly group: string | undefined; readonly usage: Spending }[] {
    return [...this.#totals.values()];
  }

  /** Gives a task what it has used before, once. */
  bill(node: TaskNode): void {
    const total = this.of(node.id);
    if (total === undefined) return;
    this.#totals.delete(node.id);
    node.calls = total.calls;
    if (total.tokens > 0 || total.cost > 0) node.more().spent = new Spending().add(total);
  }
}

/** What a task used since its last record; undefined: one call, as a record without it means. */
export function unlogged(node: TaskNode): LoggedUsage | undefined {
  const { extra, definition } = node;
  const calls = node.calls - (extra?.loggedCalls ?? 0);
  const used = extra?.unlogged;
  const { group } = definition;
  if (used === undefined && calls === 1 && group === undefined) return undefined;
  return written(used ?? new Spending(), calls, group);
}

/** Stands for all tasks that a log has forgotten. */
const forgottenTasks = '';

/** One record per task and group in place of many; those in `gone` are summed up together. */
export function summedUsage(records: readonly LogRecord[], gone: ReadonlySet<string>): UsageRecord[] {
  const sums = new Map<string, { task: string; group: string | undefined; used: Spending }>();
  for (const record of records) {
    if (record.kind !== 'commit' && record.kind !== 'failed' && record.kind !== 'usage') continue;
    const group = record.usage?.group;
    const task = gone.has(record.task) ? forgottenTasks : record.task;
    const key = JSON.stringify([task, group]);
    const { used } = getOrInsert(sums, key, () => ({ task, group, used: new Spending() }));
    used.add(read(record.usage));
  }
  return [...sums.values()].map(({ task, group, used }) => ({
    kind: 'usage',
    task,
    usage: written(used, used.calls, group),
  }));
}

function written(used: Spending, calls: number, group: string | undefined): LoggedUsage {
  const { models, report } = used;
  const amounts = Object.entries(report).filter(([name, amount]) => amount > 0 && name !== 'calls');
  return {
    ...Object.fromEntries(amounts),
    ...(calls === 1 ? {} : { calls }),
    ...(group === undefined ? {} : { group }),
    ...(models === undefined
      ? {}
      : { models: Object.fromEntries([...models].map(([name, part]) => [name, part.report])) }),
  };
}

/** The record with {@link unlogged} in it is on its way. */
export function logged(node: TaskNode): void {
  const { extra } = node;
  if (extra === undefined) return;
  extra.unlogged = undefined;
  extra.loggedCalls = node.calls;
}

function read({ models = {}, group: _, ...amounts }: LoggedUsage = {}): Spending {
  const parts = Object.entries(models).map(([name, part]) => [name, new Spending().add(part)] as const);
  const none = new Spending().report;
  return new Spending().add({ ...none, calls: 1, ...amounts, models: new Map(parts) });
}
