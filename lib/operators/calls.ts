import { type Observer, ReplaySubject } from 'rxjs';
import type { ItemWatch, TaskNode } from '../graph/node.js';
import { onAbort } from '../kernel/abort.js';
import { callerContext } from '../kernel/async-context.js';
import type { Clock, Timer } from '../kernel/clock.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import type { TaskDefinition } from '../model/task.js';
import type { AskForRun, TaskRun } from './task-run.js';
import type { LogAddress, ValueLogs } from './value-logs.js';

/** Ms a log stays open after the last call: who makes one after the other must not read it each time. */
const lingers = 1_000;

/** Hears how a call has ended. */
export type CallEnd = Pick<Observer<unknown>, 'next' | 'error'>;

/** What is called for. */
export type Work = (ctx: never) => unknown;

/** How a call stands among others. */
export interface CallOptions {
  /** Its key in the log of the run. */
  readonly key?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One piece of work, run as a task of a definition that calls `work`. */
export class Call implements ItemWatch {
  readonly work: Work;
  readonly #end: CallEnd;
  readonly #context = callerContext();
  #over = false;
  #stop: ((reason: unknown) => void) | undefined;
  #unlisten: (() => void) | undefined;

  constructor(
    ask: AskForRun,
    definition: TaskDefinition,
    work: Work,
    { key, signal }: CallOptions,
    end: CallEnd,
  ) {
    this.work = work;
    this.#end = end;
    if (signal !== undefined) this.#unlisten = onAbort(signal, (reason) => this.#aborted(reason));
    if (this.#over) return;
    ask(
      (run) => this.#begin(run, definition, key),
      (error) => this.#tell('error', error),
    );
  }

  started(): void {}

  ended({ status, value, error }: TaskNode): void {
    if (status === 'succeeded' || status === 'restored') this.#tell('next', value);
    else this.#tell('error', error);
  }

  #begin(run: TaskRun, definition: TaskDefinition, key: string | undefined): void {
    if (this.#over) return;
    try {
      const node = run.offer(definition, this, this.#context, key);
      if (this.#unlisten !== undefined) this.#stop = (reason) => run.drop(node, reason);
    } catch (error) {
      this.#tell('error', error);
    }
  }

  #aborted(reason: unknown): void {
    this.#tell('error', reason);
    this.#stop?.(reason);
  }

  #tell(how: 'next' | 'error', what: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#unlisten?.();
    this.#end[how](what);
  }
}

/** What `schedule` is called for with keys: each log is shared, and stays open for a while after the last call. */
export class KeyedCalls {
  readonly #logs: ValueLogs;
  readonly #clock: Clock;
  readonly #open = new Map<LogAddress['store'], Map<string, SharedLog>>();

  constructor(logs: ValueLogs, clock: Clock) {
    this.#logs = logs;
    this.#clock = clock;
  }

  /** Runs a task unless the log has its result, or another call has been made for that key since it was opened. */
  call(
    address: LogAddress,
    definition: TaskDefinition,
    work: Work,
    options: CallOptions & { readonly key: string },
    end: CallEnd,
  ): void {
    const logs = getOrInsert(this.#open, address.store, () => new Map<string, SharedLog>());
    const log = getOrInsert(logs, address.runId, () => {
      const left = (): void => {
        if (logs.get(address.runId) === log) logs.delete(address.runId);
        if (logs.size === 0 && this.#open.get(address.store) === logs) this.#open.delete(address.store);
      };
      return new SharedLog(this.#clock, left);
    });
    const known = log.results.get(options.key);
    if (known !== undefined) {
      known.subscribe(end);
      return;
    }
    const result$ = new ReplaySubject<unknown>(1);
    log.results.set(options.key, result$);
    result$.subscribe(end);
    log.enter();
    new Call(log.ask, definition, work, options, {
      next: (value) => {
        result$.next(value);
        log.leave();
      },
      error: (error) => {
        log.results.delete(options.key);
        result$.error(error);
        log.leave();
      },
    });
    if (log.isNew) log.open((ready, failed) => this.#logs.open(address, ready, failed));
  }

  /** Closes what nobody uses. */
  close(): void {
    for (const logs of [...this.#open.values()]) for (const log of [...logs.values()]) log.closeIfIdle();
  }
}

/** One log, and the results that have been asked of it since it was opened. */
class SharedLog {
  readonly results = new Map<string, ReplaySubject<unknown>>();
  isNew = true;
  readonly #clock: Clock;
  readonly #left: () => void;
  #run: TaskRun | undefined;
  /** Who waits for the run. */
  #early: Parameters<AskForRun>[] = [];
  #calls = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock, left: () => void) {
    this.#clock = clock;
    this.#left = left;
  }

  readonly ask: AskForRun = (ready, failed) => {
    if (this.#run === undefined) this.#early.push([ready, failed]);
    else ready(this.#run);
  };

  open(ask: AskForRun): void {
    this.isNew = false;
    ask(
      (run) => {
        this.#run = run;
        for (const [ready] of this.#early.splice(0)) ready(run);
      },
      (error) => {
        this.#left();
        for (const [, failed] of this.#early.splice(0)) failed(error);
      },
    );
  }

  enter(): void {
    this.#calls += 1;
    this.#clock.cancel(this.#timer);
    this.#timer = undefined;
  }

  leave(): void {
    this.#calls -= 1;
    if (this.#calls === 0) this.#timer = this.#clock.after(lingers, () => this.closeIfIdle());
  }

  closeIfIdle(): void {
    if (this.#calls > 0) return;
    this.#clock.cancel(this.#timer);
    this.#left();
    this.#run?.leave(() => undefined);
    this.#run = undefined;
  }
}
