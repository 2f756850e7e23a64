import type { TaskNode } from '../model/node.js';
import type { LoggedUsage, LogRecord, UsageRecord } from '../model/record.js';
import { Spending } from '../model/usage.js';

/** What the tasks of a run have used according to its log: a budget counts it, whatever became of the results. */
export class Ledger {
  readonly #totals = new Map<string, Spending>();
  /** By group; undefined: tasks without one. */
  readonly groups = new Map<string | undefined, Spending>();

  constructor(records: readonly LogRecord[]) {
    for (const record of records) {
      if (record.kind !== 'commit' && record.kind !== 'failed' && record.kind !== 'usage') continue;
      const used = read(record.usage);
      grow(this.#totals, record.task, used);
      grow(this.groups, record.usage?.group, used);
    }
  }

  of(task: string): Spending | undefined {
    return this.#totals.get(task);
  }

  /** Gives a task what it has used before. */
  bill(node: TaskNode): void {
    const total = this.#totals.get(node.id);
    if (total === undefined) return;
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

/** One record per task and group in place of many. */
export function summedUsage(records: readonly LogRecord[]): UsageRecord[] {
  const sums = new Map<string, { task: string; group: string | undefined; used: Spending }>();
  for (const record of records) {
    if (record.kind !== 'commit' && record.kind !== 'failed' && record.kind !== 'usage') continue;
    const group = record.usage?.group;
    const key = JSON.stringify([record.task, group]);
    const sum = sums.get(key) ?? { task: record.task, group, used: new Spending() };
    sum.used.add(read(record.usage));
    sums.set(key, sum);
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

function grow<K>(totals: Map<K, Spending>, key: K, used: Spending): void {
  const total = totals.get(key);
  if (total === undefined) totals.set(key, new Spending().add(used));
  else total.add(used);
}
