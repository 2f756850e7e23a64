import type { Subscriber } from 'rxjs';
import { isHeldBack } from '../graph/gate.js';
import type { Group } from '../graph/lane.js';
import { describeWait } from '../graph/mailbox.js';
import type { TaskNode } from '../graph/node.js';
import type { StoreWait, Watch } from '../graph/ports.js';
import type { SharedParts } from '../graph/shared-parts.js';
import { truncate } from '../kernel/errors.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import type { EventBody, WorkflowEvent } from '../model/event.js';
import type { OpenQuestion } from '../model/question.js';
import type { Scheduler } from './scheduler.js';

/** What {@link Stuck} looks at. */
export interface StuckPorts {
  readonly watch: Watch;
  readonly nodes: ReadonlyMap<string, TaskNode>;
  readonly scheduler: Scheduler;
  /** What it shares with the other runs of its controller. */
  readonly shared: SharedParts | undefined;
  /** What the user says that may run at once, of a group of its own or of the run. */
  limitOf(group?: Group): number;
  /** Questions nobody has answered. */
  questions(): readonly OpenQuestion[];
  /** What the run waits for where its store has not answered for some time. */
  store(): StoreWait | undefined;
}

/** Something that does not end by itself, and how many tasks wait for it. */
interface Cause {
  readonly sentence: (tasks: string) => string;
  tasks: number;
}

/**
 * Finds out whether a run still goes on by itself: nothing runs, no timer, store or provider is going to say anything,
 * and tasks are left. In doubt it does.
 */
export class Stuck {
  readonly #ports: StuckPorts;
  /** A task that goes on by itself, as far as known: mostly it still does. */
  #alive: TaskNode | undefined;
  #told = '';
  /** What was told last. */
  #event: WorkflowEvent | undefined;
  /** Who has come since then. */
  readonly #newcomers = new Set<Subscriber<WorkflowEvent>>();

  constructor(ports: StuckPorts) {
    this.#ports = ports;
  }

  /** What the run waits for where its store has not answered for some time. */
  get store(): StoreWait | undefined {
    return this.#ports.store();
  }

  /** One sentence for each thing that is waited for; none: the run goes on, or is over. */
  causes(): string[] {
    const { scheduler, nodes } = this.#ports;
    const { active, open, ended, closing } = scheduler;
    if (active > 0) return [];
    const over = open === 0 || ended || closing !== undefined;
    const { store } = this;
    if (over || store?.opening === true)
      return store === undefined ? [] : [`The run waits for ${store.what}.`];
    const causes = new Map<unknown, Cause>();
    if (this.#alive !== undefined && !this.#waits(this.#alive, causes)) return [];
    causes.clear();
    let behind = 0;
    for (const node of nodes.values()) {
      if (node.ended) continue;
      const before = causes.size;
      if (!this.#waits(node, causes)) {
        this.#alive = node;
        return [];
      }
      if ((node.status === 'waiting' && causes.size === before) || isHeldBack(node)) behind += 1;
    }
    const lines = [...causes.values()].map(({ sentence, tasks }) => sentence(some(tasks)));
    return behind === 0 || lines.length === 0
      ? lines
      : [...lines, `${some(behind)} for tasks that wait like this.`];
  }

  /** `listener` has come: if the run is stuck already, it hears so as well. */
  tell(listener: Subscriber<WorkflowEvent>): void {
    const { scheduler } = this.#ports;
    this.#newcomers.add(listener);
    listener.add(() => this.#newcomers.delete(listener));
    // Something may be under way that ends it: the loop of the run knows when all is done.
    if (scheduler.open > 0 && scheduler.active === 0) scheduler.recheck();
  }

  /** No slot is in use, and tasks are left: says so, once to each who listens, if it stays like this. */
  check(): void {
    const { watch, scheduler } = this.#ports;
    if (!watch.active) return;
    const causes = this.causes();
    const told = causes.length === 0 ? '' : `${scheduler.starts} ${causes.join(' ')}`;
    const isNews = told !== this.#told;
    const newcomers = [...this.#newcomers];
    this.#newcomers.clear();
    this.#told = told;
    if (told === '') this.#event = undefined;
    else if (isNews) {
      const body: EventBody = { type: 'run', reason: 'stuck', waitsFor: causes };
      this.#event = body as WorkflowEvent;
      watch.emit(body);
    } else if (this.#event !== undefined) for (const listener of newcomers) listener.next(this.#event);
  }

  /** Does `node` wait for something that does not come by itself? Adds what for, if not for other tasks. */
  #waits(node: TaskNode, causes: Map<unknown, Cause>): boolean {
    const { status, extra } = node;
    if (node.ended) return false;
    if (node.committing) return this.#heldUp(causes);
    if (extra?.totalTimer !== undefined && extra.totalLeft === undefined) return false;
    if (status === 'waiting') return node.pending > 0;
    if (status === 'ready') return this.#held(node, causes);
    if (status !== 'suspended' || node.definition.feeds === true || extra?.join?.elsewhere === true)
      return false;
    for (const wait of extra?.messageWaits ?? []) {
      if (wait.timed || (wait.from === undefined && this.#ports.scheduler.keepOpen)) return false;
      if (wait.unsure)
        count(
          causes,
          wait,
          () =>
            `Task "${truncate(node.id)}" waits for ${describeWait(wait)}, if it is not at work on one it was given; name whom it reads (from), or work within for await.`,
        );
    }
    for (const waitCause of extra?.join?.causes ?? []) {
      const { by, what } = waitCause;
      if (by?.status === 'suspended')
        count(
          causes,
          waitCause,
          () =>
            `Task "${truncate(node.id)}" waits for ${what}, and "${truncate(by.id)}", which is before it, waits itself.`,
        );
    }
    for (const [id, from] of extra?.asking ?? []) {
      const question = this.#ports.questions().find((one) => one.id === id);
      if (question === undefined && this.#heldUp(causes)) continue;
      if (question === undefined || question.deadline !== undefined) return false;
      const prompt = question.prompt === '' ? '' : ` (${truncate(question.prompt)})`;
      count(
        causes,
        id,
        () =>
          `Task "${truncate(node.id)}" waits for ${from} to answer "${truncate(id)}"${prompt}; give it to run.answer().`,
      );
    }
    return true;
  }

  /** Waits for the store, if that has not answered for some time. */
  #heldUp(causes: Map<unknown, Cause>): boolean {
    const { store } = this;
    if (store !== undefined) count(causes, 'store', (tasks) => `${tasks} for ${store.what}.`);
    return store !== undefined;
  }

  /** What does not let a ready task start, if that lasts until somebody changes it. */
  #held(node: TaskNode, causes: Map<unknown, Cause>): boolean {
    const { group, gates } = node.lane;
    const { shared } = this.#ports;
    if (node.extra?.queueTimer !== undefined && node.attempt === 0) return false;
    if (isHeldBack(node)) return true;
    const gate = gates
      .flat()
      .find((one) => (one.stays === true ? !one.admits(node) : one.lasts?.(node) === true));
    if (gate !== undefined) count(causes, gate, (tasks) => `${tasks} for ${gate.reason(node)}.`);
    else if (this.#ports.limitOf() === 0)
      count(
        causes,
        'slots',
        (tasks) =>
          `${tasks} for a slot, but the concurrency of the run is 0; raise it with run.setConcurrency().`,
      );
    else if (shared?.limit === 0)
      count(
        causes,
        shared,
        (tasks) =>
          `${tasks} for a slot, but the concurrency of ${nameOf(shared)} is 0; raise it with its setConcurrency().`,
      );
    else if (group === undefined) return false;
    else if (shared?.groups.get(group.name) === group) {
      if (group.limit > 0) return false;
      count(
        causes,
        group,
        (tasks) =>
          `${tasks} for a place in group "${truncate(group.name)}" of ${nameOf(shared)}, but its concurrency is 0; raise it with setGroupConcurrency() of the controller.`,
      );
    } else if (this.#ports.limitOf(group) === 0)
      count(
        causes,
        group,
        (tasks) =>
          `${tasks} for a place in group "${truncate(group.name)}", but its concurrency is 0; raise it with run.setGroupConcurrency().`,
      );
    else return false;
    return true;
  }
}

function count(causes: Map<unknown, Cause>, key: unknown, sentence: Cause['sentence']): void {
  getOrInsert(causes, key, () => ({ sentence, tasks: 0 })).tasks += 1;
}

function nameOf({ options }: SharedParts): string {
  return `controller "${truncate(options.name ?? 'controller')}"`;
}

function some(tasks: number): string {
  return tasks === 1 ? '1 task waits' : `${tasks} tasks wait`;
}
