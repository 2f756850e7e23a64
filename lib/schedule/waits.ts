import { ChoiceState } from '../graph/choice-state.js';
import type { MessageWait, OngoingWait } from '../graph/mailbox.js';
import { Edge, type Join, type NodeExtra, type TaskNode, type WaitCause } from '../graph/node.js';
import type { RxhiveError } from '../kernel/errors.js';
import type { Dependents } from './dependents.js';
import { waitsForItself } from './explain.js';
import type { PriorityInheritance } from './inherit.js';
import type { Lifecycle } from './lifecycle.js';
import type { Streaming } from './streaming.js';

/** A wait that others end. */
interface Until {
  /** Told how it ends, before it begins. */
  given?(waiting: OngoingWait): void;
  begin(extra: NodeExtra): void;
  end(extra: NodeExtra): void;
  begun?(): void;
}

/** Waits of running tasks, without a slot: for the end of others, for people, for messages, for shared things. */
export class Waits {
  readonly #lifecycle: Lifecycle;
  readonly #streaming: Streaming;
  readonly #dependents: Dependents;
  readonly #priorityInheritance: PriorityInheritance;

  constructor(
    lifecycle: Lifecycle,
    streaming: Streaming,
    dependents: Dependents,
    priorityInheritance: PriorityInheritance,
  ) {
    this.#lifecycle = lifecycle;
    this.#streaming = streaming;
    this.#dependents = dependents;
    this.#priorityInheritance = priorityInheritance;
  }

  /** Calls `done` once all `targets` have ended, or when that can never be; the slot is free until then. */
  join(
    node: TaskNode,
    targets: readonly (TaskNode | ChoiceState)[],
    done: (error?: RxhiveError) => void,
  ): void {
    this.#whileRunning(node, () => {
      const open: (TaskNode | ChoiceState)[] = [];
      const nodes: TaskNode[] = [];
      const contenders: Edge[] = [];
      for (const target of targets) {
        if (target instanceof ChoiceState) for (const edge of target.edges) contenders.push(edge);
        else nodes.push(target);
        if (target instanceof ChoiceState || !target.ended) open.push(target);
      }
      const cycle = waitsForItself(node, [...nodes, ...contenders.map(({ from }) => from)]);
      if (cycle !== undefined || (open.length === 0 && node.extra?.join === undefined)) {
        done(cycle);
        return;
      }
      const join = this.#wait(node, open.length, done);
      for (const target of open) {
        if (target instanceof ChoiceState) {
          target.join = join;
          join.targets.push(...target.edges.map(({ from }) => from));
        } else {
          join.targets.push(target);
          new Edge(target, node, 'join', undefined, join);
        }
      }
      this.#streaming.suspend(node);
      this.#priorityInheritance.lend([node]);
      for (const edge of contenders) if (edge.from.ended) this.#dependents.deliver(edge);
      this.#dependents.skipAll();
      this.#lifecycle.ports.waits(node);
    });
  }

  /**
   * Gives the slot of `node` back until the returned function is called; `done` when it has one again. `behind`: who is
   * to do that, where known; `elsewhere`: something outside of this run.
   */
  pause(node: TaskNode, done: () => void, causes?: WaitCause | 'elsewhere'): () => void {
    let join: Join | undefined;
    this.#whileRunning(node, () => {
      const cycle =
        typeof causes === 'object' ? waitsForItself(node, [...causes.needs()], causes.what) : undefined;
      if (cycle !== undefined) return (causes as WaitCause).fail(cycle);
      join = this.#wait(node, 1, done);
      if (causes === 'elsewhere') join.elsewhere = true;
      else if (causes !== undefined) join.causes.push(causes);
      join.paused += 1;
      this.#streaming.suspend(node);
      this.#priorityInheritance.lend([node]);
    });
    return () =>
      this.#lifecycle.command(() => {
        if (join === undefined || node.extra?.join !== join) return;
        join.pending -= 1;
        join.paused -= 1;
        if (join.pending === 0) this.#streaming.wake(node);
      });
  }

  /**
   * Gives the slot back until a question is answered: until the returned function is called. While the task waits for
   * more, what it calls then is called at once, without a slot; the last is called when there is one again.
   */
  waitForAnswer(
    node: TaskNode,
    questionId: string,
    from: 'people' | 'a program',
  ): (done: () => void) => void {
    return this.#until(node, {
      begin: (extra) => {
        extra.asking ??= new Map();
        if (extra.asking.size === 0) this.#lifecycle.deadlines.still(node, true);
        extra.asking.set(questionId, from);
      },
      end: (extra) => {
        extra.asking?.delete(questionId);
        if (extra.asking?.size === 0) this.#lifecycle.deadlines.still(node, false);
      },
    }).wake;
  }

  /** The same until somebody says or does what `wait` is for; the clocks of the task go on. */
  waitForMessage(node: TaskNode, wait: MessageWait): void {
    this.#until(node, {
      given: (waiting) => wait.began(waiting),
      begin: (extra) => {
        extra.messageWaits ??= new Set();
        extra.messageWaits.add(wait);
      },
      end: (extra) => extra.messageWaits?.delete(wait),
      begun: () => this.#lifecycle.ports.waits(node),
    });
  }

  #until(node: TaskNode, { given, begin, end, begun }: Until): OngoingWait {
    let join: Join | undefined;
    const over = (then: (mine: Join) => void): void =>
      this.#lifecycle.command(() => {
        const mine = join;
        join = undefined;
        if (mine === undefined || node.extra?.join !== mine) return;
        end(node.extra);
        mine.pending -= 1;
        then(mine);
      });
    const waiting: OngoingWait = {
      wake: (done) =>
        over((mine) => {
          if (mine.pending > 0) return done();
          mine.answers.push(done);
          this.#streaming.wake(node);
        }),
      cancel: () => over(({ pending }) => pending > 0 || this.#streaming.wake(node)),
    };
    given?.(waiting);
    this.#whileRunning(node, () => {
      join = this.#wait(node, 1);
      // Answers that wait for a slot would have to wait for this one too.
      for (const done of join.answers.splice(0)) done();
      begin(node.more());
      this.#streaming.suspend(node);
      this.#priorityInheritance.lend([node]);
      begun?.();
    });
    return waiting;
  }

  /** Does `work` unless the attempt that asked for it is over by then. */
  #whileRunning(node: TaskNode, work: () => void): void {
    const source = node.running;
    this.#lifecycle.command(() => {
      if (source !== undefined && node.running === source) work();
    });
  }

  /** Waits of one task end together: it needs one slot for all of them. */
  #wait(node: TaskNode, count: number, done?: (error?: RxhiveError) => void): Join {
    const extra = node.more();
    extra.join ??= {
      targets: [],
      pending: 0,
      done: [],
      answers: [],
      elsewhere: false,
      paused: 0,
      causes: [],
    };
    if (done !== undefined) extra.join.done.push(done);
    extra.join.pending += count;
    return extra.join;
  }
}
