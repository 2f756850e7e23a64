import { FairHeap, type Share } from '../kernel/fair-heap.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import { Heap, type HeapItem } from '../kernel/heap.js';
import type { LimiterClient, PermitRequest } from '../model/limiter.js';
import { goesBefore, type OrderedTask } from '../model/task-order.js';

/** One who waits. Its place is that of the moment it asked: whoever becomes more important asks again. */
export class Waiting implements HeapItem {
  heapIndex = -1;
  readonly client: LimiterClient;
  readonly request: PermitRequest;
  readonly urgency: number;
  readonly rank: number;
  readonly seq: number;
  readonly runOrder: number;
  readonly share: Share | undefined;

  constructor(client: LimiterClient, request: PermitRequest) {
    this.client = client;
    this.request = request;
    const { urgency, rank, seq, runOrder = 0, share } = request.node;
    this.urgency = urgency;
    this.rank = rank;
    this.seq = seq;
    this.runOrder = runOrder;
    this.share = share;
  }

  /** A task that was cancelled, or has started elsewhere, waits no longer. */
  get holds(): boolean {
    const { node } = this.request;
    return node.status === 'ready' && node.heapIndex >= 0;
  }
}

/** What decides who of a line goes first. */
type Place = Pick<OrderedTask, 'urgency' | 'rank' | 'seq' | 'runOrder' | 'share'> & {
  readonly share: Share | undefined;
};

/** Those of one run, or of all runs of a controller, that wait, the better task first. */
class Line implements HeapItem {
  heapIndex = -1;
  readonly run: object;
  /** When the run last took a permit; the order of runs that took none is that in which they came. */
  turn: number;
  readonly order: number;
  readonly waiting: Heap<Waiting> | FairHeap<Waiting, Place>;
  /** The same, where shares take turns. */
  readonly fair: FairHeap<Waiting, Place> | undefined;
  /** It may start, and has not asked again so far; nobody else of the run is called before that. */
  called: Waiting | undefined;

  constructor(run: object, turn: number, order: number, fair: boolean) {
    this.fair = fair ? new FairHeap<Waiting, Place>(goesBefore, ({ urgency }) => urgency) : undefined;
    this.waiting = this.fair ?? new Heap<Waiting>(goesBefore);
    this.run = run;
    this.turn = turn;
    this.order = order;
  }

  /** Does one who waits go before `node`? */
  precedes(one: Waiting, { urgency, rank, seq, runOrder = 0, share }: OrderedTask): boolean {
    const place = { urgency, rank, seq, runOrder, share };
    return this.fair === undefined ? goesBefore(one, place) : this.fair.precedes(one, place);
  }
}

/**
 * Those who wait for permits. Within a run, and among those of one controller, the better task is first; runs take turns. Each run is called one at a time:
 * to call all of them for one permit would cost as much as there are, for each permit.
 */
export class PermitQueue {
  readonly #entries = new Map<OrderedTask, Waiting>();
  readonly #lines = new Map<object, Line>();
  /** Lines in which somebody waits and nobody is called. */
  readonly #turns = new Heap<Line>((a, b) => (a.turn === b.turn ? a.order < b.order : a.turn < b.turn));
  readonly #turnOf: (run: object) => number;
  readonly #closed = new WeakSet<LimiterClient>();
  #order = 0;
  /** Runs of which somebody waits, or is called. */
  size = 0;

  /** `turnOf`: when a run last took a permit. */
  constructor(turnOf: (run: object) => number) {
    this.#turnOf = turnOf;
  }

  wait(client: LimiterClient, request: PermitRequest): void {
    const { run } = client;
    const isFair = request.node.share !== undefined;
    const line = getOrInsert(this.#lines, run, () => new Line(run, this.#turnOf(run), this.#order++, isFair));
    this.size = this.#lines.size;
    const entry = new Waiting(client, request);
    this.#entries.set(request.node, entry);
    line.waiting.push(entry);
    if (line.called?.holds === false) line.called = undefined;
    this.#place(line);
  }

  /** It waits no longer, or asks again. Did it wait, or was it called? */
  forget({ run }: LimiterClient, node: OrderedTask): boolean {
    const line = this.#lines.get(run);
    if (line === undefined) return false;
    const entry = this.#entries.get(node);
    const answers = line.called?.request.node === node;
    if (entry === undefined && !answers) return false;
    if (answers) line.called = undefined;
    if (entry !== undefined) {
      this.#entries.delete(node);
      line.waiting.remove(entry);
    }
    this.#place(line);
    return true;
  }

  /** Who goes next. */
  first(): Waiting | undefined {
    for (let line = this.#turns.peek(); line !== undefined; line = this.#turns.peek()) {
      const first = this.#firstOf(line);
      if (first !== undefined) return first;
      this.#place(line);
    }
    return undefined;
  }

  /** `entry`, the first, is called. */
  call(entry: Waiting): void {
    const line = this.#lines.get(entry.client.run) as Line;
    line.waiting.remove(entry);
    this.#entries.delete(entry.request.node);
    line.called = entry;
    this.#place(line);
  }

  /** Does somebody wait who goes before `node`? */
  isAhead({ run }: LimiterClient, node: OrderedTask): boolean {
    const next = this.first();
    if (next !== undefined && next.client.run !== run && this.#turnOf(next.client.run) < this.#turnOf(run))
      return true;
    const line = this.#lines.get(run);
    if (line === undefined) return false;
    const own = this.#firstOf(line);
    if (own !== undefined && line.precedes(own, node)) return true;
    return line.called?.holds === true && line.precedes(line.called, node);
  }

  /** The run has taken a permit, for `node` where it is a new one: its turn comes after those of others. */
  took(run: object, node?: OrderedTask): void {
    const line = this.#lines.get(run);
    if (line === undefined) return;
    if (node !== undefined) line.fair?.took(node.share);
    line.turn = this.#turnOf(run);
    if (line.heapIndex >= 0) this.#turns.update(line);
  }

  /** Nobody of this client waits any more. */
  close(client: LimiterClient): void {
    this.#closed.add(client);
    const line = this.#lines.get(client.run);
    if (line === undefined) return;
    if (line.called?.client === client) line.called = undefined;
    this.#firstOf(line);
    this.#place(line);
  }

  /** Those who do not wait any more leave when it would be their turn. */
  #firstOf({ waiting }: Line): Waiting | undefined {
    for (let first = waiting.peek(); first !== undefined; first = waiting.peek()) {
      if (first.holds && !this.#closed.has(first.client)) return first;
      waiting.remove(first);
      const { node } = first.request;
      if (this.#entries.get(node) === first) this.#entries.delete(node);
    }
    return undefined;
  }

  #place(line: Line): void {
    const { waiting, called, run } = line;
    if (waiting.size > 0 && called === undefined) {
      if (line.heapIndex < 0) this.#turns.push(line);
      return;
    }
    this.#turns.remove(line);
    if (waiting.size === 0 && called === undefined) this.#lines.delete(run);
    this.size = this.#lines.size;
  }
}
