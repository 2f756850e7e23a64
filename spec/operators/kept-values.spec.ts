import fc from 'fast-check';
import {
  concat,
  from,
  lastValueFrom,
  map,
  NEVER,
  type Observable,
  of,
  range,
  retry,
  Subject,
  throwError,
  timer,
  toArray,
} from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type MemoryDump, MemoryStore } from '../../lib/entry/stores.js';
import { controller, type RxhiveError } from '../../lib/index.js';
import { SimulationScheduler } from '../../lib/testing/index.js';

/** Keys of the values whose results a log has. */
function committed(dump: MemoryDump, runId: string): Set<string> {
  const records = (dump[runId] ?? []).map((line) => JSON.parse(line.slice(line.indexOf(' ') + 1)));
  return new Set(
    records
      .filter(({ kind }) => kind === 'commit')
      .map(({ task }: { task: string }) => task.split('/')[1] ?? ''),
  );
}

interface Plan {
  /** Ms that each value takes, by key. */
  readonly takes: readonly number[];
  /** Ms after which the process dies, one life after the other. */
  readonly deaths: readonly number[];
  readonly ordered: boolean;
  readonly concurrency: number;
}

const plans: fc.Arbitrary<Plan> = fc.record({
  takes: fc.array(fc.nat(20), { minLength: 1, maxLength: 12 }),
  deaths: fc.array(fc.nat(60), { maxLength: 4 }),
  ordered: fc.boolean(),
  concurrency: fc.integer({ min: 1, max: 4 }),
});

test('a pipeline that dies at random moments pays for no value again that is in its log', () => {
  fc.assert(
    fc.property(plans, ({ takes, deaths, ordered, concurrency }) => {
      let dump: MemoryDump = {};
      for (const death of [...deaths, undefined]) {
        const store = new MemoryStore(dump);
        const known = committed(dump, 'pipe/work');
        const scheduler = new SimulationScheduler();
        const hive = controller({ scheduler, concurrency });
        const called: string[] = [];
        const told: number[] = [];
        let completed = false;
        from(takes.map((ms, i) => ({ id: `v${i}`, ms, i })))
          .pipe(
            hive.mergeMap(
              'work',
              ({ id, ms, i }) => {
                called.push(id);
                return timer(ms, scheduler).pipe(map(() => i * 10));
              },
              { store, runId: 'pipe', key: ({ id }) => id, ordered },
            ),
          )
          .subscribe({ next: (one) => told.push(one), complete: () => (completed = true) });
        if (death === undefined) scheduler.flush();
        else scheduler.run(death);
        // The process is gone here: what it did not write is lost.
        dump = store.dump();
        for (const id of called) assert.not(known.has(id), `${id} was in the log`);
        assert.is(new Set(called).size, called.length);
        // What was in the log is told again, not worked on.
        for (const id of known) assert.ok(told.includes(Number(id.slice(1)) * 10) || ordered);
        if (death !== undefined) continue;
        assert.ok(completed);
        const all = takes.map((_, i) => i * 10);
        assert.equal(ordered ? told : told.sort((a, b) => a - b), all);
        assert.is(committed(dump, 'pipe/work').size, takes.length);
      }
    }),
    { numRuns: 300 },
  );
});

test('a stream that fails works on the rest when it is subscribed again, by retry() too', async () => {
  const store = new MemoryStore();
  const calls: number[] = [];
  let fails = true;
  const hive = controller({ concurrency: 1 });
  const pipeline = () =>
    range(0, 4).pipe(
      hive.mergeMap(
        'work',
        (value) => {
          calls.push(value);
          if (value === 2 && fails) throw new Error('two');
          return value * 2;
        },
        { store, runId: 'a' },
      ),
    );
  await lastValueFrom(pipeline()).then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, 'two'),
  );
  assert.equal(calls, [0, 1, 2]);
  fails = false;
  assert.equal(await lastValueFrom(pipeline().pipe(toArray())), [0, 2, 4, 6]);
  assert.equal(calls, [0, 1, 2, 2, 3]);
  // All of it is there: nothing runs.
  assert.equal(await lastValueFrom(pipeline().pipe(toArray())), [0, 2, 4, 6]);
  assert.is(calls.length, 5);
  let failures = 2;
  const other = hive.mergeMap(
    'work',
    (value: number) => (value === 3 && failures-- > 0 ? throwError(() => new Error('three')) : of(value)),
    { store, runId: 'b', version: '1' },
  );
  const seen = await lastValueFrom(range(0, 5).pipe(other, retry(2), toArray()));
  assert.equal(seen, [0, 1, 2, 0, 1, 2, 0, 1, 2, 3, 4]);
});

test('values that are left out have a place too: none is told the result of another', () => {
  for (const left of ['exhausted', 'dropped'] as const) {
    const store = new MemoryStore();
    const calls: string[] = [];
    const play = (concurrency: number): string[] => {
      const scheduler = new SimulationScheduler();
      const hive = controller({ scheduler, concurrency });
      const told: string[] = [];
      const work = (value: string) => {
        calls.push(value);
        return timer(10, scheduler).pipe(map(() => `done ${value}`));
      };
      const options = { store, runId: left, version: '1' };
      const operator =
        left === 'exhausted'
          ? hive.exhaustMap('work', work, options)
          : hive.mergeMap('work', work, { ...options, capacity: 1, onFull: 'drop-newest' });
      concat(of('a', 'b', 'c', 'd'), timer(50, scheduler).pipe(map(() => 'e')))
        .pipe(operator)
        .subscribe((one) => told.push(one));
      scheduler.flush();
      return told;
    };
    // The first leaves values out as they come while it is at work; the second does not find it at work.
    const first = play(1);
    assert.ok(first.length < 5);
    for (const one of play(4)) if (!first.includes(one)) assert.ok(calls.includes(one.slice('done '.length)));
    assert.equal([...new Set(calls)].length, calls.length, `${left}: ${calls.join()}`);
  }
});

test('other code, another name or another runId begins anew', async () => {
  const store = new MemoryStore();
  const hive = controller();
  const calls: string[] = [];
  const run = (name: string, options: { readonly runId?: string; readonly version?: string }) =>
    lastValueFrom(
      of('x').pipe(
        hive.mergeMap(
          name,
          (value) => {
            calls.push(name);
            return value;
          },
          { store, key: (value) => value, ...options },
        ),
      ),
    );
  await run('a', {});
  await run('a', {});
  assert.is(calls.length, 1);
  await run('a', { version: '2' });
  await run('a', { version: '2' });
  assert.is(calls.length, 2);
  await run('b', {});
  await run('a', { runId: 'other' });
  assert.is(calls.length, 4);
});

test('of a stream its last value is kept; nothing is told before it is', async () => {
  const store = new MemoryStore();
  const hive = controller();
  const once = () =>
    lastValueFrom(
      of(0).pipe(
        hive.mergeMap('say', () => of(1, 2, 3), { store }),
        toArray(),
      ),
    );
  assert.equal(await once(), [3]);
  assert.equal(await once(), [3]);
});

test('what cannot go together is refused: keys twice, no keys, a log in use, no store', async () => {
  const store = new MemoryStore();
  const hive = controller();
  const codeOf = (stream: Observable<unknown>) =>
    lastValueFrom(stream).then(
      () => 'none',
      (error: RxhiveError) => error.code,
    );
  const keyed = (key: (value: number) => string | number) =>
    range(0, 3).pipe(hive.mergeMap('work', (value) => value, { store, key }));
  assert.is(await codeOf(keyed(() => 'same')), 'INVALID_OPTION');
  assert.is(await codeOf(keyed(() => Number.NaN)), 'INVALID_OPTION');
  assert.is(await codeOf(keyed(() => '')), 'INVALID_OPTION');
  assert.is(
    await codeOf(
      keyed(() => {
        throw new Error('no');
      }),
    ),
    'CALLBACK_FAILED',
  );
  const source$ = new Subject<number>();
  const first = source$.pipe(hive.mergeMap('hot', (value) => value, { store })).subscribe();
  assert.is(await codeOf(of(1).pipe(hive.mergeMap('hot', (value) => value, { store }))), 'INVALID_OPTION');
  first.unsubscribe();
  assert.is(await codeOf(of(1).pipe(hive.mergeMap('hot', (value) => value, { store }))), 'none');
  assert.throws(() => hive.mergeMap('work', () => 1, { key: () => 'a' }), /needs a store/);
  await hive
    .schedule(() => 1, { store })
    .then(
      () => assert.unreachable(),
      (error: RxhiveError) => assert.match(error.message, 'needs a key'),
    );
});

test('a store that fails fails the stream, and what cannot be stored fails its value', async () => {
  const hive = controller();
  const broken = new MemoryStore();
  broken.open = () => {
    throw new Error('no disk');
  };
  await lastValueFrom(of(1).pipe(hive.mergeMap('work', (value) => value, { store: broken }))).then(
    () => assert.unreachable(),
    (error: RxhiveError) => assert.is(error.code, 'STORE_FAILED'),
  );
  const store = new MemoryStore();
  await lastValueFrom(of(1).pipe(hive.mergeMap('work', () => () => 1, { store }))).then(
    () => assert.unreachable(),
    (error: RxhiveError) => assert.is(error.code, 'NOT_SERIALIZABLE'),
  );
});

test('leaving closes the log, and what was under way comes again', () => {
  const store = new MemoryStore();
  const scheduler = new SimulationScheduler();
  const hive = controller({ scheduler, concurrency: 2 });
  const calls: number[] = [];
  const seen: number[] = [];
  const stream = range(0, 3).pipe(
    hive.mergeMap(
      'work',
      (value) => {
        calls.push(value);
        return value === 1 && calls.length < 3 ? NEVER : timer(5, scheduler).pipe(map(() => value));
      },
      { store },
    ),
  );
  const first = stream.subscribe();
  scheduler.run(7);
  first.unsubscribe();
  stream.subscribe((value) => seen.push(value));
  scheduler.flush();
  assert.equal(seen, [0, 1, 2]);
  assert.equal(calls, [0, 1, 2, 1, 2]);
});

test('schedule with a key: once in all processes, and once where it is asked for twice', async () => {
  const store = new MemoryStore();
  const scheduler = new SimulationScheduler();
  const life = (): { ask: (key: string) => Promise<string>; close: () => Promise<void> } => {
    const hive = controller({ scheduler });
    const work = (key: string) => () => {
      calls.push(key);
      if (key === 'bad' && calls.length < 4) throw new Error('bad');
      return key.toUpperCase();
    };
    return {
      ask: (key) => hive.schedule(work(key), { name: 'page', store, key, version: '1' }),
      close: () => hive.drain(),
    };
  };
  const calls: string[] = [];
  const one = life();
  assert.equal(await Promise.all([one.ask('a'), one.ask('b'), one.ask('a')]), ['A', 'B', 'A']);
  assert.is(await one.ask('a'), 'A');
  assert.equal(calls, ['a', 'b']);
  await one.ask('bad').then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, 'bad'),
  );
  assert.is(calls.length, 3);
  // A failure is no result: it is tried again.
  assert.is(await one.ask('bad'), 'BAD');
  // Nobody asks for a while: the log is closed, and read again.
  scheduler.run(2_000);
  assert.is(await one.ask('b'), 'B');
  assert.is(calls.length, 4);
  await one.close();
  const two = life();
  assert.equal(await Promise.all(['b', 'c', 'bad'].map(two.ask)), ['B', 'C', 'BAD']);
  assert.equal(calls, ['a', 'b', 'bad', 'bad', 'c']);
  await two.close();
});

test('the graph forgets values, and the log has their results alone', () => {
  const store = new MemoryStore();
  const scheduler = new SimulationScheduler();
  const hive = controller({ scheduler, concurrency: 4 });
  let told = 0;
  range(0, 2_000)
    .pipe(hive.mergeMap('work', (value) => timer(1, scheduler).pipe(map(() => value)), { store }))
    .subscribe(() => {
      told += 1;
    });
  scheduler.flush();
  assert.is(told, 2_000);
  // One record for the run, and one for each value.
  assert.is(store.dump()['controller/work']?.length, 2_001);
});

test.run();
