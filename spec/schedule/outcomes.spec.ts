import fc from 'fast-check';
import { concat, of, timer } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { markdownReport } from '../../lib/dashboard/index.js';
import {
  checkWorkflow,
  latest,
  memory,
  optional,
  orElse,
  race,
  settled,
  type Task,
  type WorkflowEvent,
  WorkflowOrchestrator,
  type WorkflowResult,
  workflow,
} from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

const boom = (): never => {
  throw new Error('boom');
};

test('nothing to do is done: an empty workflow, orchestrator, source, and a run that was kept open for nothing', async () => {
  const empty = await workflow({ name: 'empty' }).run().result();
  assert.is(empty.status, 'succeeded');
  assert.is(empty.orThrow(), empty);
  assert.match(String(empty.report), /^empty: succeeded in \d+ ms .*\ntasks: none$/);
  assert.is((await new WorkflowOrchestrator({ agents: {} }).executeWorkflow()).status, 'succeeded');
  const each = workflow({ name: 'each' });
  each.each('none', { from: [], run: () => 1 });
  assert.is((await each.run().result()).status, 'succeeded');
  const run = workflow({ name: 'open' }).run({ keepOpen: true });
  const result = run.result();
  run.close();
  assert.is((await result).status, 'succeeded');
  const cancelled = workflow({ name: 'cancelled' }).run({ keepOpen: true });
  const ended = cancelled.result();
  cancelled.cancel();
  assert.is((await ended).status, 'cancelled');
});

test('a failure that is tolerated, and that all dependents accept, leaves the run succeeded', async () => {
  for (const accept of [optional, settled, <T>(task: Task<T>) => orElse(task, 'none' as const)]) {
    const flow = workflow({ name: 'brief', failurePolicy: 'fail-fast' });
    const news = flow.task('news', { tolerate: true, retry: 1, run: boom });
    const brief = flow.task('brief', { dependencies: { news: accept(news) }, run: () => 'brief' });
    const events: WorkflowEvent[] = [];
    const run = flow.run();
    run.events$.subscribe((event) => events.push(event));
    const result = await run.result();
    assert.is(result.status, 'succeeded');
    assert.is(result.results.get(brief), 'brief');
    assert.is(result.orThrow(), result);
    assert.is(result.report.counts.failed, 1, 'it is not hidden');
    assert.is(result.tasks.get(news)?.tolerated, true);
    assert.not('tolerated' in (result.tasks.get(brief) ?? {}));
    assert.match(String(result.report), /\ntolerated "news" after 2 attempts: boom\n/);
    const failed = events.find((event) => event.type === 'task' && event.reason === 'failed');
    assert.is(failed?.type === 'task' && failed.tolerated, true);
    assert.match(markdownReport(events), /- \*\*news\*\* failed, tolerated after 2 attempts/);
    assert.equal(checkWorkflow(flow), []);
  }
  const alone = workflow({ name: 'alone' });
  alone.task('ping', { tolerate: true, run: boom });
  assert.is((await alone.run().result()).status, 'succeeded', 'nobody depends on it');
});

test('a tolerated failure that a dependent cannot do without counts, and checkWorkflow says so', async () => {
  const flow = workflow({ name: 'needs' });
  const news = flow.task('news', { tolerate: true, run: boom });
  flow.task('brief', { dependencies: { news }, run: () => 1 });
  flow.task('stream', { dependencies: [latest(news)], run: () => 1 });
  flow.task('other', { dependencies: [optional(news)], run: () => 1 });
  const result = await flow.run().result();
  assert.is(result.status, 'partial');
  assert.not('tolerated' in (result.tasks.get(news) ?? {}));
  assert.equal(
    checkWorkflow(flow).map(({ kind, taskId }) => [kind, taskId]),
    [
      ['tolerate-in-vain', 'news'],
      ['tolerate-in-vain', 'news'],
    ],
  );
  assert.match(checkWorkflow(flow)[0]?.message ?? '', /"brief" needs its result: make that optional\(\)/);
  const races = workflow({ name: 'races' });
  const both = ['a', 'b'].map((id) => races.task(id, { tolerate: true, run: boom }));
  races.task('first', { dependencies: [race(both)], run: () => 1 });
  assert.is((await races.run().result()).status, 'failed', 'nobody came first');
  // @ts-expect-error true or false
  flow.task('odd', { tolerate: 'yes', run: () => 1 });
  assert.throws(() => flow.run(), /"odd": tolerate is "yes"; give true/);
});

test('only failures are tolerated: what is cancelled or skipped still makes the run partial', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'cancel' });
  flow.task('done', { run: () => 1 });
  flow.task('slow', { tolerate: true, run: () => timer(100, scheduler) });
  const run = flow.run({ scheduler });
  const result = run.result();
  run.cancelTask('slow');
  await advance(scheduler);
  assert.is((await result).status, 'partial');
});

test('items of flow.each may be tolerated, however many fail, and stay so when the run goes on', async () => {
  const flow = workflow({ name: 'items' });
  flow.each('items', {
    from: Array.from({ length: 300 }, (_, i) => i),
    tolerate: true,
    run: (item) => {
      if (item % 2 === 0) throw new Error('even');
    },
  });
  const result = await flow.run().result();
  assert.is(result.status, 'succeeded');
  assert.is(result.report.counts.failed, 150);
  const store = memory();
  const again = workflow({ name: 'again' });
  again.task('news', { tolerate: true, run: boom });
  again.task('done', { run: () => 1 });
  for (let time = 0; time < 2; time++) {
    const gone = await again.run({ store, runId: 'r' }).result();
    assert.is(gone.status, 'succeeded', `time ${time}`);
    assert.is(gone.tasks.get('news')?.tolerated, true);
  }
});

test('for any graph: the run has succeeded exactly when nothing failed but what is tolerated and accepted', async () => {
  const task = fc.record({
    fails: fc.boolean(),
    tolerate: fc.boolean(),
    needs: fc.array(fc.tuple(fc.nat(7), fc.constantFrom('value', 'optional', 'settled')), { maxLength: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(task, { minLength: 1, maxLength: 8 }), async (tasks) => {
      const flow = workflow({ name: 'any' });
      const handles: Task<unknown>[] = [];
      const good: boolean[] = [];
      let expected = true;
      const accepted = tasks.map((_, i) =>
        tasks.every(({ needs }, j) => j <= i || needs.every(([on, mode]) => on !== i || mode !== 'value')),
      );
      tasks.forEach(({ fails, tolerate, needs }, i) => {
        const known = needs.filter(([on]) => on < i);
        const runs = known.every(([on, mode]) => mode !== 'value' || good[on] === true);
        good[i] = runs && !fails;
        if (!runs || (fails && !(tolerate && accepted[i] === true))) expected = false;
        const dependencies = known.map(([on, mode]) => {
          const handle = handles[on] as Task<unknown>;
          return mode === 'value' ? handle : mode === 'optional' ? optional(handle) : settled(handle);
        });
        handles.push(
          flow.task(`t${i}`, { tolerate, dependencies, run: () => (fails ? boom() : i) }) as Task<unknown>,
        );
      });
      const result = await flow.run().result();
      assert.is(result.status === 'succeeded', expected);
    }),
    { numRuns: 300 },
  );
});

/** What nobody should throw, and some do. */
const odd: readonly unknown[] = [
  Object.create(null),
  Symbol('why'),
  null,
  undefined,
  0n,
  '',
  'x'.repeat(5_000_000),
  new Error(''),
  new Error('x'.repeat(5_000_000)),
  Object.assign(new Error('a'), { message: { toString: boom } }),
  Object.defineProperty(new Error('a'), 'message', { get: boom }),
  Object.defineProperty({}, 'message', { get: boom }),
  { toString: boom },
  { toString: () => ({}) },
  { [Symbol.toPrimitive]: boom },
  new Proxy({}, { get: boom, getPrototypeOf: boom, has: boom }),
  new Proxy(new Error('a'), { get: boom, getPrototypeOf: boom, has: boom }),
  Object.assign(new Error('\u001b[2J gone'), { name: Symbol('n') }),
  [],
  () => 1,
];

test('a report says whatever was thrown, and never throws itself', async () => {
  const flow = workflow({ name: 'odd' });
  odd.forEach((error, i) => {
    flow.task(`t${i}`, {
      run: () => {
        throw error;
      },
    });
  });
  const result = await flow.run().result();
  const text = String(result.report);
  assert.ok(text.length < 100_000, `${text.length} characters`);
  assert.is(text.includes('\u001b'), false);
  assert.match(text, /failed "t1" after 1 attempt: Symbol\(why\)/);
  assert.throws(() => result.orThrow(), /"t0"/);
  await fc.assert(
    fc.asyncProperty(fc.anything({ withNullPrototype: true, withBigInt: true }), async (error) => {
      const one = workflow({ name: 'any' });
      one.task('t', {
        run: () => {
          throw error;
        },
      });
      assert.type(String((await one.run().result()).report), 'string');
    }),
    { numRuns: 200 },
  );
});

/** `n` tasks fail, a join waits for them, and `n` tasks for that. */
async function wide(n: number): Promise<WorkflowResult<undefined>> {
  const flow = workflow({ name: 'wide' });
  const failing = Array.from({ length: n }, (_, i) =>
    flow.task(`f${i}`, {
      run: () => {
        throw new Error(`cause ${i % 3}`);
      },
    }),
  );
  const join = flow.task('join', { dependencies: failing, run: () => 1 });
  const behind = Array.from({ length: n }, (_, i) =>
    flow.task(`b${i}`, { dependencies: [join], run: () => 1 }),
  );
  flow.task('last', { dependencies: behind, run: () => 1 });
  return flow.run().result();
}

test('a wide failure is told in a few lines, and its causes are kept once', async () => {
  const result = await wide(10_000);
  const lines = String(result.report).split('\n');
  assert.equal(lines.slice(2, 6), [
    'failed "f0" and 3333 more after 1 attempt: cause 0',
    'failed "f1" and 3332 more after 1 attempt: cause 1',
    'failed "f2" and 3332 more after 1 attempt: cause 2',
    'skipped "join" and 10001 more because of f0, f1, f2, f3, f4 and 9995 more',
  ]);
  const causes = result.tasks.get('join')?.skippedBecause;
  assert.is(causes?.length, 10_000);
  for (const id of ['b0', 'b9999', 'last'])
    assert.is(result.tasks.get(id)?.skippedBecause, causes, 'one list for all');
});

test('at most a hundred causes are told, and how many more there are', async () => {
  const flow = workflow({ name: 'many' });
  for (let i = 0; i < 250; i++)
    flow.task(`t${i}`, {
      run: () => {
        throw new Error(`own cause ${i % 240}`);
      },
    });
  const text = String((await flow.run().result()).report);
  assert.is(text.match(/^failed /gm)?.length, 100);
  assert.match(text, /\n… and 150 more that failed or were skipped\n/);
});

for (const why of ['the user went home', new Error('the user went home')]) {
  test(`cancel says why: ${typeof why}`, async () => {
    const scheduler = new SimulationScheduler();
    const flow = workflow({ name: 'reason' });
    let seen: unknown;
    flow.task('slow', {
      run: (_, ctx) => {
        ctx.signal.addEventListener('abort', () => {
          seen = ctx.signal.reason;
        });
        return ctx.sleep(1_000);
      },
    });
    const events: WorkflowEvent[] = [];
    const run = flow.run({ scheduler });
    run.events$.subscribe((event) => events.push(event));
    const result = run.result();
    run.cancel(why);
    const { error, report, status } = await result;
    assert.is(status, 'cancelled');
    assert.is(error?.cause, why);
    assert.match(
      error?.message ?? '',
      /^Cancelled: cancel\(\) was called: the user went home See https:\S+#WORKFLOW_CANCELLED$/,
    );
    assert.is(seen, error);
    assert.match(String(report), /\nCancelled: cancel\(\) was called: the user went home\n/);
    const last = events.at(-1);
    assert.is(last?.type === 'run' && last.error, error);
    assert.match(markdownReport(events), /the user went home/);
  });
}

test('cancelTask says why, and a signal does', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'reason' });
  const slow = flow.task('slow', { run: (_, ctx) => ctx.sleep(1_000) });
  flow.task('behind', { dependencies: [slow], run: () => 1 });
  const events: WorkflowEvent[] = [];
  const run = flow.run({ scheduler });
  run.events$.subscribe((event) => events.push(event));
  const result = run.result();
  run.cancelTask(slow, 'wrong page');
  await advance(scheduler);
  const { tasks, report } = await result;
  assert.match(String(tasks.get(slow)?.error), /wrong page/);
  assert.match(
    String(report),
    /\ncancelled "slow": Cancelled: .*: wrong page\nskipped "behind" because of slow\n/,
  );
  const told = events.find((event) => event.type === 'task' && event.reason === 'cancelled');
  assert.match(told?.type === 'task' ? String(told.error) : '', /wrong page/);
  assert.match(markdownReport(events), /slow\*\* cancelled.*wrong page/);
  const signal = AbortSignal.abort(new Error('shutting down'));
  const aborted = await flow.run({ signal }).result();
  assert.match(aborted.error?.message ?? '', /AbortSignal given to the run was aborted: shutting down/);
});

test('what a body says as soon as it is called reaches all who watch it in that turn', async () => {
  const flow = workflow({ name: 'now' });
  const a = flow.task('a', { run: () => of(1, 2, 3) });
  const b = flow.task('b', { run: () => concat(of(4), of(5, 6)) });
  const plain = flow.task('plain', { run: () => 7 });
  flow.task('slow', { run: (_, ctx) => ctx.sleep(1) });
  const seen: Record<string, unknown[]> = { a: [], b: [], plain: [], added: [], late: [] };
  const watch =
    (name: string) =>
    (value: unknown): void =>
      void seen[name]?.push(value);
  const run = flow.run();
  run.values$(a).subscribe(watch('a'));
  run.values$(b).subscribe(watch('b'));
  run.values$(plain).subscribe(watch('plain'));
  const { status } = await run.result();
  assert.is(status, 'succeeded', 'who has seen all at once does not end the run for the others');
  assert.equal(seen, { a: [1, 2, 3], b: [4, 5, 6], plain: [7], added: [], late: [] });

  const open = flow.run({ keepOpen: true });
  const result = open.result();
  const added = open.task('added', { run: () => of('x', 'y') });
  open.values$(added).subscribe(watch('added'));
  assert.equal(seen.added, ['x', 'y']);
  await new Promise((turn) => setTimeout(turn, 2));
  open.values$(added).subscribe(watch('late'));
  assert.equal(seen.late, ['y'], 'later only the result');
  open.close();
  await result;
});

test('in virtual time as well, and nothing is kept beyond the turn', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'now' });
  const a = flow.task('a', { run: () => concat(of(1, 2), timer(10, scheduler)) });
  const run = flow.run({ scheduler });
  const result = run.result();
  const early: unknown[] = [];
  const late: unknown[] = [];
  run.values$(a).subscribe((value) => early.push(value));
  scheduler.schedule(() => run.values$(a).subscribe((value) => late.push(value)), 5);
  await advance(scheduler);
  await result;
  assert.equal(early, [1, 2, 0]);
  assert.equal(late, [0]);
});

test.run();
