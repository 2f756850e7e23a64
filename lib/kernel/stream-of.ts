import { from, isObservable, type ObservableInput } from 'rxjs';
import type { Clock } from './clock.js';
import { Follower } from './follower.js';
import { badReturn } from './guard.js';
import { settleMaybe } from './maybe-promise.js';
import { PulledItems } from './pulled-items.js';

/** Promises of promises that are followed: more are one that gives itself. */
const deepest = 1_000;

/** Told what comes of what a body returned. Nothing is told once it has `ended`. */
export interface BodySink {
  readonly ended: boolean;
  readonly clock: Pick<Clock, 'overdue' | 'nextTurn'>;
  /** Leaves the stream that is followed, as long as there is one. */
  leaveStream: (() => void) | undefined;
  /** It was a stream: its values follow, or it is empty. */
  streams(): void;
  value(value: unknown): void;
  /** The last value, or the only one. */
  succeeded(last: unknown): void;
  failed(error: unknown): void;
  /** A stream refused to be left. */
  tornBadly(error: unknown): void;
}

/**
 * Follows what a body returned: a value, a promise, an Observable, an async iterable, or a promise of one. `level`: how
 * often a promise has given another one.
 */
export function follow(returned: unknown, sink: BodySink, level = 0): void {
  if ((typeof returned !== 'object' && typeof returned !== 'function') || returned === null) {
    sink.succeeded(returned);
    return;
  }
  const thing = returned as {
    then?: unknown;
    [Symbol.asyncIterator]?: unknown;
    [Symbol.observable]?: unknown;
  };
  try {
    if (Object.getPrototypeOf(returned) === Promise.prototype)
      trueThen.call(
        returned as Promise<unknown>,
        (value) => sink.ended || follow(value, sink, level),
        (error) => sink.failed(error),
      );
    else if (typeof thing.then === 'function') followThenable(returned as PromiseLike<unknown>, sink, level);
    else if (isObservable(returned) || typeof thing[Symbol.observable] === 'function')
      followObservable(returned, sink);
    else if (typeof thing[Symbol.asyncIterator] === 'function')
      followIterable(returned as AsyncIterable<unknown>, sink);
    else sink.succeeded(returned);
  } catch (error) {
    sink.failed(error);
  }
}

const { then: trueThen } = Promise.prototype;

function followThenable(promise: PromiseLike<unknown>, sink: BodySink, level: number): void {
  if (level > deepest) throw badReturn('run', promise, 'a promise of something else than promises');
  settleMaybe(
    () => promise,
    (value) => sink.ended || follow(value, sink, level + 1),
    (error) => sink.failed(error),
  );
}

function followObservable(stream: unknown, sink: BodySink): void {
  let last: unknown;
  const follower = new Follower(
    {
      next: (value) => {
        last = value;
        sink.value(value);
      },
      error: (error) => sink.failed(error),
      complete: () => sink.succeeded(last),
    },
    (error) => sink.tornBadly(error),
  );
  sink.leaveStream = () => follower.unsubscribe();
  sink.streams();
  from(stream as ObservableInput<unknown>).subscribe(follower);
}

function followIterable(iterable: AsyncIterable<unknown>, sink: BodySink): void {
  let last: unknown;
  let forgetTurn: (() => void) | undefined;
  const pull = (): void => {
    try {
      for (let one = items.take(); one !== undefined; one = items.take()) {
        last = one.item;
        sink.value(last);
        // A generator whose values are there at once would let nobody else in: no timer, no cancel.
        if (sink.clock.overdue) {
          forgetTurn = sink.clock.nextTurn(pull);
          return;
        }
      }
    } catch (error) {
      sink.leaveStream = undefined;
      sink.failed(error);
      return;
    }
    if (!items.done || sink.leaveStream === undefined) return;
    sink.leaveStream = undefined;
    sink.succeeded(last);
  };
  const items = new PulledItems(iterable, pull);
  sink.leaveStream = () => {
    sink.leaveStream = undefined;
    forgetTurn?.();
    items.leave();
  };
  sink.streams();
  pull();
}
