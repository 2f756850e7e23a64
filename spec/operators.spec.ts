import { lastValueFrom, mergeMap, NEVER, type Observable, of, range, Subject, timer, toArray } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { controller, type RxhiveError } from '../lib/index.js';
import { advance, SimulationScheduler } from '../lib/testing/index.js';

type Letter = 'a' | 'b' | 'c';

test('results come in the order of the source where that is asked', () => {
  new TestScheduler((actual, expected) => assert.equal(actual, expected)).run(
    ({ cold, hot, expectObservable }) => {
      const hive = controller();
      const cells = { a: cold('---x---y|'), b: cold('-u-v|'), c: cold('-w|') };
      const work = (letter: string): Observable<string> => cells[letter as Letter];
      const ordered$ = hot('-ab-c---|').pipe(hive.mergeMap('work', work, { ordered: true }));
      expectObservable(ordered$).toBe('----x---y(uvw|)');
    },
  );
});

test('errors fail the stream, are left out, or are told', async () => {
  const work = (value: number): number => {
    if (value === 1) throw new Error('one');
    return value;
  };
  const hive = controller();
  const all = (options?: { readonly onError: 'error' | 'skip' | 'materialize' }) =>
    lastValueFrom(range(0, 3).pipe(hive.mergeMap('work', work, { ordered: true, ...options }), toArray()));
  await all().then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, 'one'),
  );
  assert.equal(await all({ onError: 'skip' }), [0, 2]);
  const told = (await all({ onError: 'materialize' })) as unknown as readonly {
    kind: string;
    error?: Error;
  }[];
  assert.equal(
    told.map(({ kind, error }) => error?.message ?? kind),
    ['N', 'one', 'N'],
  );
});

test('retries, timeouts and groups of the controller govern each value', async () => {
  const scheduler = new SimulationScheduler();
  const hive = controller({ scheduler, groups: { llm: { concurrency: 2 } } });
  let active = 0;
  let most = 0;
  const tries = new Map<number, number>();
  const results: number[] = [];
  range(0, 6)
    .pipe(
      hive.mergeMap(
        'ask',
        async (value, ctx) => {
          tries.set(value, (tries.get(value) ?? 0) + 1);
          active += 1;
          most = Math.max(most, active);
          await ctx.sleep(10);
          active -= 1;
          if (value === 3 && ctx.attempt === 1) throw new Error('again');
          return value;
        },
        { group: 'llm', retry: { count: 2, backoff: () => 5 } },
      ),
    )
    .subscribe((value) => results.push(value));
  await advance(scheduler);
  assert.equal([...results].sort(), [0, 1, 2, 3, 4, 5]);
  assert.is(tries.get(3), 2);
  assert.is(most, 2);
});

test('a full buffer fails the stream, drops the oldest or the newest', () => {
  const played = (onFull: 'error' | 'drop-oldest' | 'drop-newest'): string => {
    const scheduler = new SimulationScheduler();
    const hive = controller({ scheduler, concurrency: 1 });
    const source$ = new Subject<number>();
    const seen: string[] = [];
    source$
      .pipe(
        hive.mergeMap('work', (value) => timer(10, scheduler).pipe(mergeMap(() => [value])), {
          capacity: 1,
          onFull,
        }),
      )
      .subscribe({
        next: (value) => seen.push(String(value)),
        error: (error: RxhiveError) => seen.push(error.code),
      });
    for (let i = 0; i < 5; i++) source$.next(i);
    scheduler.flush();
    return seen.join(' ');
  };
  assert.is(played('error'), 'LIMIT_EXCEEDED');
  assert.is(played('drop-newest'), '0 1 2');
  assert.is(played('drop-oldest'), '0 3 4');
});

test('leaving cancels what is under way, and memory does not grow with values', async () => {
  const hive = controller({ concurrency: 4 });
  const aborted: boolean[] = [];
  const leaving = range(0, 10)
    .pipe(
      hive.mergeMap('work', (_, ctx) => {
        ctx.signal.addEventListener('abort', () => aborted.push(true));
        return NEVER;
      }),
    )
    .subscribe();
  assert.is(hive.limits()[0]?.active, 4);
  leaving.unsubscribe();
  assert.is(aborted.length, 4);
  assert.is(hive.limits()[0]?.active, 0);
  const before = process.memoryUsage().heapUsed;
  let sum = 0;
  for (let round = 0; round < 20; round++)
    await lastValueFrom(range(0, 1_000).pipe(hive.mergeMap('add', (value) => value))).then(() => {
      sum += 1;
    });
  assert.is(sum, 20);
  assert.ok(process.memoryUsage().heapUsed - before < 60e6);
  await hive.drain();
});

test('schedule is a promise of one piece of work: limits, order, errors', async () => {
  const hive = controller({ concurrency: 2 });
  let active = 0;
  let most = 0;
  const work = (ms: number, value: number) => async (): Promise<number> => {
    active += 1;
    most = Math.max(most, active);
    await new Promise((done) => setTimeout(done, ms));
    active -= 1;
    return value;
  };
  const all = [5, 1, 3, 2].map((ms, i) => hive.schedule(work(ms, i)));
  assert.equal(await Promise.all(all), [0, 1, 2, 3]);
  assert.is(most, 2);
  const failing = hive.schedule(() => {
    throw new TypeError('bad');
  });
  await failing.then(
    () => assert.unreachable(),
    (error: unknown) => assert.instance(error, TypeError),
  );
  assert.is(await hive.schedule(() => undefined), undefined);
  await hive
    .schedule(() => 1, { group: 'none' as never })
    .then(
      () => assert.unreachable(),
      (error: RxhiveError) => assert.is(error.code, 'WORKFLOW_DEFINITION'),
    );
  const one = controller({ concurrency: 1 });
  const order: string[] = [];
  const note = (name: string, priority: number) => one.schedule(() => void order.push(name), { priority });
  const first = one.schedule(() => new Promise((done) => setTimeout(done, 2)));
  await Promise.all([first, note('low', -1), note('high', 5), note('middle', 0), note('middle2', 0)]);
  assert.equal(order, ['high', 'middle', 'middle2', 'low']);
  const late = one.drain();
  await one
    .schedule(() => 1)
    .then(
      () => assert.unreachable(),
      (error: RxhiveError) => assert.is(error.code, 'RUN_ENDED'),
    );
  await late;
});

test('a promise of a stream says what the stream says, each once', async () => {
  const hive = controller({ concurrency: 2 });
  const said = (work: () => unknown) => lastValueFrom(of(0).pipe(hive.mergeMap('say', work), toArray()));
  assert.equal(await said(async () => of(1, 2)), [1, 2]);
  assert.equal(await said(async () => of()), []);
  assert.equal(
    await said(async function* () {
      yield 1;
    }),
    [1],
  );
  assert.equal(await said(async () => 7), [7]);
});

test.run();
