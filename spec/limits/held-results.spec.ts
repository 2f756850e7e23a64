import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Task, type TaskContext, workflow } from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

/** Runs tasks with dependencies by number; the most results that were held at once, and what it came to. */
async function play(
  needs: readonly (readonly number[])[],
  options: { readonly heldResults?: number; readonly concurrency: number },
  ms: (i: number) => number,
) {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'held', policy: 'depth-first', ...options });
  const handles: Task[] = [];
  const begun = new Set<number>();
  const made = new Set<number>();
  let most = 0;
  const users = (i: number): readonly number[] => needs.flatMap((on, j) => (on.includes(i) ? [j] : []));
  for (const [i, on] of needs.entries())
    handles.push(
      flow.task(`t${i}`, {
        dependencies: on.map((j) => handles[j] as Task),
        run: async (_: unknown, ctx: TaskContext) => {
          begun.add(i);
          await ctx.sleep(ms(i));
          made.add(i);
          const held = [...made].filter((j) => users(j).some((one) => !begun.has(one)));
          most = Math.max(most, held.length);
        },
      }),
    );
  const ended = flow.run({ scheduler }).result();
  await advance(scheduler);
  const { status, report } = await ended;
  return { status, most, wallMs: report.wallMs };
}

/** `width` results, each used by a task of its own, whose results are used by one that ends it all. */
const wide = (width: number): number[][] => [
  ...Array.from({ length: width }, () => []),
  ...Array.from({ length: width }, (_, i) => [i]),
];

test('a wide map holds no more results than it may', async () => {
  const slow = (i: number): number => (i < 20 ? 10 : 40);
  const free = await play(wide(20), { concurrency: 4 }, slow);
  const bound = await play(wide(20), { concurrency: 4, heldResults: 2 }, slow);
  assert.is(bound.status, 'succeeded');
  assert.ok(free.most > 2, `${free.most}`);
  assert.ok(bound.most <= 2, `${bound.most} results were held`);
  // The tasks that use them have all slots: nothing is lost.
  assert.ok(bound.wallMs <= free.wallMs * 1.3, `${bound.wallMs} ms, without a bound ${free.wallMs}`);
});

test('whatever the graph is, the run goes on to its end, and without branches holds no more than it may', async () => {
  const graph = fc
    .array(fc.array(fc.nat({ max: 30 }), { maxLength: 3 }), { minLength: 1, maxLength: 14 })
    .map((all) => all.map((on, i) => (i === 0 ? [] : [...new Set(on.map((j) => j % i))])));
  await fc.assert(
    fc.asyncProperty(
      graph,
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.nat({ max: 20 }), { minLength: 14, maxLength: 14 }),
      async (needs, heldResults, concurrency, ms) => {
        const { status, most } = await play(needs, { heldResults, concurrency }, (i) => ms[i] as number);
        assert.is(status, 'succeeded');
        const chains =
          needs.every((on) => on.length <= 1) && new Set(needs.flat()).size === needs.flat().length;
        if (chains) assert.ok(most <= heldResults, `${most} results were held`);
      },
    ),
    { numRuns: 200 },
  );
});

test('results of tasks whose users are skipped or cancelled are not held', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'gone', policy: 'depth-first', heldResults: 1, concurrency: 2 });
  const long = flow.task('long', { priority: 9, run: (_, ctx) => ctx.sleep(100) });
  const a = flow.task('a', { run: (_, ctx) => ctx.sleep(10) });
  flow.task('uses a', { dependencies: [a, long], run: () => 1 });
  const b = flow.task('b', { run: (_, ctx) => ctx.sleep(10) });
  flow.task('uses b', { dependencies: [b], run: () => 1 });
  const run = flow.run({ scheduler });
  const ended = run.result();
  scheduler.schedule(() => run.cancelTask('uses a'), 150);
  await advance(scheduler);
  const { tasks, report } = await ended;
  assert.is(tasks.get('uses b')?.status, 'succeeded');
  assert.ok(report.wallMs <= 150);
});

test('without depth-first it is refused, and explain says what is waited for', async () => {
  assert.throws(() => workflow({ name: 'x', heldResults: 2 }).run(), /depth-first/);
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'says', policy: 'depth-first', heldResults: 1, concurrency: 2 });
  for (const id of ['a', 'b']) {
    const made = flow.task(id, { run: (_, ctx) => ctx.sleep(10) });
    flow.task(`uses ${id}`, { dependencies: [made], run: (_, ctx) => ctx.sleep(10) });
  }
  const run = flow.run({ scheduler });
  const ended = run.result();
  await advance(scheduler, 5);
  assert.match(run.explain('b'), /heldResults: 0 results wait/);
  await advance(scheduler);
  assert.is((await ended).status, 'succeeded');
});

test.run();
