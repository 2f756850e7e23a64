import { Contest } from '../graph/choice-state.js';
import type { MessageWait, Waiting } from '../graph/mailbox.js';
import { Edge, type Join, type NodeExtra, type Obstacle, type TaskNode } from '../graph/node.js';
import type { TurnEnd } from '../kernel/drain.js';
import { RxhiveError } from '../kernel/errors.js';
import type { TaskStatus } from '../model/status.js';
import { waitsForItself } from './explain.js';

/** What {@link Streaming} may ask of the scheduler, the only writer of status. */
export interface Moves {
  enter(node: TaskNode, status: TaskStatus): void;
  ready(node: TaskNode): void;
  /** Gives slot and place in the queue back; the attempt stays alive. */
  pause(node: TaskNode): void;
  stop(node: TaskNode, reason: RxhiveError): void;
  /** Tells who waits at `edge` that its dependency has ended. */
  deliver(edge: Edge): void;
  /** Stops the clock of all attempts together, or lets it go on. */
  still(node: TaskNode, still: boolean): void;
  /** Shows a value to those who watch and to dependents. */
  value(node: TaskNode, value: unknown): void;
  /** The task has begun to wait for what others say, or for their end. */
  waits(node: TaskNode): void;
  /** What the task waits for is as important as it is. */
  lend(node: TaskNode): void;
  atTurnEnd(work: TurnEnd): void;
  /** Runs `work` in the drain loop. */
  command(work: () => void): void;
}

/** A wait that others end. */
interface Until {
  /** Told how it ends, before it begins. */
  given?(waiting: Waiting): void;
  begin(extra: NodeExtra): void;
  end(extra: NodeExtra): void;
  begun?(): void;
}

/** Tasks that read streams, and tasks that gave their slot back: who pauses, goes on or begins again with whom. */
export class Streaming {
  readonly #moves: Moves;
  readonly #refreshes = new Map<TaskNode, TurnEnd>();

  constructor(moves: Moves) {
    this.#moves = moves;
  }

  /** A stream has a new value. */
  value(node: TaskNode, value: unknown): void {
    node.more().live = { value };
    this.#moves.value(node, value);
  }

  /** A stream begins again: who saw its values begins again too, without counting an attempt. */
  retract(producer: TaskNode): void {
    const stack = [producer];
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      if (node.extra !== undefined) node.extra.live = undefined;
      for (let edge = node.firstOut; edge !== undefined; edge = edge.nextOut) {
        const { to } = edge;
        if (edge.mode !== 'latest' || !edge.satisfied || to.ended || to.committing) continue;
        edge.satisfied = false;
        to.pending += 1;
        if (to.status === 'waiting') continue;
        if (to.running !== undefined) to.attempt -= 1;
        const message = `Task "${to.id}" starts again: the stream it reads from is being retried.`;
        this.#moves.stop(to, new RxhiveError('ATTEMPT_ENDED', message));
        this.#moves.enter(to, 'waiting');
        stack.push(to);
      }
    }
  }

  /** Calls `done` once all `targets` have ended, or when that can never be; the slot is free until then. */
  join(node: TaskNode, targets: readonly (TaskNode | Contest)[], done: (error?: RxhiveError) => void): void {
    this.#whileRunning(node, () => {
      const contests = targets.filter((target) => target instanceof Contest);
      const nodes = targets.filter((target): target is TaskNode => !(target instanceof Contest));
      const contenders = contests.flatMap(({ edges }) => edges);
      const cycle = waitsForItself(node, [...nodes, ...contenders.map(({ from }) => from)]);
      const open: (TaskNode | Contest)[] = [...nodes.filter((target) => !target.ended), ...contests];
      if (cycle !== undefined || (open.length === 0 && node.extra?.join === undefined)) {
        done(cycle);
        return;
      }
      const join = this.#wait(node, open.length, done);
      for (const target of open) {
        if (target instanceof Contest) {
          target.join = join;
          join.targets.push(...target.edges.map(({ from }) => from));
        } else {
          join.targets.push(target);
          new Edge(target, node, 'join', undefined, join);
        }
      }
      this.suspend(node);
      this.#moves.lend(node);
      for (const edge of contenders) if (edge.from.ended) this.#moves.deliver(edge);
      this.#moves.waits(node);
    });
  }

  /**
   * Gives the slot of `node` back until the returned function is called; `done` when it has one again. `behind`: who is
   * to do that, where known; `elsewhere`: something outside of this run.
   */
  pause(node: TaskNode, done: () => void, behind?: Obstacle | 'elsewhere'): () => void {
    let join: Join | undefined;
    this.#whileRunning(node, () => {
      const cycle =
        typeof behind === 'object' ? waitsForItself(node, [...behind.needs()], behind.what) : undefined;
      if (cycle !== undefined) return (behind as Obstacle).fail(cycle);
      join = this.#wait(node, 1, done);
      if (behind === 'elsewhere') join.elsewhere = true;
      else if (behind !== undefined) join.behind.push(behind);
      join.paused += 1;
      this.suspend(node);
      this.#moves.lend(node);
    });
    return () =>
      this.#moves.command(() => {
        if (join === undefined || node.extra?.join !== join) return;
        join.pending -= 1;
        join.paused -= 1;
        if (join.pending === 0) this.wake(node);
      });
  }

  /**
   * Gives the slot back until a question is answered: until the returned function is called. While the task waits for
   * more, what it calls then is called at once, without a slot; the last is called when there is one again.
   */
  ask(node: TaskNode, questionId: string): (done: () => void) => void {
    return this.#until(node, {
      begin: (extra) => {
        extra.asking ??= new Set();
        if (extra.asking.size === 0) this.#moves.still(node, true);
        extra.asking.add(questionId);
      },
      end: (extra) => {
        extra.asking?.delete(questionId);
        if (extra.asking?.size === 0) this.#moves.still(node, false);
      },
    }).wake;
  }

  /** The same until somebody says or does what `wait` is for; the clocks of the task go on. */
  hear(node: TaskNode, wait: MessageWait): void {
    this.#until(node, {
      given: (waiting) => wait.began(waiting),
      begin: (extra) => {
        extra.hearing ??= new Set();
        extra.hearing.add(wait);
      },
      end: (extra) => extra.hearing?.delete(wait),
      begun: () => this.#moves.waits(node),
    });
  }

  #until(node: TaskNode, { given, begin, end, begun }: Until): Waiting {
    let join: Join | undefined;
    const over = (then: (mine: Join) => void): void =>
      this.#moves.command(() => {
        const mine = join;
        join = undefined;
        if (mine === undefined || node.extra?.join !== mine) return;
        end(node.extra);
        mine.pending -= 1;
        then(mine);
      });
    const waiting: Waiting = {
      wake: (done) =>
        over((mine) => {
          if (mine.pending > 0) return done();
          mine.answers.push(done);
          this.wake(node);
        }),
      leave: () => over(({ pending }) => pending > 0 || this.wake(node)),
    };
    given?.(waiting);
    this.#whileRunning(node, () => {
      join = this.#wait(node, 1);
      // Answers that wait for a slot would have to wait for this one too.
      for (const done of join.answers.splice(0)) done();
      begin(node.more());
      this.suspend(node);
      this.#moves.lend(node);
      begun?.();
    });
    return waiting;
  }

  /** Does `work` unless the attempt that asked for it is over by then. */
  #whileRunning(node: TaskNode, work: () => void): void {
    const source = node.running;
    this.#moves.command(() => {
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
      behind: [],
    };
    if (done !== undefined) extra.join.done.push(done);
    extra.join.pending += count;
    return extra.join;
  }

  suspend(node: TaskNode): void {
    if (node.status !== 'running') {
      if (node.status === 'ready') {
        this.#moves.pause(node);
        this.#moves.enter(node, 'suspended');
      }
      return;
    }
    this.#moves.pause(node);
    this.#moves.enter(node, 'suspended');
    if (!node.watched) return;
    for (let edge = node.firstOut; edge !== undefined; edge = edge.nextOut) {
      if (edge.mode === 'latest') this.starve(edge.to);
    }
  }

  /** A reader of a stream whose producer is suspended gives its slot back too, or the two could block all. */
  starve(node: TaskNode): void {
    if (node.status !== 'running') return;
    if (!readsFromSuspended(node)) return;
    node.more().starved = true;
    this.suspend(node);
  }

  #feed(node: TaskNode): void {
    if (node.extra?.starved !== true) return;
    if (readsFromSuspended(node)) return;
    node.extra.starved = false;
    this.wake(node);
  }

  wake(node: TaskNode): void {
    const extra = node.extra;
    if (node.status !== 'suspended' || extra?.starved === true || (extra?.join?.pending ?? 0) > 0) return;
    this.#moves.ready(node);
  }

  resume(node: TaskNode): void {
    this.#moves.enter(node, 'running');
    const join = node.extra?.join;
    if (node.extra !== undefined) node.extra.join = undefined;
    for (const done of [...(join?.answers ?? []), ...(join?.done ?? [])]) done();
    this.#feedReaders(node);
  }

  #feedReaders(node: TaskNode): void {
    if (!node.watched) return;
    for (let edge = node.firstOut; edge !== undefined; edge = edge.nextOut)
      if (edge.mode === 'latest') this.#feed(edge.to);
  }

  /** Shows a reader its new inputs once everything above it has spoken: no mixture of old and new. */
  refresh(node: TaskNode): void {
    this.#feed(node);
    let refresh = this.#refreshes.get(node);
    if (refresh === undefined) {
      refresh = { order: node.depth, heapIndex: -1, run: () => node.running?.refresh() };
      this.#refreshes.set(node, refresh);
    }
    this.#moves.atTurnEnd(refresh);
  }

  /** The task has ended: nothing has to be shown to it any more. */
  forget(node: TaskNode): void {
    if (node.streaming) this.#refreshes.delete(node);
  }
}

/** What feeds goes on talking while it holds no slot. */
function readsFromSuspended(node: TaskNode): boolean {
  return node.inEdges.some(
    ({ mode, from }) => mode === 'latest' && from.status === 'suspended' && from.definition.feeds !== true,
  );
}
