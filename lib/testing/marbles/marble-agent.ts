import { defer, finalize, Observable } from 'rxjs';
import { RxhiveError } from '../../kernel/errors.js';
import { getOrInsert } from '../../kernel/get-or-insert.js';
import type { SimulationScheduler } from '../../kernel/simulation-scheduler.js';
import type { TaskContext } from '../../model/context.js';
import { errorFrom } from '../explore/outcome.js';
import { type Moment, parseMarbles } from './marble-text.js';

/** A value of a marble, or a function of what the attempt was given. */
export type MarbleValue<V> = V | ((inputs: never, ctx: TaskContext) => V);

/** A body made from marbles; see {@link MarbleTools.agent}. */
export interface MarbleAgent<V = unknown> {
  (inputs: unknown, ctx: TaskContext): Observable<V>;
  /** From when to when each attempt was subscribed, in order of start. */
  readonly lifetimes: readonly (readonly Moment[])[];
  /** What each attempt was given. */
  readonly calls: readonly { readonly taskId: string; readonly attempt: number; readonly inputs: unknown }[];
}

/** How marbles become values and errors. */
export interface MarbleMeaning<V> {
  readonly unit: number;
  readonly values?: Readonly<Record<string, MarbleValue<V>>> | undefined;
  /** What `#` fails with, for all attempts or one each: an error, or its code. */
  readonly errors?: unknown;
}

/** Makes a body that does what `marbles` say, one text for each attempt, hedges included, in order of start; the last is used again. */
export function marbleAgent<V>(
  scheduler: SimulationScheduler,
  marbles: string | readonly string[],
  { unit, values, errors }: MarbleMeaning<V>,
): MarbleAgent<V> {
  const texts = typeof marbles === 'string' ? [marbles] : marbles;
  if (texts.length === 0) throw new RxhiveError('INVALID_OPTION', 'agent([]) has no attempt; give marbles.');
  const attempts = texts.map((text) => parseMarbles(text, unit));
  const lifetimes: Moment[][] = [];
  const calls: { taskId: string; attempt: number; inputs: unknown }[] = [];
  /** By task: attempts under way, and those made beside another one, which have its number. */
  const beside = new Map<string, { live: number; hedges: number }>();
  const body = (inputs: unknown, ctx: TaskContext): Observable<V> => {
    const own = getOrInsert(beside, ctx.taskId, () => ({ live: 0, hedges: 0 }));
    if (own.live > 0) own.hedges += 1;
    const index = Math.max(0, ctx.attempt - 1) + own.hedges;
    calls.push({ taskId: ctx.taskId, attempt: ctx.attempt, inputs });
    const moments = attempts[Math.min(index, attempts.length - 1)] as Moment[];
    const error = Array.isArray(errors) ? errors[Math.min(index, errors.length - 1)] : errors;
    const read = ({ letter = '' }: Moment): V => {
      const value = values !== undefined && Object.hasOwn(values, letter) ? values[letter] : letter;
      return typeof value === 'function'
        ? (value as (inputs: never, ctx: TaskContext) => V)(inputs as never, ctx)
        : (value as V);
    };
    return defer(() => {
      own.live += 1;
      return streamOf(scheduler, moments, read, error, lifetimes).pipe(
        finalize(() => {
          own.live -= 1;
        }),
      );
    });
  };
  return Object.assign(body, { lifetimes, calls });
}

/** Moments as a cold Observable; notes in `lifetimes` from when to when each subscriber was there. */
export function streamOf<V>(
  scheduler: SimulationScheduler,
  moments: readonly Moment[],
  read: (moment: Moment) => V,
  error: unknown,
  lifetimes?: Moment[][],
): Observable<V> {
  return new Observable<V>((subscriber) => {
    const begun = scheduler.now();
    const lifetime: Moment[] = [{ at: begun, kind: 'subscribe' }];
    lifetimes?.push(lifetime);
    subscriber.add(() => lifetime.push({ at: scheduler.now(), kind: 'unsubscribe' }));
    const play = (from: number): void => {
      for (let i = from; i < moments.length && !subscriber.closed; i++) {
        const moment = moments[i] as Moment;
        const wait = begun + moment.at - scheduler.now();
        if (wait > 0) {
          subscriber.add(scheduler.schedule(() => play(i), wait));
          return;
        }
        if (moment.kind === 'next') {
          try {
            subscriber.next(read(moment));
          } catch (thrown) {
            subscriber.error(thrown);
          }
        } else if (moment.kind === 'error') subscriber.error(errorFrom(error));
        else if (moment.kind === 'complete') subscriber.complete();
      }
    };
    play(0);
  });
}
