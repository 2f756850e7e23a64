import { NEVER } from 'rxjs';
import { SimulationScheduler } from '../kernel/simulation-scheduler.js';
import { mostOf } from '../model/adaptive.js';
import type { WorkflowEvent } from '../model/event.js';
import type { LogRecord } from '../model/record.js';
import { isEnd, type TaskStatus } from '../model/status.js';
import type { CheckpointStore, LogEntry, RunLog } from '../model/store.js';
import {
  type AnyDependency,
  Choice,
  type Dependencies,
  Dependency,
  type TaskDefinition,
} from '../model/task.js';
import type { Definable, WorkflowSettings } from '../model/workflow.js';
import { type MemoryDump, memory } from '../stores/memory.js';
import type { AnyBody } from './instrument.js';
import { durationOf } from './marble-text.js';
import { Trial, type TrialOptions } from './trial.js';
import { type Crash, Endings, type Twist, twisted } from './twist.js';
import { drive, virtually } from './virtual-time.js';

/** Something that must always hold; each function says what is wrong, or nothing. */
export interface Invariant {
  readonly name: string;
  /** After each event. */
  event?(event: WorkflowEvent, life: Life): string | undefined;
  /** Before the body of a task is called. */
  body?(taskId: string, life: Life): string | undefined;
  /** When nothing more happens at a moment of virtual time. */
  rest?(life: Life): string | undefined;
  /** When the run has ended by itself, or can never end. */
  end?(life: Life): string | undefined;
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

/** What one life is made of. */
export interface LifeOptions {
  readonly number: number;
  readonly trial: TrialOptions;
  readonly durability: 'sync' | 'group';
  /** Ms the store takes to write. */
  readonly latency: number;
  readonly dump: MemoryDump;
  readonly crash: Crash | undefined;
  readonly until: number | string;
  readonly invariants: readonly Invariant[];
  twistOf(attempt: string): Twist;
}

/** One process that runs a workflow, from its start to its end or its crash, watched by invariants. */
export class Life {
  readonly scheduler = new SimulationScheduler();
  /** Which process of the run it is, from 1. */
  readonly number: number;
  readonly settings: WorkflowSettings;
  readonly trial: Trial;
  readonly durability: 'sync' | 'group';
  readonly statuses = new Map<string, TaskStatus>();
  /** When each task was added, ms of the run. */
  readonly addedAt = new Map<string, number>();
  readonly endedAt = new Map<string, number>();
  readonly definitions = new Map<string, TaskDefinition>();
  readonly groups = new Map<string, LiveGroup>();
  concurrency: number;
  /** Tasks whose success is in the log now. */
  readonly committed = new Set<string>();
  /** Tasks whose success was in the log when this life began. */
  readonly before: ReadonlySet<string>;
  /** Of those, the ones that were announced to run again. */
  readonly rerun = new Set<string>();
  violation: Violation | undefined;
  crashed = false;
  readonly #options: LifeOptions;
  readonly #endings: Endings;
  readonly #calls = new Map<string, number>();
  readonly #streamed = new Set<string>();
  /** Running tasks whose body has ended: they wait for a slow store, without a slot. */
  readonly #ending = new Set<string>();
  readonly #store = memory();

  constructor(subject: Definable, options: LifeOptions) {
    this.#options = options;
    this.number = options.number;
    this.durability = options.durability;
    this.#endings = new Endings(this.scheduler);
    const { settings } = subject.definition();
    this.settings = settings;
    this.concurrency = mostOf(settings.concurrency, 16);
    for (const [name, group] of Object.entries(settings.groups ?? {}))
      this.groups.set(name, { limit: mostOf(group.concurrency, Number.POSITIVE_INFINITY), gatedUntil: 0 });
    this.#store = memory(options.dump);
    for (const { body } of this.#store.read('explored')) this.#note(body);
    this.before = new Set(this.committed);
    const { seed = 1, ...trial } = options.trial;
    this.trial = Trial.of(
      subject,
      this.scheduler,
      { ...trial, seed, runId: 'explored', durability: options.durability, store: this.#mortal() },
      (taskId, run, task) => this.#twist(taskId, run, task),
    );
    for (const id of this.trial.ids) {
      this.statuses.set(id, 'waiting');
      this.addedAt.set(id, 0);
    }
  }

  /** What a crash at this moment would leave. */
  get dump(): MemoryDump {
    return this.#store.dump();
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

  /** What a task depends on, as far as it is known: `need` of `ids` in one of the modes. */
  dependenciesOf(
    taskId: string,
  ): { readonly ids: readonly string[]; readonly mode: string; readonly need: number }[] {
    const given: Dependencies = this.definitions.get(taskId)?.dependencies ?? {};
    return Object.values(given).map((one: AnyDependency) => {
      if (one instanceof Choice)
        return { ids: one.tasks.map(({ id }) => id), mode: one.mode, need: one.need };
      if (one instanceof Dependency) return { ids: [one.task.id], mode: one.mode, need: 1 };
      return { ids: [one.id], mode: 'value', need: 1 };
    });
  }

  live(): Promise<void> {
    return virtually(this.scheduler, async () => {
      this.trial.start((event) => this.#see(event));
      const done = (): boolean => this.trial.ended || this.#over;
      await drive(this.scheduler, done, durationOf(this.#options.until), () =>
        this.#ask((one) => one.rest?.(this)),
      );
      if (this.trial.failure !== undefined)
        this.#fail('the run can start', String((this.trial.failure as Error)?.message));
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
      if (!this.addedAt.has(event.taskId)) this.addedAt.set(event.taskId, event.at);
      if (isEnd(event.reason)) this.endedAt.set(event.taskId, event.at);
    } else if (event.type === 'plan')
      for (const { id } of event.tasks) {
        if (!this.statuses.has(id)) this.statuses.set(id, 'waiting');
        if (!this.addedAt.has(id)) this.addedAt.set(id, event.at);
      }
    else if (event.type === 'run') for (const { taskId } of event.rerun ?? []) this.rerun.add(taskId);
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

  #twist(taskId: string, run: AnyBody, task: TaskDefinition): AnyBody {
    this.definitions.set(taskId, task);
    for (const { ids, mode } of this.dependenciesOf(taskId))
      if (mode === 'latest') for (const id of ids) this.#streamed.add(id);
    return (inputs, ctx) => {
      if (this.#over) return NEVER;
      this.#ask((one) => one.body?.(taskId, this));
      const call = (this.#calls.get(taskId) ?? 0) + 1;
      this.#calls.set(taskId, call);
      const { number } = this.#options;
      const twist = this.#options.twistOf(`${taskId}#${call}${number === 1 ? '' : `@${number}`}`);
      const streams = this.#streamed.has(taskId);
      const hold: Endings['hold'] = (how, deliver) =>
        this.#endings.hold(how, () => {
          if (this.#calls.get(taskId) === call) this.#ending.add(taskId);
          deliver();
        });
      return twisted(() => run(inputs, ctx), twist, { hold }, streams);
    };
  }

  /** A store whose process dies at a given record. */
  #mortal(): CheckpointStore {
    const store = this.#store;
    const { crash, latency } = this.#options;
    let records = 0;
    const append = (log: RunLog, entries: readonly LogEntry[]): void => {
      for (const entry of entries) {
        if (this.crashed) return;
        records += 1;
        const dies = crash?.record === records;
        if (dies && crash.lost === true) this.crashed = true;
        else {
          log.append([entry]);
          this.#note(entry.body);
          if (dies) this.crashed = true;
        }
      }
    };
    return {
      open: (runId) => {
        const log = store.open(runId);
        const later = (entries: readonly LogEntry[]): Promise<void> =>
          new Promise((done) => {
            this.scheduler.schedule(() => {
              append(log, entries);
              if (!this.crashed) done();
            }, latency);
          });
        return {
          entries: log.entries,
          append: (entries) => (latency > 0 ? later(entries) : append(log, entries)),
          replace: (entries, gone) => {
            if (!this.crashed) log.replace(entries, gone);
          },
          close: () => log.close(),
        };
      },
      read: (runId) => store.read(runId),
      runs: () => store.runs(),
      remove: (runId) => store.remove(runId),
      get: (key) => store.get(key),
      put: (key, text, runId) => store.put(key, text, runId),
    };
  }

  #note(body: string): void {
    // Kind and ids are plain text in any encoding of values.
    const record = JSON.parse(body) as LogRecord;
    if (record.kind === 'commit') this.committed.add(record.task);
    else if (record.kind === 'dropped') for (const id of record.tasks) this.committed.delete(id);
  }
}
