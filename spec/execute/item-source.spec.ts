import { concat, interval, map, NEVER, Observable, of, range, Subject, take, throwError } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { memory, workflow } from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

test('an Observable is subscribed to by each run, and left when that is cancelled', async () => {
  let scheduler = new SimulationScheduler();
  let subscribed = 0;
  let left = 0;
  const ticks = new Observable<number>((subscriber) => {
    subscribed += 1;
    const inner = interval(100, scheduler).subscribe(subscriber);
    return () => {
      left += 1;
      inner.unsubscribe();
    };
  });
  const flow = workflow({ name: 'ticks' });
  const items = flow.each('items', { from: ticks, run: (n, ctx) => ctx.sleep(10).then(() => n.toFixed()) });
  for (let i = 1; i <= 2; i++) {
    scheduler = new SimulationScheduler();
    const run = flow.run({ scheduler });
    const shown: unknown[] = [];
    run.values$(items).subscribe({
      next: ({ last }) => shown.push(last?.status === 'succeeded' ? last.value : last),
      error: () => undefined,
    });
    const result = run.result();
    await advance(scheduler, 350);
    assert.match(run.explain('items'), 'waits for its source to give an item');
    run.cancel();
    await advance(scheduler, 10);
    assert.is((await result).status, 'cancelled');
    assert.equal(shown, ['0', '1', '2']);
    assert.equal([subscribed, left], [i, i]);
  }
});

test('values that come at once wait for slots, and the end of the source ends the task', async () => {
  const flow = workflow({ name: 'row', concurrency: 2 });
  const count = flow.task('count', { run: () => 500 });
  const doubled = flow.each('doubled', {
    dependencies: { count },
    from: ({ count }) => range(0, count).pipe(map((n) => n * 2)),
    keep: true,
    run: async (n) => n,
  });
  const none = flow.each('none', { from: range(0, 0), keep: true, run: (n) => n });
  const { results } = await flow.run().result();
  assert.equal(
    results.get(doubled)?.values,
    Array.from({ length: 500 }, (_, n) => n * 2),
  );
  assert.equal(results.get(none)?.values, []);
});

test('one value more than may wait fails the task, drops the oldest, or itself', async () => {
  const play = async (capacity: number, onFull: 'error' | 'drop-oldest' | 'drop-newest') => {
    const scheduler = new SimulationScheduler();
    const source = new Subject<number>();
    const flow = workflow({ name: 'full', concurrency: 1 });
    const items = flow.each('items', {
      from: source,
      capacity,
      onFull,
      keep: true,
      run: (n, ctx) => ctx.sleep(100).then(() => n),
    });
    const result = flow.run({ scheduler }).result();
    await advance(scheduler, 1);
    // The first runs, the second waits for its slot, the others for that.
    for (let n = 0; n < 6; n++) source.next(n);
    await advance(scheduler, 1);
    source.complete();
    await advance(scheduler);
    const { tasks, results } = await result;
    return results.get(items)?.values ?? [String(tasks.get(items)?.error)];
  };
  assert.match(String(await play(2, 'error')), 'More than 2 values wait for "items"; slow the source down');
  assert.equal(await play(4, 'error'), [0, 1, 2, 3, 4, 5]);
  assert.equal(await play(2, 'drop-newest'), [0, 1, 2, 3]);
  assert.equal(await play(2, 'drop-oldest'), [0, 1, 4, 5]);
  assert.equal(await play(0, 'drop-oldest'), [0, 1]);
});

test('the next value never counts as waiting where it was asked for', async () => {
  const flow = workflow({ name: 'wanted' });
  const one = flow.each('one', { from: of('x'), capacity: 0, keep: true, run: (item) => item });
  assert.equal((await flow.run().result()).results.get(one)?.values, ['x']);
});

test('an Observable that fails does so for the task, after what it gave', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'fails' });
  const items = flow.each('items', {
    from: () => throwError(() => new Error('gone')),
    run: (n) => n,
  });
  const result = flow.run({ scheduler }).result();
  await advance(scheduler);
  assert.match(String((await result).tasks.get(items)?.error), 'gone');
});

test('with a store, what an Observable gives again is restored by its key', async () => {
  let store = memory();
  const worked: string[] = [];
  for (const source of [concat(of('a', 'b', 'c'), NEVER), of('b', 'c', 'd')]) {
    const flow = workflow({ name: 'again' });
    flow.each('items', { from: source, key: (one) => one, version: '1', run: (one) => worked.push(one) });
    const scheduler = new SimulationScheduler();
    flow.run({ store, runId: 'r', scheduler }).result();
    await advance(scheduler);
    store = memory(store.dump());
  }
  assert.equal(worked, ['a', 'b', 'c', 'd']);
});

test('what is no source, capacity or policy is refused', () => {
  const flow = workflow({ name: 'wrong' });
  for (const [options, message] of [
    [{ capacity: -1 }, /capacity is -1; give a whole number from 0, or Infinity/],
    [{ onFull: 'wait' }, /onFull is "wait"; give "error", "drop-oldest" or "drop-newest"/],
    [{ from: { subscribe: () => undefined } }, /from is .*; give an iterable, .* an Observable/],
  ] as const)
    assert.throws(
      () => flow.each('wrong', { from: range(0, 3).pipe(take(1)), run: () => 1, ...options } as never),
      (error: unknown) => message.test((error as Error).message),
    );
});

test.run();
