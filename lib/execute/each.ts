import { Observable, type Subscriber } from 'rxjs';
import type { ItemWatch, TaskNode } from '../graph/node.js';
import { copy, frozenCopy } from '../kernel/copy.js';
import { inspect, RxhiveError, truncate } from '../kernel/errors.js';
import { badReturn, disown } from '../kernel/guard.js';
import { settleMaybe } from '../kernel/maybe-promise.js';
import type { TaskContext } from '../model/context.js';
import { Task } from '../model/dependency.js';
import type { EachItem, EachOptions, EachResult, Items } from '../model/each.js';
import type { TaskDefinition } from '../model/task.js';
import type { AttemptContext } from './context.js';
import { ItemKeys } from './item-keys.js';

/** Items that wait for a slot. One: the source is asked when a slot is free, not before. */
const ahead = 1;
const mostFailures = 100;

/** {@link EachOptions} with all types forgotten. */
type Options = EachOptions<unknown, unknown, unknown>;
type EachProgress = EachResult<unknown, unknown, boolean>;

/**
 * The task behind `flow.each`: takes items from a source as slots become free, and adds a task for each, which is
 * forgotten when it has ended.
 * @throws RxhiveError INVALID_OPTION
 */
export function eachTask(id: string, options: Options): TaskDefinition {
  const { from, run, key, dependencies, group, priority, retry, timeout, resources, keep, tolerate } =
    options;
  const fail = (what: string, value: unknown, instead: string): never => {
    throw new RxhiveError(
      'INVALID_OPTION',
      `flow.each "${truncate(String(id))}": ${what} is ${inspect(value)}; ${instead}.`,
    );
  };
  if (typeof from !== 'function' && !isItems(from))
    fail('from', from, 'give an iterable, an asynchronous iterable, or a function that returns one');
  if (typeof run !== 'function') fail('run', run, 'give a function of the item');
  if (key !== undefined && typeof key !== 'function') fail('key', key, 'give a function of the item');
  if (keep !== undefined && typeof keep !== 'boolean') fail('keep', keep, 'give true or false');
  const shared: Omit<TaskDefinition, 'run'> = {
    group,
    priority,
    ...(retry !== undefined && { retry }),
    ...(timeout !== undefined && { timeout }),
    ...(resources !== undefined && { resources }),
    ...(tolerate !== undefined && { tolerate }),
    type: id,
    version: options.version ?? String(run),
  };
  const item = (data: unknown, inputs: () => unknown): TaskDefinition => ({
    ...shared,
    stored: { data },
    run: (_: unknown, ctx: unknown) => run(copy(data), ctx as TaskContext, inputs() as never),
  });
  return {
    ...(dependencies !== undefined && { dependencies: dependencies as never }),
    priority,
    // The workflow's are for the items: beginning the source again would take all of them again.
    retry: 0,
    timeout: {},
    version: options.version ?? `${String(from)}\n${String(run)}`,
    feeds: true,
    item,
    run: (inputs: unknown, ctx: unknown) =>
      new Observable((subscriber) =>
        new Feed(ctx as AttemptContext, inputs, options, item, subscriber).begin(),
      ),
  };
}

/** One pass over a source. */
class Feed implements ItemWatch {
  readonly #ctx: AttemptContext;
  readonly #inputs: unknown;
  /** The inputs as all items are given them: a copy for each could be the whole source for each. */
  readonly #shared: unknown;
  readonly #options: Options;
  readonly #item: NonNullable<TaskDefinition['item']>;
  readonly #subscriber: Subscriber<EachProgress>;
  /** Items that have not ended, and those of them that have not begun. */
  readonly #open = new Map<TaskNode, { readonly index: number; readonly item: unknown }>();
  readonly #waiting = new Set<TaskNode>();
  #next: (() => IteratorResult<unknown> | PromiseLike<IteratorResult<unknown>>) | undefined;
  #leave: (() => void) | undefined;
  #goOn: (() => void) | undefined;
  /** The source is being asked, or has no more. */
  #busy = false;
  #exhausted = false;
  #stopped = false;
  #taken = 0;
  #succeeded = 0;
  #failed = 0;
  readonly #failures: { readonly index: number; readonly error: unknown }[] = [];
  readonly #values: unknown[] | undefined;
  readonly #keys: ItemKeys;

  constructor(
    ctx: AttemptContext,
    inputs: unknown,
    options: Options,
    item: NonNullable<TaskDefinition['item']>,
    subscriber: Subscriber<EachProgress>,
  ) {
    this.#ctx = ctx;
    this.#inputs = inputs;
    this.#shared = frozenCopy(inputs);
    this.#options = options;
    this.#item = item;
    this.#subscriber = subscriber;
    this.#values = options.keep === true ? [] : undefined;
    this.#keys = new ItemKeys(ctx.taskId, options.key);
    ctx.node.more().itemKeys = this.#keys;
  }

  /** Gives the slot back and begins; the returned function stops it. */
  begin(): () => void {
    const { from } = this.#options;
    this.#connect(typeof from === 'function' ? from(this.#inputs as never) : from);
    this.#goOn = this.#ctx.ports.waits.pause(this.#ctx.node, () => {
      this.#subscriber.next(this.#progress(undefined));
      this.#subscriber.complete();
    });
    this.#pull();
    return () => this.#stop();
  }

  started(node: TaskNode): void {
    if (this.#waiting.delete(node)) this.#pull();
  }

  ended(node: TaskNode): void {
    const entry = this.#open.get(node);
    if (entry === undefined) return;
    this.#open.delete(node);
    this.#waiting.delete(node);
    if (this.#stopped) return;
    this.#subscriber.next(this.#progress(this.#note(node, entry.index, entry.item)));
    this.#pull();
  }

  #connect(items: unknown): void {
    if (!isItems(items)) {
      disown(items);
      const message = `Task "${truncate(this.#ctx.taskId)}": from returned ${inspect(items)}; return an iterable or an asynchronous iterable.`;
      throw new RxhiveError('INVALID_OPTION', message);
    }
    const source = items as Partial<AsyncIterable<unknown> & Iterable<unknown>>;
    const iterator = source[Symbol.asyncIterator]?.() ?? (source as Iterable<unknown>)[Symbol.iterator]();
    this.#next = () => iterator.next();
    this.#leave = () => {
      const left = iterator.return?.() as PromiseLike<unknown> | undefined;
      disown(left);
    };
  }

  /** Takes items while somebody could work on them. A loop: a source that answers at once must not recurse. */
  #pull(): void {
    if (this.#busy) return;
    this.#busy = true;
    try {
      while (!this.#stopped && !this.#exhausted && this.#waiting.size < ahead) {
        const answer = this.#next?.() as IteratorResult<unknown> | PromiseLike<IteratorResult<unknown>>;
        if (typeof (answer as PromiseLike<unknown>).then === 'function') {
          settleMaybe(
            () => answer,
            (one) => this.#resume(() => this.#take(one)),
            (error) =>
              this.#resume(() => {
                throw error;
              }),
          );
          return;
        }
        this.#take(answer as IteratorResult<unknown>);
      }
      this.#busy = false;
    } catch (error) {
      this.#broke(error);
    }
    if (this.#exhausted && !this.#stopped && this.#open.size === 0) this.#goOn?.();
  }

  #resume(work: () => void): void {
    if (this.#stopped) return;
    try {
      work();
      this.#busy = false;
    } catch (error) {
      this.#broke(error);
      return;
    }
    this.#pull();
  }

  /** The source, `key` or the graph refused: no more items, and the task fails. */
  #broke(error: unknown): void {
    this.#exhausted = true;
    this.#leave = undefined;
    this.#subscriber.error(error);
  }

  #take(answer: IteratorResult<unknown>): void {
    if (typeof answer !== 'object' || answer === null)
      throw badReturn('next() of the source', answer, '{ done, value }');
    const { done, value: item } = answer;
    if (done === true) {
      this.#exhausted = true;
      this.#leave = undefined;
      return;
    }
    const index = this.#taken;
    const id = this.#keys.idOf(item);
    const definition = this.#item(item, () => this.#shared);
    const { node: parent, ports } = this.#ctx;
    const spawned = { handle: new Task(id, parent.handle.owner), definition };
    this.#taken += 1;
    ports.item(parent, spawned, this, (node) => {
      this.#open.set(node, { index, item });
      this.#waiting.add(node);
    });
  }

  #note(node: TaskNode, index: number, item: unknown): EachItem<unknown, unknown> {
    const { status, value, error } = node;
    if (status === 'succeeded' || status === 'restored') {
      this.#succeeded += 1;
      if (this.#values !== undefined) this.#values[index] = value;
      return { index, item, status: 'succeeded', value };
    }
    this.#failed += 1;
    if (this.#failures.length < mostFailures) this.#failures.push({ index, error });
    return { index, item, status: status as 'failed', error };
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
    };
  }

  #stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    for (const node of this.#open.keys()) this.#ctx.ports.drop(node);
    this.#open.clear();
    this.#waiting.clear();
    try {
      this.#leave?.();
    } catch {
      // A hand-written iterator may throw; nobody waits for it any more.
    }
  }
}

function isItems(value: unknown): value is Items<unknown> {
  if (typeof value === 'string') return true;
  if (typeof value !== 'object' || value === null) return false;
  return Symbol.iterator in value || Symbol.asyncIterator in value;
}
