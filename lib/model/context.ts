import type {
  AnyChannel,
  AskOptions,
  Channel,
  Inbox,
  Message,
  MessageOf,
  ReceiveOneOptions,
  ReceiveOptions,
  Request,
  SendOptions,
} from './channel.js';
import type { Choice, Dependencies, InputsOf, Task } from './dependency.js';
import type { Question } from './question.js';
import type { ResultOf, TaskOptions, TaskType, TypedTaskOptions } from './task.js';

/** What an attempt used, reported by the body through `ctx.usage`. Amounts add up. */
export interface Usage {
  readonly inputTokens?: number;
  readonly outputTokens?: number;
  /** Looked up in the workflow's `prices`; reports are also by model. */
  readonly model?: string;
  /** What it came to, where the provider says so; wins over `prices`. */
  readonly cost?: number;
}

/** A named thing one task at a time may use; see {@link TaskContext.shared}. */
export interface Shared {
  /** Calls `fn` when it is this task's turn; resolves with what it returns. */
  use<T>(fn: () => T | PromiseLike<T>): Promise<T>;
}

/** How {@link TaskContext.sleep} waits. */
export interface SleepOptions {
  /**
   * `hold`: slot, group place, resources and permit are kept; `free`: others may use them meanwhile, and the task goes on once
   * it has them again. Default `hold`, from a day on `free`.
   */
  readonly slot?: 'hold' | 'free';
}

/** How a group stands at a moment. */
export interface GroupState {
  /** Its tasks that run. */
  readonly active: number;
  /** So many may. */
  readonly limit: number;
  /** Candidates of fallbacks that wait or run in it. */
  readonly assigned: number;
  /**
   * Share, 0 to 1, of what it can still give: the least of places, budget and limits; 0 while its breaker is open or its
   * provider holds it.
   */
  readonly left: number;
  /**
   * Ms, about, until its limits and its provider let one more start, behind the candidates that wait in it; 0: at once.
   */
  readonly opensIn: number;
}

/** What a `serializable` attempt has read of the state. */
export interface Reads {
  /** Newest commit the reads have seen. */
  readonly base: number;
  /** Paths read, a subtree each. */
  readonly paths: readonly (readonly PropertyKey[])[];
  /** The state that was read. */
  readonly snapshot: unknown;
  /** Reads `current`, the snapshot with the attempt's own changes. */
  read<T>(current: unknown, select: ((state: never) => T) | undefined): T;
  close(): void;
}

/** A change of the state, written as mutation of a draft. Must be synchronous; what it returns is ignored. */
export type Recipe<S> = (draft: S) => unknown;

/**
 * What a body gets beside its inputs. It belongs to one attempt: after the attempt ended (returned, timed
 * out, was cancelled) writing through it throws `ATTEMPT_ENDED`.
 */
export interface TaskContext<S = unknown, I = unknown> {
  /** Aborted with a typed reason on timeout, cancel, unsubscribe and fail-fast. Give it to fetch and SDKs. */
  readonly signal: AbortSignal;
  /** Number of this attempt, from 1. */
  readonly attempt: number;
  /**
   * An earlier process of the run had begun with this task and did not bring it to a success: what it does in the world outside may be
   * half done. As far as the log knows: of attempts that took less than 100 ms, asked nobody and were not followed by another
   * there is no trace, nor of any with `durability: 'exit'`.
   */
  readonly restarted: boolean;
  readonly taskId: string;
  readonly runId: string;
  /**
   * Set where the task has finished in an earlier process, and its body is called again for one reason: to bring back
   * closures it had added that have not finished. Holds its committed result, so that a planner need not pay for it
   * again. What the body returns, writes and sends then is ignored; what it uses counts; it is stopped once it has added
   * what is wanted. Tasks of a type (`flow.taskType`) need no replay.
   */
  readonly replaying: { readonly value: unknown } | undefined;
  /** The input given to `flow.run({ input })`. */
  readonly input: I;
  /** The same for every attempt of this task in this run: send it to services that deduplicate. */
  readonly idempotencyKey: string;
  /** Buffers a change of the state. It is replayed on the newest state when the task succeeds, else dropped. */
  update(recipe: Recipe<S>): void;
  /** The newest state with this attempt's own changes applied. Frozen. */
  read(): S;
  /**
   * A part of the state. In a `serializable` task all reads see the state of the first one, and only what
   * `select` touched can conflict; `read()` without it counts as reading everything.
   */
  read<T>(select: (state: S) => T): T;
  /**
   * Mutual exclusion around a thing that is not state: a file, a browser, a session. Among the tasks of the run
   * one at a time is inside `use` of a name, in order of arrival; who waits holds no slot. The lock is given up
   * when `fn` has ended or the attempt has.
   * @throws RxhiveError JOIN_CYCLE when waiting could never end
   */
  shared(name: string): Shared;
  /**
   * Adds a task. It starts when this task has succeeded, or when {@link TaskContext.join} waits for it. On a
   * retry the same id means the same task.
   */
  spawn<const D extends Dependencies, R, O = ResultOf<R>>(
    id: string,
    options: TaskOptions<D, R, S, I, string, string, O>,
  ): Task<O>;
  /**
   * Adds a task of a type. When the run goes on it comes back by its data; this body is not called again for it.
   * @throws RxhiveError INVALID_OPTION for a type of another workflow
   */
  spawn<T, O>(type: TaskType<T, O>, id: string, data: T, options?: TypedTaskOptions): Task<O>;
  /**
   * Ends the task here, as `skipped`: there is nothing to do. That is no failure, and no success: what was written and added is
   * dropped, nothing is tried again, and tasks that need its result are skipped too; the run can be `succeeded`. `reason` is
   * shown. Throws, so that the body ends; what that returns, or throws, does not count any more.
   */
  skip(reason?: string): never;
  /**
   * Waits for tasks and gives this task's slot back meanwhile. Takes what `dependencies` takes, modes included
   * (`latest` excepted). Rejects with the error of a failed one, `TASK_SKIPPED`, or `TOO_FEW_SUCCEEDED` for a
   * race or quorum that nobody can win any more.
   */
  join<T>(task: Task<T> | Choice<T>): Promise<T>;
  join<const D extends Dependencies>(tasks: D): Promise<InputsOf<D>>;
  /**
   * Asks a person, and waits for the answer without a slot, group place or resource; the clocks of `timeout` stand
   * still. A question is asked once: when the body runs again (retry, conflict, crash) it gets the answer it had. A
   * task with an open question is suspended even while its body does other things; of several open questions each
   * resolves when it is answered, the last one once the task has a slot again.
   * @throws TaskTimeoutError (kind `answer`) when the deadline has passed and there is no default; RxhiveError
   *   INVALID_OPTION for a key used twice, or within {@link TaskContext.shared}
   */
  ask<T>(question: Question<T>): Promise<T>;
  /**
   * Asks another task of the run, and waits for its reply without a slot; the clocks of `timeout` go on. The other one
   * gets it from `ctx.requests$()`, also when it starts later. Asked again by a body that runs again (same key, else same
   * value), it gets the reply it had.
   * @throws RxhiveError NO_REPLY when the other task has ended without one, WAIT_CYCLE, INVALID_OPTION, NOT_SERIALIZABLE;
   *   TaskTimeoutError (kind `reply`); InvalidMessageError
   */
  ask<R = unknown>(task: Task | string, message: unknown, options?: AskOptions<R>): Promise<R>;
  /**
   * Says something to all who read a channel. They get it at once, not when this task succeeds; what was said stays said
   * when the attempt fails. A body that runs again and says the same (same key, else same value) says it once. Resolves
   * with the message when it is in the log, and there is room for it: waiting for that it holds no slot.
   * @throws LimitExceededError (`onFull: 'fail'`); InvalidMessageError; RxhiveError NOT_SERIALIZABLE, INVALID_OPTION,
   *   WAIT_CYCLE when those who do not read wait for this task
   */
  send<T>(channel: Channel<T>, value: NoInfer<T>, options?: SendOptions): Promise<Message<T>>;
  /**
   * The next message of others on a channel, or on one of several, which this attempt has not taken yet. Waits for it
   * without a slot.
   * @throws RxhiveError CHANNEL_ENDED when nobody is left to send one, WAIT_CYCLE, INVALID_OPTION; TaskTimeoutError (kind
   *   `message`)
   */
  receive<T>(channel: Channel<T>, options?: ReceiveOneOptions): Promise<Message<T>>;
  receive<const C extends readonly AnyChannel[]>(
    channels: C,
    options?: ReceiveOneOptions,
  ): Promise<Message<MessageOf<C[number]>>>;
  /**
   * The messages of others on a channel, or on several in the order in which they were said: those that this attempt has
   * not taken yet, and then each as it comes. Ends when all it reads `from` have ended, or nobody else is left. An attempt after one that failed gets all of them again.
   *
   * While it is read and there is no message the task is suspended, without a slot, whatever else its body does; `wait:
   * false` is for those who do. Work on a message within `for await`: that holds the slot. What a subscriber does after
   * `next` has returned, nobody can see.
   * @throws RxhiveError WAIT_CYCLE, INVALID_OPTION
   */
  receive$<T>(channel: Channel<T>, options?: ReceiveOptions): Inbox<Message<T>>;
  receive$<const C extends readonly AnyChannel[]>(
    channels: C,
    options?: ReceiveOptions,
  ): Inbox<Message<MessageOf<C[number]>>>;
  /** What other tasks ask this one with `ctx.ask`; read like a channel. Those that have a reply come again too, and say so. */
  requests$<Q = unknown>(options?: ReceiveOptions): Inbox<Request<Q>>;
  /**
   * Waits for work that is done elsewhere (a batch API, a job on another machine), without slot, group place, resources and
   * permit, which others may use meanwhile: `await ctx.outside(() => batch.finished(id, ctx.signal))`. Settles as the promise
   * does, once the task has a slot again; rejects with the signal's reason when the attempt ends before. The clocks of
   * `timeout` go on. Nothing of it is in the log: a body that runs again starts it again, so keep its id in the state or ask
   * for it by `ctx.idempotencyKey`. @throws RxhiveError INVALID_OPTION for what is no promise
   */
  outside<T>(work: PromiseLike<T> | (() => PromiseLike<T>)): Promise<T>;
  /**
   * Resolves after `ms` on the run's clock; rejects with the signal's reason when the attempt ends before. It holds the slot,
   * and gives it back with `{ slot: 'free' }`, or where it takes a day or longer.
   */
  sleep(ms: number, options?: SleepOptions): Promise<void>;
  /**
   * For long computations: `await` it often (a call costs well under a us of computing). Resolves at once until about 8 ms of
   * computing were used, then gives the event loop back for a turn; all who compute in the process share these turns,
   * so however many there are, sockets and timers wait for one of them.
   */
  breathe(): Promise<void>;
  /**
   * Adds to what the task has used, in reports and budgets. Counts whatever becomes of the attempt: one that fails, is
   * stopped or loses a race has been paid for too.
   */
  usage(usage: Usage): void;
  /**
   * Tells the limiter what a provider's answer says is left of its limits: `x-ratelimit-*` and `anthropic-ratelimit-*` of a
   * `Headers` object or a record. Of a failed attempt they are read from the error. What makes no sense is ignored.
   */
  limits(headers: unknown): void;
  /** Texts that travel with the attempt into threads and requests, such as headers of a trace: send them along. */
  readonly carrier: Record<string, string>;
  /** How a group of the workflow stands now, to choose among several. @throws RxhiveError INVALID_OPTION */
  group(name: string): GroupState;
  /** Emits a `log` event. */
  log(message: string, data?: unknown): void;
}
