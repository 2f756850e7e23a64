import { from, lastValueFrom, map, type Observable, type ObservableInput, timer, toArray } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { controller } from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

/** Numbers from 0, and how many were taken, whether the source was left, and what fails it. */
class Numbers {
  taken = 0;
  left = false;
  readonly #most: number;

  constructor(most = Number.POSITIVE_INFINITY) {
    this.#most = most;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<number> {
    try {
      while (this.taken < this.#most) yield this.taken++;
    } finally {
      this.left = true;
    }
  }
}

const hiveOf = (concurrency: number) => {
  const scheduler = new SimulationScheduler();
  const hive = controller({ scheduler, concurrency });
  const wait = (ms: number): Observable<number> => timer(ms, scheduler);
  return { scheduler, hive, wait };
};

test('an async iterable is asked for as many values as can start, and one more', async () => {
  const { scheduler, hive, wait } = hiveOf(3);
  const numbers = new Numbers();
  let most = 0;
  let ended = 0;
  const leaving = hive
    .mergeMap('work', (value: number) => wait(10).pipe(map(() => value)))(numbers)
    .subscribe(() => {
      ended += 1;
      most = Math.max(most, numbers.taken - ended);
    });
  await advance(scheduler, 1_005);
  assert.is(ended, 300);
  assert.ok(most <= 4, `${most} taken and not ended`);
  leaving.unsubscribe();
  await advance(scheduler, 1_006);
  assert.ok(numbers.left);
});

test('concatMap asks for the next one while one is worked on', async () => {
  const { scheduler, hive, wait } = hiveOf(10);
  const numbers = new Numbers(5);
  const seen: number[] = [];
  hive
    .concatMap('work', (value: number) => wait(10).pipe(map(() => value)))(numbers)
    .subscribe((value) => {
      seen.push(value);
      assert.ok(numbers.taken <= value + 2);
    });
  await advance(scheduler);
  assert.equal(seen, [0, 1, 2, 3, 4]);
});

test('results that wait for one before them hold the source back, where order counts', async () => {
  const { scheduler, hive, wait } = hiveOf(4);
  const numbers = new Numbers();
  const seen: number[] = [];
  const options = { ordered: true, capacity: 8 } as const;
  const leaving = hive
    .mergeMap(
      'work',
      (value: number) => wait(value === 0 ? 1_000 : 1).pipe(map(() => value)),
      options,
    )(numbers)
    .subscribe((value) => seen.push(value));
  await advance(scheduler, 999);
  assert.equal(seen, []);
  assert.ok(numbers.taken <= 10, `${numbers.taken} taken`);
  await advance(scheduler, 1_010);
  assert.ok(seen.length > 9);
  assert.equal(
    seen,
    seen.map((_, i) => i),
  );
  leaving.unsubscribe();
});

test('generators, arrays, Sets and streams of the web are asked too; promises and Observables are not', async () => {
  const { hive } = hiveOf(2);
  const twice = hive.mergeMap('twice', (value: number) => value * 2, { ordered: true });
  const all = (source: ObservableInput<number>) => lastValueFrom(twice(source).pipe(toArray()));
  function* three(): Generator<number> {
    yield* [1, 2, 3];
  }
  assert.equal(await all([1, 2, 3]), [2, 4, 6]);
  assert.equal(await all(three()), [2, 4, 6]);
  assert.equal(await all(new Set([1, 2])), [2, 4]);
  assert.equal(await all(Promise.resolve(4)), [8]);
  assert.equal(await all(from([5])), [10]);
  const stream = new ReadableStream<number>({
    start: (controls) => {
      for (const one of [1, 2, 3]) controls.enqueue(one);
      controls.close();
    },
  });
  assert.equal(await all(stream), [2, 4, 6]);
});

test('an endless generator does not run ahead, and gives the event loop back', async () => {
  const hive = controller({ concurrency: 2 });
  function* numbers(): Generator<number> {
    for (let i = 0; ; i++) yield i;
  }
  let told = 0;
  const leaving = hive
    .mergeMap(
      'work',
      (value: number) => value,
    )(numbers())
    .subscribe(() => {
      told += 1;
    });
  await new Promise((done) => setImmediate(done));
  leaving.unsubscribe();
  const before = told;
  await new Promise((done) => setImmediate(done));
  assert.ok(before > 0);
  assert.is(told, before);
});

test('a source that fails fails the stream; a value that fails leaves the source', async () => {
  const { hive } = hiveOf(2);
  async function* broken(): AsyncGenerator<number> {
    yield 1;
    throw new Error('source');
  }
  const same = hive.mergeMap('same', (value: number) => value);
  await lastValueFrom(same(broken())).then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, 'source'),
  );
  const numbers = new Numbers();
  const failing = hive.mergeMap('fail', (_: number): number => {
    throw new Error('work');
  });
  await lastValueFrom(failing(numbers)).then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, 'work'),
  );
  await new Promise((done) => setImmediate(done));
  assert.ok(numbers.left);
  const throwing: AsyncIterable<number> = {
    [Symbol.asyncIterator]: () => {
      throw new Error('no iterator');
    },
  };
  await lastValueFrom(same(throwing)).then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, 'no iterator'),
  );
});

test('values of a stream that waits at a limit of 0 begin when the limit is raised', () => {
  const { scheduler, hive, wait } = hiveOf(2);
  const seen: number[] = [];
  hive.setConcurrency(0);
  from([0, 1, 2, 3])
    .pipe(hive.mergeMap('work', (value) => wait(10).pipe(map(() => value))))
    .subscribe((value) => seen.push(value));
  scheduler.flush();
  assert.equal(seen, []);
  assert.is(hive.waiting, 4);
  hive.setConcurrency(2);
  scheduler.flush();
  assert.equal(seen, [0, 1, 2, 3]);
  assert.is(hive.waiting, 0);
});

test.run();
