import { type Observable, Subject } from 'rxjs';
import type { Gate, ProbingGate, Refusal } from '../graph/gate.js';
import { Group, Resource, type RunSlots } from '../graph/lane.js';
import type { ItemWatch, Spawned, TaskNode } from '../graph/node.js';
import type { Watch } from '../graph/ports.js';
import type { SharedParts } from '../graph/shared-parts.js';
import type { Clock } from '../kernel/clock.js';
import type { RxhiveError } from '../kernel/errors.js';
import type { Share } from '../kernel/fair-heap.js';
import { mostOf } from '../model/adaptive.js';
import type { ControllerOptions } from '../model/controller.js';
import type { WorkflowEvent } from '../model/event.js';
import type { Place } from '../model/executor.js';
import { defaultConcurrency } from '../model/workflow.js';
import type { Probing } from './probing.js';
import { ReadyQueue } from './ready-queue.js';

/** A run under a controller, as those see it who watch. */
export interface JoinedRun {
  readonly runId: string;
  /** What its user holds. */
  readonly owner: object;
  readonly graph: { readonly nodes: ReadonlyMap<string, TaskNode> };
  readonly hub: Watch & { readonly events$: Observable<WorkflowEvent> };
  readonly scheduler: {
    /** Tasks that run, and tasks that have not ended. */
    readonly active: number;
    readonly open: number;
    cancelTask(node: TaskNode, why?: unknown): void;
  };
  /** Told what code of users throws where no task is to blame. */
  readonly subscribers: { failed(error: unknown): void };
  /** Told when memory is short for all runs, and when it no longer is. */
  readonly load: { memoryShort(isShort: boolean): void };
  readonly intake: {
    /** Takes in a task that is forgotten when it has ended. */
    offer(task: Spawned, watch: ItemWatch): TaskNode;
  };
}

/** A run has begun, or ended, or has nothing that runs. */
export type RunChange =
  | { readonly joined: JoinedRun }
  | { readonly left: JoinedRun }
  | { readonly rests: true };

/** A run under a controller, as the queue sees it. */
export interface QueuedRun {
  readonly slots: RunSlots;
  /** Its loop is further down the stack, or goes on in the next turn of the event loop. */
  readonly busy: boolean;
  /** It has heard things that it has not dealt with. */
  readonly pending: boolean;
  /** Ends tasks that gates will not let in. */
  readonly refusals: {
    turnAway(node: TaskNode, refusal: Refusal): void;
    refuse(gate: Gate): void;
    abort(group: Group, error: RxhiveError): void;
  };
  readonly probing: Probing;
  /** Starts `best`, the best task of the queue, which is its own; false: it gives the event loop back first. */
  startNext(best: TaskNode): boolean;
  /** Does what it has been told, and starts what is its own and first in the queue. */
  turn(): void;
  cancel(reason: RxhiveError): void;
}

const leastShares = 1_000;
/** Starts between two looks at the event loop. */
const steps = 16;

/**
 * The one queue of all runs of a controller: the best task over all of them starts next. One run is at work at a time:
 * what another one is told meanwhile it deals with when that one is done, so that no stack grows however runs call each
 * other, and nobody changes the queue while somebody looks at it.
 */
export class SharedQueue implements SharedParts {
  readonly options: ControllerOptions;
  readonly clock: Clock;
  readonly groups = new Map<string, Group>();
  readonly resources = new Map<string, Resource>();
  readonly places = new Map<Place, Resource>();
  readonly gates: Gate[] = [];
  /** Runs begin and end. */
  readonly changes$ = new Subject<RunChange>();
  draining = false;
  readonly queue: ReadyQueue;
  /** Things that have happened in all runs: finer than any clock. */
  steps = 0;
  /** Runs made so far. */
  #made = 0;
  readonly #shares = new Map<string, WeakRef<Share>>();
  /** Keys at which those nobody has any more are looked for. */
  #mostShares = leastShares;
  readonly #runs = new Map<RunSlots, QueuedRun>();
  readonly #joined = new Map<RunSlots, JoinedRun>();
  /** Gates that let a few attempts through to try. */
  readonly #trying = new Set<ProbingGate>();
  /** Whose loop is at work. */
  #inside: QueuedRun | undefined;
  /** Who has been let in from within the loop of another one, or from here. */
  #turn: QueuedRun | undefined;
  #pumping = false;
  /** It goes on in the next turn of the event loop. */
  #parked = false;
  #looks = 0;
  /** Runs that were told something while another one was at work. */
  readonly #late = new Set<QueuedRun>();
  /** The same for what is shared. */
  #commands: (() => void)[] = [];

  constructor(options: ControllerOptions, clock: Clock) {
    const { concurrency, aging, fair, groups = {}, resources = {} } = options;
    this.options = options;
    this.clock = clock;
    this.queue = new ReadyQueue(() => clock.elapsed(), aging, fair !== undefined);
    this.queue.limit = mostOf(concurrency, defaultConcurrency);
    for (const [name, group] of Object.entries(groups))
      this.groups.set(name, new Group(name, mostOf(group.concurrency, Number.POSITIVE_INFINITY)));
    for (const [name, capacity] of Object.entries(resources))
      this.resources.set(name, new Resource(name, capacity, this.resources.size));
  }

  nextOrder(): number {
    this.#made += 1;
    return this.#made;
  }

  /** One object for a key, as long as somebody has it. */
  shareOf(key: string): Share {
    const known = this.#shares.get(key)?.deref();
    if (known !== undefined) return known;
    if (this.#shares.size >= this.#mostShares) {
      for (const [one, share] of this.#shares) if (share.deref() === undefined) this.#shares.delete(one);
      this.#mostShares = Math.max(leastShares, 2 * this.#shares.size);
    }
    const { weights = {} } = this.options;
    const share = { key, weight: Object.hasOwn(weights, key) ? (weights[key] as number) : 1 };
    this.#shares.set(key, new WeakRef(share));
    return share;
  }

  /** Tasks that run, of all runs. */
  get active(): number {
    return this.queue.active;
  }

  /** How many may. */
  get limit(): number {
    return this.queue.limit;
  }

  /** Runs that have begun and not ended. */
  get runs(): readonly JoinedRun[] {
    return [...this.#joined.values()];
  }

  get size(): number {
    return this.#joined.size;
  }

  /** A run begins. `joined`: it, for those who look. */
  join(run: QueuedRun, joined: JoinedRun): void {
    this.#runs.set(run.slots, run);
    this.#joined.set(run.slots, joined);
    for (const gate of this.#trying) run.probing.begin(gate);
    this.changes$.next({ joined });
  }

  /** A run has ended, or was never joined. */
  leave({ slots }: QueuedRun): void {
    const joined = this.#joined.get(slots);
    this.#runs.delete(slots);
    this.#joined.delete(slots);
    if (joined !== undefined) this.changes$.next({ left: joined });
  }

  /** Nothing of one of the runs runs. */
  rests(): void {
    this.changes$.next({ rests: true });
  }

  /** Changes how many tasks run at once: of a group, or without one of all runs. */
  setLimit(group: Group | undefined, limit: number): void {
    this.command(() => {
      if (group === undefined) this.queue.limit = limit;
      else {
        group.limit = limit;
        this.queue.unpark(group);
      }
    });
  }

  /** Ends all runs. */
  cancel(reason: RxhiveError): void {
    this.command(() => {
      for (const run of [...this.#runs.values()]) run.cancel(reason);
    });
  }

  /** Lets a gate that is shared wake who waits for it. */
  connect(gate: Gate): void {
    gate.connect((node) => this.command(() => this.queue.opened(gate, node)));
  }

  /** What gates that are shared do about tasks, in the run of each. */
  readonly refusals = {
    turnAway: (node: TaskNode, refusal: Refusal): void =>
      this.command(() => this.#runs.get(node.lane.slots)?.refusals.turnAway(node, refusal)),
    refuse: (gate: Gate): void => this.#each(({ refusals }) => refusals.refuse(gate)),
    abort: (group: Group, error: RxhiveError): void =>
      this.#each(({ refusals }) => refusals.abort(group, error)),
  };

  readonly probing = {
    begin: (gate: ProbingGate): void => {
      this.#trying.add(gate);
      for (const { probing } of this.#runs.values()) probing.begin(gate);
    },
    end: (gate: ProbingGate): void => {
      this.#trying.delete(gate);
      for (const { probing } of this.#runs.values()) probing.end(gate);
    },
    helps: ({ probes }: ProbingGate, node: TaskNode): boolean => {
      const { slots } = node.lane;
      // Attempts of other runs need nothing of this one.
      const own = new Set([...probes].filter((probe) => probe.lane.slots === slots));
      return this.#runs.get(slots)?.probing.helps({ probes: own }, node) === true;
    },
  };

  /** Does something with what is shared: now, or when the run that is at work is done. */
  command(work: () => void): void {
    this.#commands.push(work);
    if (this.#inside === undefined) this.pump();
  }

  /** Calls `turns`, the loop of a run, or lets it in later. */
  enter(run: QueuedRun, turns: () => void): void {
    const outer = this.#inside;
    if ((outer !== undefined || this.#pumping) && this.#turn !== run) {
      this.#late.add(run);
      return;
    }
    this.#inside = run;
    try {
      turns();
    } finally {
      this.#inside = outer;
    }
  }

  /** The loop of a run is over: what others were told meanwhile is for now, where no outer loop sees to it. */
  left(): void {
    if (this.#inside === undefined && this.#owes) this.pump();
  }

  /**
   * Starts what may start, in all runs; `host` is the one in whose loop this is called. False: that gives the event loop back.
   */
  pump(host?: QueuedRun): boolean {
    if (host !== undefined && host === this.#turn) return this.#startOwn(host);
    if (this.#pumping || this.#parked || this.#inside !== host) return true;
    this.#pumping = true;
    try {
      return this.#pump(host);
    } finally {
      this.#pumping = false;
      this.#turn = undefined;
    }
  }

  #pump(host: QueuedRun | undefined): boolean {
    for (;;) {
      this.#catchUp();
      const node = this.#best;
      if (node === undefined) return true;
      const { slots } = node.lane;
      const next = this.#runs.get(slots);
      if (next === undefined) slots.closed = true;
      else if (next === host) {
        if (!host.startNext(node)) return false;
        // What the host has heard may make something better ready. Who is busy comes here itself.
      } else if (next.busy || host?.pending === true || this.#rest()) return true;
      else if (!this.#starts(next, node)) return true;
    }
  }

  /** Lets a run in whose task is the best; false: that has not started. */
  #starts(run: QueuedRun, node: TaskNode): boolean {
    const { taken } = this.queue;
    this.#let(run);
    return this.queue.taken !== taken || this.#best !== node;
  }

  /** Starts what is best as long as that is of `run`, and nobody is owed anything: at least one, or nothing would go on. */
  #startOwn(run: QueuedRun): boolean {
    do {
      const best = this.#best;
      if (best?.lane.slots !== run.slots) return true;
      if (!run.startNext(best)) return false;
    } while (!this.#owes);
    return true;
  }

  get #best(): TaskNode | undefined {
    return this.queue.active < this.queue.limit ? this.queue.peek() : undefined;
  }

  get #owes(): boolean {
    return this.#commands.length > 0 || this.#late.size > 0;
  }

  /** Does what had to wait. */
  #catchUp(): void {
    while (this.#owes) {
      const commands = this.#commands;
      this.#commands = [];
      for (const command of commands) command();
      const [run] = this.#late;
      if (run === undefined) continue;
      this.#late.delete(run);
      // Who is busy gets there itself.
      if (!run.busy) this.#let(run);
    }
  }

  #let(run: QueuedRun): void {
    this.#late.delete(run);
    this.#turn = run;
    try {
      run.turn();
    } finally {
      this.#turn = undefined;
    }
  }

  /** Gives the event loop back where it has been kept for long. */
  #rest(): boolean {
    this.#looks += 1;
    if (this.#looks % steps !== 0 || !this.clock.overdue) return false;
    this.#parked = true;
    this.clock.nextTurn(() => {
      this.#parked = false;
      this.pump();
    });
    return true;
  }

  #each(work: (run: QueuedRun) => void): void {
    this.command(() => {
      for (const run of [...this.#runs.values()]) work(run);
    });
  }
}
