import type { AttemptHandle, TaskNode } from './node.js';

/** Where an attempt is heard. */
export interface SignalSink {
  /** The attempt goes on. */
  emit(signal: Signal): void;
  /** It is over; without a last word where it was stopped. */
  end(last?: Signal): void;
}

/** What an attempt tells the scheduler. `source` tells a late signal of an old attempt from a new one's. */
export type Signal =
  | {
      readonly kind: 'value';
      readonly node: TaskNode;
      readonly source: AttemptHandle;
      readonly value: unknown;
    }
  | {
      readonly kind: 'succeeded';
      readonly node: TaskNode;
      readonly source: AttemptHandle;
      readonly value: unknown;
    }
  | {
      readonly kind: 'failed';
      readonly node: TaskNode;
      readonly source: AttemptHandle;
      readonly error: unknown;
      /** As with `retry`. */
      readonly retryAfter?: number | undefined;
    }
  | {
      readonly kind: 'retry';
      readonly node: TaskNode;
      readonly source: AttemptHandle;
      readonly error: unknown;
      /** Ms until the next attempt. */
      readonly delay: number;
      /** Ms the whole group has to wait, where a provider said so. */
      readonly retryAfter: number | undefined;
    };
