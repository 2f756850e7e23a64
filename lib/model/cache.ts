import type { Observable } from 'rxjs';
import type { TaskNode } from './node.js';

/** How a task's results are used again by other runs. */
export interface CacheOptions<I = never> {
  /** What makes two calls the same, plain data. Default: the inputs. */
  readonly key?: (inputs: I) => unknown;
  /** Ms a result may be used. Default: for ever. */
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
  /** `unfit`: the kept result does not fit the task's schema, so it has to work. */
  enter(node: TaskNode, inputs: unknown, unfit?: boolean): CacheEntry;
}
