import type { Observable } from 'rxjs';
import type { EventBody } from '../model/event.js';
import type { TaskDefinition } from '../model/task.js';
import type { AttemptHandle, TaskNode } from './node.js';
import type { SignalSink } from './signal.js';

/** Where stages report what happens. Asking `active` first keeps an unobserved run from making events. */
export interface Watch {
  readonly active: boolean;
  /** Tells an event, of now or of `at`; `body` becomes a part of it and is not to be used again. */
  emit(body: EventBody, at?: number): void;
}

/** How a commit went. */
export type CommitOutcome = 'done' | 'rerun' | 'restored' | 'later' | 'wait';

/** How a task ended in an earlier process. */
export type Recalled = 'restored' | 'failed' | 'cancelled' | 'skipped';

/** Expected running time of a task in ms; undefined: nothing is known. */
export type Expected = (id: string, definition: TaskDefinition) => number | undefined;

/** The log, as far as the scheduler tells it what happens and asks it what had happened. */
export interface TaskLog {
  /** What goes on of an earlier process, in which tasks may have ended; undefined: there was none. */
  readonly recovery: object | undefined;
  /** How the task ended in an earlier process; undefined: it has to run. */
  recall(node: TaskNode): Recalled | undefined;
  /** Had the task cleaned up when an earlier process ended, and has nothing begun since? Then it has its result again. */
  cleaned(node: TaskNode): boolean;
  /** An attempt begins, or goes on after a wait. */
  began(node: TaskNode): void;
  /** An attempt waits for others, without a slot. */
  rests(node: TaskNode): void;
  /** An attempt has failed, or was lost with its worker; another one follows after `delay` ms. */
  retries(node: TaskNode, delay: number, isLost: boolean): void;
  /** The replay of a task is over; `goesOn`: what has not come back has failed. `cause`: what the replay failed with. */
  replayed(node: TaskNode, goesOn: boolean, cause: unknown): void;
  /** An attempt has ended that is followed by no commit and no end of its task. */
  used(node: TaskNode): void;
}

/** What the scheduler is given to work with; it knows no executor, no state and no stream of events. */
export interface SchedulerPorts {
  readonly watch: Watch;
  readonly log: TaskLog;
  /** Begins one attempt of a task, which tells `signals` what it has to say. */
  launch(node: TaskNode, signals: SignalSink): AttemptHandle;
  /**
   * Makes a success durable: state, spawned tasks. What it throws fails the task; `rerun` says that the body has
   * to run again, and nothing was committed; `restored` that the result was there already; `later` that the scheduler
   * will be told; `wait` that it read what another commit changes that is being written: it will be told to try again.
   */
  commit(node: TaskNode, attempt: AttemptHandle): CommitOutcome;
  /** A value of a stream, before dependents see it. */
  value(node: TaskNode, value: unknown): void;
  /** The task has ended. */
  ended(node: TaskNode): void;
  /** May the run end with tasks that wait for answers, if nothing else is left? */
  maySuspend(): boolean;
  /** A task has begun to wait for what others say, or for their end. */
  waits(node: TaskNode): void;
  /** No slot is in use, but tasks are left. */
  resting(): void;
  /** Nothing is left to do. */
  closed(): void;
  /** Code of a user has thrown that nobody waits for. */
  failed(error: unknown): void;
}

/** What the cache says about a task that is about to run; `because` is for people. */
export type CacheEntry =
  /** The store has not answered yet: emits what it says. Who unsubscribes before leaves the work to others. */
  { readonly kind: 'asked'; readonly entry$: Observable<CacheAnswer> } | CacheAnswer;

/** What the cache says once it knows. */
export type CacheAnswer =
  | { readonly kind: 'hit'; readonly because: string; readonly value: unknown }
  /** Completes without a value when the one who does the work fails: ask again. */
  | {
      readonly kind: 'wait';
      readonly because: string;
      /** Who does it; `elsewhere`: a task of another run. */
      readonly worker: TaskNode | 'elsewhere';
      readonly result$: Observable<unknown>;
    }
  | { readonly kind: 'lead'; readonly because: string; done(value: unknown): void; left(): void };

/** Results kept over runs. */
export interface Cache {
  /**
   * `input`: that of the run. `unfit`: the kept result does not fit the task's schema, so it has to work.
   */
  lookUp(node: TaskNode, inputs: unknown, input: unknown, isInvalid?: boolean): CacheEntry;
}

/** The attempt that asks, and what it is told. */
export interface Asker {
  readonly node: TaskNode;
  readonly source: AttemptHandle;
  /** There is no answer yet; called before the others, or not at all. */
  waits(questionId: string, from: 'people' | 'a program'): void;
  answered(value: unknown): void;
  failed(error: unknown): void;
}

/** A store that has not answered for some time. */
export interface StoreWait {
  /** What a task or run waits for. */
  readonly what: string;
  /** Nothing has begun yet. */
  readonly opening: boolean;
}
