import type { Observable } from 'rxjs';
import type { TaskNode } from '../graph/node.js';

/** How a task's results are used again by other runs. */
export interface CacheOptions<D = never, I = never> {
  /**
   * What makes two calls the same, plain data, of the inputs and of the run's input; with the code, and the task's `type`
   * or id: tasks of one type that give the same key share results, also those of other workflows. Default: the
   * workflow's name, the task's id, its inputs and the run's input.
   */
  readonly key?: (inputs: D, input: I) => unknown;
  /** Ms a result may be used. Default: as long as the run that made it is in the store. */
  readonly ttl?: number;
}

/** What the cache says about a task that is about to run; `because` is for people. */
export type CacheEntry =
  /** The store has not answered yet: emits what it says. Who unsubscribes before leaves the work to others. */
  { readonly kind: 'asked'; readonly entry$: Observable<CacheAnswer> } | CacheAnswer;

/** What the cache says once it knows. */
export type CacheAnswer =
  | { readonly kind: 'hit'; readonly because: string; readonly value: unknown }
  /** Completes without a value when the one who does the work fails: ask again. */
  | {
      readonly kind: 'wait';
      readonly because: string;
      /** Who does it; `elsewhere`: a task of another run. */
      readonly worker: TaskNode | 'elsewhere';
      readonly result$: Observable<unknown>;
    }
  | { readonly kind: 'lead'; readonly because: string; done(value: unknown): void; left(): void };

/** Results kept over runs. */
export interface Cache {
  /**
   * `input`: that of the run. `unfit`: the kept result does not fit the task's schema, so it has to work.
   */
  enter(node: TaskNode, inputs: unknown, input: unknown, unfit?: boolean): CacheEntry;
}
