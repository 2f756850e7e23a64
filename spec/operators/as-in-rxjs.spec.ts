import fc from 'fast-check';
import {
  concatMap,
  defer,
  EMPTY,
  exhaustMap,
  from,
  lastValueFrom,
  map,
  mergeMap,
  NEVER,
  Observable,
  type OperatorFunction,
  of,
  range,
  Subject,
  switchMap,
  take,
  takeUntil,
  throwError,
  toArray,
} from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Controller, controller } from '../../lib/index.js';

// What the suites of rxjs hold mergeMap, concatMap, switchMap and exhaustMap to: played through the operator of a controller and
// through that of rxjs, which have to say the same at the same time and subscribe to the same.

type Letter = 'a' | 'b' | 'c' | 'd';
const letters = ['a', 'b', 'c', 'd'] as const;
type Work = (letter: string, index: number) => Observable<string>;
type Operator = (work: Work, hive: Controller, most?: number) => readonly OperatorFunction<string, string>[];

/** Each operator, and the one of rxjs that it is held to. */
const operators: Readonly<Record<string, Operator>> = {
  mergeMap: (work, hive, most) => [hive.mergeMap('work', indexed(work)), mergeMap(work, most)],
  concatMap: (work, hive) => [hive.concatMap('work', indexed(work)), concatMap(work)],
  switchMap: (work, hive) => [hive.switchMap('work', indexed(work)), switchMap(work)],
  exhaustMap: (work, hive) => [hive.exhaustMap('work', indexed(work)), exhaustMap(work)],
};

const indexed =
  (work: Work) =>
  (letter: string, _: unknown, index: number): Observable<string> =>
    work(letter, index);

interface Marbles {
  readonly source: string;
  /** Of the streams of values; a letter that has none throws instead of giving one. */
  readonly inners: Partial<Readonly<Record<Letter, string>>>;
  /** When it is left. */
  readonly unsub?: string;
  /** Streams that go on without being subscribed. */
  readonly hot?: boolean;
  /** With mergeMap: how many at once. */
  readonly most?: number;
}

/** Plays marbles through an operator and the one of rxjs. */
function same(name: string, { source, inners, unsub, hot: isHot = false, most }: Marbles): void {
  new TestScheduler((actual, expected) => assert.equal(actual, expected)).run(
    ({ cold, hot, expectObservable, flush }) => {
      const hive = controller({ concurrency: most ?? 100 }) as Controller;
      const make = operators[name] as Operator;
      const seen = [0, 1].map((which) => {
        const cells = letters.map((letter) => (isHot ? hot : cold)((inners[letter] ?? '').replace(/ /g, '')));
        const source$ = hot(source);
        const operator = make(
          (letter) => {
            if (inners[letter as Letter] === undefined) throw new Error('no stream');
            return cells[letters.indexOf(letter as Letter)] as Observable<string>;
          },
          hive,
          most,
        )[which];
        // Something before and after it: what is left is left through all of them.
        const result$ = source$.pipe(
          map((one) => one),
          operator as OperatorFunction<string, string>,
          unsub === undefined ? map((one) => one) : takeUntil(cold(unsub.replace('!', 'x'))),
        );
        return { cells, source$, result$ };
      });
      const [ours, theirs] = seen as [(typeof seen)[0], (typeof seen)[0]];
      expectObservable(ours.result$).toEqual(theirs.result$ as never);
      flush();
      letters.forEach((letter, i) => {
        const [our, their] = [ours.cells[i], theirs.cells[i]];
        assert.equal(our?.subscriptions, their?.subscriptions, `${name} ${letter}`);
      });
      assert.equal(ours.source$.subscriptions, theirs.source$.subscriptions);
    },
  );
}

const cases: Readonly<Record<string, Marbles>> = {
  'values of overlapping streams': {
    source: '-a-b---c-|',
    inners: { a: '--x--y--z|', b: '-u---v|', c: '--w-|' },
  },
  'streams that do not overlap': { source: '-a-----b-----c----|', inners: { a: 'x-y|', b: 'u|', c: 'w-v|' } },
  'an empty source': { source: '------|', inners: { a: 'x|' } },
  'a source that is over at once': { source: '|', inners: { a: 'x|' } },
  'a source that fails at once': { source: '#', inners: { a: 'x|' } },
  'a source that never says anything': { source: '-------', inners: { a: 'x|' } },
  'a source that fails': { source: '-a-b-#', inners: { a: '--x---y|', b: '-u|' } },
  'a source that fails while streams go on': {
    source: '-a-b------#',
    inners: { a: '--x--y--z--x--y|', b: '-u---v---u---v|' },
  },
  'a stream that fails': { source: '-a--b----c-|', inners: { a: '-x-y-|', b: '-u-#', c: '-w|' } },
  'a stream that fails at once': { source: '-a--b----c-|', inners: { a: '-x-y-|', b: '#', c: '-w|' } },
  'a stream and the source fail in the same frame': { source: '-a----#', inners: { a: '-x---#' } },
  'all streams fail': { source: '-a-b-c-|', inners: { a: '----#', b: '--#', c: '#' } },
  'empty streams': { source: '-a-b-c-|', inners: { a: '|', b: '--|', c: '|' } },
  'streams that never end': { source: '-a-b-c-|', inners: { a: '--x--', b: '--u---v', c: '-' } },
  'streams that never say anything': { source: '-a-b-c-|', inners: { a: '-', b: '-', c: '-' } },
  'empty streams after streams that go on': {
    source: '-a-b-c-d-|',
    inners: { a: '--x----y|', b: '|', c: '--z|', d: '|' },
  },
  'a stream that ends after the source': { source: '-a-b|', inners: { a: '------x|', b: '-------u---v|' } },
  'a source that ends long after the streams': { source: '-a-b-----------|', inners: { a: 'x|', b: '-u|' } },
  'a source that never ends': {
    source: '-a-b-----c-----',
    inners: { a: 'x-y|', b: '-u--v|', c: 'w|' },
    unsub: '--------------!',
  },
  'a stream that says several values at once': { source: '-a---b-|', inners: { a: '-(xy)-z|', b: '(uv)|' } },
  'several values of the source at once': {
    source: '-(abc)-----(ad|)',
    inners: { a: '-x-y|', b: 'u|', c: '--w|', d: '-(zz)|' },
  },
  'streams that say a value and end in the same frame': {
    source: '-a--b--c--|',
    inners: { a: '--(x|)', b: '--(u|)', c: '(w|)' },
  },
  'a value in the frame in which the stream before ends': {
    source: '-a---b---a---|',
    inners: { a: 'x-y-|', b: 'u---|' },
  },
  'the same value again and again': { source: '-a-a-a-a-|', inners: { a: '--x-y--z|' } },
  'a work that throws': { source: '-a--b---c-|', inners: { a: '-x-y-x-y|', b: '-u|' } },
  'a work that throws for the first value': { source: '-d--a-|', inners: { a: 'x|' } },
  'leaving while streams go on': {
    source: '-a-b---c-----|',
    inners: { a: '--x--y--z--x|', b: '-u---v---u|', c: '--w--w-|' },
    unsub: '-------!',
  },
  'leaving before anything came': { source: '---a-|', inners: { a: 'x|' }, unsub: '-!' },
  'leaving after the source has ended': { source: '-a|', inners: { a: '--x--y--z|' }, unsub: '-----!' },
  'hot streams': {
    source: '-a---b---c-|',
    inners: { a: 'x-y-z-x-y-|', b: '-u-v-u-v-u-v|', c: 'w---w---w---w---|' },
    hot: true,
  },
  'hot streams that have ended before': {
    source: '-----a--b-|',
    inners: { a: '--x|', b: '-u---------v|' },
    hot: true,
  },
  'hot streams that never end': {
    source: '-a---b---c-|',
    inners: { a: 'x-y-z-x-y', b: '-u-v-u-v-u-v', c: 'w---w---w---w' },
    hot: true,
    unsub: '----------------!',
  },
};

for (const name of Object.keys(operators))
  for (const [what, marbles] of Object.entries(cases))
    test(`${name} as in rxjs: ${what}`, () => same(name, marbles));

for (const most of [1, 2, 3])
  for (const [what, marbles] of Object.entries(cases))
    test(`mergeMap as in rxjs, ${most} at once: ${what}`, () => same('mergeMap', { ...marbles, most }));

test('operators are those of rxjs for random marbles', () => {
  const inner = fc
    .tuple(
      fc.array(fc.constantFrom('-', '-', 'x', 'y'), { maxLength: 6 }),
      fc.constantFrom('|', '-|', '--|', '#', '-#', ''),
    )
    .map(([marks, end]) => `-${marks.join('')}${end}`);
  const source = fc
    .tuple(
      fc.array(fc.constantFrom('-', '-', ...letters), { maxLength: 10 }),
      fc.constantFrom('|', '-|', '#', ''),
    )
    .map(([marks, end]) => `-${marks.join('')}${end}`);
  const unsub = fc.option(
    fc.nat(14).map((frame) => `${'-'.repeat(frame)}!`),
    { nil: undefined },
  );
  const given = fc.record(
    {
      source,
      inners: fc.record({ a: inner, b: inner, c: inner, d: inner }, { requiredKeys: ['a', 'b'] }),
      unsub,
      hot: fc.boolean(),
    },
    { requiredKeys: ['source', 'inners'] },
  );
  const most = fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined });
  const clean = ({ unsub: left, ...rest }: Marbles & { unsub?: string | undefined }): Marbles =>
    left === undefined ? rest : { ...rest, unsub: left };
  fc.assert(
    fc.property(fc.constantFrom(...Object.keys(operators)), given, most, (name, marbles, count) =>
      same(name, {
        ...clean(marbles as Marbles),
        ...(name === 'mergeMap' && count !== undefined && { most: count }),
      }),
    ),
    { numRuns: 500 },
  );
});

/** What both say, in order, for streams that are there at once. */
async function bothSay(
  name: string,
  work: Work,
  source: () => Observable<string>,
  then: OperatorFunction<string, string> = map((one) => one),
): Promise<readonly unknown[]> {
  const hive = controller({ concurrency: 100 }) as Controller;
  const [ours, theirs] = await Promise.all(
    (operators[name] as Operator)(work, hive).map((operator) =>
      lastValueFrom(source().pipe(operator, then, toArray())).catch((error: unknown) => [error]),
    ),
  );
  assert.equal(ours, theirs, name);
  return ours as readonly unknown[];
}

for (const name of Object.keys(operators)) {
  test(`${name} with streams that are there at once`, async () => {
    assert.equal(
      await bothSay(
        name,
        (one, i) => of(`${one}${i}`, one),
        () => of('a', 'b'),
      ),
      ['a0', 'a', 'b1', 'b'],
    );
    await bothSay(
      name,
      () => EMPTY,
      () => of('a', 'b'),
    );
    await bothSay(
      name,
      () => throwError(() => 'no'),
      () => of('a', 'b'),
    );
    await bothSay(
      name,
      (one) => from(Promise.resolve(one)),
      () => of('a'),
    );
    await bothSay(
      name,
      () => from(Promise.reject<string>('rejected')),
      () => of('a', 'b'),
    );
    await bothSay(
      name,
      (one, i) => range(0, i).pipe(map(() => one)),
      () => of('a', 'b', 'c', 'd'),
    );
  });

  test(`${name} stops at the value after which nobody listens`, async () => {
    let subscribed = 0;
    const work: Work = (one) =>
      defer(() => {
        subscribed += 1;
        return of(one, one);
      });
    assert.equal(await bothSay(name, work, () => of('a', 'b', 'c'), take(1)), ['a']);
    // One for each of the two operators.
    assert.is(subscribed, 2);
  });

  test(`${name} takes values in that its own results make`, () => {
    const seen = [0, 1].map((which) => {
      const source$ = new Subject<string>();
      const hive = controller() as Controller;
      const said: string[] = [];
      source$
        .pipe(
          (operators[name] as Operator)((one) => of(one), hive)[which] as OperatorFunction<string, string>,
        )
        .subscribe((one) => {
          said.push(one);
          if (one.length < 3) source$.next(`${one}x`);
        });
      source$.next('a');
      return said;
    });
    if (name === 'exhaustMap') assert.equal(seen[0], seen[1]);
    else assert.equal([...(seen[0] ?? [])], ['a', 'ax', 'axx']);
  });

  test(`${name} tears the stream down before it is left, once`, () => {
    const counts = [0, 1].map((which) => {
      let torn = 0;
      const work: Work = () =>
        new Observable<string>(() => () => {
          torn += 1;
        });
      const hive = controller() as Controller;
      const source$ = new Subject<string>();
      const leaving = source$
        .pipe((operators[name] as Operator)(work, hive)[which] as OperatorFunction<string, string>)
        .subscribe();
      source$.next('a');
      leaving.unsubscribe();
      source$.next('b');
      return torn;
    });
    assert.equal(counts, [1, 1]);
  });
}

test('what is not as in rxjs: an array is one result, and a work that returns none is one', async () => {
  const hive = controller();
  assert.equal(
    await lastValueFrom(
      of(1).pipe(
        hive.mergeMap('work', () => [1, 2]),
        toArray(),
      ),
    ),
    [[1, 2]],
  );
  assert.equal(
    await lastValueFrom(
      of(1).pipe(
        hive.mergeMap('work', () => undefined),
        toArray(),
      ),
    ),
    [undefined],
  );
  const open = of(1)
    .pipe(hive.mergeMap('work', () => NEVER))
    .subscribe();
  open.unsubscribe();
});

test.run();
