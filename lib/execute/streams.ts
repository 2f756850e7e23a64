import {
  audit,
  combineLatest,
  concatWith,
  delayWhen,
  ignoreElements,
  map,
  merge,
  Observable,
  type OperatorFunction,
  of,
  pipe,
  skip,
  startWith,
  take,
  tap,
  withLatestFrom,
  zip,
} from 'rxjs';
import type { KeptValues } from '../graph/kept-values.js';
import type { TaskNode } from '../graph/node.js';
import { StreamEdge } from '../graph/stream-edge.js';
import { copy } from '../kernel/copy.js';
import { LimitExceededError, truncate } from '../kernel/errors.js';
import type { StreamMode } from '../model/dependency.js';
import { inputNames, inputsOf, mergedInput, read } from './inputs.js';

type Values = readonly unknown[];

/**
 * Inputs of an attempt that reads streams, over time. Each join is an operator of RxJS; what is added are the ends of turns,
 * without which a diamond would show mixtures of old and new values.
 * @throws LimitExceededError when the first values are not kept any more
 */
export function inputs$(node: TaskNode, turnEnd$: Observable<void>): Observable<unknown> {
  const kept = node.extra?.kept;
  if (kept === undefined) return newest$(node, turnEnd$);
  if (!kept.whole) throw gone(node, kept, 'to begin again it would need the first of its inputs');
  return fromTheFirst(
    kept.mode === 'paired' ? pairs$(node, kept, turnEnd$) : each$(node, kept, turnEnd$),
    kept,
  );
}

/** Of more inputs than are kept the first ones are wanted. */
export function gone({ id }: TaskNode, { most }: KeptValues, why: string): LimitExceededError {
  const message = `Task "${truncate(id)}": ${why}, of which ${most} are kept; subscribe at once, leave out what makes it begin again, or use latest(...).`;
  return new LimitExceededError('values', most, message);
}

/**
 * First what is there, then what is new, until all dependencies have ended. At most once a turn, at its end, when all that
 * is nearer to the sources has spoken.
 */
function newest$(node: TaskNode, turnEnd$: Observable<void>): Observable<unknown> {
  const streams = streamsOf(node, 'latest');
  const row = rowOf(node, streams);
  const inputs = pipe(
    audit<Values>(() => turnEnd$),
    withSamples(node),
    map(([values, samples]) => inputsOf(node, row(values, samples))),
  );
  const values$ = combineLatest(streams.map((edge) => newestOf(edge, turnEnd$)));
  // What is sampled may say something in the turn in which the attempt begins.
  if (streamsOf(node, 'sampled').length > 0) return values$.pipe(inputs);
  return values$.pipe(skip(1), inputs, startWith(inputsOf(node)));
}

/** What an edge delivers now, and the values that follow; it ends with the turn, after the last of them is shown. */
function newestOf(edge: StreamEdge, turnEnd$: Observable<void>): Observable<unknown> {
  if (edge.from.ended) return of(edge.now);
  return edge.values$.pipe(startWith(edge.now), concatWith(turnEnd$.pipe(take(1), ignoreElements())));
}

/**
 * The n-th value of each with the n-th of the others. Where `zip` has ended with the shortest, the others may still fail or
 * begin again, and what was paired with them.
 */
function pairs$(node: TaskNode, kept: KeptValues, turnEnd$: Observable<void>): Observable<unknown> {
  const streams = streamsOf(node, 'paired');
  const row = rowOf(node, streams);
  const values = streams.map((edge) => edge.open());
  return zip(values).pipe(
    concatWith(merge(...values).pipe(ignoreElements())),
    tap(() => kept.gave(streams)),
    atTurnEnd(node, turnEnd$),
    map(([values, samples]) => inputsOf(node, row(values, samples))),
  );
}

/** Each value of each of them. */
function each$(node: TaskNode, kept: KeptValues, turnEnd$: Observable<void>): Observable<unknown> {
  const streams = streamsOf(node, 'merged');
  const row = rowOf(node, []);
  const names = inputNames(node);
  const said = streams.map((edge) => {
    const from = names.get(edge) as string | number;
    return edge.open().pipe(
      tap(() => kept.gave([edge])),
      map((value) => ({ from, value })),
    );
  });
  const all = merge(...said).pipe(atTurnEnd(node, turnEnd$));
  // Most have nothing beside.
  if (streams.length === node.inEdges.length) return all.pipe(map(([one]) => copy(one)));
  return all.pipe(map(([{ from, value }, samples]) => mergedInput(node, from, value, row([], samples))));
}

/** Values that were said before the attempt began come first. */
function fromTheFirst(inputs: Observable<unknown>, kept: KeptValues): Observable<unknown> {
  return new Observable((subscriber) => {
    const subscription = inputs.subscribe(subscriber);
    kept.replay();
    return subscription;
  });
}

/** Where other streams are sampled, each value waits for what they say in the same turn. */
function atTurnEnd<T>(node: TaskNode, turnEnd$: Observable<void>): OperatorFunction<T, readonly [T, Values]> {
  const sampled = streamsOf(node, 'sampled').length > 0;
  return sampled
    ? pipe(
        delayWhen<T>(() => turnEnd$),
        withSamples(node),
      )
    : withSamples(node);
}

/** Each value with the newest of the streams that are sampled. */
function withSamples<T>(node: TaskNode): OperatorFunction<T, readonly [T, Values]> {
  const samples = streamsOf(node, 'sampled').map((edge) => edge.values$.pipe(startWith(edge.now)));
  if (samples.length === 0) return map((value) => [value, samples] as const);
  return pipe(
    withLatestFrom(...samples),
    map(([value, ...newest]) => [value, newest] as const),
  );
}

/** What all edges deliver, made of the values of `streams` and of those that are sampled; the others have ended. */
function rowOf(node: TaskNode, streams: readonly StreamEdge[]): (values: Values, samples: Values) => Values {
  if (streams.length === node.inEdges.length) return (values) => values;
  const placeOf = new Map(node.inEdges.map((edge, place) => [edge, place]));
  const placesOf = (edges: readonly StreamEdge[]): number[] =>
    edges.map((edge) => placeOf.get(edge) as number);
  const places = placesOf(streams);
  const samplePlaces = placesOf(streamsOf(node, 'sampled'));
  const settled = node.inEdges.map((edge) => (edge instanceof StreamEdge ? undefined : read(edge)));
  return (values, samples) => {
    const row = settled.slice();
    places.forEach((place, i) => {
      row[place] = values[i];
    });
    samplePlaces.forEach((place, i) => {
      row[place] = samples[i];
    });
    return row;
  };
}

function streamsOf({ inEdges }: TaskNode, mode: StreamMode): StreamEdge[] {
  return inEdges.filter((edge): edge is StreamEdge => edge.mode === mode);
}
