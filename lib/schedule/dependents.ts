import { type ChoiceState, choiceOf, decisionBy, isDecided, isLost } from '../graph/choice-state.js';
import { ItemsEdge } from '../graph/items-edge.js';
import { Edge, type Join, type TaskNode } from '../graph/node.js';
import { StreamEdge } from '../graph/stream-edge.js';
import { LimitExceededError, RxhiveError, truncate, WorkflowCancelledError } from '../kernel/errors.js';
import { isChoice, isMet, readsStream, runsAnyway } from '../model/dependency.js';
import { isSuccess, type TaskStatus } from '../model/status.js';
import type { Lifecycle } from './lifecycle.js';
import type { Streaming } from './streaming.js';

/** Takes tasks in and ends them, and tells dependents of ends and values: the counters that decide when a task is ready. */
export class Dependents {
  readonly #lifecycle: Lifecycle;
  readonly #streaming: Streaming;
  /** Dependencies that make their dependents impossible. */
  readonly #skips: Edge[] = [];
  /** Tasks nothing may need any more. */
  readonly #losers: TaskNode[] = [];
  /** Tasks that have come and are not taken in. */
  readonly #coming: TaskNode[] = [];

  constructor(lifecycle: Lifecycle, streaming: Streaming) {
    this.#lifecycle = lifecycle;
    this.#streaming = streaming;
    lifecycle.cleanUp = (nodes, ended) => this.#cleanUp(nodes, ended);
  }

  /** The tasks a run begins with: what ended before ends at once, what waits for nothing is ready. Step by step. */
  *begin(nodes: readonly TaskNode[]): Generator<void> {
    yield* this.#recall(nodes);
    for (const node of nodes) {
      if (node.definition.signal !== undefined) this.#lifecycle.deadlines.signals.listen(node);
      if (node.pending === 0 && node.status === 'waiting') this.#lifecycle.ready(node);
      yield;
    }
  }

  /** Tasks are about to be taken in: those that come one after the other in a turn are asked for their past together. */
  expect(nodes: readonly TaskNode[]): void {
    if (this.#lifecycle.ports.log.recovery !== undefined) this.#coming.push(...nodes);
  }

  /** Tasks that come while the run goes on: some of what they wait for may have ended. */
  add(nodes: readonly TaskNode[]): void {
    if (this.#coming.length > 0) for (const _ of this.#recall(this.#coming.splice(0)));
    for (const node of nodes) {
      if (node.ended) continue;
      if (node.definition.signal !== undefined) this.#lifecycle.deadlines.signals.listen(node);
      this.#catchUp(node);
      if (node.pending === 0 && node.status === 'waiting') this.#lifecycle.ready(node);
      else if (node.status === 'waiting' && this.#lifecycle.ports.watch.active)
        this.#lifecycle.announce(node);
    }
  }

  /** Ends what an earlier process has ended, all of it before any dependent hears of one. */
  *#recall(nodes: Iterable<TaskNode>): Generator<void> {
    const { ports, queue } = this.#lifecycle;
    if (ports.log.recovery === undefined) return;
    const ended: TaskNode[] = [];
    for (const node of nodes) {
      const status = node.ended ? undefined : ports.log.recall(node);
      if (status !== undefined) {
        queue.remove(node); // the end of its parent may have made it ready
        this.#lifecycle.finish(node, status, node.error);
        ended.push(node);
      }
      yield;
    }
    for (const node of inOrderOfLog(ended)) {
      this.#deliverAll(node);
      yield;
    }
    this.skipAll();
    for (const node of ended) this.#lifecycle.failFast(node);
  }

  /** Ends a task, and all that its end makes impossible or needless. */
  endTask(node: TaskNode, status: TaskStatus, error: unknown): void {
    this.#lifecycle.finish(node, status, error);
    this.#deliverAll(node);
    this.skipAll();
  }

  /** The task has failed for good. */
  fail(node: TaskNode, error: unknown): void {
    this.endTask(node, 'failed', error);
    this.#lifecycle.failFast(node);
  }

  /** `node` has ended; what that makes impossible is skipped when `skipAll` is called. */
  #deliverAll(node: TaskNode): void {
    for (let edge = node.firstOut; edge !== undefined; edge = edge.nextOut) this.deliver(edge);
  }

  /**
   * Ends what the last ends made impossible, or needless because another was first. Lists, not recursion, so a chain
   * of any length is safe.
   */
  skipAll(): void {
    if (this.#skips.length > 0 || this.#losers.length > 0) this.#lifecycle.slice(this.#skipEach());
  }

  *#skipEach(): Generator<void> {
    do {
      for (let edge = this.#skips.pop(); edge !== undefined; edge = this.#skips.pop()) {
        const { to } = edge;
        if (to.ended) this.#blame(edge);
        else if (!to.committing) {
          this.#skip(edge);
          this.#deliverAll(to);
        }
        yield;
      }
      const loser = this.#losers.pop();
      if (loser === undefined || loser.ended || loser.committing || isNeeded(loser)) continue;
      // Cleanup in a nested workflow that has lost gives back what that has taken.
      if (loser.definition.always === true) continue;
      // What only the loser needs has lost too: what it depends on, and the tasks it added and waits for.
      for (const { from } of loser.inEdges) this.#losers.push(from);
      for (const child of loser.extra?.join?.targets ?? [])
        if (child.parent === loser) this.#losers.push(child);
      this.#lose(loser);
      this.#deliverAll(loser);
    } while (this.#skips.length > 0 || this.#losers.length > 0);
  }

  /** The dependent can never start, or never end. */
  #skip(edge: Edge): void {
    const { from, to, mode } = edge;
    if (to.running === undefined) this.#lifecycle.free(to);
    else {
      const cause =
        mode === 'items'
          ? `"${truncate(from.id)}", whose items it takes, was ${from.status}`
          : 'its stream failed';
      this.#lifecycle.stop(to, new RxhiveError('TASK_SKIPPED', `Task "${to.id}" is skipped: ${cause}.`));
    }
    this.#lifecycle.finish(to, 'skipped', decisionBy(edge));
  }

  /**
   * The dependent was skipped. Where that was by decision, and the dependency went wrong after it, that counts, and for those
   * behind it too: which one comes first is chance, and may be otherwise when the run goes on.
   */
  #blame(edge: Edge): void {
    const { from, to, mode } = edge;
    // Who reads a stream may have decided for itself.
    if (!isDecided(to) || mode === 'items' || readsStream(mode)) return;
    const causes = choiceOf(edge)?.causes ?? [from];
    if (causes.every(isLost) || decisionBy(edge) !== undefined) return;
    to.error = undefined;
    for (let next = to.firstOut; next !== undefined; next = next.nextOut)
      if (isBroken(next)) this.#skips.push(next);
  }

  /** Another one was first and nothing needs it. */
  #lose(node: TaskNode): void {
    const lost = new WorkflowCancelledError('lost');
    this.#lifecycle.stop(node, lost);
    this.#lifecycle.finish(node, 'cancelled', lost);
  }

  /** A stream has a new value. */
  show(node: TaskNode, value: unknown): void {
    for (let edge = node.firstOut; edge !== undefined; edge = edge.nextOut) {
      if (!(edge instanceof StreamEdge) || edge.to.ended) continue;
      this.satisfy(edge);
      if (!edge.say(value)) this.#overrun(edge);
    }
  }

  /** A source of items begins: who takes them may begin too. */
  feeds(node: TaskNode): void {
    for (let edge = node.firstOut; edge !== undefined; edge = edge.nextOut)
      if (edge.mode === 'items' && !edge.to.ended) this.satisfy(edge);
  }

  /** Who reads a stream does not keep up with it, or what it is paired with does not. */
  #overrun({ from, to, mode, capacity }: StreamEdge): void {
    const what = mode === 'paired' ? 'their partners' : 'it to start';
    const cure = mode === 'paired' ? 'pair streams of the same pace' : 'let it start earlier';
    const message = `Task "${truncate(to.id)}": ${capacity} values of "${truncate(from.id)}" wait for ${what}; ${cure}, or use latest(...). More may wait with ${mode}(task, { capacity }).`;
    const error = new LimitExceededError('values', capacity, message);
    // Not now: others are still to hear of the value.
    this.#lifecycle.command(() => {
      if (to.ended || to.committing) return;
      this.#lifecycle.stop(to, error);
      this.fail(to, error);
    });
  }

  /** Delivers to a new task what was there before it. */
  #catchUp(node: TaskNode): void {
    for (const edge of node.inEdges) {
      if (edge.from.ended) this.deliver(edge);
      else if (edge instanceof StreamEdge && edge.from.extra?.live !== undefined) {
        this.satisfy(edge);
        if (edge.mode !== 'latest') edge.say(edge.from.extra.live.value);
      }
    }
    this.skipAll();
  }

  /** `node` waits for the success of `holder`, which adds it, without reading its result. */
  hold(node: TaskNode, holder: TaskNode): void {
    node.pending += 1;
    node.more().held = true;
    new Edge(holder, node, 'value', undefined, undefined);
  }

  /** The run ends early: tasks that clean up after it hear what has ended, and have so long from now on. */
  #cleanUp(nodes: readonly TaskNode[], ended: readonly Edge[]): void {
    const { slots, deadlines, queue, ports } = this.#lifecycle;
    slots.ending = true;
    for (const node of nodes) {
      if (ports.log.cleaned(node)) {
        queue.remove(node);
        this.endTask(node, 'restored', undefined);
      } else if (node.status !== 'waiting') deadlines.armCleanup(node);
    }
    for (const edge of ended) if (!edge.to.committing) this.deliver(edge);
    this.skipAll();
    slots.closed = false;
    queue.unpark(slots);
  }

  /** Tells one dependent that its dependency has ended. */
  deliver(edge: Edge): void {
    const { to, from } = edge;
    // Most edges: no need to ask what else they may be.
    const choice = edge.mode === 'value' ? undefined : choiceOf(edge);
    if (edge.mode === 'join') {
      if (to.ended || !isWaiting(edge, choice)) return;
      if (choice === undefined || choice.note(from)) this.#joined(to, choice);
      return;
    }
    if (choice !== undefined) {
      if (choice.note(from)) this.#decided(choice, edge);
      else if (choice.state === 'failed') this.#skips.push(edge);
      return;
    }
    const met = edge.mode === 'value' ? isSuccess(from.status) : isMet(edge.mode, from.status);
    if (!met) this.#skips.push(edge);
    else if (!to.ended) {
      this.satisfy(edge);
      if (edge instanceof StreamEdge && !edge.end()) this.#overrun(edge);
      if (edge.mode === 'items' && edge instanceof ItemsEdge) edge.row.complete();
    }
  }

  /** A race or quorum is over: for whoever depends on it, and for those who take part and have not ended. */
  #decided(choice: ChoiceState, last: Edge): void {
    const { to } = last;
    if (choice.stopsOthers) for (const { from } of choice.edges) this.#losers.push(from);
    if (choice.state === 'failed') this.#skips.push(last);
    if (to.ended || choice.state === 'failed') return;
    for (const edge of choice.edges) edge.satisfied = true;
    this.#delivered(to);
  }

  #joined(to: TaskNode, choice: ChoiceState | undefined): void {
    if (choice?.stopsOthers) for (const { from } of choice.edges) this.#losers.push(from);
    const join = to.extra?.join as Join;
    join.pending -= 1;
    if (join.pending === 0) this.#streaming.wake(to);
  }

  #delivered(to: TaskNode): void {
    to.pending -= 1;
    if (to.pending === 0 && to.status === 'waiting') this.#lifecycle.ready(to);
  }

  /** The dependency has something to read. */
  satisfy(edge: Edge): void {
    const { to } = edge;
    const first = !edge.satisfied;
    edge.satisfied = true;
    // Of those that are merged, the first to speak is enough.
    if (first && (edge.mode !== 'merged' || to.extra?.kept?.enters() === 1)) this.#delivered(to);
    else this.#streaming.feed(to);
  }
}

/** Those that take part in choices first, as they had ended: who came first then is the first again. */
function inOrderOfLog(ended: readonly TaskNode[]): readonly TaskNode[] {
  const placeOf = ({ extra }: TaskNode): number => extra?.place ?? Number.MAX_SAFE_INTEGER;
  if (!ended.some(({ extra }) => extra?.place !== undefined)) return ended;
  return [...ended].sort((a, b) => placeOf(a) - placeOf(b));
}

/** Does it make its dependent impossible, now that it has ended? */
function isBroken(edge: Edge): boolean {
  const { mode, from } = edge;
  return mode !== 'join' && (isChoice(mode) ? choiceOf(edge)?.state === 'failed' : !isMet(mode, from.status));
}

/** Does the wait of a running task that `edge` belongs to still go on? One of an attempt that is over does not. */
function isWaiting({ to, fallback }: Edge, choice: ChoiceState | undefined): boolean {
  return to.extra?.join !== undefined && to.extra.join === (choice?.join ?? fallback);
}

/** Does anything that has not ended still wait for the task, or may do so, or is it to do again what it had done? */
function isNeeded(node: TaskNode): boolean {
  if (node.extra?.again === true) return true;
  for (let edge = node.firstOut; edge !== undefined; edge = edge.nextOut) {
    if (edge.mode === 'ended') continue;
    // Cleanup only waits for the end.
    if (edge.mode !== 'join' && edge.to.definition.always === true && runsAnyway(edge.mode)) continue;
    const choice = choiceOf(edge);
    if (choice?.stopsOthers === false) {
      if (choice.state === 'won' || !edge.to.ended) return true;
      continue;
    }
    if (choice !== undefined && choice.state !== 'open') continue;
    if (edge.mode === 'join' ? isWaiting(edge, choice) : choice !== undefined || !edge.to.ended) return true;
  }
  return false;
}
