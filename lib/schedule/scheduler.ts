import { defer, type Observable, Subject } from 'rxjs';
import type { Gate } from '../graph/gate.js';
import { type Group, named, type Resource, type RunSlots } from '../graph/lane.js';
import type { AttemptHandle, TaskNode } from '../graph/node.js';
import type { SchedulerPorts } from '../graph/ports.js';
import { wholeOf } from '../graph/scope.js';
import type { Signal, SignalSink } from '../graph/signal.js';
import type { Clock } from '../kernel/clock.js';
import { Drain } from '../kernel/drain.js';
import { type CancelReason, type RxhiveError, WorkflowCancelledError } from '../kernel/errors.js';
import { faultOf } from '../kernel/guard.js';
import type { WorkerFacts } from '../model/worker.js';
import type { WorkflowSettings } from '../model/workflow.js';
import { Deadlines } from './deadlines.js';
import { Dependents } from './dependents.js';
import type { RunMoment } from './explain.js';
import { Hedging } from './hedging.js';
import { PriorityInheritance } from './inherit.js';
import { Lifecycle } from './lifecycle.js';
import { Outcomes } from './outcomes.js';
import type { Probing } from './probing.js';
import { Refusals } from './refusals.js';
import type { QueuedRun, SharedQueue } from './shared-queue.js';
import { Slots } from './slots.js';
import { Streaming } from './streaming.js';
import { goesOnByItself, onlyPeopleCanHelp, runSuspended } from './suspension.js';
import { Waits } from './waits.js';

type Command = () => void;

/** What a scheduler works on. */
export interface ScheduledRun {
  readonly graph: { readonly nodes: ReadonlyMap<string, TaskNode>; readonly slots: RunSlots };
  /** Of a run under a controller: the queue of all of them. */
  readonly shared: SharedQueue | undefined;
}

/**
 * Decides when each task runs. Everything that happens goes through one run-to-completion loop: signals of attempts,
 * timers, calls from outside.
 */
export class Scheduler implements QueuedRun {
  /** Attempts that have begun. */
  starts = 0;
  /** Times a limit, of a group or of the run, has changed. */
  limitChanges = 0;
  /** A run kept open waits for tasks from outside when none is left. */
  keepOpen: boolean;
  /** Ends what gates will not let in. */
  readonly refusals: Refusals;
  /** Makes what tasks wait for as important as they are. */
  readonly priorityInheritance: PriorityInheritance;
  readonly waits: Waits;
  readonly outcomes: Outcomes;
  readonly slots: RunSlots;
  readonly #shared: SharedQueue | undefined;
  readonly #nodes: ReadonlyMap<string, TaskNode>;
  readonly #lifecycle: Lifecycle;
  readonly #dependents: Dependents;
  readonly #streaming: Streaming;
  /** Nothing new begins; the run ends when nothing goes on by itself. */
  #draining = false;
  readonly #slots: Slots;
  readonly #drain: Drain<Signal | Command>;

  constructor(
    { graph: { nodes, slots }, shared }: ScheduledRun,
    settings: WorkflowSettings,
    clock: Clock,
    ports: SchedulerPorts,
    keepOpen = false,
  ) {
    this.keepOpen = keepOpen;
    this.slots = slots;
    this.#shared = shared;
    this.#drain = new Drain<Signal | Command>(
      clock,
      this.#step,
      this.#idle,
      (work) => work,
      shared && { enter: (turns) => shared.enter(this, turns), left: () => shared.left() },
    );
    const { push: command, slice } = this.#drain;
    this.#slots = new Slots(this.#bind, command);
    const deadlines = new Deadlines(clock, settings, (node, error, applies) =>
      command(() => applies() && this.outcomes.abandon(node, 'failed', error)),
    );
    const parts = { nodes, settings, clock, ports, deadlines, slots, shared };
    const lifecycle = new Lifecycle({ ...parts, command, slice });
    this.#nodes = nodes;
    this.#lifecycle = lifecycle;
    const { policy = 'critical-path' } = settings;
    this.priorityInheritance = new PriorityInheritance(nodes, lifecycle.queue, policy);
    this.#streaming = new Streaming(lifecycle);
    this.#dependents = new Dependents(lifecycle, this.#streaming);
    this.waits = new Waits(lifecycle, this.#streaming, this.#dependents, this.priorityInheritance);
    const hedging = new Hedging(lifecycle, this.#streaming, (rival) => {
      lifecycle.attempt(rival, 'started');
      this.#slots.beside(rival, ports.launch);
    });
    this.outcomes = new Outcomes(lifecycle, this.#streaming, this.#dependents, hedging);
    this.refusals = new Refusals(nodes, lifecycle, this.outcomes);
  }

  /** Ms since the run started. */
  now(): number {
    return this.#lifecycle.clock.elapsed();
  }

  /** Tasks that run. */
  get active(): number {
    return this.slots.active;
  }

  /** How many may. */
  get limit(): number {
    return this.slots.limit;
  }

  /** Tasks that have not ended. */
  get open(): number {
    return this.#lifecycle.open;
  }

  /** Why the run ends early. */
  get closing(): RxhiveError | undefined {
    return this.#lifecycle.closing;
  }

  /** Are tasks that `parent`, or somebody outside, adds too late? */
  refuses(parent?: TaskNode): boolean {
    const { ended, closing } = this.#lifecycle;
    return ended || closing !== undefined || (parent === undefined && this.#draining);
  }

  /** Nothing happens any more. Tasks that are left (`open`) go on in a later process. */
  get ended(): boolean {
    return this.#lifecycle.ended;
  }

  get probing(): Probing {
    return this.#lifecycle.probing;
  }

  /** Something runs or is about to. */
  get goesOn(): boolean {
    if (this.active > 0) return true;
    if (this.#shared === undefined) return this.#lifecycle.queue.some;
    for (const { heapIndex, lane } of this.#nodes.values())
      if (heapIndex >= 0 && lane.heapIndex >= 0) return true;
    return false;
  }

  /** Its loop is further down the stack, or goes on in the next turn of the event loop. */
  get busy(): boolean {
    return this.#drain.busy;
  }

  /** It has heard things that it has not dealt with. */
  get pending(): boolean {
    return this.#drain.pending;
  }

  /** Starts `best`, the best task of the queue, which is its own; false: it gives the event loop back first. */
  startNext(best: TaskNode): boolean {
    if (this.#drain.rest()) return false;
    this.#slots.next(best);
    return true;
  }

  /** Deals with what it has heard, and starts what may start. */
  turn(): void {
    this.#drain.flush();
  }

  get moment(): RunMoment {
    return { now: this.now(), active: this.active, limit: this.limit };
  }

  /** A worker has begun with the attempt `source` of a task; undefined: it is not known which one. */
  begun(node: TaskNode, source: AttemptHandle, worker: WorkerFacts | undefined): void {
    this.#lifecycle.command(() => this.outcomes.begun(node, source, worker));
  }

  /** Emits, to all who have subscribed, when nothing else is to be done in this turn; a lower `depth` comes first. */
  turnEnd(depth: number): Observable<void> {
    const ended = new Subject<void>();
    const work = { order: depth, heapIndex: -1, run: () => ended.next() };
    return defer(() => {
      this.#drain.atTurnEnd(work);
      return ended;
    });
  }

  /** Lets `gate` wake who waits for it. */
  connect(gate: Gate): void {
    gate.connect((node) => this.#lifecycle.command(() => this.#lifecycle.queue.opened(gate, node)));
  }

  start(): void {
    this.#slots.begin();
    this.#lifecycle.begun = true;
    this.expectAll();
    const all = [...this.#nodes.values()];
    this.#lifecycle.command(() => {
      this.#lifecycle.places.use(all);
      this.#lifecycle.slice(this.#dependents.begin(all));
    });
  }

  /** Counts the tasks that are there: a run that never starts has an end for each, too. */
  expectAll(): void {
    let open = 0;
    for (const { ended } of this.#nodes.values()) if (!ended) open += 1;
    this.#lifecycle.open = open;
  }

  /** Takes tasks in that were added to the graph at run time; they count as open at once, and wait for `holder`. */
  admit(nodes: readonly TaskNode[], holder?: TaskNode): void {
    this.#lifecycle.open += nodes.length;
    this.#dependents.expect(nodes);
    const now = this.#lifecycle.clock.elapsed();
    for (const node of nodes) {
      node.since = now;
      if (holder !== undefined) this.#dependents.hold(node, holder);
    }
    this.#lifecycle.command(() => {
      this.#lifecycle.places.use(nodes);
      this.#dependents.add(nodes);
      this.priorityInheritance.lend(nodes);
    });
  }

  /** Ends everything that has not ended. The first reason counts. */
  cancel(reason: RxhiveError): void {
    this.#lifecycle.cancel(reason);
  }

  /** Ends one task, or a workflow as one; its dependents are skipped. `why`: what the user says about it, or what it comes from. */
  cancelTask(node: TaskNode, why?: unknown, reason: CancelReason = 'cancelled'): void {
    this.outcomes.cancel(wholeOf(node, this.#nodes.values()), new WorkflowCancelledError(reason, why));
  }

  /** Changes how many tasks of a group, or of the whole run, run at once. */
  setLimit(group: Group | undefined, limit: number): void {
    this.#lifecycle.command(() => {
      this.limitChanges += 1;
      const one = group ?? this.slots;
      one.limit = limit;
      this.#lifecycle.queue.unpark(one);
      const { watch } = this.#lifecycle.ports;
      if (watch.active) watch.emit({ type: 'group', reason: 'limit', concurrency: limit, ...named(group) });
    });
  }

  /** Changes the priority of a task; what somebody who waits for it has lent still counts. */
  setPriority(node: TaskNode, own: number): void {
    this.#lifecycle.command(() => {
      if (node.ended) return;
      const { queue, ports } = this.#lifecycle;
      let priority = own;
      for (let edge = node.firstOut; edge !== undefined; edge = edge.nextOut)
        if (!edge.satisfied && !edge.to.ended) priority = Math.max(priority, edge.to.priority);
      queue.raise(node, priority, node.rank);
      this.priorityInheritance.lend([node]);
      if (ports.watch.active)
        ports.watch.emit({ type: 'run', reason: 'priority', taskId: node.id, priority: own });
    });
  }

  /** Changes how much there is of a resource; what is taken stays taken. */
  setResource(resource: Resource, capacity: number): void {
    this.#lifecycle.command(() => {
      const { queue, ports } = this.#lifecycle;
      queue.resize(resource, capacity);
      if (ports.watch.active)
        ports.watch.emit({ type: 'run', reason: 'resource', resource: resource.name, capacity });
    });
  }

  endWhenIdle(): void {
    this.keepOpen = false;
    this.recheck();
  }

  /** Ends the run once what runs has ended, after `deadline` ms at the latest; what is left goes on in a later process. */
  drain(deadline = Number.POSITIVE_INFINITY): void {
    const { command, clock } = this.#lifecycle;
    command(() => {
      this.#draining = true;
      this.keepOpen = false;
      // A task that is being committed has ended: it is in the log, or soon will be.
      if (Number.isFinite(deadline))
        clock.after(deadline, () => command(() => this.ended || this.#lifecycle.stopAll(runSuspended())));
    });
  }

  /** Something outside has changed that the end of the run depends on. */
  recheck(): void {
    this.#lifecycle.command(() => undefined);
  }

  readonly #step = (item: Signal | Command): void => {
    this.#lifecycle.step();
    try {
      if (typeof item === 'function') item();
      else if (item.node.running === item.source) this.outcomes.onSignal(item); // else a late word
    } catch (error) {
      this.#broke(error, typeof item === 'function' ? undefined : item.node);
    }
  };

  /** Something threw that no guard was around: better an end with a reason than a run that waits for ever. */
  #broke(error: unknown, node: TaskNode | undefined): void {
    const fault = faultOf(error, 'A callback');
    if (node === undefined || node.ended || node.committing) this.cancel(fault);
    else this.#lifecycle.command(() => this.outcomes.abandon(node, 'failed', fault));
  }

  readonly #idle = (): void => {
    this.#pump();
    this.#lifecycle.places.tell();
  };

  /** Starts what may start; ends the run when nothing is left. */
  #pump(): void {
    const lifecycle = this.#lifecycle;
    const { ports } = lifecycle;
    // What it has given back may be for other runs, also when it has ended.
    if (this.#shared?.pump(this) === false) return;
    // Before the start only a cancelled run has an end.
    if (lifecycle.ended || (!lifecycle.begun && lifecycle.closing === undefined)) return;
    if (this.#shared === undefined && !this.#startAll()) return;
    this.#slots.rest();
    // While one runs nothing else is asked.
    if (this.slots.active > 0 && lifecycle.open > 0) return;
    if (lifecycle.open > 0 ? !this.#mayLeave() : this.keepOpen && lifecycle.closing === undefined) {
      if (this.active > 0 || lifecycle.closing !== undefined || this.#drain.pending) return;
      ports.resting();
      this.#shared?.rests();
      return;
    }
    lifecycle.ended = true;
    this.#slots.end();
    if (lifecycle.open > 0) lifecycle.leaveAll(runSuspended());
    lifecycle.places.close();
    ports.closed();
  }

  /** Nothing runs: may the run end with the tasks that are left? */
  #mayLeave(): boolean {
    if (this.#draining && this.closing === undefined) return !goesOnByItself(this.#nodes.values());
    return this.#lifecycle.ports.maySuspend() && onlyPeopleCanHelp(this, this.#nodes.values());
  }

  /** Starts what may start, where the queue is its own; false: the event loop has to be given back. */
  #startAll(): boolean {
    const { queue } = this.#lifecycle;
    const { slots } = this;
    while (!slots.closed && slots.active < slots.limit) {
      const best = queue.peek();
      if (best === undefined) return true;
      if (!this.startNext(best)) return false;
    }
    return true;
  }

  /** Binds a slot to the best task there is. */
  readonly #bind = (node: TaskNode, slot: SignalSink): AttemptHandle | undefined => {
    const { ports, queue } = this.#lifecycle;
    queue.take(node);
    if (node.running !== undefined) {
      ports.log.began(node);
      this.#streaming.resume(node);
      return undefined;
    }
    // The body before may have taken its time.
    this.#lifecycle.step();
    this.#lifecycle.enter(node, 'running');
    this.starts += 1;
    node.attempt += 1;
    node.calls += 1;
    node.startedAt = node.since;
    try {
      this.#lifecycle.attempt(node, 'started');
      if (node.streaming) this.#lifecycle.command(() => this.#streaming.starve(node));
      this.outcomes.began(node);
      return ports.launch(node, slot);
    } catch (error) {
      this.#broke(error, node);
      return undefined;
    }
  };
}
