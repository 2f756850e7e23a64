import {
  auditTime,
  bufferTime,
  concatMap,
  debounceTime,
  delay,
  from,
  interval,
  map,
  type Observable,
  of,
  type SchedulerLike,
  take,
  throttleTime,
  timeout,
  timer,
  VirtualTimeScheduler,
} from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { workflow } from '../../lib/index.js';
import { seededRandom } from '../../lib/kernel/random.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

/** Values at uneven distances, some at the same ms, some 0 apart. */
function source(scheduler: SchedulerLike, seed: number): Observable<number> {
  const random = seededRandom(seed);
  const gaps = Array.from({ length: 40 }, () => Math.floor(random() * 12));
  return from(gaps).pipe(concatMap((gap, i) => timer(gap, scheduler).pipe(map(() => i))));
}

const operators: Readonly<Record<string, (s: SchedulerLike, seed: number) => Observable<unknown>>> = {
  interval: (s, seed) => interval(1 + (seed % 9), s).pipe(take(30)),
  timer: (s, seed) => timer(seed % 5, 3, s).pipe(take(20)),
  debounce: (s, seed) => source(s, seed).pipe(debounceTime(5, s)),
  audit: (s, seed) => source(s, seed).pipe(auditTime(7, s)),
  throttle: (s, seed) => source(s, seed).pipe(throttleTime(9, s, { leading: true, trailing: true })),
  buffer: (s, seed) => source(s, seed).pipe(bufferTime(11, 4, 3, s)),
  delay: (s, seed) => source(s, seed).pipe(delay(6, s)),
  timeout: (s, seed) => source(s, seed).pipe(timeout({ each: 10, scheduler: s, with: () => of('late') })),
};

/** Everything that comes out, with its time. */
function seen(scheduler: VirtualTimeScheduler | SimulationScheduler, stream: Observable<unknown>): unknown[] {
  const log: unknown[] = [];
  const note = (what: unknown): void => void log.push([scheduler.now(), what]);
  stream.subscribe({ next: note, error: note, complete: () => note('completed') });
  scheduler.flush();
  return log;
}

for (const [name, make] of Object.entries(operators)) {
  test(`${name} emits what it does on VirtualTimeScheduler`, () => {
    for (let seed = 1; seed <= 50; seed++) {
      const expected = new VirtualTimeScheduler();
      const actual = new SimulationScheduler();
      const log = seen(expected, make(expected, seed));
      assert.ok(log.length > 1);
      assert.equal(seen(actual, make(actual, seed)), log, `seed ${seed}`);
    }
  });
}

test('actions due at the same ms go in the order in which they were scheduled', () => {
  const scheduler = new SimulationScheduler();
  const log: string[] = [];
  scheduler.schedule(() => {
    log.push('a');
    scheduler.schedule(() => log.push('d'), 0);
  }, 5);
  scheduler.schedule(() => log.push('b'), 5);
  scheduler.schedule(() => log.push('first'), 4);
  scheduler.schedule(() => log.push('c'), 5).unsubscribe();
  scheduler.schedule(() => log.push('never'), Number.POSITIVE_INFINITY);
  scheduler.flush();
  assert.equal(log, ['first', 'a', 'b', 'd']);
  assert.is(scheduler.now(), 5);
  assert.is(scheduler.pending, 0);
});

test('time can be moved in pieces, and an action may schedule and end itself', () => {
  const scheduler = new SimulationScheduler();
  const at: number[] = [];
  const ticking = scheduler.schedule(
    function (this, n) {
      at.push(scheduler.now());
      if (n === 3) this.unsubscribe();
      this.schedule((n ?? 0) + 1, 10);
    },
    10,
    1,
  );
  scheduler.run(25);
  assert.equal(at, [10, 20]);
  assert.is(scheduler.now(), 25);
  assert.is(scheduler.nextAt, 30);
  scheduler.run();
  assert.equal(at, [10, 20, 30]);
  assert.ok(ticking.closed);
});

test('what an action throws is thrown by the caller; the rest stays pending', () => {
  const scheduler = new SimulationScheduler();
  let ran = false;
  scheduler.schedule(() => {
    throw new Error('planned');
  }, 1);
  scheduler.schedule(() => {
    ran = true;
  }, 2);
  assert.throws(() => scheduler.flush(), /planned/);
  scheduler.flush();
  assert.ok(ran);
});

test('a run with async bodies takes virtual time', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'hours', concurrency: 2 });
  const order: string[] = [];
  const body = (id: string, ms: number) => async (_: unknown, ctx: { sleep(ms: number): Promise<void> }) => {
    await ctx.sleep(ms);
    await null;
    await ctx.sleep(1);
    order.push(id);
  };
  const a = flow.task('a', { run: body('a', 3_600_000) });
  flow.task('b', { run: body('b', 1_000) });
  flow.task('c', { run: body('c', 3_598_998) });
  flow.task('d', { dependencies: [a], run: body('d', 5) });
  const result = flow.run({ scheduler }).result();
  await advance(scheduler);
  assert.is((await result).report.wallMs, 3_600_007);
  assert.equal(order, ['b', 'c', 'a', 'd']);
});

test('advance stops where it is told to', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'pieces' });
  const task = flow.task('task', { run: async (_, ctx) => ctx.sleep(100) });
  const run = flow.run({ scheduler });
  const result = run.result();
  await advance(scheduler, 60);
  assert.is(scheduler.now(), 60);
  assert.is(run.explain(task), 'Task "task" has been running for 0.1 s, attempt 1.');
  await advance(scheduler);
  assert.is((await result).status, 'succeeded');
});

test.run();
