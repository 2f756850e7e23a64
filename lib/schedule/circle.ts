import { brief, RxhiveError } from '../kernel/errors.js';
import type { MessageWait } from '../model/mail.js';
import type { TaskNode } from '../model/node.js';

/** What {@link Circle} looks at. */
export interface CirclePorts {
  readonly nodes: ReadonlyMap<string, TaskNode>;
  readonly scheduler: {
    readonly keepOpen: boolean;
    readonly busy: boolean;
    readonly ended: boolean;
    readonly closing: RxhiveError | undefined;
  };
  /** Something is being written that somebody may wait for. */
  busy(): boolean;
}

/**
 * Finds tasks that wait for each other's words and nothing else can go on for: each wait is taken to be over as soon as
 * one of those it is for does something, so what is found can never end. A task that waits is taken to do nothing else.
 */
export class Circle {
  readonly #ports: CirclePorts;

  constructor(ports: CirclePorts) {
    this.#ports = ports;
  }

  /** `node` has begun to wait: ends its wait, and those of the others, if that can never end (true). */
  check(node: TaskNode): boolean {
    const { scheduler, busy } = this.#ports;
    if (scheduler.ended || scheduler.closing !== undefined || busy()) return false;
    if ((node.extra?.hearing?.size ?? 0) === 0) return false;
    const bound = this.#bound(node);
    if (bound === undefined) return false;
    const members = bound.filter(({ extra }) => (extra?.hearing?.size ?? 0) > 0);
    const waits = members.flatMap(({ extra }) => [...(extra?.hearing ?? [])]);
    const alone =
      members.length === 1 && waits.every(({ kind, from }) => kind === 'message' && from === undefined);
    if (alone) for (const wait of waits) wait.over();
    else if (this.#acts(node)) return false;
    else {
      const error = circleOf(members);
      for (const wait of waits) wait.fail(error);
    }
    return true;
  }

  /** Nothing runs. */
  look(): void {
    for (const node of this.#ports.nodes.values())
      if (node.status === 'suspended' && this.check(node)) return;
  }

  /** All that has to do something before `start` can go on, itself included; undefined: one of them may. */
  #bound(start: TaskNode): TaskNode[] | undefined {
    const found = new Set([start]);
    let all = false;
    // A set hands out what is added while it is walked through.
    for (const node of found) {
      // What it does itself brings nobody to speak to it who has ended.
      if (node !== start && this.#acts(node)) return undefined;
      const before = this.#before(node);
      if (before === 'anyone') {
        const { scheduler } = this.#ports;
        if (scheduler.busy || scheduler.keepOpen) return undefined;
        if (!all) for (const other of this.#ports.nodes.values()) if (!other.ended) found.add(other);
        all = true;
      } else for (const other of before) if (!other.ended) found.add(other);
    }
    return [...found];
  }

  /** Does or may it do something by itself? In doubt, it does. */
  #acts({ status, extra, definition, committing }: TaskNode): boolean {
    if (committing || status === 'ready' || status === 'running' || status === 'backing-off') return true;
    if (status !== 'suspended') return false;
    if (definition.feeds === true || extra?.join?.elsewhere === true) return true;
    if ((extra?.asking?.size ?? 0) > 0 || (extra?.hedge?.rivals.length ?? 0) > 0) return true;
    for (const { timed, unsure } of extra?.hearing ?? []) if (timed || unsure) return true;
    return false;
  }

  /** One of these has to do something first. */
  #before(node: TaskNode): readonly TaskNode[] | 'anyone' {
    const { extra, inEdges, parent, status } = node;
    if (status === 'waiting') {
      const open = inEdges.filter(({ satisfied }) => !satisfied).map(({ from }) => from);
      if (open.length > 0) return open;
      return parent === undefined || parent.ended ? 'anyone' : [parent];
    }
    if ((extra?.join?.paused ?? 0) > 0) return 'anyone';
    const list = [...(extra?.join?.targets ?? [])];
    if (extra?.starved === true)
      list.push(...inEdges.filter(({ mode }) => mode === 'latest').map(({ from }) => from));
    for (const { from } of extra?.hearing ?? []) {
      if (from === undefined) return 'anyone';
      for (const id of from) {
        const other = this.#ports.nodes.get(id);
        if (other !== undefined) list.push(other);
      }
    }
    return list;
  }
}

function circleOf(members: readonly TaskNode[]): RxhiveError {
  const waits = members.map(({ id, extra }) => ({
    taskId: id,
    waitsFor: [...(extra?.hearing ?? [])].map(shownWait).join(' and '),
  }));
  const shown = waits.slice(0, 5).map(({ taskId, waitsFor }) => `"${brief(taskId)}" waits for ${waitsFor}`);
  const more = waits.length > 5 ? `; and ${waits.length - 5} more tasks` : '';
  const message = `Nothing can end these waits, they are for each other: ${shown.join('; ')}${more}. Let one of them speak first, read only whom you wait for (from), or give a wait a timeout.`;
  return new RxhiveError('WAIT_CYCLE', message, { details: { members: waits } });
}

/** What a wait is for, as the end of a sentence. */
export function shownWait({ kind, channel, from }: MessageWait): string {
  const ids = from === undefined ? [] : [...from].map((id) => `"${brief(id)}"`);
  const more = ids.length > 5 ? ` and ${ids.length - 5} more` : '';
  const whom = `${ids.slice(0, 5).join(', ')}${more}`;
  if (kind === 'reply') return `an answer of ${whom}`;
  if (kind === 'room') return `room in channel "${brief(channel)}", which ${whom} reads slowly`;
  const what = channel.startsWith('@') ? 'a question' : `a message on channel "${brief(channel)}"`;
  return ids.length === 0 ? `${what} from anyone` : `${what} from ${whom}`;
}
