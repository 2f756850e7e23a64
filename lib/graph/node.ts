import type { AsyncContext } from '../kernel/async-context.js';
import type { Timer } from '../kernel/clock.js';
import type { RxhiveError } from '../kernel/errors.js';
import type { Share } from '../kernel/fair-heap.js';
import type { HeapItem } from '../kernel/heap.js';
import type { Reads, Recipe, Usage } from '../model/context.js';
import type { DependencyMode, Task } from '../model/dependency.js';
import type { AttemptReport } from '../model/result.js';
import type { TaskStatus } from '../model/status.js';
import type { TaskDefinition } from '../model/task.js';
import { Spending } from '../model/usage.js';
import { choiceOf } from './choice-state.js';
import type { KeptValues } from './kept-values.js';
import type { Lane } from './lane.js';
import type { MessageWait } from './mailbox.js';
import type { PassedRow } from './passed-row.js';
import type { Replay } from './replay.js';

/** One dependency in the graph of a run. Edges out of a task are a linked list: appending costs nothing. */
export class Edge {
  readonly from: TaskNode;
  readonly to: TaskNode;
  /** `join` is the wait of a running task for another one. */
  readonly mode: DependencyMode | 'join';
  /** Name of the input; undefined when the dependencies are a tuple. */
  readonly key: string | undefined;
  /** What is read where it fails, or the choice it is part of. Few have one: the others have no place for it. */
  declare readonly fallback: unknown;
  satisfied = false;
  nextOut: Edge | undefined;

  constructor(from: TaskNode, to: TaskNode, mode: Edge['mode'], key: Edge['key'], fallback: unknown) {
    this.from = from;
    this.to = to;
    this.mode = mode;
    this.key = key;
    if (fallback !== undefined) this.fallback = fallback;
    this.nextOut = from.firstOut;
    from.firstOut = this;
  }
}

/** What the scheduler may do to an attempt it started. */
export interface AttemptHandle {
  readonly ended: boolean;
  /** Ends the attempt from outside: its signal is aborted with `reason`, whatever it says later is ignored. */
  stop(reason: RxhiveError): void;
  /** Values its body said before it gave control back for the first time, and that were not shown yet. */
  early: number;
  /** Changes of the state to replay when the attempt succeeds. */
  readonly recipes: readonly Recipe<never>[] | undefined;
  /** What the body returned, where its schema made something else of it. */
  readonly returned: { readonly value: unknown } | undefined;
  /** What a serializable attempt has read. */
  readonly reads: Reads | undefined;
  /** Tasks to add when the attempt succeeds. */
  readonly spawned: Spawned[] | undefined;
  /** Tells an executor that asked for it that the priority of the task is another one. */
  readonly raised: (() => void) | undefined;
}

/** A task somebody added that is not in the graph yet. */
export interface Spawned {
  readonly handle: Task;
  readonly definition: TaskDefinition;
  /** Where it was added; its body runs there. Default: where its parent does, else where the run was started. */
  readonly context?: AsyncContext;
  /** A completion handler added it. */
  readonly by?: 'handler';
}

/** A running task's wait for others; the slot is given back while it lasts. */
export interface Join {
  readonly targets: TaskNode[];
  pending: number;
  /** Called once all have ended and the task has its slot again, or with the reason why it cannot wait. */
  readonly done: ((error?: RxhiveError) => void)[];
  /** The same for answers, which do not wait for the other waits. */
  answers: (() => void)[];
  /** Waits for something outside of this run: it can go on by itself. */
  elsewhere: boolean;
  /** Waits of it that are not for the end of a task: for a shared thing, the same work. */
  paused: number;
  /** What stands before those waits, as far as known. */
  readonly causes: WaitCause[];
}

/** Why a wait for something that another task has, or does, is not over. */
export interface WaitCause {
  /** It, as the end of a sentence. */
  readonly what: string;
  /** Who has it, or comes before: it inherits the priority. Another one when that one gives up. */
  readonly by: TaskNode | undefined;
  /** Whose end it takes, as far as known, before this can be over. */
  needs(): Iterable<TaskNode>;
  /** It will never be over. */
  fail(error: RxhiveError): void;
}

/** Things few tasks have; made when first needed so that a waiting task stays small. */
export class NodeExtra {
  /** Attempts before the current one. */
  attempts: AttemptReport[] | undefined = undefined;
  /** What it used, in all processes of the run, but for the calls: those are in the node. */
  spent: Spending | undefined = undefined;
  /** Tokens of it that attempts beside its own used; those are counted by themselves, too, for their limits. */
  beside = 0;
  /** The part of it that is in no record of the log yet. */
  unlogged: Spending | undefined = undefined;
  /** Calls that are in the log. */
  loggedCalls = 0;
  suspendedMs = 0;
  /** Times the body ran again because of a conflict. */
  conflicts = 0;
  backoffMs = 0;
  permitMs = 0;
  /** What its lane had waited for permits when the task became ready. */
  permitMark = 0;
  join: Join | undefined = undefined;
  /** The tasks it has added so far, in all attempts. */
  children: TaskNode[] | undefined = undefined;
  /** Its condition was true: an attempt that follows does not ask again. */
  admitted = false;
  /** It waits for the task that added it to be durable. */
  held = false;
  /** Ids of the tasks it has joined so far, in all attempts. */
  joined: Set<string> | undefined = undefined;
  /** What a task it joined has failed with: not an answer that itself was given. */
  joinError: unknown = undefined;
  /** It has ended in an earlier process, and runs to bring back tasks it had added. */
  replay: Replay | undefined = undefined;
  /** It had succeeded in an earlier process, and runs again: no race that is over stops it. */
  again = false;
  /** Where in the log its result is, for those that took part in a race or quorum. */
  place: number | undefined = undefined;
  /** Ms that were left of a backoff when the process before ended. */
  backoffLeft = 0;
  /** Attempts that were lost with their workers. */
  lost = 0;
  /** Its attempt waits for a worker. */
  handedOver = false;
  /** Id of the worker that has begun with its attempt. */
  worker: string | undefined = undefined;
  /** Its attempts may be under way somewhere since an earlier process. */
  underWay = false;
  /** Items it has added that have not ended: they inherit its priority. */
  items: Set<TaskNode> | undefined = undefined;
  /** Who is told what the body reports with `ctx.usage`. */
  onUsage: ((usage: Usage) => void)[] | undefined = undefined;
  /** With `flow.each`: which ids its items have, or had before they were forgotten, what it waits for; it takes more if it can. */
  feed: { has(id: string): boolean; waitsFor(): string; goOn(): void } | undefined = undefined;
  /** With `flow.each`: who reads what its items come to. */
  readers: Set<PassedRow> | undefined = undefined;
  /** Suspended because a producer it streams from is suspended. */
  starved = false;
  /** Ids of the open questions its attempt waits for. */
  asking: Map<string, 'people' | 'a program'> | undefined = undefined;
  /** Messages, replies and room its attempt waits for. */
  messageWaits: Set<MessageWait> | undefined = undefined;
  /** Its attempt may be joined by another, or is such another one. */
  hedge: Hedge | undefined = undefined;
  totalTimer: Timer | undefined = undefined;
  /** Ms that were left of the total timeout when its clock was stopped. */
  totalLeft: number | undefined = undefined;
  queueTimer: Timer | undefined = undefined;
  backoffTimer: Timer | undefined = undefined;
  /** Reads a result that is kept in the store. */
  load: (() => unknown) | undefined = undefined;
  /** Others read its values as a stream. */
  watched = false;
  /** Newest value of a stream that has not ended. */
  live: { readonly value: unknown } | undefined = undefined;
  /** What its paired or merged dependencies have said. */
  kept: KeptValues | undefined = undefined;
}

const noEdges: readonly Edge[] = [];

/**
 * A task in a run: the one mutable record of it. `status` and `ended` are written by the scheduler alone. Times are ms
 * since the run started, which keeps them small integers.
 */
export class TaskNode implements HeapItem {
  heapIndex = -1;
  status: TaskStatus = 'waiting';
  /** Nothing follows its status. */
  ended = false;
  readonly id: string;
  readonly handle: Task;
  readonly definition: TaskDefinition;
  readonly seq: number;
  lane: Lane;
  inEdges: readonly Edge[] = noEdges;
  firstOut: Edge | undefined = undefined;
  /** Dependencies not satisfied yet. */
  pending = 0;
  /** Length of the longest chain of dependencies above it. */
  depth = 0;
  /** Own priority, or that of a more important task that waits for it. */
  priority: number;
  /** Expected running time: its estimate, else the mean of those there are, else 1. */
  expected = 1;
  /**
   * Expected time from its start to the end of what is behind it, same unit. Whoever has more goes first. With policy
   * `fifo` less the later it became ready.
   */
  rank = 0;
  /** Priority with aging, fixed when the task becomes ready. */
  urgency = 0;
  /** Reads at least one stream: receives an Observable. */
  streaming = false;
  holdsSlot = false;
  /** Has succeeded, and waits for its record to be durable: nothing but the store can stop it. */
  committing = false;
  attempt = 0;
  /** Attempts that were paid for, in all processes of the run. */
  calls = 0;
  running: AttemptHandle | undefined = undefined;
  /** When it entered the present status; of a run that is over: when it ended, or was left. */
  since = 0;
  dependenciesMs = 0;
  slotMs = 0;
  runningMs = 0;
  startedAt = -1;
  #value: unknown = undefined;
  error: unknown = undefined;
  extra: NodeExtra | undefined = undefined;
  /** With an item of `flow.each`: who hears of it. */
  item: ItemWatch | undefined = undefined;
  /** Parent of a spawned task. */
  parent: TaskNode | undefined = undefined;
  /** Where its body runs; undefined: where the run was started. */
  context: AsyncContext | undefined = undefined;
  /** The task of the graph: for an attempt beside another one not the node itself. */
  principal: TaskNode = this;

  constructor(handle: Task, definition: TaskDefinition, seq: number, lane: Lane) {
    this.id = handle.id;
    this.handle = handle;
    this.definition = definition;
    this.seq = seq;
    this.lane = lane;
    this.priority = definition.priority ?? 0;
  }

  /** How many things it waits for: a race or quorum is one, and so is all that is merged. */
  get needs(): number {
    let needs = 0;
    let merged = 0;
    for (const edge of this.inEdges) {
      const choice = choiceOf(edge);
      if (edge.mode === 'merged') merged = 1;
      else if (choice === undefined || choice.edges[0] === edge) needs += 1;
    }
    return needs + merged;
  }

  /** The result of a task that has succeeded. @throws RxhiveError STORE_FAILED when it is kept in a store that fails */
  get value(): unknown {
    return this.#value === undefined && this.extra?.load !== undefined ? this.extra.load() : this.#value;
  }

  set value(value: unknown) {
    this.#value = value;
    if (this.extra !== undefined) this.extra.load = undefined;
  }

  /** The result is in a store: {@link TaskNode.forget} may drop it, `load` reads it again. */
  forgettable(load: () => unknown): void {
    this.more().load = load;
  }

  /** Drops a result that can be read again; everybody who watches has seen it. */
  forget(): void {
    if (this.extra?.load !== undefined) this.#value = undefined;
  }

  get runOrder(): number {
    return this.lane.slots.order;
  }

  get share(): Share | undefined {
    return this.lane.share;
  }

  /** Books what it used, here and at the gates it passes. */
  spend(used: Spending): void {
    const extra = this.principal.more();
    extra.spent = (extra.spent ?? new Spending()).add(used);
    if (this.principal !== this) {
      extra.beside += used.tokens;
      const own = this.more();
      own.spent = (own.spent ?? new Spending()).add(used);
    }
    extra.unlogged = (extra.unlogged ?? new Spending()).add(used);
    this.#charge(used);
  }

  /** The attempt that goes on calls nobody: its result was there already. */
  uncall(): void {
    this.calls -= 1;
    if (this.principal !== this) this.principal.calls -= 1;
    const none = new Spending();
    none.calls = -1;
    this.#charge(none);
  }

  #charge(used: Spending): void {
    for (const gates of this.lane.gates) for (const gate of gates) gate.charge?.(used);
  }

  /** What it used, calls included. */
  get usage(): Spending {
    const usage = new Spending();
    if (this.extra?.spent !== undefined) usage.add(this.extra.spent);
    usage.calls = this.calls;
    return usage;
  }

  /** Its attempt is over and waits for nothing; true: it had asked people. */
  forgetWaits(): boolean {
    const { extra } = this;
    if (extra === undefined) return false;
    extra.join = undefined;
    extra.messageWaits = undefined;
    extra.starved = false;
    const asked = extra.asking !== undefined;
    extra.asking = undefined;
    return asked;
  }

  /** The extra part, made on first use. */
  more(): NodeExtra {
    this.extra ??= new NodeExtra();
    return this.extra;
  }
}

/** Who has added an item hears that an attempt begins, that it gave a stream and what that says, and that the item has ended. */
export interface ItemWatch {
  started(node: TaskNode): void;
  streams?(): void;
  value?(value: unknown): void;
  ended(node: TaskNode): void;
}

/** The hedging of one attempt of a task. */
export interface Hedge {
  readonly node: TaskNode;
  /** Attempts beside the first that are under way; each has a node of its own, so that it takes slot, permits and budget. */
  readonly rivals: TaskNode[];
  /** How many there have been. */
  made: number;
  timer: Timer | undefined;
}
