import { NEVER } from 'rxjs';
import { getOrInsert } from '../../kernel/get-or-insert.js';
import type { SimulationScheduler } from '../../kernel/simulation-scheduler.js';
import { Task } from '../../model/dependency.js';
import type { WorkflowEvent } from '../../model/event.js';
import type { WorkflowResult } from '../../model/result.js';
import type { ResolvedRunOptions } from '../../model/run-options.js';
import { isEnd, type TaskStatus } from '../../model/status.js';
import type { Definable } from '../../model/workflow.js';
import { Run } from '../../run.js';
import { type Agents, instrument } from '../instrument.js';
import type { Moment } from '../marbles/marble-text.js';
import { type TimelinePicture, type TimelineRow, timelineOf } from '../marbles/timeline.js';

/** How a workflow is run in virtual time: what `flow.run` takes, and other bodies for its tasks. */
export interface TrialRunOptions extends Omit<ResolvedRunOptions, 'scheduler' | 'input'> {
  readonly input?: unknown;
  /** Bodies by task id or type, in place of the real ones. */
  readonly agents?: Agents;
}

/** The load of the real machine is none of the test's. */
const defaults = { seed: 1, runId: 'virtual', load$: NEVER };

/** One run in virtual time, and everything that was seen of it. */
export class TrialRun {
  readonly run: Run;
  readonly events: WorkflowEvent[] = [];
  /** Ids of the tasks the run began with. */
  readonly ids: readonly string[];
  result: WorkflowResult | undefined;
  failure: unknown;
  readonly #scheduler: SimulationScheduler;
  readonly #watched = new Map<string, Moment[]>();
  readonly #seen = new Set<string>();
  #startedAt = 0;

  /** Watches a run that was made with `scheduler`. */
  constructor(run: Run, scheduler: SimulationScheduler) {
    this.run = run;
    this.#scheduler = scheduler;
    this.ids = [...this.run.snapshot().tasks.keys()];
  }

  /** @throws WorkflowDefinitionError; RxhiveError INVALID_INPUT, INVALID_OPTION */
  static of(
    subject: Definable,
    scheduler: SimulationScheduler,
    { agents, ...options }: TrialRunOptions = {},
  ): TrialRun {
    const definition = instrument(subject.definition(), agents);
    const run = new Run(definition, { ...defaults, ...options, scheduler });
    return new TrialRun(run, scheduler);
  }

  get ended(): boolean {
    return this.result !== undefined || this.failure !== undefined;
  }

  get timeline(): TimelineRow[] {
    return timelineOf(this.ids, this.events);
  }

  /** The run as it is drawn. */
  get picture(): TimelinePicture {
    const streamed = new Set<string>();
    const values = this.events.flatMap((event) => {
      const value = event.type === 'value';
      if (value) streamed.add(event.taskId);
      // The result of a stream is its last value.
      const result = event.type === 'task' && event.reason === 'succeeded' && !streamed.has(event.taskId);
      return value || result ? [{ taskId: event.taskId, at: event.at, value: event.value }] : [];
    });
    return { rows: this.timeline, values, endedAt: this.events.at(-1)?.at ?? 0, unit: 1 };
  }

  /** Tasks that have not ended, with what each waits for. */
  get open(): string[] {
    const statuses: ReadonlyMap<string, TaskStatus> = this.run.snapshot().tasks;
    return [...statuses].filter(([, status]) => !isEnd(status)).map(([id]) => this.run.explain(id));
  }

  /** Notes what a task emits, from the start or from when it is added. */
  watch(taskId: string): readonly Moment[] {
    return getOrInsert(this.#watched, taskId, () => []);
  }

  /** Starts the run; `onEvent` sees each event as it happens. */
  start(onEvent?: (event: WorkflowEvent) => void): void {
    this.#startedAt = this.#scheduler.now();
    this.run.events$.subscribe({
      next: (event) => {
        this.events.push(event);
        if ('taskId' in event) this.#follow(event.taskId);
        onEvent?.(event);
      },
      error: () => undefined,
    });
    for (const id of this.ids) this.#follow(id);
    this.run.result().then(
      (result) => {
        this.result = result;
      },
      (error: unknown) => {
        this.failure = error ?? new Error('the run could not start');
      },
    );
  }

  #follow(taskId: string): void {
    const moments = this.#watched.get(taskId);
    if (moments === undefined || this.#seen.has(taskId)) return;
    this.#seen.add(taskId);
    const note = (moment: Omit<Moment, 'at'>): void => {
      moments.push({ at: this.#scheduler.now() - this.#startedAt, ...moment });
    };
    this.run.values$(new Task(taskId)).subscribe({
      next: (value) => note({ kind: 'next', value }),
      error: (error: unknown) => note({ kind: 'error', error }),
      complete: () => note({ kind: 'complete' }),
    });
  }
}
