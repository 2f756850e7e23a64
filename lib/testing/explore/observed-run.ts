import { NEVER } from 'rxjs';
import { SimulationScheduler } from '../../kernel/simulation-scheduler.js';
import { mostOf } from '../../model/adaptive.js';
import { readsStream } from '../../model/dependency.js';
import type { PlannedTask, WorkflowEvent } from '../../model/event.js';
import type { AttemptCall } from '../../model/middleware.js';
import { isEnd, type TaskStatus } from '../../model/status.js';
import type { Definable, WorkflowSettings } from '../../model/workflow.js';
import { dependenciesIn, type Needed } from '../../replay/recording.js';
import type { MemoryDump, MemoryStore } from '../../stores/memory.js';
import { durationOf } from '../marbles/marble-text.js';
import { MortalStore } from '../mortal-store.js';
import { drive, virtually } from '../virtual-time.js';
import { type Crash, Endings, type Perturbation, perturbed } from './perturbation.js';
import { TrialRun, type TrialRunOptions } from './trial.js';

/** Something that must always hold; each function says what is wrong, or nothing. */
export interface Invariant {
  readonly name: string;
  /** After each event. */
  event?(event: WorkflowEvent, observed: ObservedRun): string | undefined;
  /** Before the body of a task is called. */
  body?(taskId: string, observed: ObservedRun): string | undefined;
  /** When nothing more happens at a moment of virtual time. */
  rest?(observed: ObservedRun): string | undefined;
  /** When the run has ended by itself, or can never end. */
  end?(observed: ObservedRun): string | undefined;
}

/** An {@link Invariant} that did not hold. */
export interface Violation {
  readonly invariant: string;
  readonly message: string;
  /** Virtual ms. */
  readonly at: number;
}

/** A limit as it is now. */
interface LiveGroup {
  limit: number;
  gatedUntil: number;
}

/** What outlives a process: its store, and what was seen of tasks that the next one need not announce again. */
export interface Legacy {
  readonly store: MemoryStore;
  readonly planned: Map<string, PlannedTask>;
  readonly parents: Map<string, string>;
}

/** What one life is made of. */
export interface ObservedRunOptions {
  readonly number: number;
  readonly trialRun: TrialRunOptions;
  readonly durability: 'sync' | 'group';
  /** Ms the store takes to write. */
  readonly latency: number;
  /** What the lives before have left. */
  readonly legacy: Legacy;
  readonly crash: Crash | undefined;
  readonly until: number | string;
  readonly invariants: readonly Invariant[];
  perturbationOf(attempt: string): Perturbation;
}

/** One process that runs a workflow, from its start to its end or its crash, watched by invariants. */
export class ObservedRun {
  readonly scheduler = new SimulationScheduler();
  /** Which process of the run it is, from 1. */
  readonly number: number;
  readonly settings: WorkflowSettings;
  readonly trialRun: TrialRun;
  readonly durability: 'sync' | 'group';
  readonly statuses = new Map<string, TaskStatus>();
  /** When each task was added, ms of the run. */
  readonly addedAt = new Map<string, number>();
  readonly endedAt = new Map<string, number>();
  /** Tasks as they stand in the graph, also those that only a life before has planned. */
  readonly planned: ReadonlyMap<string, PlannedTask>;
  readonly groups = new Map<string, LiveGroup>();
  concurrency: number;
  /** Tasks whose success is in the log now. */
  readonly committed: ReadonlySet<string>;
  /** Tasks whose success was in the log when this life began. */
  readonly before: ReadonlySet<string>;
  /** Tasks that had failed for good by then. */
  readonly failedBefore: ReadonlySet<string>;
  /** Of those, the ones that were announced to run again. */
  readonly rerun = new Set<string>();
  /** Of those, the ones that were announced to be there again once somebody adds them. */
  readonly missing = new Set<string>();
  /** Who added whom, as far as a life has seen it. */
  readonly parents: ReadonlyMap<string, string>;
  /** Tasks that have given their slot back for a while. */
  readonly paused = new Set<string>();
  /** Tasks that were stopped because another one was first. */
  readonly lost = new Set<string>();
  violation: Violation | undefined;
  readonly #options: ObservedRunOptions;
  readonly #endings: Endings;
  readonly #calls = new Map<string, number>();
  readonly #streamed = new Set<string>();
  /** Tasks that feed others: what they return is no body of the user's. */
  readonly #feeding: ReadonlySet<string>;
  /** Running tasks whose body has ended: they wait for a slow store, without a slot. */
  readonly #ending = new Set<string>();
  /** How many attempts go on beside the first of their task, and the bodies that are not over. */
  readonly #rivals = new Map<string, number>();
  readonly #open = new Map<string, Set<number>>();
  readonly #store: MortalStore;

  constructor(subject: Definable, options: ObservedRunOptions) {
    this.#options = options;
    this.number = options.number;
    this.durability = options.durability;
    this.#endings = new Endings(this.scheduler);
    const { settings, ids, tasks } = subject.definition();
    this.settings = settings;
    this.planned = options.legacy.planned;
    this.parents = options.legacy.parents;
    this.#feeding = new Set(ids.filter((_, i) => tasks[i]?.feeds === true));
    this.concurrency = mostOf(settings.concurrency, 16);
    for (const [name, group] of Object.entries(settings.groups ?? {}))
      this.groups.set(name, { limit: mostOf(group.concurrency, Number.POSITIVE_INFINITY), gatedUntil: 0 });
    this.#store = new MortalStore({
      runId: 'explored',
      store: options.legacy.store,
      crash: options.crash,
      latency: options.latency,
      scheduler: this.scheduler,
      lost: (tasks) =>
        this.#fail('no result is lost', `the log was made shorter, and ${tasks.join(', ')} is gone`),
    });
    this.committed = this.#store.committed;
    this.before = new Set(this.committed);
    this.failedBefore = new Set(this.#store.failed);
    const { seed = 1, middleware = [], ...trial } = options.trialRun;
    this.trialRun = TrialRun.of(subject, this.scheduler, {
      ...trial,
      seed,
      runId: 'explored',
      durability: options.durability,
      store: this.#store,
      middleware: [{ attempt: (call, next) => this.#perturb(call, next) }, ...middleware],
    });
    for (const id of this.trialRun.ids) {
      this.statuses.set(id, 'waiting');
      this.addedAt.set(id, 0);
    }
  }

  /** What a crash at this moment would leave. */
  get dump(): MemoryDump {
    return this.#options.legacy.store.dump();
  }

  get crashed(): boolean {
    return this.#store.crashed;
  }

  /** Writes of the log so far. */
  get records(): number {
    return this.#store.writes;
  }

  /** Ms of virtual time. */
  get now(): number {
    return this.scheduler.now();
  }

  /** Tasks in a status. */
  in(status: TaskStatus): string[] {
    return [...this.statuses].filter(([, one]) => one === status).map(([id]) => id);
  }

  /** Tasks that have a slot. */
  get holding(): string[] {
    return this.in('running').filter((id) => this.#options.latency === 0 || !this.#ending.has(id));
  }

  /** True for a task of one item: it is forgotten when it has ended. */
  isItem(taskId: string): boolean {
    return this.#feeding.has(this.parents.get(taskId) ?? '');
  }

  /** Attempts of a running task, each with a slot unless its body has given it back. */
  attemptsOf(taskId: string): number {
    const hedged = (this.#rivals.get(taskId) ?? 0) > 0;
    return hedged ? (this.#open.get(taskId)?.size ?? 0) : 1;
  }

  /** What a task depends on: `need` of `ids` in one of the modes; of those that are merged, one is enough. */
  dependenciesOf(taskId: string): Needed[] {
    const list = this.planned.get(taskId)?.dependencies ?? [];
    return dependenciesIn(list.map((one) => (one.mode === 'merged' ? { ...one, choice: -1 } : one)));
  }

  live(): Promise<void> {
    return virtually(this.scheduler, async () => {
      this.trialRun.start((event) => this.#see(event));
      const done = (): boolean => this.trialRun.ended || this.#over;
      await drive(this.scheduler, done, durationOf(this.#options.until), () =>
        this.#ask((one) => one.rest?.(this)),
      );
      if (this.trialRun.failure !== undefined)
        this.#fail('the run can start', String((this.trialRun.failure as Error)?.message));
      this.#ask((one) => one.end?.(this));
    });
  }

  get #over(): boolean {
    return this.crashed || this.violation !== undefined;
  }

  #ask(question: (invariant: Invariant) => string | undefined): void {
    for (const invariant of this.#options.invariants) {
      if (this.#over) return;
      const message = question(invariant);
      if (message !== undefined) this.#fail(invariant.name, message);
    }
  }

  #fail(invariant: string, message: string): void {
    this.violation ??= { invariant, message, at: this.now };
  }

  #see(event: WorkflowEvent): void {
    if (this.#over) return;
    if (event.type === 'task') {
      this.statuses.set(event.taskId, event.reason);
      this.#ending.delete(event.taskId);
      const { reason: why } = (event.error ?? {}) as { readonly reason?: unknown };
      if (event.reason === 'suspended') this.paused.add(event.taskId);
      if (event.reason === 'cancelled' && why === 'lost') this.lost.add(event.taskId);
      if (!this.addedAt.has(event.taskId)) this.addedAt.set(event.taskId, event.at);
      if (isEnd(event.reason)) this.endedAt.set(event.taskId, event.at);
    } else if (event.type === 'plan')
      for (const task of event.tasks) {
        const { id } = task;
        this.#options.legacy.planned.set(id, task);
        if (event.parent !== undefined) this.#options.legacy.parents.set(id, event.parent);
        for (const { id: from, mode } of task.dependencies) if (readsStream(mode)) this.#streamed.add(from);
        if (!this.statuses.has(id)) this.statuses.set(id, 'waiting');
        if (!this.addedAt.has(id)) this.addedAt.set(id, event.at);
      }
    else if (event.type === 'run') {
      for (const { taskId } of event.rerun ?? []) this.rerun.add(taskId);
      for (const id of event.missing ?? []) this.missing.add(id);
    } else if (event.type === 'attempt' && event.hedge === true)
      this.#rivals.set(
        event.taskId,
        (this.#rivals.get(event.taskId) ?? 0) + (event.reason === 'started' ? 1 : -1),
      );
    else if (event.type === 'group') this.#limit(event);
    this.#ask((one) => one.event?.(event, this));
  }

  #limit(event: WorkflowEvent & { readonly type: 'group' }): void {
    const { reason, group: name, concurrency, delay = 0 } = event;
    const group = name === undefined ? undefined : this.groups.get(name);
    if (group !== undefined && reason === 'gated') group.gatedUntil = event.at + delay;
    else if (group !== undefined && concurrency !== undefined) group.limit = concurrency;
    else if (name === undefined && concurrency !== undefined) this.concurrency = concurrency;
  }

  #perturb({ taskId, ctx, onStop }: AttemptCall, next: () => unknown): unknown {
    if (this.#over) return NEVER;
    // It runs for what it adds alone.
    if (ctx.replaying !== undefined) return next();
    this.#ask((one) => one.body?.(taskId, this));
    const call = (this.#calls.get(taskId) ?? 0) + 1;
    this.#calls.set(taskId, call);
    const { number } = this.#options;
    const perturbation = this.#options.perturbationOf(`${taskId}#${call}${number === 1 ? '' : `@${number}`}`);
    const open = this.#open.get(taskId) ?? new Set();
    this.#open.set(taskId, open.add(call));
    const over = (): void => {
      open.delete(call);
      if (open.size === 0) this.#ending.add(taskId);
    };
    onStop(over);
    const streams = this.#streamed.has(taskId) || this.#feeding.has(taskId);
    const hold: Endings['hold'] = (how, deliver) =>
      this.#endings.hold(how, () => {
        over();
        deliver();
      });
    return perturbed(next, perturbation, { hold }, streams);
  }
}
