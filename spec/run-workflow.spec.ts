import { filter, map, mergeMap, type Observable, of, takeLast, throwError, toArray } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runWorkflow, typed, type WorkflowResult, workflow } from '../lib/index.js';

/** One picture: a source whose values name the inner streams, and what of it somebody sees. */
interface Scene {
  readonly source: string;
  readonly inners: Readonly<Record<string, string>>;
  /** A hot source, or hot inners. Default: cold ones. */
  readonly hot?: 'source' | 'inners';
  readonly unsubscribed?: string;
}

const four = { a: '--i-j-k-l-|', b: '--i-j-k-l-|', c: '--i-j-k-l-|', d: '--i-j-k-l-|' };
const every = (inner: string): Scene['inners'] => ({ a: inner, b: inner, c: inner, d: inner });
const complex = {
  a: '-#',
  b: '-#',
  c: '-2--3--4--5----6-|',
  d: '----2--3|',
  e: '-1------2--3-4-5---|',
  f: '--|',
  g: '---1-2|',
};

/** What the authors of rxjs try with mergeMap and concatMap, drawn anew. */
const scenes: Readonly<Record<string, Scene>> = {
  'each value becomes a stream': { source: '--a-----b--c-------|', inners: every('x-x-x|') },
  'inners of regular steps': {
    source: 'a---b--------------------c-d----|',
    inners: { a: '--a-a-a-(a|)', b: '----b--b--(b|)', c: '-c-c-(c|)', d: '------(d|)' },
  },
  'inners that end with their last value': {
    source: 'a---b-----------c-------d-------|',
    inners: { a: '----a---a---a---(a|)', b: '----b---b---(b|)', c: '----c---c---(c|)', d: '----(d|)' },
  },
  'many to many': { source: '-a---b---c---d---|', inners: four },
  'an empty source': { source: '|', inners: four },
  'a source that never speaks': { source: '-', inners: four },
  'a source that fails at once': { source: '#', inners: four },
  'empty inners': { source: '--a-b--c-|', inners: every('|') },
  'inners that complete later without a value': { source: '--a-b--c-|', inners: every('---|') },
  'inners that never speak': { source: '--a-b--c-|', inners: every('-') },
  'inners that fail at once': { source: '--a-b--c-|', inners: every('#') },
  'inners of one value at once': { source: '--a-b--c-|', inners: every('(x|)') },
  'the source completes late': { source: '-a---b---c---d----------------------------------|', inners: four },
  'the source never completes': { source: '-a---b---c---d-----------------------------------', inners: four },
  'inners that never complete': { source: '-a---b---c---d---|', inners: every('--i-j-k-l-') },
  'inners that fail late': { source: '-a---b---c---d---|', inners: every('--i-j-k-l-#') },
  'the source fails late': { source: '-a---b---c---d---#', inners: four },
  'the source fails while all wait': { source: '(abcd)--#', inners: four },
  'both fail': { source: '-a---b---c---d---#', inners: every('--i-j-k-l-#') },
  'the source fails in the same ms as an inner': { source: '-a---------#', inners: every('--i-j-k-l-#') },
  'finite inners of all sorts': { source: '--c-----d------e----------------f-----g|', inners: complex },
  'all sorts, one never ends': {
    source: '--c-----d------e----------------f-----g|',
    inners: { ...complex, d: '----2--3-' },
  },
  'all sorts, the source never ends': {
    source: '--c-----d------e----------------f-----g---',
    inners: complex,
  },
  'all sorts, one fails': {
    source: '--c-----d------e----------------f-----g|',
    inners: { ...complex, d: '----2--3#' },
  },
  'all sorts, one is a failure and nothing else': {
    source: '--c-----d------e----------------f-----g|',
    inners: { ...complex, e: '#' },
  },
  'all sorts, the source fails': { source: '--c-----d------e----------------f-----g#', inners: complex },
  'all sorts, somebody leaves': {
    source: '--c-----d------e----------------f-----g|',
    inners: complex,
    unsubscribed: '------------------!',
  },
  'somebody leaves before the first inner': {
    source: '-----a--|',
    inners: four,
    unsubscribed: '---!',
  },
  'somebody leaves in the ms of a result': { source: '-a--|', inners: every('--(x|)'), unsubscribed: '---!' },
  'values in the same ms': { source: '(abcd|)', inners: { a: '---x|', b: '--x|', c: '-x|', d: 'x|' } },
  'values in the same ms, inners at once': { source: '(abcd|)', inners: every('(x|)') },
  'a hot source': { source: '-a---b---c---d---|', inners: four, hot: 'source' },
  'a hot source that fails': { source: '-a---b---c---d---#', inners: four, hot: 'source' },
  'a hot source that somebody leaves': {
    source: '-a---b---c---d---|',
    inners: four,
    hot: 'source',
    unsubscribed: '---------!',
  },
  'hot inners': {
    source: '-a-------b-------c---|',
    inners: {
      a: 'x----i---j---k---l---|',
      b: '-x-x-xxxx-x-x-xxxxx-x----i---j---k---l---|',
      c: 'x-xxxx---x-x-x-x-x-xx--x--x-x--x--xxxx-x-----i---j---k---l---|',
    },
    hot: 'inners',
  },
  'hot inners that are over': { source: '-----a-b-|', inners: { a: 'x|', b: '-#' }, hot: 'inners' },
};

const flow = workflow({ name: 'inner', input: typed<Observable<unknown>>() });
const work = flow.task('work', { run: (_, ctx) => ctx.input });

/** The last value of a run, or the error its task ended with, as an operator over inner streams would have it. */
const outcomeOf = (result: WorkflowResult): Observable<unknown> =>
  result.status === 'succeeded'
    ? of(result.results.get(work)).pipe(filter((value) => value !== undefined))
    : throwError(() => result.tasks.get('work')?.error);

type Seen = Readonly<Record<string, unknown>>;

/** Plays a scene; returns what came out and when inner streams were subscribed and left. */
function play(
  scene: Scene,
  through: (
    inner: (name: string) => Observable<unknown>,
  ) => (source: Observable<string>) => Observable<unknown>,
): Seen {
  const seen: unknown[] = [];
  const log: Record<string, unknown> = {};
  const scheduler = new TestScheduler((actual: unknown[]) => {
    seen.push(actual);
  });
  scheduler.run(({ cold, hot, expectObservable, expectSubscriptions }) => {
    const inners = Object.entries(scene.inners).map(
      ([name, marbles]) => [name, scene.hot === 'inners' ? hot(marbles) : cold(marbles)] as const,
    );
    const source = scene.hot === 'source' ? hot(scene.source) : cold(scene.source);
    const all = new Map<string, Observable<unknown>>(inners);
    const output$ = through((name) => all.get(name) as Observable<unknown>)(source);
    expectObservable(output$, scene.unsubscribed).toBe('');
    expectSubscriptions(source.subscriptions).toBe([]);
    for (const [name, { subscriptions }] of inners) log[name] = subscriptions;
  });
  return { seen: JSON.stringify(seen), log: JSON.stringify(log) };
}

for (const concurrency of [1, 2, Number.POSITIVE_INFINITY]) {
  const atOnce = Number.isFinite(concurrency) ? concurrency : 100;
  for (const [name, scene] of Object.entries(scenes)) {
    test(`as mergeMap with ${concurrency}: ${name}`, () => {
      const expected = play(scene, (inner) =>
        mergeMap((value: string) => inner(value).pipe(takeLast(1)), concurrency),
      );
      const actual = play(
        scene,
        (inner) => (source) =>
          source.pipe(map(inner), runWorkflow(flow, { concurrency: atOnce }), mergeMap(outcomeOf)),
      );
      assert.equal(actual, expected);
    });
  }
}

test('promises and values of bodies come in order too', async () => {
  const numbers = workflow({ name: 'promises', input: typed<number>() });
  const twice = numbers.task('twice', { run: (_, ctx) => Promise.resolve(ctx.input * 2) });
  const seen = await new Promise<number[]>((done) => {
    of(4, 3, 2, 1)
      .pipe(
        runWorkflow(numbers),
        map((result) => result.results.get(twice)),
        toArray(),
      )
      .subscribe((all) => done(all as number[]));
  });
  assert.equal(seen, [8, 6, 4, 2]);
});

test('a run says its result as a stream, to those who come late as well', () => {
  const flow = workflow({ name: 'stream' });
  flow.task('t', { run: () => 1 });
  const run = flow.run();
  const told: string[] = [];
  run.result$().subscribe({ next: ({ status }) => told.push(status), complete: () => told.push('complete') });
  assert.equal(told, ['succeeded', 'complete']);
  run.result$().subscribe(({ status }) => told.push(status));
  assert.is(told.length, 3);
});

test('who leaves the result stream cancels the run, if nobody else watches it', () => {
  const flow = workflow({ name: 'leave' });
  let stopped = 0;
  flow.task('t', {
    run: (_, ctx) => new Promise(() => ctx.signal.addEventListener('abort', () => stopped++)),
  });
  const run = flow.run();
  run.result$().subscribe().unsubscribe();
  assert.is(stopped, 1);
});

test.run();
