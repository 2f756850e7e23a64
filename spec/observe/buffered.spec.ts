import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { firstValueFrom, Observable, of, range, timer, toArray } from 'rxjs';
import { map } from 'rxjs/operators';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { buffered, RxhiveError } from '../../lib/index.js';

test('each value once, in order, one at a time; a consumer that is done at once does not grow the stack', async () => {
  const all = await firstValueFrom(
    range(0, 50_000).pipe(
      buffered((n) => of(n)),
      toArray(),
    ),
  );
  assert.is(all.length, 50_000);
  assert.ok(all.every((n, i) => n === i));
});

test('a slow consumer gets the newest, and is told how many it lost; none is lost unsaid', async () => {
  const seen = await firstValueFrom(
    range(0, 1_000).pipe(
      buffered((n, dropped) => timer(0).pipe(map(() => [n, dropped] as const)), { capacity: 10 }),
      toArray(),
    ),
  );
  assert.equal(seen[0], [0, 0]);
  assert.equal(seen[1], [990, 989]);
  assert.is(seen.length, 11);
  assert.is(seen.length + seen.reduce((sum, [, dropped]) => sum + dropped, 0), 1_000);
});

test('what is kept is bounded, however many come; errors pass; wrong capacities are refused', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const source = new Observable<{ n: number; load: number[] }>((subscriber) => {
    for (let n = 0; n < 20_000; n++) {
      const value = { n, load: new Array<number>(500).fill(n) };
      subscriber.next(value);
    }
  });
  collect();
  const before = process.memoryUsage().heapUsed;
  const reading = source.pipe(buffered(() => new Observable<never>(), { capacity: 100 })).subscribe();
  collect();
  const grown = (process.memoryUsage().heapUsed - before) / 2 ** 20;
  // All of them would be 80 MiB.
  assert.ok(grown < 20, `${grown.toFixed(0)} MiB`);
  reading.unsubscribe();
  await firstValueFrom(
    of(1).pipe(
      buffered(() => {
        throw new Error('consumer');
      }),
    ),
  ).then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, 'consumer'),
  );
  for (const capacity of [0, -1, 1.5, Number.NaN])
    assert.throws(
      () => buffered(() => of(1), { capacity }),
      (error: unknown) => error instanceof RxhiveError && error.code === 'INVALID_OPTION',
    );
});

test.run();
