import type { ForgottenTasks } from '../graph/forgotten-tasks.js';
import type { TaskNode } from '../graph/node.js';
import { truncate } from '../kernel/errors.js';
import type { BudgetReport, BudgetState } from '../model/budget.js';
import type { RunReport } from '../model/result.js';
import { Spending } from '../model/usage.js';

const mostSpenders = 5;

/** What somebody used, and the group that paid. */
export interface Bill {
  readonly group: string | undefined;
  readonly usage: Spending;
}

/** What all tasks used, also by group and by model. */
export function usageOf(
  nodes: Iterable<TaskNode>,
  forgotten: ForgottenTasks,
  elsewhere: readonly Bill[],
): RunReport['usage'] {
  const total = new Spending();
  const groups = new Map<string, Spending>();
  const bills = [...elsewhere];
  for (const [group, usage] of forgotten.usage) bills.push({ group, usage });
  for (const { definition, usage } of nodes) bills.push({ group: definition.group, usage });
  for (const { group, usage } of bills) {
    total.add(usage);
    if (group !== undefined) groups.set(group, (groups.get(group) ?? new Spending()).add(usage));
  }
  return { ...total.report, groups: plain(groups), models: plain(total.models ?? new Map()) };
}

/** The tasks that spent most of a budget. */
export function spendersOf(state: BudgetState, nodes: Iterable<TaskNode>): BudgetReport['spenders'] {
  const all: { taskId: string; spent: number }[] = [];
  for (const node of nodes) {
    if (state.group !== undefined && node.definition.group !== state.group) continue;
    const spent = node.usage[state.limit];
    if (spent > 0) all.push({ taskId: node.id, spent });
  }
  return all.sort((a, b) => b.spent - a.spent).slice(0, mostSpenders);
}

/** Lines of the report's text; none where nothing was used and nothing was capped. */
export function moneyLines({ usage, budgets }: Pick<RunReport, 'usage' | 'budgets'>): string[] {
  const lines: string[] = [];
  const { calls, inputTokens, outputTokens, cost, unpricedTokens } = usage;
  if (inputTokens + outputTokens + cost > 0) {
    const unpriced = unpricedTokens === 0 ? '' : `, ${unpricedTokens} tokens without a price`;
    lines.push(
      `used: ${calls} calls, ${inputTokens} + ${outputTokens} tokens, cost ${short(cost)}${unpriced}`,
    );
  }
  for (const { group, limit, spent, cap, hardCap, status, spenders } of budgets) {
    const name = `${group === undefined ? '' : `groups.${truncate(group)}.`}budget.${limit}`;
    const first = spenders[0];
    const most = first === undefined ? '' : `, most by "${truncate(first.taskId)}" (${short(first.spent)})`;
    lines.push(`${name}: ${short(spent)} of ${cap ?? hardCap}, ${status}${most}`);
  }
  return lines;
}

function short(amount: number): number {
  return Number(amount.toPrecision(6));
}

function plain(parts: ReadonlyMap<string, Spending>): { [name: string]: Spending['report'] } {
  return Object.fromEntries([...parts].map(([name, part]) => [name, part.report]));
}
