import { Observable, ReplaySubject, Subject } from 'rxjs';
import type { Revived } from './commit/revival.js';
import type { Transactions } from './commit/transaction.js';
import type { ItemWatch, Spawned, TaskNode } from './graph/node.js';
import type { Watch } from './graph/ports.js';
import { announceAdded, announceBack } from './observe/planned.js';
import { type Growth, runEnded } from './plan/growth.js';
import type { BoundedQueue } from './schedule/bounded-queue.js';
import type { Scheduler } from './schedule/scheduler.js';

/** What tasks that come are told to. */
export interface IntakeParts {
  readonly runId: string;
  readonly growth: Growth;
  readonly watch: Watch;
  readonly transactions: Transactions;
  readonly scheduler: Scheduler;
  /** Whom handles of tasks that are added belong to. */
  readonly owner: object;
  /** Of those that are added from outside: how many may wait; undefined: any number. */
  readonly queue: BoundedQueue | undefined;
}

/** Takes tasks in while a run goes on: those that somebody adds, items, and what comes back from a log. */
export class Intake {
  readonly #parts: IntakeParts;
  /** Records of tasks that were added before the log was open. */
  readonly #early: string[] = [];
  /** The first events tell what is there: what comes from then on is told apart. */
  #begun = false;
  /** The store has answered: the scheduler has begun. */
  opened = false;
  /** All tasks have ended. */
  #isIdle = false;
  readonly #idle = new Subject<void>();

  constructor(parts: IntakeParts) {
    this.#parts = parts;
  }

  /** The run begins. */
  begin(): void {
    this.#begun = true;
  }

  /** The store has answered, and the scheduler is about to count and ready what is there. */
  open(): void {
    const { growth, watch, transactions } = this.#parts;
    this.opened = true;
    announceBack(watch, growth.back.values());
    for (const text of this.#early) transactions.added(text);
  }

  /** Takes tasks in, held until `holder` has ended. @throws RxhiveError RUN_ENDED, QUEUE_FULL, LIMIT_EXCEEDED, WORKFLOW_DEFINITION */
  add(tasks: readonly Spawned[], parent?: TaskNode, holder?: TaskNode): void {
    const { growth, transactions, queue } = this.#parts;
    this.#refuse(parent);
    if (parent === undefined) queue?.check();
    const text = transactions.addedText(tasks); // First: what cannot be written is not added.
    const nodes = growth.add(tasks, parent);
    if (text !== undefined && parent === undefined)
      if (this.opened) transactions.added(text);
      else this.#early.push(text);
    this.#admit(nodes, parent, holder);
    if (parent === undefined) for (const node of nodes) queue?.add(node);
  }

  /** Takes a task in as soon as there is room for it. Emits once it is in, or the error with which it was refused. */
  whenRoom(task: Spawned): Observable<void> {
    const { queue, runId, scheduler } = this.#parts;
    const taken = new ReplaySubject<void>(1);
    const take = (): void => {
      try {
        this.add([task]);
        taken.next();
      } catch (error) {
        taken.error(error);
      }
    };
    const { signal } = task.definition;
    if (queue?.mustWait !== true || scheduler.refuses()) take();
    else
      queue.wait(
        take,
        () => taken.error(runEnded(runId)),
        signal,
        (reason) => taken.error(reason),
      );
    return taken;
  }

  /** Takes in a task that is forgotten when it has ended. @throws as {@link Intake.add} */
  offer(task: Spawned, watch: ItemWatch): TaskNode {
    this.#refuse();
    const node = this.#parts.growth.addAlone(task, watch);
    this.#admit([node]);
    return node;
  }

  /** Takes in an item of `parent`; `known` is told of it before it may begin. @throws as {@link Intake.add} */
  item(parent: TaskNode, one: Spawned, watch: ItemWatch, known: (node: TaskNode) => void): void {
    this.#admit(this.#parts.growth.addItem(one, parent, watch, known), parent);
  }

  /** Takes in tasks of an earlier process. */
  bringBack(tasks: readonly Revived[]): void {
    const { growth, watch, scheduler, queue, owner } = this.#parts;
    const nodes = growth.bringBack(tasks);
    for (const node of nodes)
      if (node.parent === undefined && node.item === undefined && node.handle.owner === owner)
        queue?.restore(node);
    if (!this.opened) return;
    announceBack(watch, nodes);
    scheduler.admit(nodes);
  }

  /** A task has ended. */
  ended(node: TaskNode): void {
    const { growth, queue, transactions } = this.#parts;
    for (const id of growth.ended(node)) transactions.forget(id);
    queue?.left(node);
  }

  /** Nothing runs. */
  rests(): void {
    if (this.#isIdle || this.#parts.scheduler.open > 0) return;
    this.#isIdle = true;
    this.#idle.next();
  }

  /** Emits each time all tasks of a run kept open have ended, at once where they have. */
  get idle$(): Observable<void> {
    return new Observable((subscriber) => {
      if (this.#isIdle) subscriber.next();
      return this.#idle.subscribe(subscriber);
    });
  }

  /** The run has ended. */
  close(): void {
    this.#parts.queue?.close();
    this.#idle.complete();
  }

  #refuse(parent?: TaskNode): void {
    if (this.#parts.scheduler.refuses(parent)) throw runEnded(this.#parts.runId);
  }

  #admit(nodes: readonly TaskNode[], parent?: TaskNode, holder?: TaskNode): void {
    const { watch, scheduler } = this.#parts;
    this.#isIdle = false;
    if (this.#begun) announceAdded(watch, nodes, parent);
    // Before that the scheduler counts and readies all tasks of the graph itself.
    if (this.opened) scheduler.admit(nodes, holder);
    else scheduler.priorityInheritance.lend(nodes);
  }
}
