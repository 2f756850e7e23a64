import type { Subscriber } from 'rxjs';
import { ItemsEdge } from '../graph/items-edge.js';
import type { ItemWatch, TaskNode } from '../graph/node.js';
import type { PassedRow } from '../graph/passed-row.js';
import { copy, frozenCopy } from '../kernel/copy.js';
import { inspect, RxhiveError, TaskSkippedError, truncate } from '../kernel/errors.js';
import { Fifo } from '../kernel/fifo.js';
import { badReturn, callUser, disown } from '../kernel/guard.js';
import { isPromise } from '../kernel/maybe-promise.js';
import { Task } from '../model/dependency.js';
import type { EachItem, EachOptions, EachResult } from '../model/each.js';
import type { TaskDefinition } from '../model/task.js';
import { BatchedItems } from './batched-items.js';
import type { AttemptContext } from './context.js';
import { ItemKeys } from './item-keys.js';
import {
  type GivenItem,
  type ItemSource,
  IteratedItems,
  isItems,
  isStream,
  ObservedItems,
  PassedItems,
} from './item-source.js';
import { KeyRows } from './key-rows.js';

/** Items that wait for a slot. One: the source is asked when a slot is free, not before. */
const ahead = 1;
const mostFailures = 100;
const nobody: readonly PassedRow[] = [];

/** {@link EachOptions} with all types forgotten. */
export type Options = EachOptions<unknown, unknown, unknown>;
type EachProgress = EachResult<unknown, unknown, boolean>;

/** One item on its way. */
interface Entry {
  readonly index: number;
  readonly item: unknown;
  readonly key: string;
  readonly keys: readonly string[] | undefined;
  /** Items of the source that begin with it. */
  readonly count: number;
  /** Under which it is one of a row. */
  readonly rowKey: string | undefined;
  /** What it came to, where that is not shown yet. */
  outcome: EachItem<unknown, unknown> | undefined;
}

/** One pass over a source: takes items while there is somebody to work on them, and passes on what has ended. */
export class Feed implements ItemWatch {
  readonly #ctx: AttemptContext;
  readonly #inputs: unknown;
  /** The inputs as all items are given them: a copy for each could be the whole source for each. */
  readonly #shared: unknown;
  readonly #options: Options;
  readonly #item: NonNullable<TaskDefinition['item']>;
  readonly #subscriber: Subscriber<EachProgress>;
  readonly #keys: ItemKeys;
  /** Stages that follow. */
  readonly #next: readonly ItemsEdge[];
  /** Items that have not ended, and those of them that have not begun. */
  readonly #open = new Map<TaskNode, Entry>();
  readonly #waiting = new Set<TaskNode>();
  /** With `keyBy`. */
  readonly #rows = new KeyRows<Entry>();
  /** With `ordered`: items in the order of the source, from the first whose result is not shown. */
  readonly #order: Fifo<Entry> | undefined;
  #source: ItemSource | undefined;
  #goOn: (() => void) | undefined;
  /** It is taking items, further down the stack. */
  #busy = false;
  #stopped = false;
  #taken = 0;
  /** Items that have ended, and that was told. */
  #shown = 0;
  #reduced: unknown;
  #succeeded = 0;
  #failed = 0;
  readonly #failures: { readonly index: number; readonly error: unknown }[] = [];
  readonly #values: unknown[] | undefined;

  constructor(ctx: AttemptContext, inputs: unknown, options: Options, subscriber: Subscriber<EachProgress>) {
    this.#ctx = ctx;
    this.#inputs = inputs;
    this.#shared = frozenCopy(inputs);
    this.#options = options;
    // Tests put others in place of those of the options.
    this.#item = ctx.node.definition.item as NonNullable<TaskDefinition['item']>;
    this.#subscriber = subscriber;
    this.#values = options.keep === true ? [] : undefined;
    this.#order = options.ordered === true ? new Fifo() : undefined;
    this.#reduced = copy(options.scan?.seed);
    const before = this.#edge?.from;
    this.#keys = new ItemKeys(
      ctx.taskId,
      options.key,
      before && ((key) => before.extra?.feed?.has(`${before.id}/${key}`) === true),
    );
    this.#next = edgesFrom(ctx.node);
    for (const { row } of this.#next) row.onRoom = () => this.#pull();
    ctx.node.more().feed = {
      has: (id) => this.#keys.has(id),
      waitsFor: () => this.#full?.() ?? this.#source?.waitsFor ?? 'its source',
      goOn: () => this.#pull(),
    };
  }

  /** Gives the slot back and begins; the returned function stops it. */
  begin(): () => void {
    this.#source = this.#connect();
    this.#goOn = this.#ctx.ports.waits.pause(this.#ctx.node, () => {
      this.#subscriber.next(this.#progress(undefined));
      this.#subscriber.complete();
    });
    this.#pull();
    return () => this.#stop();
  }

  started(node: TaskNode): void {
    if (!this.#waiting.delete(node)) return;
    this.#source?.begun(this.#open.get(node)?.count ?? 0);
    this.#pull();
  }

  ended(node: TaskNode): void {
    const entry = this.#open.get(node);
    if (entry === undefined) return;
    this.#open.delete(node);
    if (this.#waiting.delete(node)) this.#source?.begun(entry.count);
    if (this.#stopped) return;
    // Who reads may take an item at once: all others are to be given it before another one is taken.
    const busy = this.#busy;
    this.#busy = true;
    try {
      const next = entry.rowKey === undefined ? undefined : this.#rows.leave(entry.rowKey);
      if (next !== undefined) this.#begin(next);
      entry.outcome = outcomeOf(node, entry);
      if (this.#order === undefined) this.#show(entry);
      else this.#showInOrder(this.#order);
    } catch (error) {
      this.#subscriber.error(error);
    } finally {
      this.#busy = busy;
    }
    this.#pull();
  }

  /** The way from the stage before. */
  get #edge(): ItemsEdge | undefined {
    return this.#ctx.node.inEdges.find((edge) => edge instanceof ItemsEdge);
  }

  #connect(): ItemSource {
    const source = this.#single();
    const { batch } = this.#options;
    const { node, ports } = this.#ctx;
    if (batch === undefined) return source;
    return new BatchedItems(source, batch, ports.batchesOf(node.id), ports.clock, () => this.#pull());
  }

  /** The source of single items. */
  #single(): ItemSource {
    const more = (): void => this.#pull();
    const edge = this.#edge;
    if (edge !== undefined) return new PassedItems(edge.row, truncate(edge.from.id), more);
    const { from } = this.#options;
    const items: unknown = typeof from === 'function' ? from(this.#inputs as never) : from;
    const { taskId, ports } = this.#ctx;
    if (isStream(items)) return new ObservedItems(items, taskId, this.#options, ports.failed, more);
    if (isItems(items)) return new IteratedItems(items, more);
    disown(items);
    const message = `Task "${truncate(taskId)}": from returned ${inspect(items)}; return an iterable, an asynchronous iterable or an Observable.`;
    throw new RxhiveError('INVALID_OPTION', message);
  }

  /** Takes items while somebody could work on them. A loop: a source that answers at once must not recurse. */
  #pull(): void {
    const source = this.#source;
    if (this.#busy || this.#stopped || source === undefined) return;
    this.#busy = true;
    try {
      while (!this.#stopped && this.#waiting.size < ahead && this.#full === undefined) {
        const given = source.take();
        if (given === undefined) break;
        this.#take(given);
      }
    } catch (error) {
      // The source, `key` or the graph refused: no more items, and the task fails.
      this.#subscriber.error(error);
    } finally {
      this.#busy = false;
    }
    if (source.done && !this.#stopped && this.#shown === this.#taken) this.#goOn?.();
  }

  /** What has to happen before it takes one item more, as the end of a sentence; undefined: nothing. */
  get #full(): (() => string) | undefined {
    const { keyBy } = this.#options;
    const under = this.#taken - this.#shown;
    const isFull = (row: PassedRow, room: number): boolean => !row.closed && under + row.count >= room;
    const edge = this.#next.find((one) => isFull(one.row, this.#roomOf(one)));
    if (edge !== undefined) {
      const room = this.#roomOf(edge);
      return () => `room in "${truncate(edge.to.id)}": ${room} of ${room} items are on their way there`;
    }
    for (const row of this.#readers) {
      const room = row.buffer ?? this.#own + 1;
      if (isFull(row, room))
        return () => `who reads its items to take one: ${room} of ${room} are on their way there`;
    }
    const first = this.#order?.peek();
    if (first !== undefined && under >= this.#most)
      return () =>
        `"${truncate(this.#keys.idOf(first.key))}", whose result comes first: ${under - 1} others wait for it or are under way`;
    const { waiting } = this.#rows;
    if (keyBy !== undefined && waiting >= this.#most)
      return () => `others of the same key to end: ${waiting} items wait for that`;
    return undefined;
  }

  /** Items that may wait here for others. */
  get #most(): number {
    const own = this.#own;
    const before = this.#edge?.from.definition.stage;
    return (
      this.#options.buffer ?? own + (before === undefined ? own : this.#ctx.ports.graph.limitOf(before.group))
    );
  }

  /** Items that may be under way here. */
  get #own(): number {
    return this.#ctx.ports.graph.limitOf(this.#options.group);
  }

  /** Who reads what its items come to. */
  get #readers(): Iterable<PassedRow> {
    return this.#ctx.node.extra?.readers ?? nobody;
  }

  /** Items that may be on their way to a stage that follows: under way here, or waiting there. */
  #roomOf({ to }: ItemsEdge): number {
    const { stage: own } = this.#ctx.node.definition;
    const { stage } = to.definition;
    const { graph } = this.#ctx.ports;
    return stage?.buffer ?? graph.limitOf(own?.group) + graph.limitOf(stage?.group) * (stage?.size ?? 1);
  }

  #take({ item, key: given, keys, count = 1 }: GivenItem): void {
    const { keyBy } = this.#options;
    const index = this.#taken;
    const key = this.#keys.keyOf(item, given);
    const rowKey = keyBy === undefined ? undefined : rowKeyOf(callUser('flow.each keyBy', () => keyBy(item)));
    const entry: Entry = { index, item, key, keys, count, rowKey, outcome: undefined };
    this.#taken += 1;
    this.#order?.push(entry);
    if (rowKey === undefined || this.#rows.enter(rowKey, entry)) this.#begin(entry);
  }

  #begin(entry: Entry): void {
    const { node: parent, ports } = this.#ctx;
    const definition = this.#item(entry.item, () => this.#shared, entry.keys);
    const spawned = { handle: new Task(this.#keys.idOf(entry.key), parent.handle.owner), definition };
    ports.item(parent, spawned, this, (node) => {
      this.#open.set(node, entry);
      this.#waiting.add(node);
    });
  }

  #showInOrder(order: Fifo<Entry>): void {
    for (let first = order.peek(); first?.outcome !== undefined; first = order.peek()) {
      order.shift();
      this.#show(first);
    }
  }

  /** Counts an item that has ended, passes it on and tells of it. */
  #show({ index, key, outcome }: Entry): void {
    if (outcome === undefined) return;
    const { scan } = this.#options;
    this.#shown += 1;
    if (outcome.status === 'succeeded') {
      const { value } = outcome;
      this.#succeeded += 1;
      if (this.#values !== undefined) this.#values[index] = value;
      if (scan !== undefined) {
        const reduced = callUser('flow.each scan', () => scan.step(this.#reduced, copy(value), outcome.item));
        if (isPromise(reduced)) throw badReturn('flow.each scan', reduced, 'the new value itself');
        this.#reduced = reduced;
      }
      // Who is shown the result may change it.
      for (const { row } of this.#next) row.pass({ item: copy(value), key });
      for (const row of this.#readers) row.pass({ item: copy(value), key });
    } else if (outcome.status !== 'skipped' || !(outcome.error instanceof TaskSkippedError)) {
      this.#failed += 1;
      if (this.#failures.length < mostFailures) this.#failures.push({ index, error: outcome.error });
    }
    this.#subscriber.next(this.#progress(outcome));
  }

  #progress(last: EachItem<unknown, unknown> | undefined): EachProgress {
    const { length } = this.#values ?? [];
    // Holes of failed items at the end.
    if (last === undefined && this.#values !== undefined && length < this.#taken)
      this.#values.length = this.#taken;
    return {
      taken: this.#taken,
      succeeded: this.#succeeded,
      failed: this.#failed,
      failures: this.#failures,
      last,
      values: last === undefined && this.#values !== undefined ? Array.from(this.#values) : this.#values,
      ...(this.#options.scan !== undefined && { reduced: this.#reduced }),
    } as EachProgress;
  }

  #stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    for (const node of this.#open.keys()) this.#ctx.ports.drop(node);
    this.#open.clear();
    this.#waiting.clear();
    this.#source?.leave();
  }
}

function outcomeOf(node: TaskNode, { index, item }: Entry): EachItem<unknown, unknown> {
  const { status, value, error } = node;
  if (status === 'succeeded' || status === 'restored') return { index, item, status: 'succeeded', value };
  return { index, item, status: status as 'failed', error };
}

/** What `keyBy` returned, where that tells one row from another. */
function rowKeyOf(key: unknown): string {
  if (typeof key === 'string' || Number.isFinite(key)) return String(key);
  throw badReturn('flow.each keyBy', key, 'a text or a finite number');
}

/** Ways to the stages that follow. */
function edgesFrom(node: TaskNode): ItemsEdge[] {
  const found: ItemsEdge[] = [];
  for (let edge = node.firstOut; edge !== undefined; edge = edge.nextOut)
    if (edge instanceof ItemsEdge) found.push(edge);
  return found;
}
