import type { Observable } from 'rxjs';
import type { TaskContext } from './context.js';
import type { InputsOf, Task } from './dependency.js';
import type { ResultOf, TaskSettings } from './task.js';
import type { WaitingOptions } from './waiting.js';

/** Items that come one after the other; nobody has to know how many. */
export type Items<T> = Iterable<T> | AsyncIterable<T>;

/** Items that are worked on together. */
export interface BatchOptions {
  /** Items of a batch; fewer where the source has ended. Whole number from 1. */
  readonly size: number;
  /** Ms a batch waits for more items, from its first one on. Default: until it is full, or the source has ended. */
  readonly ms?: number;
}

/** What `run` of a `flow.each` gets: an item, or a batch of them. */
export type Batched<T, B> = B extends BatchOptions ? readonly T[] : T;

/** How results become one: `A` what there is so far, `R` a result, `T` the item it is of. */
export interface ScanOptions<A, R, T> {
  /** What there is before the first result; each run begins with a copy. */
  readonly seed: A;
  /** What there is with one result more, not a promise of it. It may change `reduced` and return it, unless what `values$` shows is kept. */
  readonly step: (reduced: A, value: R, item: T) => A;
}

/** How `flow.each` treats a source and its items: `group`, `retry`, `timeout` and `resources` are those of each item. */
export interface EachOptions<
  D,
  T,
  R,
  S = unknown,
  I = unknown,
  G extends string = string,
  X extends string = string,
  K extends boolean = boolean,
  B extends BatchOptions | undefined = BatchOptions | undefined,
  A = unknown,
> extends Pick<TaskSettings<D, S, I, G, X>, 'group' | 'retry' | 'timeout' | 'resources'>,
    WaitingOptions {
  /** Tasks whose results are needed before the first item is taken. Default: none. */
  readonly dependencies?: D;
  /**
   * Where items come from: an iterable, an async iterable, an Observable, or a function of the inputs that returns one,
   * such as a generator function. A function is called anew by each run; a generator can be used up once only. An Observable
   * cannot be slowed down: see `capacity` and `onFull`. Or another `flow.each`: what an item comes to there is an item here, as
   * soon as it has succeeded, while others are still at work there. Items that failed there do not come. When that one fails, or is cancelled or skipped, this one is skipped.
   */
  readonly from:
    | Items<T>
    | Observable<T>
    | ((inputs: InputsOf<D>) => Items<T> | Observable<T>)
    | Task<EachResult<unknown, T, boolean, unknown>>;
  /** The work for one item, as `run` of a task: a value, a promise, a stream of which the last value counts. */
  readonly run: (item: Batched<T, B>, ctx: TaskContext<S, I>, inputs: InputsOf<D>) => R;
  /** Keep the results for `values` of the result? Default false: they are forgotten once they were shown. */
  readonly keep?: K;
  /**
   * Name of an item's task, behind the id of this one and a slash: a text that is not empty, or a finite number. It has
   * to differ from all others, and is remembered for that; for two items with the same, or one that is the id of another
   * task, this task fails. With a store, an item with the name of one that has succeeded is not worked on again.
   * Default: its index; where `from` is another `flow.each`, the name it had there.
   */
  readonly key?: (item: Batched<T, B>, index: number) => string | number;
  /**
   * Where `from` is another `flow.each`: how many items may be on their way here, under way there or waiting here. While
   * there are as many, that one takes no new item. With `ordered`: how many may be under way here or wait for those before;
   * with `keyBy`: how many may wait for others of their key. Whole number from 1, at least `batch.size`, or Infinity. Default: as
   * many as may run at once there and here together; without a stage before, twice as many as may here.
   */
  readonly buffer?: number;
  /**
   * Results are shown, passed on and reduced in the order of the source? Those that have to wait for others are held, and
   * count in `buffer`. Default false: as they come.
   */
  readonly ordered?: boolean;
  /** Items that are worked on together: `run` gets an array of them. Default: one at a time. */
  readonly batch?: B;
  /**
   * Items for which it returns the same are worked on one after the other, in the order in which the source gives them; others
   * beside them. A text or a finite number. Default: all beside each other.
   */
  readonly keyBy?: (item: Batched<T, B>) => string | number;
  /** Makes one thing of all results as they are shown: `reduced` of progress and result. Default: nothing. */
  readonly scan?: ScanOptions<A, ResultOf<R>, Batched<T, B>>;
  /** Priority of the items and of the task. Default 0. */
  readonly priority?: number;
  /** Items that fail leave the run `succeeded`; see the same option of a task. Default false: it is `partial`. */
  readonly tolerate?: boolean;
  /** Change it and stored results of items are not used again. Default: the source text of `run`. */
  readonly version?: string;
}

/** How the items of a `flow.each` are read with `run.items`. */
export interface ItemsOptions {
  /**
   * How many items may be on their way to who reads: under way in the stage, or waiting for `for await`. While there are as
   * many, the stage takes no new one. Whole number from 1, or Infinity. Default: one more than may run there at once.
   */
  readonly buffer?: number;
}

/** An item that has ended. */
export type EachItem<T, R> =
  | { readonly index: number; readonly item: T; readonly status: 'succeeded'; readonly value: R }
  | {
      readonly index: number;
      readonly item: T;
      readonly status: 'failed' | 'cancelled' | 'skipped';
      readonly error: unknown;
    };

/** How far a `flow.each` is. `run.values$` shows one per item that ended; the last one is the task's result. */
export interface EachResult<T, R, K extends boolean = false, A = undefined> {
  /** Items taken from the source. */
  readonly taken: number;
  readonly succeeded: number;
  /** Items that failed for good, were cancelled or were not let in. One that ended itself with `ctx.skip` is in no number but `taken`. */
  readonly failed: number;
  /** The first 100 of those. */
  readonly failures: readonly { readonly index: number; readonly error: unknown }[];
  /** What ended last; undefined in the result. */
  readonly last: EachItem<T, R> | undefined;
  /** With `keep`: results in the order of the source, `undefined` where there is none. */
  readonly values: K extends true ? readonly (R | undefined)[] : undefined;
  /** With `scan`: what the results so far come to. */
  readonly reduced: A;
}
