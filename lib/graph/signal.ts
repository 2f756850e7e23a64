import type { TaskSkippedError } from '../kernel/errors.js';
import type { Failure } from './gate.js';
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
      readonly kind: 'skipped';
      readonly node: TaskNode;
      readonly source: AttemptHandle;
      readonly error: TaskSkippedError;
    }
  | {
      readonly kind: 'failed';
      readonly node: TaskNode;
      readonly source: AttemptHandle;
      readonly failure: Failure;
      /** Ms until the next attempt; undefined: it was the last. */
      readonly delay?: number;
    };
