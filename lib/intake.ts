import type { Revived } from './commit/revival.js';
import type { Transactions } from './commit/transaction.js';
import type { ItemWatch, Spawned, TaskNode } from './graph/node.js';
import type { Watch } from './graph/ports.js';
import { announceAdded, announceBack } from './observe/planned.js';
import { type Growth, runEnded } from './plan/growth.js';
import type { Scheduler } from './schedule/scheduler.js';

/** What tasks that come are told to. */
export interface IntakeParts {
  readonly runId: string;
  readonly growth: Growth;
  readonly watch: Watch;
  readonly transactions: Transactions;
  readonly scheduler: Scheduler;
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

  /** Takes tasks in, held until `holder` has ended. @throws RxhiveError RUN_ENDED, LIMIT_EXCEEDED, WORKFLOW_DEFINITION */
  add(tasks: readonly Spawned[], parent?: TaskNode, holder?: TaskNode): void {
    const { growth, transactions } = this.#parts;
    this.#refuse(parent);
    const text = transactions.addedText(tasks); // First: what cannot be written is not added.
    const nodes = growth.add(tasks, parent);
    if (text !== undefined && parent === undefined)
      if (this.opened) transactions.added(text);
      else this.#early.push(text);
    this.#admit(nodes, parent, holder);
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
    const { growth, watch, scheduler } = this.#parts;
    const nodes = growth.bringBack(tasks);
    if (!this.opened) return;
    announceBack(watch, nodes);
    scheduler.admit(nodes);
  }

  #refuse(parent?: TaskNode): void {
    if (this.#parts.scheduler.refuses(parent)) throw runEnded(this.#parts.runId);
  }

  #admit(nodes: readonly TaskNode[], parent?: TaskNode, holder?: TaskNode): void {
    const { watch, scheduler } = this.#parts;
    if (this.#begun) announceAdded(watch, nodes, parent);
    // Before that the scheduler counts and readies all tasks of the graph itself.
    if (this.opened) scheduler.admit(nodes, holder);
    else scheduler.priorityInheritance.lend(nodes);
  }
}
