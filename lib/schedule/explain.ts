import { contestOf, isLost } from '../graph/choice-state.js';
import { Lane } from '../graph/lane.js';
import { shownWait } from '../graph/mailbox.js';
import type { Edge, TaskNode } from '../graph/node.js';
import { brief, RxhiveError } from '../kernel/errors.js';

/** What the sentence needs to know about the run. */
export interface Moment {
  readonly now: number;
  readonly active: number;
  readonly limit: number;
  /** Why it is that many. */
  readonly because?: string | undefined;
}

/** Says in one sentence what a task is doing or waiting for. */
export function explain(node: TaskNode, moment: Moment): string {
  const name = `Task "${brief(node.id)}"`;
  const seconds = ((moment.now - node.since) / 1000).toFixed(1);
  if (node.status === 'waiting') {
    const open = node.inEdges.filter((edge) => !edge.satisfied).map(awaited);
    if (open.length === 0 && node.parent !== undefined)
      return `${name} waits for "${brief(node.parent.id)}", which adds it, to be in the log.`;
    return `${name} waits for ${some(open)}.`;
  }
  if (node.status === 'ready')
    return `${name} has been ready for ${seconds} s and waits for ${blockers(node, moment)}.`;
  if (node.status === 'running') {
    const beside = node.extra?.hedge?.rivals.length ?? 0;
    const more = beside === 0 ? '' : `, and ${beside} more beside it`;
    return `${name} has been running for ${seconds} s, attempt ${node.attempt}${more}.`;
  }
  if (node.status === 'backing-off')
    return `${name} has failed ${node.attempt} of its attempts, ${seconds} s ago, and waits before the next one.`;
  if (node.status === 'suspended')
    return `${name} gave its slot back ${seconds} s ago and waits for ${pause(node)}.`;
  if (node.status === 'skipped' && node.error instanceof Error)
    return `${name} was skipped: ${node.error.message}`;
  if (node.status === 'skipped') {
    const cause = node.inEdges.find((edge) => edge.from.ended && edge.from.status !== 'succeeded');
    return `${name} was skipped because "${brief(cause?.from.id ?? '?')}" was ${cause?.from.status ?? 'lost'}.`;
  }
  if (isLost(node)) return `${name} was stopped: another one was first, and nothing else needs it.`;
  return `${name} has ${node.status}.`
    .replace('has cancelled', 'was cancelled')
    .replace('has restored', 'was restored');
}

/** The first five of many. */
function some(names: readonly string[]): string {
  const more = names.length > 5 ? ` and ${names.length - 5} more` : '';
  return `${names.slice(0, 5).join(', ')}${more}`;
}

function pause(node: TaskNode): string {
  const asked = [...(node.extra?.asking ?? [])].map((id) => `"${brief(id)}"`);
  if (asked.length > 0) return `people to answer ${some(asked)}`;
  const { join, starved, hearing } = node.extra ?? {};
  if (hearing !== undefined && hearing.size > 0) return some([...hearing].map(shownWait));
  const joined = (join?.targets ?? []).filter((target) => !target.ended);
  if (joined.length > 0)
    return some(joined.map(({ id, status }) => `"${brief(id)}" (${status}), which it joined`));
  const silent = node.inEdges.filter(({ mode, from }) => mode === 'latest' && from.status === 'suspended');
  if (starved === true && silent.length > 0)
    return `the stream of ${some(silent.map(({ from }) => `"${brief(from.id)}"`))}, which is suspended too`;
  return 'something that another task has: a shared thing, or the same work';
}

/** A dependency that is not there yet; one of a race or quorum says so. */
function awaited(edge: Edge): string {
  const { from } = edge;
  const contest = contestOf(edge);
  const part = contest === undefined ? '' : `, one of ${contest.edges.length} in a ${contest.mode}`;
  return `"${brief(from.id)}" (${from.status}${part})`;
}

function blockers(node: TaskNode, moment: Moment): string {
  const { group, needs } = node.lane;
  if (group !== undefined && group.active >= group.limit) {
    return `a place in group "${brief(group.name)}" (${group.active} of ${group.limit} in use)`;
  }
  const short = needs.find((need) => need.resource.free < need.amount);
  if (short !== undefined) {
    const { resource, amount } = short;
    return `${amount} of "${brief(resource.name)}" (${resource.free} of ${resource.capacity} free)`;
  }
  const { blockedBy } = node.lane;
  if (blockedBy instanceof Lane) {
    const wanted = needs.find(({ resource }) => blockedBy.needs.some((need) => need.resource === resource));
    const whom = blockedBy.ready.peek();
    const why = whom?.urgency === node.urgency ? 'came first, was overtaken' : 'is more important';
    return `"${brief(wanted?.resource.name ?? '')}", which is kept for "${brief(whom?.id ?? '')}", which ${why} and needs more than is free`;
  }
  const kept = needs.find((need) => need.resource === node.lane.blockedBy);
  if (kept !== undefined)
    return `"${brief(kept.resource.name)}", which is kept for a task that needs more and has waited longer`;
  const gate = node.lane.gates.flat().find((one) => !one.admits(node));
  if (gate !== undefined) return gate.because(node);
  const { active, limit, because } = moment;
  if (active >= limit)
    return `a slot (${active} of ${limit} in use)${because === undefined ? '' : `, ${because}`}`;
  return 'its turn';
}

/**
 * The error of a wait that could never end: one of the tasks it is for waits for `node`, or for something that is not
 * given up before that task ends. `shared`: what it is for, else it is a join.
 */
export function waitsForItself(
  node: TaskNode,
  targets: readonly TaskNode[],
  shared?: string,
): RxhiveError | undefined {
  // Those that were left again lie on the way no more.
  const left = new Set<TaskNode>();
  const way = new Set<TaskNode>();
  const stack = [...targets];
  for (let next = stack.at(-1); next !== undefined; next = stack.at(-1)) {
    if (way.delete(next)) left.add(next);
    if (next.ended || left.has(next)) {
      stack.pop();
      continue;
    }
    way.add(next);
    for (const other of endsAfter(next)) {
      if (other === node || next === node || way.has(other)) return cycleOf(node, shared);
      if (!other.ended && !left.has(other)) stack.push(other);
    }
    if (next === node) return cycleOf(node, shared);
  }
  return undefined;
}

function cycleOf(node: TaskNode, shared: string | undefined): RxhiveError {
  const message =
    shared === undefined
      ? `Task "${brief(node.id)}" joins a task that waits for it, or for something shared that it uses meanwhile; join only tasks that need nothing of it.`
      : `Task "${brief(node.id)}" waits for ${shared}, whose user waits for it; join others before or after ctx.shared, not within.`;
  return new RxhiveError('JOIN_CYCLE', message, { details: { taskId: node.id } });
}

/** Those that have to end before `node` can. */
function endsAfter({ inEdges, extra }: TaskNode): TaskNode[] {
  const found = inEdges.filter(({ satisfied }) => !satisfied).map(({ from }) => from);
  found.push(...(extra?.join?.targets ?? []));
  for (const one of extra?.join?.behind ?? []) found.push(...one.needs());
  return found;
}
