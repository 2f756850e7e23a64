import { delay, of, timer } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { latest, optional, workflow } from '../../lib/index.js';
import {
  MarbleMismatchError,
  type MarbleTools,
  marbles,
  SimulationScheduler,
  type TimelinePicture,
  timelineSvg,
} from '../../lib/testing/index.js';

/** The error of a marble test that has to fail. */
async function failing(run: () => Promise<void>): Promise<MarbleMismatchError> {
  try {
    await run();
  } catch (error) {
    return error as MarbleMismatchError;
  }
  throw new Error('the marble test passed');
}

test(
  'one marble per attempt: retries, backoff, the result, and the picture of it',
  marbles(({ agent, flow, expectTask, expectSubscriptions, expectTimeline, expectStatus }) => {
    const search = agent(['-#', '-#', '--b|'], { b: 'bees' });
    const write = agent('---w|');
    const brief = workflow({ name: 'brief', retry: { count: 2, backoff: () => 20 } });
    const found = brief.task('search', { run: search });
    brief.task('write', { dependencies: { found }, run: write });
    flow(brief);
    expectTask('search').toBe('1ms 20ms 1ms 20ms --b|', { b: 'bees' });
    expectTask('write').toBe('45ms ---w|');
    expectSubscriptions(search).toBe(['^!', '21ms ^!', '42ms ^--!']);
    expectTimeline().toBe(`
      search  =~~~~~~~~~~~~~~~~~~~~=~~~~~~~~~~~~~~~~~~~~===|
      write   .............................................====|
    `);
    expectStatus('succeeded');
  }),
);

test(
  'errors are compared by code, and every status has its character',
  marbles({ unit: 10 }, ({ agent, flow, at, expectTask, expectTimeline, expectStatus }) => {
    const flowing = workflow({ name: 'ends', concurrency: 3, groups: { one: { concurrency: 1 } } });
    const slow = flowing.task('slow', { timeout: 30, run: agent('----------a|') });
    flowing.task('after', { dependencies: [slow], run: agent('a|') });
    flowing.task('either', { dependencies: [optional(slow)], run: agent('-a|') });
    flowing.task('first', { group: 'one', run: agent('--a|') });
    flowing.task('second', { group: 'one', run: agent('-#', {}, 'HTTP_500') });
    const parent = flowing.task('parent', {
      dependencies: [optional(slow)],
      run: async (_, ctx) => {
        await ctx.sleep(10);
        return ctx.join(ctx.spawn('child', { run: () => timer(20) }));
      },
    });
    const never = flowing.task('never', { run: agent('-') });
    const run = flow(flowing);
    at('90ms', () => run.cancelTask(never));
    expectTask(slow).toBe('---#', {}, 'TASK_TIMEOUT');
    expectTask('after').toBe('---#', {}, 'TASK_SKIPPED');
    expectTask('second').toBe('----#', {}, 'HTTP_500');
    expectTask('child').toBe('-------(v|)', { v: 0 });
    expectTask(parent).toBe('-------(v|)', { v: 0 });
    expectTask(never).toBe('---------#', {}, 'WORKFLOW_CANCELLED');
    expectTimeline().toBe(`
      slow    ===#
      after   ...x
      either  ...==|
      first   ===|
      second  :::=#
      parent  ...:=??|
      never   =========!
      child   _____==|
    `);
    expectStatus('partial');
  }),
);

test(
  'bodies of a workflow are replaced by id or type; streams, events and rxjs timers are virtual',
  marbles(({ agent, flow, expectTask, expectEvents, expectTimeline }) => {
    const real = workflow({ name: 'real', groups: { api: { concurrency: 2 } } });
    const words = real.task('words', { type: 'stream', run: () => of('must not run') });
    const count = real.task('count', { dependencies: { words: latest(words) }, run: (inputs$) => inputs$ });
    const plain = real.task('plain', { group: 'api', run: () => of(1).pipe(delay(7)) });
    const limited = real.task('limited', {
      group: 'api',
      retry: 1,
      run: agent(['-#', '-x|'], {}, Object.assign(new Error('429'), { status: 429, retryAfter: 0.05 })),
    });
    flow(real, { agents: { stream: agent('-a-b-(c|)') } });
    expectTask(count).toBe('-a-b-(c|)', {
      a: { words: 'a' },
      b: { words: 'b' },
      c: { words: 'c' },
    });
    expectTask(plain).toBe('7ms (v|)', { v: 1 });
    expectTask(limited).toBe('52ms x|');
    expectEvents({ type: 'group' }).toBe('-g', { g: { reason: 'gated', group: 'api', delay: 50 } });
    expectTimeline('count', words).toBe(`
      words =====|
      count .====|
    `);
  }),
);

test(
  'promises take their time in virtual time, generators too',
  marbles({ unit: '1s' }, ({ flow, expectTask, expectTimeline }) => {
    const async = workflow({ name: 'async' });
    const slow = async.task('slow', {
      run: async (_, ctx) => {
        await ctx.sleep(2_000);
        await ctx.sleep(1_000);
        return 's';
      },
    });
    const words = async.task('words', {
      run: async function* (_, ctx) {
        for (const word of ['a', 'b']) {
          await ctx.sleep(1_000);
          yield word;
        }
      },
    });
    async.task('both', { dependencies: [slow, words], run: async () => 'x' });
    flow(async);
    expectTask(slow).toBe('---(s|)');
    expectTask(words).toBe('-a(b|)');
    expectTask('both').toBe('---(x|)');
    expectTimeline().toBe('slow ===|\nwords ==|\nboth ...|');
  }),
);

test(
  'jitter is repeatable: the seed is fixed unless given',
  marbles(({ agent, flow, expectTask }) => {
    for (const seed of [undefined, 1, undefined]) {
      const jittered = workflow({ name: 'jitter', retry: 5 });
      jittered.task('a', { run: agent(['#', '#', 'a|']) });
      flow(jittered, seed === undefined ? {} : { seed });
      expectTask('a').toBe('317ms a|');
    }
  }),
);

test('a difference shows both timelines, aligned, and what differs first', async () => {
  const error = await failing(
    marbles(({ agent, flow, expectTask, expectTimeline, expectStatus }) => {
      const two = workflow({ name: 'two' });
      const a = two.task('a', { run: agent('---x---(y|)', { y: { deep: [1] } }) });
      two.task('b', { dependencies: [a], run: agent('----b|') });
      flow(two);
      expectTask('a').toBe('---x-------(y|)', { y: { deep: [2] } });
      expectTimeline().toBe('a =====|\nb .......====|\nc ==|');
      expectStatus('failed');
    }),
  );
  assert.ok(error instanceof MarbleMismatchError);
  assert.is(
    error.message,
    `task "a" differs
  expected  ---x-------(y|)
  actual    ---x---(a|)
                   ^
            a = { deep: [ 1 ] }
  first difference: expected value { deep: [ 2 ] } at 11 ms, actual value { deep: [ 1 ] } at 7 ms

timeline differs in 3 of 3 rows
  a
  expected  =====|
    actual  =======|
                 ^
  b
  expected  .......====|
    actual  .......=====|
                       ^
  c
  expected  ==|
    actual  (no such task)
            ^
the whole run, ready to paste:
a  =======|
b  .......=====|

the run is succeeded, not failed
two: succeeded in 12 ms (work 12 ms, retries 0)
tasks: 2 succeeded
critical path, 12 ms: a -> b`,
  );
});

test('each kind of expectation can fail', async () => {
  const one = (check: (tools: MarbleTools) => unknown) => async () => {
    await failing(marbles(check));
  };
  for (const wrong of ['-b|', '--a|', '-a', '-a-|', '-#', ''])
    await one(({ agent, flow, expectTask }) => {
      const w = workflow({ name: 'w' });
      w.task('a', { run: agent('-a|') });
      flow(w);
      expectTask('a').toBe(wrong);
    })();
  for (const code of ['OTHER', 500])
    await one(({ agent, flow, expectTask }) => {
      const w = workflow({ name: 'w' });
      w.task('a', { run: agent('-#', {}, 'CODE') });
      flow(w);
      expectTask('a').toBe('-#', {}, code);
    })();
  for (const wrong of ['^-!', '^', ['^!', '^!'], []])
    await one(({ agent, flow, expectSubscriptions }) => {
      const w = workflow({ name: 'w' });
      const a = agent('-(a|)');
      w.task('a', { run: a });
      flow(w);
      expectSubscriptions(a).toBe(wrong);
    })();
  await one(({ agent, flow, expectEvents }) => {
    const w = workflow({ name: 'w' });
    w.task('a', { run: agent('-(a|)') });
    flow(w);
    expectEvents({ type: 'attempt' }).toBe('ab', { a: { reason: 'started' }, b: { reason: 'failed' } });
  })();
  await one(({ agent, flow, after }) => {
    const w = workflow({ name: 'w' });
    w.task('a', { run: agent('-(a|)') });
    flow(w);
    after((result) => assert.is(result.status, 'failed'));
  })();
});

test('a run that does not end is told with what everybody waits for', async () => {
  const error = await failing(
    marbles(({ agent, flow }) => {
      const stuck = workflow({ name: 'stuck' });
      const never = stuck.task('never', { run: agent('-') });
      stuck.task('after', { dependencies: [never], run: agent('a|') });
      flow(stuck);
    }),
  );
  assert.match(error.message, /has not ended after 0 ms/);

  assert.match(error.message, /"after" waits for "never" \(running\)/);
  const late = await failing(
    marbles({ until: '1s' }, ({ agent, flow }) => {
      const slow = workflow({ name: 'slow' });
      slow.task('slow', { run: agent('2s a|') });
      flow(slow);
    }),
  );
  assert.match(late.message, /has not ended/);
});

test('any stream is held to marbles, and is a row of the picture with values of one moment side by side', async () => {
  let picture: TimelinePicture | undefined;
  const test = (marble: string) =>
    marbles({ seen: ([seen]) => (picture = seen) }, ({ agent, cold, flow, expectStream }) => {
      const small = workflow({ name: 'small' });
      small.task('task', { run: agent('---------(a|)') });
      flow(small);
      expectStream('shown', cold('--(ab)c#', {}, 'HTTP_500')).toBe(marble, {}, 'HTTP_500');
    });
  await test('--(ab)c#')();
  assert.equal(picture?.rows.at(-1), {
    taskId: 'shown',
    changes: [
      { at: 0, status: 'waiting' },
      { at: 7, status: 'failed' },
    ],
  });
  const row = timelineSvg(picture as TimelinePicture)
    .split('\n')
    .flatMap((line) => /<circle class="value" cx="([\d.]+)"/.exec(line)?.[1] ?? [])
    .map(Number);
  assert.is(row.length, 3);
  assert.ok(
    row.every((x, i) => i === 0 || x - (row[i - 1] as number) >= 16),
    row.join(),
  );
  const wrong = await failing(test('--(ba)c#'));
  assert.match(wrong.message, /stream "shown" differs/);
});

test('wrong marbles are refused with the reason', async () => {
  for (const text of ['(a', 'a)', '((a))']) {
    const error = await failing(marbles(({ agent }) => agent(text)));
    assert.match(error.message, /without its partner/);
  }
  assert.match((await failing(marbles(({ agent }) => agent([])))).message, /give marbles/);
  assert.match((await failing(marbles(({ expectTask }) => expectTask('a')))).message, /call flow/);
});

test('rxjs gets its real clock back, also after a failure', async () => {
  await failing(
    marbles(() => {
      throw new Error('in the body');
    }),
  );
  const before = Date.now();
  await new Promise((done) => timer(15).subscribe(done));
  assert.ok(Date.now() - before >= 10);
});

test('a run can be given a scheduler of its own too', async () => {
  const scheduler = new SimulationScheduler();
  const w = workflow({ name: 'own' });
  w.task('a', { run: () => timer(5, scheduler) });
  const result = w.run({ scheduler }).result();
  scheduler.flush();
  assert.is((await result).report.wallMs, 5);
});

test.run();
