import { filter, map, type Observable, startWith, take } from 'rxjs';
import type { AttemptContext } from '../execute/context.js';
import { RxhiveError } from '../kernel/errors.js';
import { Task } from '../model/dependency.js';
import { bodied } from '../model/executor.js';
import type { WorkflowResult } from '../model/result.js';
import type { RunOptions } from '../model/run-options.js';
import type { ScheduleOptions, StreamOptions } from '../model/stream-options.js';
import type { TaskDefinition } from '../model/task.js';
import { runEnded } from '../plan/growth.js';
import { drained } from '../plan/membership.js';
import type { JoinedRun, SharedQueue } from '../schedule/shared-queue.js';
import { Call, type CallEnd, KeyedCalls, type Work } from './calls.js';
import type { Strategy } from './pass.js';
import { checkSchedule, type Project, type TaskOperator, taskOperator } from './task-operator.js';
import type { AskForRun, TaskRun } from './task-run.js';
import { type OpenRun, ValueLogs } from './value-logs.js';

/** A run of tasks that belong to no workflow. */
export interface OwnRun {
  /** Whom its tasks belong to. */
  readonly owner: object;
  /** Begins it. */
  readonly result$: Observable<WorkflowResult>;
  /** It, once it has begun. */
  joined(): JoinedRun | undefined;
  /** It ends when its tasks have ended. */
  close(): void;
}

/** Makes a run that has not begun. @throws RxhiveError */
export type MakeRun = (name: string, options: RunOptions) => OwnRun;

/** What calls with the same options have in common. */
interface CallKind {
  readonly options: ScheduleOptions;
  readonly definition: TaskDefinition;
}

/** Work that a controller is given directly, without a workflow: single pieces, and the values of streams. */
export class DirectWork {
  readonly #name: string;
  readonly #shared: SharedQueue;
  readonly #make: MakeRun;
  readonly #runs = new Set<JoinedRun>();
  readonly #passes = new Set<{ readonly queued: number }>();
  readonly #logs = new ValueLogs(({ name, runId, store }, ended) =>
    this.#begin(name, { runId, store, retry: 'failed' }, ended),
  );
  readonly #calls: KeyedCalls;
  /** That of the last call. */
  #kind: CallKind | undefined;
  /** That of all that is kept nowhere. */
  #tasks: (OpenRun & TaskRun) | undefined;

  constructor(name: string, shared: SharedQueue, make: MakeRun) {
    this.#name = name;
    this.#shared = shared;
    this.#make = make;
    this.#calls = new KeyedCalls(this.#logs, shared.clock);
  }

  /** Runs a piece of work. @throws RxhiveError INVALID_OPTION */
  schedule(work: Work, options: ScheduleOptions, end: CallEnd): void {
    this.#checkTakesIn();
    const kind = this.#kindOf({ ...options });
    const { store, runId = this.#name, name = 'task', key, signal, version } = kind.options;
    if (store === undefined) {
      new Call((ready) => ready(this.#unkept()), kind.definition, work, { signal }, end);
      return;
    }
    const address = { store, runId: `${runId}/${name}`, name };
    const definition = { ...kind.definition, version: version ?? String(work) };
    this.#calls.call(address, definition, work, { key: String(key), signal }, end);
  }

  /** Most calls are like the one before: those share a definition, which is looked at once. */
  #kindOf(options: ScheduleOptions): CallKind {
    if (this.#kind !== undefined && isSame(this.#kind.options, options)) return this.#kind;
    const { name = 'task', store, runId: _, key: _k, signal: _s, ...rest } = checkSchedule(options);
    const run = (_: unknown, ctx: unknown): unknown =>
      ((ctx as AttemptContext).node.principal.item as Call).work(ctx as never);
    const shared = store === undefined;
    this.#kind = { options, definition: bodied({ ...rest, type: name, shared, run } as TaskDefinition) };
    return this.#kind;
  }

  /** An operator that runs a task for each value. @throws RxhiveError INVALID_OPTION */
  operator<T, R>(
    strategy: Strategy,
    name: string,
    work: Project<T, R>,
    options: StreamOptions<string, string, T>,
  ): TaskOperator<T, unknown> {
    const {
      ordered: _,
      onError: _e,
      capacity: _c,
      onFull: _f,
      key: _k,
      store,
      runId = this.#name,
      ...rest
    } = options;
    const given = { ...rest, type: name } as Omit<TaskDefinition, 'run'>;
    const ask: AskForRun = (ready, failed) => {
      this.#checkTakesIn();
      if (store === undefined) ready(this.#unkept());
      else this.#logs.open({ store, runId: `${runId}/${name}`, name }, ready, failed);
    };
    return taskOperator(strategy, { ask, passes: this.#passes }, given, work, options);
  }

  /** Pieces that run. */
  get active(): number {
    return sum(this.#runs, ({ scheduler }) => scheduler.active);
  }

  /** Pieces that have not ended. */
  get open(): number {
    return sum(this.#runs, ({ scheduler }) => scheduler.open) + sum(this.#passes, ({ queued }) => queued);
  }

  /** Emits once, when none is left. */
  get idle$(): Observable<void> {
    return this.#shared.changes$.pipe(
      startWith(undefined),
      filter(() => this.open === 0),
      take(1),
      map(() => undefined),
    );
  }

  /** Ends single pieces that do not run. */
  cancelWaiting(why: unknown): void {
    for (const { graph, scheduler } of this.#runs)
      for (const node of [...graph.nodes.values()])
        if (node.item instanceof Call && node.running === undefined) scheduler.cancelTask(node, why);
  }

  /** Takes no more in. */
  close(): void {
    this.#tasks?.close();
    this.#calls.close();
    this.#logs.close();
  }

  /** @throws RxhiveError RUN_ENDED after `drain()` */
  #checkTakesIn(): void {
    if (this.#shared.draining) throw new RxhiveError('RUN_ENDED', drained);
  }

  #unkept(): TaskRun {
    if (this.#tasks === undefined) {
      const run = this.#begin(this.#name, { runId: `${this.#name}/tasks` }, () => undefined);
      this.#tasks = Object.assign(run, { leave: (done: () => void) => done() });
    }
    return this.#tasks;
  }

  #begin(name: string, options: RunOptions, ended: (error?: unknown) => void): OpenRun {
    const { owner, result$, close, joined } = this.#make(name, options);
    let run: JoinedRun | undefined;
    const over = (error?: unknown): void => {
      if (run !== undefined) this.#runs.delete(run);
      run = undefined;
      ended(error);
    };
    result$.subscribe({ next: ({ error }) => over(error), error: over });
    // One that could not be opened has left again.
    run = joined();
    if (run !== undefined) this.#runs.add(run);
    let made = 0;
    const shared = this.#shared;
    return {
      close,
      get ahead() {
        return Math.max(1, shared.limit);
      },
      offer: (definition, watch, context, key) => {
        if (run === undefined) throw runEnded(String(options.runId));
        made += 1;
        const id = key === undefined ? `${definition.type}-${made}` : `${name}/${key}`;
        return run.intake.offer({ handle: new Task(id, owner), definition, context }, watch);
      },
      drop: (node, why) => run?.scheduler.cancelTask(node, why),
    };
  }
}

/** Have both the same options, with the same values? */
function isSame(one: ScheduleOptions, other: ScheduleOptions): boolean {
  const names = Object.keys(other) as (keyof ScheduleOptions)[];
  return names.length === Object.keys(one).length && names.every((name) => one[name] === other[name]);
}

function sum<T>(all: Iterable<T>, amount: (one: T) => number): number {
  let total = 0;
  for (const one of all) total += amount(one);
  return total;
}
