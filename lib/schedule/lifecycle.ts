import { isDecided, isForgiven, isHandled, isTolerated } from '../graph/choice-state.js';
import type { AttemptEnd } from '../graph/gate.js';
import type { RunSlots } from '../graph/lane.js';
import type { Edge, Hedge, TaskNode } from '../graph/node.js';
import type { SchedulerPorts } from '../graph/ports.js';
import type { Clock } from '../kernel/clock.js';
import { type RxhiveError, WorkflowCancelledError } from '../kernel/errors.js';
import type { AttemptEvent, OpenEvent } from '../model/event.js';
import type { TaskStatus } from '../model/status.js';
import type { WorkerFacts } from '../model/worker.js';
import type { WorkflowSettings } from '../model/workflow.js';
import type { Deadlines } from './deadlines.js';
import { LivePlaces } from './live-places.js';
import { Probing } from './probing.js';
import { ReadyQueue } from './ready-queue.js';
import type { SharedQueue } from './shared-queue.js';

/** What the lifecycle of tasks works with. */
export interface LifecycleParts {
  readonly nodes: ReadonlyMap<string, TaskNode>;
  readonly settings: WorkflowSettings;
  readonly clock: Clock;
  readonly ports: SchedulerPorts;
  readonly deadlines: Deadlines;
  /** Its slots: how many tasks may run at once. */
  readonly slots: RunSlots;
  /** The queue of the controller; undefined: the run has one of its own. */
  readonly shared: SharedQueue | undefined;
  /** Runs `work` in the drain loop. */
  command(work: () => void): void;
  /** Does `work` step by step, and lets others have the event loop in between. */
  slice(work: Iterator<unknown>): void;
}

/**
 * The one writer of a task's status: with each change goes the time that is booked, the event, and what the task holds.
 * Everything else that schedules calls it; it knows none of them.
 */
export class Lifecycle {
  /** Tasks that have not ended. */
  open = 0;
  /** How many tasks may run at once, and how many do. */
  readonly slots: RunSlots;
  /** Why the run ends early. */
  closing: RxhiveError | undefined;
  /** Nothing happens any more. Tasks that are left (`open`) go on in a later process. */
  ended = false;
  /** Things that have happened: finer than any clock. */
  steps = 0;
  readonly clock: Clock;
  readonly ports: SchedulerPorts;
  readonly deadlines: Deadlines;
  readonly queue: ReadyQueue;
  /** Lets those pass whom attempts need that try a provider. */
  readonly probing: Probing;
  readonly places: LivePlaces;
  /** Runs `work` in the drain loop. */
  readonly command: (work: () => void) => void;
  /** Does `work` step by step within what runs there, and lets others have the event loop in between. */
  readonly slice: (work: Iterator<unknown>) => void;
  /** Told of a task that has become ready and has gates to pass. */
  gated: (node: TaskNode) => void = () => undefined;
  /** Told, when the run ends early, of tasks that have yet to clean up, and what they depend on that has ended just now. */
  cleanUp: (nodes: readonly TaskNode[], ended: readonly Edge[]) => void = () => undefined;
  /** Tasks may run: a run that never gets there has nothing to clean up. */
  begun = false;
  readonly #nodes: ReadonlyMap<string, TaskNode>;
  readonly #settings: WorkflowSettings;
  readonly #shared: SharedQueue | undefined;
  /** Ms since the run started, the same for all that follows from one thing. Below 0: not read yet. */
  #moment = -1;

  constructor({ nodes, settings, clock, ports, deadlines, slots, shared, command, slice }: LifecycleParts) {
    this.#nodes = nodes;
    this.#settings = settings;
    this.clock = clock;
    this.ports = ports;
    this.deadlines = deadlines;
    this.slots = slots;
    this.#shared = shared;
    this.command = command;
    this.slice = slice;
    this.queue = shared?.queue ?? new ReadyQueue(() => clock.elapsed(), settings.aging);
    this.places = new LivePlaces((one, to) => command(() => this.queue.resize(one, to)), ports.failed);
    this.probing = new Probing(
      () => nodes,
      command,
      (node, lane) => this.queue.relane(node, lane),
    );
  }

  /** Something else happens: the time is read again. */
  step(): void {
    this.steps += 1;
    this.#moment = -1;
  }

  /** All that the task waited for is there: it waits for a slot, or for what is left of a backoff. */
  ready(node: TaskNode): void {
    const left = node.extra?.backoffLeft ?? 0;
    if (left > 0) {
      this.backOff(node, left);
      return;
    }
    node.lane = this.probing.laneOf(node);
    this.enter(node, 'ready');
    if (this.slots.ending) this.deadlines.armCleanup(node);
    // Who comes back from a pause keeps its place.
    if (this.#settings.policy === 'fifo' && node.running === undefined)
      node.rank = -(this.#shared === undefined ? this.steps : ++this.#shared.steps);
    if (this.#settings.policy === 'depth-first') node.rank = stepsBefore(node);
    this.queue.push(node);
    if (node.extra?.replay === undefined) this.deadlines.armQueue(node);
    if (node.lane.gated) this.gated(node);
  }

  /** The next attempt begins after `delay` ms. */
  backOff(node: TaskNode, delay: number, error?: unknown): void {
    node.more().backoffLeft = 0;
    this.enter(node, 'backing-off', error, delay);
    this.deadlines.backOff(node, delay, () => {
      this.command(() => {
        if (node.status === 'backing-off') this.ready(node);
      });
    });
  }

  /** Gives slot and place in the queue back; the attempt stays alive. */
  suspend(node: TaskNode): void {
    this.queue.pause(node);
    this.probing.recheck();
    this.ports.log.rests(node);
    this.enter(node, 'suspended');
  }

  /** Takes a slot and all else for an attempt beside another one, if nobody waits for any of it. */
  book(rival: TaskNode): boolean {
    if (this.closing !== undefined || this.slots.active >= this.slots.limit) return false;
    if (this.queue.active >= this.queue.limit) return false;
    return this.queue.peek() === undefined && this.queue.book(rival);
  }

  /** Gives back all that a task held whose attempt, if there is one, has ended; returns what code of users threw then. */
  free(node: TaskNode, end?: AttemptEnd): RxhiveError | undefined {
    const fault = this.queue.release(node, end);
    node.running = undefined;
    if (node.forgetWaits()) this.deadlines.still(node, false);
    return fault;
  }

  /** Ends the attempt of a task from outside, and those beside it. */
  stop(node: TaskNode, reason: RxhiveError): void {
    const attempt = node.running;
    this.dropRivals(node, reason);
    this.free(node, { kind: 'stopped', error: reason });
    if (attempt === undefined) return;
    attempt.stop(reason);
    this.attempt(node, 'stopped', reason);
    this.ports.log.used(node);
  }

  /** Stops the attempts beside that of `node`. */
  dropRivals(node: TaskNode, reason: RxhiveError): void {
    const hedge = node.extra?.hedge;
    if (hedge === undefined || hedge.node !== node) return;
    this.forgetHedge(hedge);
    for (const rival of hedge.rivals) {
      this.bookRival(node, rival, reason);
      this.stop(rival, reason);
    }
  }

  /** No attempt begins any more beside that of its task. */
  forgetHedge({ node, timer }: Hedge): void {
    this.clock.cancel(timer);
    node.more().hedge = undefined;
  }

  /** Ends a task; nobody who depends on it is told yet. */
  finish(node: TaskNode, end: TaskStatus, cause: unknown): void {
    const replay = node.extra?.replay;
    // However a replay ends, what had been before holds.
    const { end: status, error } = replay ?? { end, error: cause };
    if (replay !== undefined) this.ports.log.replayed(node, this.closing === undefined, cause);
    node.error = error;
    node.ended = true;
    this.enter(node, status, error);
    this.open -= 1;
    if (node.definition.candidate === true) node.lane.group?.dismiss(node);
    this.deadlines.disarm(node);
    if (node.streaming) node.extra?.kept?.clear();
    this.ports.ended(node);
    if (this.#settings.failurePolicy === 'fail-fast')
      for (const { mode, from } of node.inEdges) if (mode === 'failed') this.failFast(from);
  }

  /** Ends everything that has not ended but for cleanup, which may begin now. The first reason counts. */
  cancel(reason: RxhiveError): void {
    this.command(() => {
      if (this.closing !== undefined || this.ended) return;
      this.closing = reason;
      this.slots.closed = true;
      this.slice(this.#cancelAll(reason));
    });
  }

  *#cancelAll(reason: RxhiveError): Generator<void> {
    const kept: TaskNode[] = [];
    const ended: Edge[] = [];
    // Who has lost store or lease must not act any more.
    const cleans = this.begun && reason instanceof WorkflowCancelledError;
    for (const node of this.#nodes.values()) {
      if (node.ended || node.committing) continue;
      if (cleans && node.definition.always === true && node.extra?.replay === undefined) {
        kept.push(node);
        continue;
      }
      this.stop(node, reason);
      this.finish(node, 'cancelled', reason);
      for (let edge = node.firstOut; edge !== undefined; edge = edge.nextOut)
        if (edge.to.definition.always === true) ended.push(edge);
      yield;
    }
    if (kept.length > 0) this.cleanUp(kept, ended);
  }

  /** Ends the run where a failure is to do so, also one of an earlier process. */
  failFast(node: TaskNode): void {
    if (this.#settings.failurePolicy !== 'fail-fast' || node.status !== 'failed') return;
    if (isForgiven(node) || isHandled(node, true)) return;
    this.cancel(new WorkflowCancelledError('fail-fast', node.error));
  }

  /** Leaves the tasks that have not ended as they are, for a later process to run their bodies again. */
  leaveAll(reason: RxhiveError): void {
    this.stopAll(reason);
    const now = this.clock.elapsed();
    for (const node of this.#nodes.values()) {
      if (node.ended) continue;
      this.deadlines.disarm(node);
      bookTime(node, now);
    }
  }

  /** Ends what is under way; nothing of it is told to anybody. */
  stopAll(reason: RxhiveError): void {
    for (const node of this.#nodes.values()) if (!node.ended && !node.committing) this.stop(node, reason);
  }

  /** Changes the status: all changes of it happen here. */
  enter(node: TaskNode, status: TaskStatus, error?: unknown, delay?: number): void {
    const { active } = this.ports.watch;
    // Exact where events tell of it.
    if (active || this.#moment < 0) this.#moment = this.clock.elapsed();
    bookTime(node, this.#moment);
    node.status = status;
    if (node.extra?.handedOver === true) node.extra.handedOver = false;
    if (node.definition.place !== undefined) this.places.note(node);
    if (active) this.announce(node, error, delay);
  }

  /** A worker has begun with the attempt of a task: the time before was spent waiting for a slot. */
  workerBegan(node: TaskNode, worker: WorkerFacts | undefined): void {
    const now = this.clock.elapsed();
    bookTime(node, now);
    node.more().handedOver = false;
    node.startedAt = now;
    this.places.note(node);
    node.more().worker = worker?.id;
    this.attempt(node, 'begun', undefined, undefined, worker);
  }

  /** Tells the status of a task to those who listen. */
  announce(node: TaskNode, error?: unknown, delay?: number): void {
    const { watch } = this.ports;
    // An attempt beside another one is no task of its own.
    if (node.principal !== node) return;
    const { id: taskId, status: reason } = node;
    const event: OpenEvent<'task'> = { type: 'task', reason, taskId, seq: 0, at: 0, runId: '' };
    if (error !== undefined) event.error = error;
    if (delay !== undefined) event.delay = delay;
    const permitMs = node.extra?.permitMs ?? 0;
    if (reason === 'running' && permitMs > 0) event.permitMs = permitMs;
    if (reason === 'failed' && isTolerated(node)) event.tolerated = true;
    if (reason === 'skipped' && isDecided(node)) event.decided = true;
    if (reason === 'succeeded' || reason === 'restored') {
      const { value } = node;
      if (value !== undefined) event.value = value;
    }
    watch.emit(event, node.since);
  }

  /** Tells what becomes of an attempt. */
  attempt(
    node: TaskNode,
    reason: AttemptEvent['reason'],
    error?: unknown,
    retryAfter?: number,
    worker?: WorkerFacts,
  ): void {
    const { watch } = this.ports;
    if (!watch.active || node.attempt === 0) return;
    const { id: taskId, attempt } = node;
    const event: OpenEvent<'attempt'> = {
      type: 'attempt',
      reason,
      taskId,
      attempt,
      seq: 0,
      at: 0,
      runId: '',
    };
    if (node.principal !== node) event.hedge = true;
    if (node.extra?.replay !== undefined) event.replay = true;
    if (error !== undefined) event.error = error;
    if (retryAfter !== undefined) event.retryAfter = retryAfter;
    if (worker !== undefined) event.worker = worker;
    watch.emit(event, reason === 'started' ? node.since : undefined);
  }

  /** Books an attempt that another one follows; `retryAfter`: ms a provider asked to wait. */
  bookAttempt(node: TaskNode, error: unknown, retryAfter?: number): void {
    const extra = node.more();
    extra.attempts ??= [];
    const asked = retryAfter === undefined ? {} : { retryAfter };
    const by = extra.worker === undefined ? {} : { worker: extra.worker };
    const { startedAt } = node;
    extra.attempts.push({ startedAt, endedAt: this.clock.elapsed(), error, ...asked, ...by });
    extra.worker = undefined;
  }

  /** Books an attempt beside that of `node`. */
  bookRival(node: TaskNode, { startedAt }: TaskNode, error: unknown): void {
    const extra = node.more();
    extra.attempts ??= [];
    extra.attempts.push({ startedAt, endedAt: this.clock.elapsed(), error, hedge: true });
  }
}

/** Books the time since the last change of status, until `now`; the parts add up to the wall time. */
function bookTime(node: TaskNode, now: number): void {
  const spent = now - node.since;
  node.since = now;
  if (spent <= 0) return;
  if (node.status === 'waiting') node.dependenciesMs += spent;
  else if (node.status === 'ready') {
    // The part of a wait that was for permits.
    const permit = Math.min(spent, node.lane.permitMs(now) - (node.extra?.permitMark ?? 0));
    node.slotMs += spent - permit;
    if (permit > 0) node.more().permitMs += permit;
  } else if (node.status === 'running' && node.extra?.handedOver === true) node.slotMs += spent;
  else if (node.status === 'running') node.runningMs += spent;
  else if (node.status === 'backing-off') node.more().backoffMs += spent;
  else node.more().suspendedMs += spent;
}

/** Steps on the longest way to a task; who was added comes after who has added it. */
function stepsBefore({ depth, parent }: TaskNode): number {
  return parent === undefined ? depth : Math.max(depth, parent.rank + 1);
}
