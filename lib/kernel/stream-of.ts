import { from, isObservable, type ObservableInput } from 'rxjs';
import type { Clock } from './clock.js';
import { Follower } from './follower.js';
import { badReturn } from './guard.js';
import { isPromise, settleMaybe } from './maybe-promise.js';

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
  const iterator = iterable[Symbol.asyncIterator]();
  let last: unknown;
  let forgetTurn: (() => void) | undefined;
  sink.leaveStream = () => {
    sink.leaveStream = undefined;
    forgetTurn?.();
    // Lets a generator run its finally blocks; what they throw concerns nobody any more.
    try {
      iterator.return?.()?.then(undefined, () => undefined);
    } catch {
      // A hand-written iterator may throw instead of rejecting.
    }
  };
  sink.streams();
  const broken = (error: unknown): void => {
    sink.leaveStream = undefined;
    sink.failed(error);
  };
  const pull = (): void => {
    try {
      const item = iterator.next();
      if (!isPromise(item)) throw badReturn('next() of the iterator', item, 'a promise of { done, value }');
      settleMaybe(() => item, step, broken);
    } catch (error) {
      broken(error);
    }
  };
  const step = (item: IteratorResult<unknown>): void => {
    if (sink.ended) return;
    try {
      if (typeof item !== 'object' || item === null)
        throw badReturn('next() of the iterator', item, '{ done, value }');
      if (item.done === true) {
        sink.leaveStream = undefined;
        sink.succeeded(last);
        return;
      }
      last = item.value;
      sink.value(last);
    } catch (error) {
      broken(error);
      return;
    }
    // A generator whose values are there at once would let nobody else in: no timer, no cancel.
    if (sink.clock.overdue) forgetTurn = sink.clock.nextTurn(pull);
    else pull();
  };
  pull();
}
