import {
  filter,
  finalize,
  from,
  lastValueFrom,
  map,
  merge,
  mergeMap,
  Observable,
  of,
  takeLast,
  throwError,
  timer,
  toArray,
} from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { MemoryDump, MemoryStore } from '../lib/entry/stores.js';
import type { RunWorkflowOptions } from '../lib/entry/types.js';
import { controller, memory, runWorkflow, typed, type WorkflowResult, workflow } from '../lib/index.js';
import { SimulationScheduler } from '../lib/testing/index.js';

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

/** Runs of as many ms as their input; what was told when. */
function timed(
  inputs: Readonly<Record<number, number>>,
  options: RunWorkflowOptions<number>,
  until = Number.POSITIVE_INFINITY,
): { told: readonly (readonly [at: number, what: unknown])[]; started: readonly number[]; stopped: number } {
  const scheduler = new SimulationScheduler();
  const started: number[] = [];
  let stopped = 0;
  const flow = workflow({ name: 'delays', input: typed<number>(), concurrency: 100 });
  const wait = flow.task('wait', {
    run: (_, { input }) => {
      started.push(input);
      return timer(input, scheduler).pipe(
        map(() => input),
        finalize(() => {
          stopped += 1;
        }),
      );
    },
  });
  const told: [number, unknown][] = [];
  const source = merge(
    ...Object.entries(inputs).map(([at, input]) => timer(Number(at), scheduler).pipe(map(() => input))),
  );
  const subscription = source
    .pipe(
      runWorkflow(flow, { ...options, scheduler }),
      map((result) => result.results.get(wait)),
    )
    .subscribe({
      next: (value) => told.push([scheduler.now(), value]),
      error: (error: Error) => told.push([scheduler.now(), error]),
      complete: () => told.push([scheduler.now(), 'complete']),
    });
  if (Number.isFinite(until)) timer(until, scheduler).subscribe(() => subscription.unsubscribe());
  scheduler.flush();
  return { told, started, stopped };
}

test('results come as runs end, or, ordered, as the source said their inputs', () => {
  const inputs = { 0: 40, 1: 20, 2: 10, 3: 5 };
  assert.equal(timed(inputs, { concurrency: 2 }).told, [
    [21, 20],
    [31, 10],
    [36, 5],
    [40, 40],
    [40, 'complete'],
  ]);
  assert.equal(timed(inputs, { concurrency: 2, ordered: true }).told, [
    [40, 40],
    [40, 20],
    [40, 10],
    [40, 5],
    [40, 'complete'],
  ]);
  // Three that have begun and are not told are the most: the next waits, and one more is too many.
  const many = { 0: 40, 1: 5, 10: 5, 20: 5, 30: 5 };
  const bounded = { concurrency: 2, ordered: true, capacity: 1 };
  assert.is(timed(many, bounded).told[0]?.[0], 30);
  assert.equal(timed(many, { ...bounded, onFull: 'drop-newest' }).started, [40, 5, 5, 5]);
  assert.is(timed(many, { ...bounded, ordered: false }).told.at(-1)?.[1], 'complete');
});

test('where more wait than may, the stream fails or drops, as with operators of a controller', () => {
  const inputs = { 0: 40, 1: 20, 2: 10, 3: 5 };
  const [failure, ...more] = timed(inputs, { capacity: 2 }).told;
  assert.is(failure?.[0], 3);
  assert.match(
    String(failure?.[1]),
    'More than 2 values wait for "delays"; slow the source down, raise capacity, or set onFull.',
  );
  assert.equal(more, []);
  assert.equal(timed(inputs, { capacity: 2, onFull: 'drop-oldest' }).started, [40, 10, 5]);
  assert.equal(timed(inputs, { capacity: 2, onFull: 'drop-newest' }).started, [40, 20, 10]);
  assert.equal(timed(inputs, { capacity: 0, onFull: 'drop-oldest' }).started, [40]);
  assert.equal(
    timed(inputs, { capacity: 0, concurrency: Number.POSITIVE_INFINITY }).started,
    [40, 20, 10, 5],
  );
});

test('who leaves cancels what runs, and nothing starts any more', () => {
  const { told, started, stopped } = timed({ 0: 40, 1: 20, 2: 10 }, { concurrency: 2 }, 15);
  assert.equal([told, started, stopped], [[], [40, 20], 2]);
});

test('an aborted signal ends the stream with its reason and cancels its runs', () => {
  const scheduler = new SimulationScheduler();
  const controller = new AbortController();
  const flow = workflow({ name: 'aborted', input: typed<number>() });
  let stopped = 0;
  flow.task('t', { run: () => new Observable(() => () => (stopped += 1)) });
  const told: unknown[] = [];
  const options = { scheduler, concurrency: 3, signal: controller.signal };
  of(1, 2)
    .pipe(runWorkflow(flow, options))
    .subscribe({ error: (error) => told.push(error) });
  controller.abort('enough');
  assert.equal([told, stopped], [['enough'], 2]);
  of(1)
    .pipe(runWorkflow(flow, options))
    .subscribe({ error: (error) => told.push(error) });
  assert.equal([told, stopped], [['enough', 'enough'], 2]);
});

test('runs share the slots of a controller, and more urgent streams go first', async () => {
  const scheduler = new SimulationScheduler();
  const hive = controller({ concurrency: 2, scheduler });
  const flow = workflow({ name: 'shared', input: typed<string>() });
  const started: string[] = [];
  flow.task('work', {
    run: (_, { input }) => {
      started.push(input);
      return timer(10, scheduler);
    },
  });
  const through = (names: string[], priority: number) =>
    from(names).pipe(
      runWorkflow(flow, { controller: hive, priority, concurrency: Number.POSITIVE_INFINITY, scheduler }),
    );
  const done = lastValueFrom(merge(through(['a', 'b', 'c', 'd'], 0), through(['urgent'], 1)).pipe(toArray()));
  scheduler.flush();
  assert.is((await done).length, 5);
  assert.equal(started, ['a', 'b', 'urgent', 'c', 'd']);
});

test('each run has a seed of its own, and the same one again', async () => {
  const flow = workflow({ name: 'seeds', input: typed<number>() });
  flow.task('t', { run: () => 1 });
  const ids = (seed: number) =>
    lastValueFrom(
      of(1, 2, 3).pipe(
        runWorkflow(flow, { seed }),
        map(({ report }) => report.runId),
        toArray(),
      ),
    );
  const first = await ids(7);
  assert.is(new Set(first).size, 3);
  assert.equal(await ids(7), first);
});

test('a pipeline that was killed at any moment goes on with what had ended', async () => {
  const inputs = ['a', 'b', 'c'];
  const pipeline = (store: MemoryStore, called: string[], dumps: MemoryDump[] = []) => {
    const flow = workflow({ name: 'kept', input: typed<string>() });
    const call = (text: string): string => {
      called.push(text);
      // What is left where the process dies now.
      dumps.push(structuredClone(store.dump()));
      return text;
    };
    const first = flow.task('first', { version: '1', run: (_, { input }) => call(`${input}1`) });
    const second = flow.task('second', {
      version: '1',
      dependencies: { first },
      run: ({ first: text }, { input }) => `${text} ${call(`${input}2`)}`,
    });
    return lastValueFrom(
      from(inputs).pipe(
        runWorkflow(flow, {
          store,
          durability: 'sync',
          ordered: true,
          runId: (input, index) => `${index} ${input}`,
        }),
        map((result) => result.results.get(second)),
        toArray(),
      ),
    );
  };
  const results = ['a1 a2', 'b1 b2', 'c1 c2'];
  const dumps: MemoryDump[] = [];
  const calls: string[] = [];
  const store = memory();
  assert.equal(await pipeline(store, calls, dumps), results);
  assert.equal(calls, ['a1', 'a2', 'b1', 'b2', 'c1', 'c2']);
  for (const [before, dump] of [...dumps, store.dump()].entries()) {
    const again: string[] = [];
    assert.equal(await pipeline(memory(dump), again), results);
    assert.equal(again, calls.slice(before), 'what had ended is not called again');
  }
});

test('options that make no sense are told at once, by name', () => {
  const flow = workflow({ name: 'options' });
  const bad = { concurrency: 0, ordered: 'yes', onFull: 'wait', capacity: -1, runId: 'r' };
  assert.throws(
    () => runWorkflow(flow, bad as never),
    (error: Error) => Object.keys(bad).every((name) => error.message.includes(`runWorkflow ${name}`)),
  );
});

test.run();
