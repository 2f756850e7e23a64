import { EMPTY, type Observable } from 'rxjs';
import type { AttemptEnd, Gate } from '../graph/gate.js';
import type { Group } from '../graph/lane.js';
import type { TaskNode } from '../graph/node.js';
import type { SchedulerPorts } from '../graph/ports.js';
import type { Signal } from '../graph/signal.js';
import type { Clock } from '../kernel/clock.js';
import { Drain } from '../kernel/drain.js';
import { RxhiveError, WorkflowCancelledError } from '../kernel/errors.js';
import { faultOf } from '../kernel/guard.js';
import { mostOf } from '../model/adaptive.js';
import type { TaskStatus } from '../model/status.js';
import { defaultConcurrency, type WorkflowSettings } from '../model/workflow.js';
import { account } from './account.js';
import { Announcer } from './announcer.js';
import { Deadlines } from './deadlines.js';
import { Dependents } from './dependents.js';
import type { Moment } from './explain.js';
import { Lending } from './inherit.js';
import { Intake } from './intake.js';
import { Outcomes } from './outcomes.js';
import { Probing } from './probing.js';
import { ReadyQueue } from './ready-queue.js';
import { Turnstile } from './refusals.js';
import { Slots } from './slots.js';
import { Streaming } from './streaming.js';
import { leaveAll, onlyPeopleCanHelp } from './suspension.js';

type Command = { readonly kind: 'command'; run(): void };

/**
 * Decides when each task runs, and is the only writer of a task's status. Everything that happens goes
 * through one run-to-completion loop: signals of attempts, timers, calls from outside.
 */
export class Scheduler {
  /** Attempts that have begun. */
  starts = 0;
  /** Tasks that have not ended. */
  open = 0;
  limit: number;
  /** Times a limit, of a group or of the run, has changed. */
  limitChanges = 0;
  /** A run kept open waits for tasks from outside when none is left. */
  keepOpen = false;
  closing: RxhiveError | undefined;
  /** Nothing happens any more. Tasks that are left (`open`) wait for answers of people. */
  ended = false;
  readonly #nodes: ReadonlyMap<string, TaskNode>;
  readonly #settings: WorkflowSettings;
  readonly #clock: Clock;
  readonly #origin: number;
  readonly #ports: SchedulerPorts;
  readonly #queue: ReadyQueue;
  readonly #slots = new Slots(
    () => this.#bind(),
    (signal) => this.#drain.push(signal),
  );
  readonly #announcer: Announcer;
  readonly #intake: Intake;
  readonly #outcomes: Outcomes;
  readonly #deadlines: Deadlines;
  /** Ends what gates will not let in. */
  readonly turnstile: Turnstile;
  /** Makes what tasks wait for as important as they are. */
  readonly lending = new Lending({
    ranked: () => this.#settings.policy !== 'fifo',
    find: (id) => this.#nodes.get(id),
    raise: (node, priority, rank) => this.#queue.raise(node, priority, rank),
  });
  /** Lets those pass whom attempts need that try a provider. */
  readonly probing = new Probing(
    () => this.#nodes,
    (work) => this.#command(work),
    (node, lane) => this.#queue.relane(node, lane),
  );
  /** Waits of running tasks: joins, pauses, streams. */
  readonly streaming = new Streaming({
    enter: (node, status) => this.#enter(node, status),
    ready: (node) => this.#ready(node),
    pause: (node) => {
      this.#queue.pause(node);
      this.probing.look();
      this.#ports.rests(node);
    },
    stop: (node, reason) => this.#stop(node, reason),
    deliver: (edge) => {
      this.#dependents.deliver(edge);
      this.#dependents.skipAll();
    },
    still: (node, still) => this.#deadlines.still(node, still),
    value: (node, value) => {
      this.#ports.value(node, value);
      this.#dependents.show(node);
    },
    waits: (node) => this.#ports.waits(node),
    lend: (node) => this.lending.lend([node]),
    atTurnEnd: (work) => this.#drain.atTurnEnd(work),
    command: (run) => this.#command(run),
  });
  readonly #dependents = new Dependents({
    ready: (node) => this.#ready(node),
    skip: (node) => this.#skip(node),
    lose: (node) => {
      const lost = new WorkflowCancelledError('lost');
      this.#stop(node, lost);
      this.#finish(node, 'cancelled', lost);
    },
    wake: (node) => this.streaming.wake(node),
    refresh: (node) => this.streaming.refresh(node),
  });
  readonly #drain: Drain<Signal | Command>;
  /** Things that have happened: finer than any clock. */
  #steps = 0;

  constructor(
    nodes: ReadonlyMap<string, TaskNode>,
    settings: WorkflowSettings,
    clock: Clock,
    ports: SchedulerPorts,
  ) {
    this.#nodes = nodes;
    this.#settings = settings;
    this.#clock = clock;
    this.#drain = new Drain(
      clock,
      (item) => this.#step(item),
      () => this.#pump(),
    );
    this.#origin = clock.now();
    this.#ports = ports;
    this.#announcer = new Announcer(ports.watch);
    this.#intake = new Intake(
      ports,
      {
        failFast: (node) => this.#outcomes.failFast(node),
        finish: (node, status) => {
          this.#queue.remove(node); // the end of its parent may have made it ready
          this.#finish(node, status, node.error);
        },
        ready: (node) => this.#ready(node),
      },
      this.#dependents,
      this.#announcer,
    );
    this.#deadlines = new Deadlines(clock, settings, (node, error, applies) => {
      this.#command(() => {
        if (applies()) this.#abandon(node, 'failed', error);
      });
    });
    const parts = { announcer: this.#announcer, deadlines: this.#deadlines, streaming: this.streaming };
    this.#outcomes = new Outcomes(clock, ports, settings, parts, {
      now: () => this.now(),
      enter: (node, status, error, delay) => this.#enter(node, status, error, delay),
      ready: (node) => this.#ready(node),
      end: (node, status, error) => this.#end(node, status, error),
      free: (node, end) => this.#free(node, end),
      stop: (node, reason) => this.#stop(node, reason),
      book: (rival) => this.#book(rival),
      launch: (rival) => this.#slots.beside(ports.launch(rival)),
      cancelAll: (reason) => this.cancel(reason),
      command: (work) => this.#command(work),
    });
    this.turnstile = new Turnstile(nodes, {
      command: (work) => this.#command(work),
      turnAway: (node, refusal) => this.#outcomes.turnAway(node, refusal),
      abandon: (node, status, error) => this.#abandon(node, status, error),
    });
    this.limit = mostOf(settings.concurrency, defaultConcurrency);
    this.#queue = new ReadyQueue(() => this.now(), settings.aging);
  }

  /** Ms since the run started. */
  now(): number {
    return this.#clock.now() - this.#origin;
  }

  get active(): number {
    return this.#queue.active;
  }

  /** Something runs or is about to. */
  get busy(): boolean {
    return this.active > 0 || this.#queue.some;
  }

  get moment(): Moment {
    return { now: this.now(), active: this.active, limit: this.limit };
  }

  /** Lets `gate` wake who waits for it. */
  connect(gate: Gate): void {
    gate.connect((node) => this.#command(() => this.#queue.opened(gate, node)));
  }

  start(): void {
    this.#slots.begin();
    this.open = [...this.#nodes.values()].filter((node) => !node.ended).length;
    this.#command(() => this.#intake.begin([...this.#nodes.values()]));
  }

  /** Takes tasks in that were added to the graph at run time; they count as open at once, and wait for `holder`. */
  admit(nodes: readonly TaskNode[], holder?: TaskNode): void {
    this.open += nodes.length;
    this.#intake.expect(nodes);
    const now = this.now();
    for (const node of nodes) {
      node.addedAt = node.since = now;
      if (holder !== undefined) this.#dependents.hold(node, holder);
    }
    this.#command(() => {
      this.#intake.add(nodes);
      this.lending.lend(nodes);
    });
  }

  /** Ends everything that has not ended. The first reason counts. */
  cancel(reason: RxhiveError): void {
    this.#command(() => {
      if (this.closing !== undefined || this.ended) return;
      this.closing = reason;
      for (const node of this.#nodes.values()) {
        if (node.ended || node.committing) continue;
        this.#stop(node, reason);
        this.#finish(node, 'cancelled', reason);
      }
    });
  }

  /** Ends one task; its dependents are skipped. `why`: what the user says about it. */
  cancelTask(node: TaskNode, why?: unknown): void {
    this.#command(() => {
      // A run that has ended to wait for people leaves its tasks as they are.
      if (this.ended || node.ended || node.committing) return;
      this.#abandon(node, 'cancelled', new WorkflowCancelledError('cancelled', why));
    });
  }

  /** Changes how many tasks of a group, or of the whole run, run at once. */
  setLimit(group: Group | undefined, limit: number): void {
    this.#command(() => {
      this.limitChanges += 1;
      (group ?? this).limit = limit;
      if (group !== undefined) this.#queue.unpark(group);
      this.#announcer.limit(limit, group?.name);
    });
  }

  close(): void {
    this.keepOpen = false;
    this.look();
  }

  /** Something outside has changed that the end of the run depends on. */
  look(): void {
    this.#command(() => undefined);
  }

  #command(run: () => void): void {
    this.#drain.push({ kind: 'command', run });
  }

  #step(item: Signal | Command): void {
    this.#steps += 1;
    try {
      if (item.kind === 'command') item.run();
      else if (item.node.running === item.source) this.#outcomes.hear(item); // else a late word
    } catch (error) {
      this.#broke(error, item.kind === 'command' ? undefined : item.node);
    }
  }

  /** Something threw that no guard was around: better an end with a reason than a run that waits for ever. */
  #broke(error: unknown, node: TaskNode | undefined): void {
    const fault = faultOf(error, 'A callback');
    if (node === undefined || node.ended || node.committing) this.cancel(fault);
    else this.#command(() => this.#abandon(node, 'failed', fault));
  }

  #pump(): void {
    // Before the start only a cancelled run has an end.
    if (this.ended || (!this.#slots.begun && this.closing === undefined)) return;
    if (this.closing === undefined)
      while (this.active < this.limit && this.#queue.peek() !== undefined)
        if (this.#drain.rest()) return;
        else this.#slots.next();
    if (
      this.open > 0
        ? !(this.#ports.maySuspend() && onlyPeopleCanHelp(this, this.#nodes.values()))
        : this.keepOpen && this.closing === undefined
    ) {
      if (this.active === 0 && this.closing === undefined && !this.#drain.pending) this.#ports.resting();
      return;
    }
    this.ended = true;
    this.#slots.end();
    if (this.open > 0)
      leaveAll(this.#nodes.values(), this.now(), this.#deadlines, (node, why) => this.#stop(node, why));
    this.#ports.closed();
  }

  #bind(): Observable<Signal> {
    const node = this.#queue.take();
    if (node === undefined) return EMPTY;
    if (node.running !== undefined) {
      this.#ports.began(node);
      this.streaming.resume(node);
      return EMPTY;
    }
    this.#enter(node, 'running');
    this.starts += 1;
    node.attempt += 1;
    node.calls += 1;
    node.startedAt = node.since;
    try {
      this.#announcer.attempt(node, 'started');
      if (node.streaming) this.#command(() => this.streaming.starve(node));
      this.#outcomes.began(node);
      return this.#ports.launch(node);
    } catch (error) {
      this.#broke(error, node);
      return EMPTY;
    }
  }

  /** Books a slot beside the queue; only what nobody else could start with. */
  #book(rival: TaskNode): boolean {
    if (this.closing !== undefined || this.active >= this.limit) return false;
    return this.#queue.peek() === undefined && this.#queue.book(rival);
  }

  #ready(node: TaskNode): void {
    if (this.#outcomes.holdsBack(node)) return;
    node.lane = this.probing.laneOf(node);
    this.#enter(node, 'ready');
    // Who comes back from a pause keeps its place.
    if (this.#settings.policy === 'fifo' && node.running === undefined) node.rank = -this.#steps;
    this.#queue.push(node);
    if (node.extra?.replay === undefined) this.#deadlines.armQueue(node);
    this.turnstile.check(node);
  }

  /** Ends a task from outside: clocks and cancelTask. */
  #abandon(node: TaskNode, status: 'failed' | 'cancelled', error: RxhiveError): void {
    this.#stop(node, error);
    if (status === 'failed') this.#outcomes.fail(node, error);
    else this.#end(node, status, error);
  }

  #stop(node: TaskNode, reason: RxhiveError): void {
    const attempt = node.running;
    this.#outcomes.hedging.drop(node, reason);
    this.#free(node, { kind: 'stopped', error: reason });
    if (attempt === undefined) return;
    attempt.stop(reason);
    this.#announcer.attempt(node, 'stopped', reason);
    this.#ports.used(node);
  }

  /** Gives back all that a task held whose attempt, if there is one, has ended; returns what code of users threw then. */
  #free(node: TaskNode, end?: AttemptEnd): RxhiveError | undefined {
    const fault = this.#queue.leave(node, end);
    node.running = undefined;
    if (node.forgetWaits()) this.#deadlines.still(node, false);
    return fault;
  }

  #end(node: TaskNode, status: TaskStatus, error: unknown): void {
    this.#finish(node, status, error);
    this.#dependents.deliverAll(node);
    this.#dependents.skipAll();
  }

  #skip(node: TaskNode): void {
    if (node.running === undefined) this.#free(node);
    else
      this.#stop(node, new RxhiveError('TASK_SKIPPED', `Task "${node.id}" is skipped: its stream failed.`));
    this.#finish(node, 'skipped', undefined);
  }

  #finish(node: TaskNode, end: TaskStatus, cause: unknown): void {
    const replay = node.extra?.replay;
    // However a replay ends, what had been before holds.
    const { end: status, error } = replay ?? { end, error: cause };
    if (replay !== undefined) this.#ports.replayed(node, this.closing === undefined, cause);
    node.error = error;
    this.#enter(node, status, error);
    node.endedAt = node.since;
    this.open -= 1;
    if (node.definition.candidate === true) node.lane.group?.dismiss(node);
    this.#deadlines.disarm(node);
    this.streaming.forget(node);
    this.#ports.ended(node);
  }

  #enter(node: TaskNode, status: TaskStatus, error?: unknown, delay?: number): void {
    account(node, this.now());
    node.status = status;
    this.#announcer.task(node, error, delay);
  }
}
