import { describeWait, someOf } from '../graph/mailbox.js';
import type { TaskNode } from '../graph/node.js';
import { isSilent } from '../graph/stream-edge.js';
import { RxhiveError, truncate } from '../kernel/errors.js';
import { isEnd } from '../model/status.js';

/** What {@link DeadlockDetector} looks at. */
export interface DeadlockPorts {
  readonly nodes: ReadonlyMap<string, TaskNode>;
  readonly scheduler: {
    readonly keepOpen: boolean;
    readonly goesOn: boolean;
    readonly ended: boolean;
    readonly closing: RxhiveError | undefined;
  };
  readonly messages: {
    /** Tasks of this run talk. */
    readonly used: boolean;
    /** Something is being written that somebody may wait for. */
    readonly busy: boolean;
  };
}

/**
 * Finds tasks that wait for each other's messages and nothing else can go on for: each wait is taken to be over as soon as
 * one of those it is for does something, so what is found can never end. A task that waits is taken to do nothing else.
 */
export class DeadlockDetector {
  readonly #ports: DeadlockPorts;
  /** Began to wait while something was being written. */
  readonly #later = new Set<TaskNode>();

  constructor(ports: DeadlockPorts) {
    this.#ports = ports;
  }

  /** `node` has begun to wait: ends what it and others wait to hear, if that can never come (true). */
  check(node: TaskNode): boolean {
    const { scheduler, messages } = this.#ports;
    if (!messages.used || scheduler.ended || scheduler.closing !== undefined) return false;
    if (messages.busy) {
      this.#later.add(node);
      return false;
    }
    const bound = this.#bound(node);
    if (bound === undefined) return false;
    const hearing = bound.filter(({ extra }) => (extra?.messageWaits?.size ?? 0) > 0);
    const waits = hearing.flatMap(({ extra }) => [...(extra?.messageWaits ?? [])]);
    const alone =
      hearing.length === 1 && waits.every(({ kind, from }) => kind === 'message' && from === undefined);
    if (alone) for (const wait of waits) wait.over();
    else if (waits.length === 0 || mayEnd(node)) return false;
    else {
      const error = cycleOf([...hearing, ...bound.filter((one) => !hearing.includes(one))]);
      for (const wait of waits) wait.fail(error);
    }
    return true;
  }

  /** Nothing is being written any more. */
  recheck(): void {
    if (this.#later.size === 0) return;
    const nodes = [...this.#later];
    this.#later.clear();
    for (const node of nodes) if (node.status === 'suspended') this.check(node);
  }

  /** Nothing runs. */
  checkAll(): void {
    const { used, busy } = this.#ports.messages;
    if (!used || busy) return;
    for (const node of this.#ports.nodes.values())
      if (node.status === 'suspended' && this.check(node)) return;
  }

  /** All that has to do something before `start` can go on, itself included; undefined: one of them may. */
  #bound(start: TaskNode): TaskNode[] | undefined {
    const found = new Set([start]);
    let all = false;
    // A set hands out what is added while it is walked through.
    for (const node of found) {
      // That a wait of `start` itself may end brings nobody to speak to it who has ended.
      if (acts(node) || (node !== start && mayEnd(node))) return undefined;
      const before = this.#before(node);
      if (before === 'anyone') {
        const { scheduler } = this.#ports;
        if (scheduler.goesOn || scheduler.keepOpen) return undefined;
        if (!all) for (const other of this.#ports.nodes.values()) if (!other.ended) found.add(other);
        all = true;
      } else for (const other of before) if (!other.ended) found.add(other);
    }
    return [...found];
  }

  /** One of these has to do something first. */
  #before(node: TaskNode): readonly TaskNode[] | 'anyone' {
    const { extra, inEdges, parent, status } = node;
    if (status === 'waiting') {
      const open = openOf(node);
      if (open.length > 0) return open;
      return parent === undefined || parent.ended ? 'anyone' : [parent];
    }
    if ((extra?.join?.paused ?? 0) > 0) return 'anyone';
    const list = [...(extra?.join?.targets ?? [])];
    if (extra?.starved === true) list.push(...inEdges.filter(isSilent).map(({ from }) => from));
    for (const { from } of extra?.messageWaits ?? []) {
      if (from === undefined) return 'anyone';
      for (const id of from) {
        const other = this.#ports.nodes.get(id);
        if (other !== undefined) list.push(other);
      }
    }
    return list;
  }
}

/** Does it do something by itself, or may it? In doubt, it does. */
function acts({ status, extra, definition, committing }: TaskNode): boolean {
  if (committing) return true;
  if (status === 'waiting' || isEnd(status)) return false;
  if (status !== 'suspended') return true;
  if (definition.feeds === true || extra?.join?.elsewhere === true) return true;
  return (extra?.asking?.size ?? 0) > 0 || (extra?.hedge?.rivals.length ?? 0) > 0;
}

/** Has it a wait that may end by itself? */
function mayEnd({ extra }: TaskNode): boolean {
  for (const { timed, unsure } of extra?.messageWaits ?? []) if (timed || unsure) return true;
  return false;
}

function cycleOf(members: readonly TaskNode[]): RxhiveError {
  const waits = members.map((node) => ({ taskId: node.id, waitsFor: waitOf(node) }));
  const shown = waits
    .slice(0, 5)
    .map(({ taskId, waitsFor }) => `"${truncate(taskId)}" waits for ${waitsFor}`);
  const more = waits.length > 5 ? `; and ${waits.length - 5} more` : '';
  const message = `Nothing can end these waits, they are for each other: ${shown.join('; ')}${more}. Let one of them send first, read only whom you wait for (from), or give a wait a timeout.`;
  return new RxhiveError('WAIT_CYCLE', message, { details: { members: waits } });
}

/** Dependencies that a task still waits for. */
function openOf({ inEdges }: TaskNode): TaskNode[] {
  return inEdges.filter(({ satisfied }) => !satisfied).map(({ from }) => from);
}

function waitOf(node: TaskNode): string {
  const { extra, parent, status } = node;
  const named = (nodes: readonly TaskNode[]): string =>
    someOf(nodes.filter((one) => !one.ended).map(({ id }) => id));
  if (status === 'waiting') {
    const open = openOf(node);
    return open.length > 0 || parent === undefined
      ? `the end of ${named(open)}`
      : `the end of ${named([parent])}`;
  }
  const { messageWaits, join } = extra ?? {};
  if (messageWaits !== undefined && messageWaits.size > 0)
    return [...messageWaits].map(describeWait).join(' and ');
  return join !== undefined && join.targets.length > 0
    ? `the end of ${named(join.targets)}`
    : 'a shared thing';
}
