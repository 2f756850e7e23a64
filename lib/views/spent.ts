import { getOrInsert } from '../kernel/get-or-insert.js';
import type { RunView, TaskView } from './run-view.js';

/** What tasks took, all of one name together. */
export interface Spent {
  tasks: number;
  attempts: number;
  inputTokens: number;
  outputTokens: number;
  cost: number;
  /** Ms they ran. */
  ms: number;
}

const nothing: Spent = { tasks: 0, attempts: 0, inputTokens: 0, outputTokens: 0, cost: 0, ms: 0 };

/** What was used, by agent (type, or id without its numbers), model or group; the dearest first. */
export function spentBy(view: RunView, by: 'agent' | 'model' | 'group'): [string, Spent][] {
  const rows = new Map<string, Spent>();
  for (const task of view.tasks.values()) {
    const name = names[by](task);
    const row = getOrInsert(rows, name, () => ({ ...nothing }));
    row.tasks += 1;
    row.attempts += task.attempts;
    row.inputTokens += task.usage.inputTokens;
    row.outputTokens += task.usage.outputTokens;
    row.cost += task.usage.cost;
    row.ms += ranFor(task, view.now);
  }
  return [...rows].sort(
    ([, a], [, b]) =>
      b.cost - a.cost || b.inputTokens + b.outputTokens - a.inputTokens - a.outputTokens || b.ms - a.ms,
  );
}

/** Ms a task has been running, all attempts together. */
export function ranFor({ spans }: TaskView, now: number): number {
  let ms = 0;
  for (const { kind, from, to = now } of spans) if (kind === 'running') ms += to - from;
  return ms;
}

const names: Readonly<Record<'agent' | 'model' | 'group', (task: TaskView) => string>> = {
  agent: ({ type, id }) => (type === id ? id.replaceAll(/\d+/g, '#') : type),
  model: ({ model }) => model ?? 'not said',
  group: ({ group }) => group ?? 'no group',
};
