import type { Observable } from 'rxjs';
import type { ChoiceState } from '../graph/choice-state.js';
import type { Group } from '../graph/lane.js';
import type { AttemptScope, MessageWait, Messaging } from '../graph/mailbox.js';
import type { AttemptHandle, ItemWatch, Spawned, TaskNode, WaitCause } from '../graph/node.js';
import type { Asker, Cache, Watch } from '../graph/ports.js';
import type { Clock } from '../kernel/clock.js';
import type { RxhiveError } from '../kernel/errors.js';
import type { Reads, Recipe } from '../model/context.js';
import type { Task } from '../model/dependency.js';
import type { Question } from '../model/question.js';
import type { WorkerFacts } from '../model/worker.js';
import type { CompletionHandler, WorkflowSettings } from '../model/workflow.js';
import type { Locks } from './locks.js';
import type { MiddlewareStack } from './middleware.js';
import type { RetryBudget } from './retry.js';

/** What the execute stage is given to work with. */
export interface ExecutePorts {
  readonly clock: Clock;
  readonly settings: WorkflowSettings;
  /** The tasks and groups of the run. */
  readonly graph: {
    find(task: Task): TaskNode | undefined;
    childOf(parent: TaskNode, id: string): TaskNode | undefined;
    /** @throws RxhiveError INVALID_OPTION */
    groupOf(name: string): Group;
    /** How many tasks of a group, or of none, may run at once. */
    limitOf(name: string | undefined): number;
  };
  readonly runId: string;
  /** Set once more when the log says what it is. */
  input: unknown;
  readonly budget: RetryBudget;
  readonly watch: Watch;
  /** Completion handlers by what they are for: `id:` or `type:` and its name. */
  readonly handlers: ReadonlyMap<string, readonly CompletionHandler[]>;
  readonly locks: Locks;
  /** Middleware, with the body in its midst. */
  readonly middleware: MiddlewareStack;
  readonly cache: Cache;
  readonly state: StatePorts;
  /** Code of the user threw where no task can hear it. */
  failed(error: unknown): void;
  /** Whose signal an attempt has. */
  readonly controller: () => AbortController;
  /** Gates of the task hear of the headers of an answer. */
  onHeaders(node: TaskNode, headers: unknown): void;
  readonly waits: WaitPorts;
  /** A worker has begun with an attempt. */
  begun(node: TaskNode, source: AttemptHandle, worker: WorkerFacts | undefined): void;
  /** Emits when nothing is left to do in this turn of the run; tasks of a lower `depth` come first. */
  turnEnd(depth: number): Observable<void>;
  /** Puts a question to a person; the returned function forgets who asked. @throws RxhiveError */
  ask(asker: Asker, question: Question): () => void;
  /** What an attempt of `node` says and hears. */
  messaging(node: TaskNode, own: AttemptScope): Messaging;
  /** Handle for a task that `parent` adds; the one it has when it was added before. */
  handleFor(parent: TaskNode, id: string): Task;
  /** Adds buffered tasks to the run at once. */
  flush(parent: TaskNode, spawned: readonly Spawned[]): void;
  /** Adds an item of `parent`; `known` gets its node before anything else happens to it. */
  item(parent: TaskNode, one: Spawned, watch: ItemWatch, known: (node: TaskNode) => void): void;
  /** Keys of the items of each batch of a `flow.each` that an earlier process has ended. */
  batchesOf(task: string): Iterable<readonly string[]>;
  /** Had an earlier process begun with a task? */
  restarted(task: string): boolean;
  /** Cancels an item or candidate; `why`: what its parent was ended for. */
  drop(node: TaskNode, why?: unknown): void;
}

/** The state as attempts see it. */
interface StatePorts {
  /** The newest state, or `base`, with `recipes` applied. */
  preview(recipes: readonly Recipe<never>[] | undefined, base?: unknown): unknown;
  /** Begins to note what a serializable attempt reads. */
  reads(): Reads;
}

/** Waits of running tasks, without a slot. */
interface WaitPorts {
  /**
   * Gives the slot back until the returned function is called; `done` when there is one again. `behind`: who is to end
   * the wait, where known; `elsewhere`: something outside of this run.
   */
  pause(node: TaskNode, done: () => void, causes?: WaitCause | 'elsewhere'): () => void;
  /** The same for a question; the returned function takes `done`. */
  waitForAnswer(node: TaskNode, questionId: string, from: 'people' | 'a program'): (done: () => void) => void;
  /** The same for what others say. */
  waitForMessage(node: TaskNode, wait: MessageWait): void;
  /** Calls `done` once all `targets` have ended and there is a slot again. */
  join(
    node: TaskNode,
    targets: readonly (TaskNode | ChoiceState)[],
    done: (error?: RxhiveError) => void,
  ): void;
}
