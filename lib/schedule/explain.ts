import { choiceOf, isLost } from '../graph/choice-state.js';
import { Lane } from '../graph/lane.js';
import { describeWait } from '../graph/mailbox.js';
import type { Edge, TaskNode } from '../graph/node.js';
import type { StoreWait } from '../graph/ports.js';
import { isSilent, StreamEdge } from '../graph/stream-edge.js';
import { messageOf, RxhiveError, TaskSkippedError, truncate } from '../kernel/errors.js';
import { isMet } from '../model/dependency.js';
import type { Place } from '../model/executor.js';

/** What the sentence needs to know about the run. */
export interface RunMoment {
  readonly now: number;
  readonly active: number;
  readonly limit: number;
  /** Why it is that many. */
  readonly limitReason?: string | undefined;
  /** Of a run under a controller: how many tasks of all its runs run, and may. */
  readonly shared?: { readonly active: number; readonly limit: number } | undefined;
  /** How long the store has not answered, once that is worth telling. */
  readonly store?: StoreWait | undefined;
}

/** Says in one sentence what a task is doing or waiting for. */
export function explain(node: TaskNode, moment: RunMoment): string {
  const name = `Task "${truncate(node.id)}"`;
  const seconds = ((moment.now - node.since) / 1000).toFixed(1);
  const { store } = moment;
  if (store !== undefined && (node.committing || (store.opening && !node.ended)))
    return `${name} waits for ${store.what}.`;
  if (node.status === 'waiting') {
    const open = node.inEdges.filter(isAwaited).map(awaited);
    if (open.length === 0 && node.parent !== undefined)
      return `${name} waits for "${truncate(node.parent.id)}", which adds it, to be in the log.`;
    return `${name} waits for ${some(open)}.`;
  }
  if (node.status === 'ready')
    return `${name} has been ready for ${seconds} s and waits for ${blockers(node, moment)}.`;
  if (node.status === 'running' && node.extra?.handedOver === true) {
    const { place } = node.definition;
    const where = place === undefined ? '' : ` of "${truncate(place.name)}"${away(place)}`;
    return `${name} was handed over ${seconds} s ago, attempt ${node.attempt}, and waits for a worker${where}.`;
  }
  if (node.status === 'running') {
    const beside = node.extra?.hedge?.rivals.length ?? 0;
    const more = beside === 0 ? '' : `, and ${beside} more beside it`;
    return `${name} has been running for ${seconds} s, attempt ${node.attempt}${more}${unpaired(node)}.`;
  }
  if (node.status === 'backing-off')
    return `${name} has failed ${node.attempt} of its attempts, ${seconds} s ago, and waits before the next one.`;
  if (node.status === 'suspended')
    return `${name} gave its slot back ${seconds} s ago and waits for ${pause(node)}.`;
  if (node.status === 'skipped' && node.error instanceof TaskSkippedError) {
    const { taskId, because } = node.error;
    return `${name} was skipped: ${taskId === node.id ? '' : `"${truncate(taskId)}" did not run, for `}${because}.`;
  }
  if (node.status === 'skipped' && node.error instanceof Error)
    return `${name} was skipped: ${messageOf(node.error)}`;
  if (node.status === 'skipped') {
    const cause = node.inEdges.find(
      ({ mode, from }) => from.ended && mode !== 'join' && !isMet(mode, from.status),
    );
    return `${name} was skipped because "${truncate(cause?.from.id ?? '?')}" was ${cause?.from.status ?? 'lost'}.`;
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
  const asked = [...(node.extra?.asking ?? [])];
  const [from] = asked.map(([, one]) => one);
  if (from !== undefined) return `${from} to answer ${some(asked.map(([id]) => `"${truncate(id)}"`))}`;
  const { join, starved, messageWaits } = node.extra ?? {};
  if (messageWaits !== undefined && messageWaits.size > 0) return some([...messageWaits].map(describeWait));
  const joined = (join?.targets ?? []).filter((target) => !target.ended);
  if (joined.length > 0)
    return some(joined.map(({ id, status }) => `"${truncate(id)}" (${status}), which it joined`));
  const silent = node.inEdges.filter(isSilent);
  if (starved === true && silent.length > 0)
    return silent.every(({ from }) => from.status === 'suspended')
      ? `the stream of ${some(silent.map(({ from }) => `"${truncate(from.id)}"`))}, which is suspended too`
      : `the stream of ${some(silent.map(({ from }) => `"${truncate(from.id)}" (${from.status})`))}`;
  if (node.definition.feeds === true) return node.extra?.feed?.waitsFor() ?? 'its source';
  if (join?.elsewhere === true) return 'something outside of the run';
  return 'something that another task has: a shared thing, or the same work';
}

/** Does the task wait for it to deliver? Not where others that are merged have spoken. */
function isAwaited({ satisfied, mode, to }: Edge): boolean {
  if (satisfied) return false;
  return mode !== 'merged' || !to.inEdges.some((other) => other.mode === 'merged' && other.satisfied);
}

/** The values of streams that have no partner yet. */
function unpaired({ inEdges, extra }: TaskNode): string {
  const { kept } = extra ?? {};
  if (kept?.mode !== 'paired') return '';
  const ahead = inEdges.flatMap((edge) => {
    const waiting = edge instanceof StreamEdge && edge.mode === 'paired' ? kept.waiting(edge) : 0;
    return waiting === 0 ? [] : [`${waiting} of "${truncate(edge.from.id)}"`];
  });
  return ahead.length === 0 ? '' : `; values without a partner yet: ${some(ahead)}`;
}

/** A dependency that is not there yet; one of a race or quorum says so. */
function awaited(edge: Edge): string {
  const { from } = edge;
  const choice = choiceOf(edge);
  const more =
    edge.mode === 'merged'
      ? ', merged: one of them is enough'
      : edge.mode === 'failed'
        ? ', whose failure it handles'
        : '';
  const part =
    choice === undefined
      ? more
      : `, one of ${choice.edges.length} in ${choice.mode === 'any' ? 'any(...)' : `a ${choice.mode}`}`;
  return `"${truncate(from.id)}" (${from.status}${part})`;
}

/** Why nobody at a place can be reached; empty where they can. */
function away(place: Place): string {
  return place.away === undefined ? '' : `, who cannot be reached: ${truncate(place.away)}`;
}

function blockers(node: TaskNode, moment: RunMoment): string {
  const { group, needs } = node.lane;
  if (group !== undefined && group.active >= group.limit) {
    return `a place in group "${truncate(group.name)}" (${group.active} of ${group.limit} in use)`;
  }
  const short = needs.find((need) => need.resource.free < need.amount);
  if (short !== undefined) {
    const { resource, amount } = short;
    if (resource.place !== undefined && resource.capacity === 0)
      return `a worker of "${truncate(resource.name)}"${away(resource.place) || ', which has none now'}`;
    return `${amount} of "${truncate(resource.name)}" (${resource.free} of ${resource.capacity} free)`;
  }
  const { blockedBy } = node.lane;
  if (blockedBy instanceof Lane) {
    const wanted = needs.find(({ resource }) => blockedBy.needs.some((need) => need.resource === resource));
    const whom = blockedBy.ready.peek();
    const why = whom?.urgency === node.urgency ? 'came first, was overtaken' : 'is more important';
    return `"${truncate(wanted?.resource.name ?? '')}", which is kept for "${truncate(whom?.id ?? '')}", which ${why} and needs more than is free`;
  }
  const kept = needs.find((need) => need.resource === node.lane.blockedBy);
  if (kept !== undefined)
    return `"${truncate(kept.resource.name)}", which is kept for a task that needs more and has waited longer`;
  const gate = node.lane.gates.flat().find((one) => !one.admits(node));
  if (gate !== undefined) return gate.reason(node);
  const { active, limit, limitReason, shared } = moment;
  if (active >= limit)
    return `a slot (${active} of ${limit} in use)${limitReason === undefined ? '' : `, ${limitReason}`}`;
  if (shared !== undefined && shared.active >= shared.limit)
    return `a slot of its controller (${shared.active} of ${shared.limit} in use by all runs)`;
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
      ? `Task "${truncate(node.id)}" joins a task that waits for it, or for something shared that it uses meanwhile; join only tasks that need nothing of it.`
      : `Task "${truncate(node.id)}" waits for ${shared}, whose user waits for it; join others before or after ctx.shared, not within.`;
  return new RxhiveError('JOIN_CYCLE', message, { details: { taskId: node.id } });
}

/** Those that have to end before `node` can. */
function endsAfter({ inEdges, extra }: TaskNode): TaskNode[] {
  const found = inEdges.filter(({ satisfied }) => !satisfied).map(({ from }) => from);
  found.push(...(extra?.join?.targets ?? []));
  for (const one of extra?.join?.causes ?? []) found.push(...one.needs());
  return found;
}
