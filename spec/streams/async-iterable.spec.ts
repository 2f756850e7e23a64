import { Readable } from 'node:stream';
import fc from 'fast-check';
import { concat, from, Observable, of, range, Subject, throwError } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type RxhiveError, workflow } from '../../lib/index.js';
import { toAsyncIterable, toReadableStream, type WaitingOptions } from '../../lib/streams/index.js';

/** All values, and how it ended. */
async function collect<T>(values: AsyncIterable<T>): Promise<{ values: T[]; end: string }> {
  const got: T[] = [];
  try {
    for await (const value of values) got.push(value);
  } catch (error) {
    return { values: got, end: (error as RxhiveError).code ?? (error as Error).message };
  }
  return { values: got, end: 'complete' };
}

test('values of a task are read with for await, to the end', async () => {
  const flow = workflow({ name: 'stream' });
  const words = flow.task('words', {
    run: async function* () {
      yield* ['a', 'b', 'c'];
    },
  });
  const run = flow.run();
  assert.equal(await collect(toAsyncIterable(run.values$(words))), {
    values: ['a', 'b', 'c'],
    end: 'complete',
  });
});

test('each loop subscribes; break and an error of its body unsubscribe', async () => {
  let subscribed = 0;
  let left = 0;
  const source = new Observable<number>((subscriber) => {
    subscribed += 1;
    for (let i = 0; i < 10; i++) subscriber.next(i);
    return () => {
      left += 1;
    };
  });
  const values = toAsyncIterable(source);
  assert.is(subscribed, 0);
  for await (const value of values) if (value === 3) break;
  assert.equal([subscribed, left], [1, 1]);
  try {
    for await (const value of values) throw new Error(`at ${value}`);
  } catch (error) {
    assert.is((error as Error).message, 'at 0');
  }
  assert.equal([subscribed, left], [2, 2]);
});

test('who leaves while it waits is answered', async () => {
  const iterator = toAsyncIterable(new Subject<number>())[Symbol.asyncIterator]();
  const waiting = [iterator.next(), iterator.next()];
  await iterator.return?.();
  assert.equal(await Promise.all(waiting), [
    { done: true, value: undefined },
    { done: true, value: undefined },
  ]);
});

test('an error comes after the values before it, once', async () => {
  const iterator = toAsyncIterable(
    concat(
      of(1, 2),
      throwError(() => new Error('late')),
    ),
  )[Symbol.asyncIterator]();
  assert.equal([(await iterator.next()).value, (await iterator.next()).value], [1, 2]);
  assert.is(await iterator.next().then(String, (error: Error) => error.message), 'late');
  assert.is((await iterator.next()).done, true);
});

test('what waits is bounded: an error after it, or the oldest or newest are dropped', async () => {
  const ten = range(0, 10);
  const policies: [WaitingOptions, number[], string][] = [
    [{ capacity: 3 }, [0, 1, 2], 'LIMIT_EXCEEDED'],
    [{ capacity: 3, onFull: 'drop-oldest' }, [7, 8, 9], 'complete'],
    [{ capacity: 3, onFull: 'drop-newest' }, [0, 1, 2], 'complete'],
    [{ capacity: 0, onFull: 'drop-oldest' }, [], 'complete'],
    [{ capacity: 10 }, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 'complete'],
  ];
  for (const [options, values, end] of policies)
    assert.equal(await collect(toAsyncIterable(ten, options)), { values, end }, JSON.stringify(options));
  let taken = 0;
  const endless = new Observable<number>((subscriber) => {
    while (!subscriber.closed) subscriber.next(taken++);
  });
  assert.is((await collect(toAsyncIterable(endless, { capacity: 5 }))).end, 'LIMIT_EXCEEDED');
  assert.is(taken, 6, 'the source is left at once');
  for (const wrong of [
    { capacity: -1 },
    { capacity: 1.5 },
    { onFull: 'wait' as never },
    { size: 3 } as never,
  ])
    assert.throws(
      () => toAsyncIterable(ten, wrong),
      (error: RxhiveError) => error.code === 'INVALID_OPTION',
    );
});

test('however it is said and read, values come in order, at most the capacity waits, and the rest is what the policy says', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('say', 'read'), { maxLength: 40 }),
      fc.integer({ min: 0, max: 5 }),
      fc.constantFrom('error' as const, 'drop-oldest' as const, 'drop-newest' as const),
      async (steps, capacity, onFull) => {
        const source = new Subject<number>();
        const iterator = toAsyncIterable(source, { capacity, onFull })[Symbol.asyncIterator]();
        // The oracle: what waits, and who asks.
        const waiting: number[] = [];
        const expected: (number | string)[] = [];
        let asking = 0;
        let failed = false;
        let told = false;
        let said = 0;
        const answers: Promise<number | string>[] = [];
        const read = (): void => {
          answers.push(
            iterator.next().then(
              ({ done, value }) => (done === true ? 'done' : (value as number)),
              (error: RxhiveError) => error.code,
            ),
          );
          const value = waiting.shift();
          if (value !== undefined) expected.push(value);
          else if (failed && !told) {
            told = true;
            expected.push('LIMIT_EXCEEDED');
          } else if (failed) expected.push('done');
          else asking += 1;
        };
        for (const step of steps) {
          if (step === 'read') read();
          else {
            const value = said++;
            source.next(value);
            if (failed) continue;
            if (asking > 0) {
              asking -= 1;
              expected.push(value);
            } else if (waiting.length < capacity) waiting.push(value);
            else if (onFull === 'error') failed = true;
            else if (onFull === 'drop-oldest' && capacity > 0) {
              waiting.shift();
              waiting.push(value);
            }
          }
        }
        assert.is(source.observed, !failed);
        source.complete();
        for (; asking > 0; asking--) expected.push('done');
        assert.equal(await Promise.all(answers), expected);
      },
    ),
  );
});

test('a stream of the Web is asked one by one, has all, tells its error, and leaves when it is cancelled', async () => {
  assert.equal(await collect(toReadableStream(of(1, 2, 3))), { values: [1, 2, 3], end: 'complete' });
  assert.equal(
    await collect(
      toReadableStream(
        concat(
          of(1),
          throwError(() => new Error('late')),
        ),
      ),
    ),
    {
      values: [1],
      end: 'late',
    },
  );
  const source = new Subject<string>();
  const stream = toReadableStream(source, { capacity: 2, onFull: 'drop-oldest' });
  await new Promise((done) => setImmediate(done));
  for (const word of ['a', 'b', 'c']) source.next(word);
  const reader = stream.getReader();
  assert.is((await reader.read()).value, 'b');
  await reader.cancel();
  assert.is(source.observed, false);
  const piped: number[] = [];
  await toReadableStream(range(0, 5)).pipeTo(
    new WritableStream({
      write: (value) => {
        piped.push(value);
      },
    }),
  );
  assert.equal(piped, [0, 1, 2, 3, 4]);
});

test('a stream of Node is made by Readable.from, and unsubscribes when it is destroyed', async () => {
  assert.equal(await Readable.from(toAsyncIterable(of('a', 'b'))).toArray(), ['a', 'b']);
  const source = new Subject<string>();
  const stream = Readable.from(toAsyncIterable(source));
  const first = new Promise((done) => stream.once('data', done));
  await new Promise((done) => setImmediate(done));
  source.next('a');
  assert.is(await first, 'a');
  stream.destroy();
  source.next('b');
  await new Promise((done) => setImmediate(done));
  assert.is(source.observed, false);
});

/** Numbers from 0, and how many have been taken. */
function counting(): { readonly taken: () => number; pull(): { done: boolean; value: number } } {
  let taken = 0;
  return { taken: () => taken, pull: () => ({ done: taken >= 1_000, value: taken++ }) };
}

for (const [name, open] of [
  [
    'the Web',
    (pull: ReturnType<typeof counting>['pull']) =>
      new ReadableStream<number>(
        {
          pull: (controller) => {
            const { done, value } = pull();
            if (done) controller.close();
            else controller.enqueue(value);
          },
        },
        { highWaterMark: 0 },
      ),
  ],
  [
    'Node',
    (pull: ReturnType<typeof counting>['pull']) =>
      new Readable({
        objectMode: true,
        highWaterMark: 1,
        read() {
          const { done, value } = pull();
          this.push(done ? null : value);
        },
      }) as AsyncIterable<number>,
  ],
] as const)
  test(`flow.each takes a stream of ${name}, and reads no further than it has slots`, async () => {
    const { taken, pull } = counting();
    const flow = workflow({ name: 'readable', concurrency: 3 });
    let done = 0;
    let furthest = 0;
    const each = flow.each('items', {
      from: () => open(pull),
      run: async (item) => {
        await new Promise((answer) => setImmediate(answer));
        furthest = Math.max(furthest, taken() - done);
        done += 1;
        return item;
      },
    });
    const result = await flow.run().result();
    assert.is(result.results.get(each)?.succeeded, 1_000);
    assert.ok(furthest <= 6, `${furthest} were taken that are not done`);
  });

test('rxjs reads streams of both kinds', async () => {
  for (const readable of [toReadableStream(of(1, 2)), Readable.from([1, 2])])
    assert.equal((await collect(toAsyncIterable(from(readable as AsyncIterable<number>)))).values, [1, 2]);
});

test.run();
