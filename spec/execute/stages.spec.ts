import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { memory, settled, WorkflowDefinitionError, workflow } from '../../lib/index.js';
import { Task } from '../../lib/model/dependency.js';
import { advance, explore, SimulationScheduler } from '../../lib/testing/index.js';

const missing = (): never => {
  throw new Error('there is no result');
};

function* upTo(n: number): Generator<number> {
  for (let i = 0; i < n; i++) yield i;
}

test('an item goes on when it has ended in the stage before, while others are still there', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({
    name: 'book',
    groups: { read: { concurrency: 2 }, translate: { concurrency: 1 } },
  });
  const began: string[] = [];
  const read = flow.each('read', {
    from: ['a', 'b', 'c'],
    group: 'read',
    run: async (page, ctx) => {
      began.push(`${scheduler.now()} ${ctx.taskId}`);
      await ctx.sleep(page === 'b' ? 50 : 10);
      return page.toUpperCase();
    },
  });
  const translated = flow.each('translate', {
    from: read,
    group: 'translate',
    keep: true,
    run: async (page, ctx) => {
      began.push(`${scheduler.now()} ${ctx.taskId}`);
      await ctx.sleep(20);
      return `${page}!`;
    },
  });
  const run = flow.run({ scheduler });
  const result = run.result();
  await advance(scheduler);
  const { results, report } = await result;
  assert.equal(began, [
    '0 read/0',
    '0 read/1',
    '10 read/2',
    '10 translate/0',
    '30 translate/2',
    '50 translate/1',
  ]);
  // The third item of this stage is the second of the one before: it was slow there.
  assert.equal(results.get(translated)?.values, ['A!', 'C!', 'B!']);
  assert.is(report.wallMs, 70);
});

test('the stage before is held back while the room of the next is used up', async () => {
  for (const [buffer, most] of [
    [1, 1],
    [3, 3],
    [undefined, 5],
  ] as const) {
    const scheduler = new SimulationScheduler();
    const groups = { quick: { concurrency: 4 }, slow: { concurrency: 1 } };
    const flow = workflow({ name: 'held', groups });
    let taken = 0;
    let begun = 0;
    let onTheWay = 0;
    const first = flow.each('first', {
      from: upTo(30),
      group: 'quick',
      run: (n, ctx) => {
        taken += 1;
        onTheWay = Math.max(onTheWay, taken - begun);
        return ctx.sleep(1).then(() => n);
      },
    });
    flow.each('second', {
      from: first,
      group: 'slow',
      ...(buffer !== undefined && { buffer }),
      run: (_, ctx) => {
        begun += 1;
        return ctx.sleep(10);
      },
    });
    const run = flow.run({ scheduler });
    const result = run.result();
    await advance(scheduler, 25);
    assert.match(
      run.explain('first'),
      `waits for room in "second": ${most} of ${most} items are on their way there`,
    );
    await advance(scheduler);
    assert.is((await result).status, 'succeeded');
    assert.is(onTheWay, most);
    assert.is(begun, 30);
  }
});

test('several stages follow one: each gets every item, and the slowest holds it back', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'two', groups: { slow: { concurrency: 1 } } });
  let taken = 0;
  const first = flow.each('first', { from: upTo(20), run: (n) => ++taken && n });
  const quick = flow.each('quick', { from: first, buffer: 4, keep: true, run: (n) => n });
  const slow = flow.each('slow', {
    from: first,
    group: 'slow',
    buffer: 2,
    keep: true,
    run: (n, ctx) => ctx.sleep(10).then(() => -n),
  });
  const result = flow.run({ scheduler }).result();
  await advance(scheduler, 35);
  assert.is(taken, 4 + 2);
  await advance(scheduler);
  const { results } = await result;
  assert.equal(results.get(quick)?.values, [...upTo(20)]);
  assert.equal(
    results.get(slow)?.values,
    [...upTo(20)].map((n) => -n),
  );
});

test('an item that failed does not go on, and those that do keep their keys', async () => {
  const flow = workflow({ name: 'keys', concurrency: 3 });
  const ids: string[] = [];
  const first = flow.each('first', {
    from: ['x', 'y', 'z'],
    key: (word) => word,
    tolerate: true,
    run: (word) => {
      if (word === 'y') throw new Error('no y');
      return word;
    },
  });
  const second = flow.each('second', { from: first, run: (word, ctx) => `${word} ${ids.push(ctx.taskId)}` });
  const third = flow.each('third', {
    from: second,
    key: (word) => `own ${word}`,
    run: (_, ctx) => ids.push(ctx.taskId),
  });
  const { status, results } = await flow.run().result();
  assert.is(status, 'succeeded');
  assert.equal(ids.sort(), ['second/x', 'second/z', 'third/own x 1', 'third/own z 3'].sort());
  assert.equal([results.get(first)?.failed, results.get(third)?.taken], [1, 2]);
});

test('a source that breaks ends the stages behind it, with the cause', async () => {
  const flow = workflow({ name: 'breaks' });
  let signal: AbortSignal | undefined;
  const first = flow.each('first', {
    from: function* () {
      yield 1;
      yield 2;
      throw new Error('no more');
    },
    run: (n) => n,
  });
  const second = flow.each('second', {
    from: first,
    run: (_, ctx) => {
      signal = ctx.signal;
      return new Promise(() => undefined);
    },
  });
  const third = flow.each('third', { from: second, run: (n) => n });
  const run = flow.run();
  const { status, tasks, report } = await run.result();
  assert.is(status, 'partial');
  assert.equal(
    [first, second, third].map((task) => tasks.get(task)?.status),
    ['failed', 'skipped', 'skipped'],
  );
  assert.is(run.explain('third'), 'Task "third" was skipped because "second" was skipped.');
  assert.match(String(report), /no more/);
  // What is behind the source ended before it began to work, or was stopped.
  assert.is(signal?.aborted ?? true, true);
});

test('a stage that is cancelled ends those behind it, and holds those before it back no more', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'cancelled' });
  const first = flow.each('first', { from: upTo(50), run: (n, ctx) => ctx.sleep(1).then(() => n) });
  const second = flow.each('second', {
    from: first,
    buffer: 2,
    run: (n, ctx) => ctx.sleep(1_000).then(() => n),
  });
  const third = flow.each('third', { from: second, run: (n) => n });
  const after = flow.task('after', {
    dependencies: { third: settled(third) },
    run: ({ third }) => third.status,
  });
  const run = flow.run({ scheduler });
  const result = run.result();
  await advance(scheduler, 100);
  run.cancelTask('second');
  await advance(scheduler);
  const { tasks, results } = await result;
  assert.is(tasks.get(second)?.status, 'cancelled');
  assert.is(tasks.get(third)?.status, 'skipped');
  assert.is(results.get(first)?.succeeded, 50);
  assert.is(results.get(after), 'skipped');
});

test('a stage that is skipped before it began holds nobody back', async () => {
  const flow = workflow({ name: 'skipped' });
  const bad = flow.task('bad', {
    run: () => {
      throw new Error('bad');
    },
  });
  const first = flow.each('first', { from: upTo(300), run: (n) => n });
  const second = flow.each('second', { dependencies: { bad }, buffer: 1, from: first, run: (n) => n });
  const { results, tasks } = await flow.run().result();
  assert.is(results.get(first)?.succeeded, 300);
  assert.is(tasks.get(second)?.status, 'skipped');
});

test('a stage that waits for other tasks gets its items when they have ended, and its inputs are theirs', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'late' });
  const words = flow.task('words', { run: (_, ctx) => ctx.sleep(500).then(() => ['zero', 'one', 'two']) });
  const first = flow.each('first', { from: upTo(3), run: (n) => n });
  const record = flow.each('record', {
    dependencies: { words },
    from: first,
    keep: true,
    run: (n, _, inputs) => `${Object.keys(inputs)} ${inputs.words[n]}`,
  });
  const tuple = flow.each('tuple', {
    dependencies: [words],
    from: first,
    keep: true,
    run: (n, _, inputs) => `${inputs.length} ${inputs[0][n]}`,
  });
  const run = flow.run({ scheduler });
  const result = run.result();
  await advance(scheduler, 100);
  assert.is(run.explain('record'), 'Task "record" waits for "words" (running).');
  await advance(scheduler);
  const { results } = await result;
  assert.equal(results.get(record)?.values, ['words zero', 'words one', 'words two']);
  assert.equal(results.get(tuple)?.values, ['1 zero', '1 one', '1 two']);
});

test('what makes no sense is refused', () => {
  const faultsOf = (define: (flow: ReturnType<typeof plain>) => unknown): string => {
    const flow = plain();
    define(flow);
    try {
      flow.run();
    } catch (error) {
      if (error instanceof WorkflowDefinitionError) return error.faults.map((one) => one.message).join('\n');
    }
    return 'fine';
  };
  const plain = () => workflow({ name: 'faults' });
  const run = (n: unknown): unknown => n;
  assert.match(
    faultsOf((flow) => flow.each('b', { from: flow.task('a', { run: () => 1 }) as never, run })),
    'flow.each "b" takes its items from "a", which is no flow.each; give one',
  );
  assert.match(
    faultsOf((flow) => flow.each('b', { from: plain().each('a', { from: [1], run }), run })),
    'depends on "a" of another workflow',
  );
  assert.match(
    faultsOf((flow) => {
      flow.each('a', { from: new Task('b') as never, run });
      flow.each('b', { from: new Task('a') as never, run });
    }),
    /Tasks wait for each other: .*; remove one of these dependencies/,
  );
  assert.match(
    faultsOf((flow) => {
      const a = flow.each('a', { from: [1], run });
      const b = flow.each('b', { from: a, run });
      flow.each('c', { dependencies: { b }, from: a, run });
    }),
    'flow.each "c" takes items from "a" while they come, but waits for "b", which ends after that one',
  );
  for (const buffer of [0, -1, 1.5, Number.NaN, '2'])
    assert.throws(
      () => plain().each('a', { from: [1], buffer: buffer as number, run }),
      /flow.each "a": buffer is .*; give a whole number from 1, or Infinity/,
    );
});

test('pictures and plan show the way, and explain what a stage waits for', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'pictures' });
  const first = flow.each('first', { from: upTo(2), run: (n, ctx) => ctx.sleep(100).then(() => n) });
  flow.each('second', { from: first, run: (n) => n });
  assert.match(flow.graph(), '-. items .->');
  assert.match(flow.graph('dot'), 't0 -> t1 [style=dashed, label="items"]');
  const run = flow.run({ scheduler });
  const planned: unknown[] = [];
  run.events$.subscribe((event) => {
    if (event.type === 'plan') planned.push(...event.tasks);
  });
  const result = run.result();
  await advance(scheduler, 50);
  assert.match(
    run.explain('second'),
    'waits for "first" to give it an item, or for those it was given to end',
  );
  await advance(scheduler);
  await result;
  assert.match(JSON.stringify(planned), '"dependencies":[{"id":"first","mode":"items"}]');
});

test('a slow middle stage decides how long all of them take', async () => {
  const scheduler = new SimulationScheduler();
  const groups = { a: { concurrency: 8 }, b: { concurrency: 2 }, c: { concurrency: 4 } };
  const flow = workflow({ name: 'middle', groups });
  let seed = 1;
  const about = (ms: number): number => {
    seed = (seed * 16_807) % 2_147_483_647;
    return Math.round(ms * (0.5 + seed / 2_147_483_647));
  };
  const a = flow.each('a', {
    from: upTo(2_000),
    group: 'a',
    run: (n, ctx) => ctx.sleep(about(30)).then(() => n),
  });
  let slow = 0;
  const b = flow.each('b', {
    from: a,
    group: 'b',
    run: (n, ctx) => {
      const ms = about(10);
      slow += ms / 2;
      return ctx.sleep(ms).then(() => n);
    },
  });
  const c = flow.each('c', { from: b, group: 'c', run: (_, ctx) => ctx.sleep(about(15)) });
  const result = flow.run({ scheduler }).result();
  await advance(scheduler);
  const { report, results } = await result;
  assert.is(results.get(c)?.succeeded, 2_000);
  assert.ok(report.wallMs <= 1.05 * slow, `${report.wallMs} ms, the slowest stage alone ${slow} ms`);
});

test('a run that goes on repeats nothing and loses nothing, wherever it was killed', async () => {
  const ids = ['first', 'second', 'third'];
  const build = (scheduler: SimulationScheduler, worked: string[]) => {
    const flow = workflow({ name: 'killed', groups: { one: { concurrency: 3 }, two: { concurrency: 2 } } });
    const work = async (n: number, ctx: { taskId: string; sleep(ms: number): Promise<void> }) => {
      await ctx.sleep(5 + ((n * 7) % 11));
      worked.push(ctx.taskId);
      return n + 1;
    };
    const first = flow.each('first', { from: upTo(12), group: 'one', run: work });
    const second = flow.each('second', { from: first, group: 'two', run: work });
    const third = flow.each('third', { from: second, run: work });
    const sum = flow.task('sum', {
      dependencies: { first, third },
      run: ({ first, third }) => first.succeeded + third.succeeded,
    });
    return { flow, sum, scheduler };
  };
  for (let at = 1; at < 110; at += 6) {
    const worked: string[] = [];
    let store = memory();
    for (const until of [at, at / 2, undefined]) {
      const { flow, sum, scheduler } = build(new SimulationScheduler(), worked);
      const result = flow.run({ store, runId: 'r', scheduler }).result();
      await advance(scheduler, until);
      if (until !== undefined) store = memory(store.dump());
      else {
        const { status, results } = await result;
        assert.is(status, 'succeeded', String(at));
        assert.is(results.get(sum), 24);
      }
    }
    assert.equal(
      worked.sort(),
      ids.flatMap((id) => Array.from(upTo(12), (n) => `${id}/${n}`)).sort(),
      `killed at ${at}`,
    );
  }
});

test('where an item comes to something else in the stage before, it is worked on again behind it', async () => {
  const store = memory();
  const worked: string[] = [];
  const play = async (version: string, factor: number) => {
    const flow = workflow({ name: 'changed', concurrency: 2 });
    const first = flow.each('first', {
      from: [1, 2, 3],
      version,
      run: (n, ctx) => {
        worked.push(ctx.taskId);
        return n === 2 ? n * factor : n;
      },
    });
    const second = flow.each('second', {
      from: first,
      keep: true,
      version: '1',
      run: (n, ctx) => {
        worked.push(ctx.taskId);
        return -n;
      },
    });
    const { results } = await flow.run({ store, runId: 'r' }).result();
    return results.get(second)?.values;
  };
  assert.equal(await play('1', 1), [-1, -2, -3]);
  worked.length = 0;
  assert.equal([...((await play('2', 10)) ?? missing())].sort(), [-1, -20, -3]);
  assert.equal(worked.sort(), ['first/0', 'first/1', 'first/2', 'second/1']);
});

test('items that had failed are tried again, and go on then; the rest holds', async () => {
  const store = memory();
  let broken = true;
  const worked: string[] = [];
  const play = async (retry?: 'failed') => {
    const flow = workflow({ name: 'failed', concurrency: 2 });
    const first = flow.each('first', {
      from: upTo(4),
      run: (n, ctx) => {
        worked.push(ctx.taskId);
        if (broken && n === 1) throw new Error('broken');
        return n;
      },
    });
    const second = flow.each('second', {
      from: first,
      run: (n, ctx) => {
        worked.push(ctx.taskId);
        if (broken && n === 2) throw new Error('broken');
        return n;
      },
    });
    const options = retry === undefined ? {} : { retry };
    const { status, results } = await flow.run({ store, runId: 'r', ...options }).result();
    return [status, results.get(first)?.succeeded, results.get(second)?.succeeded];
  };
  assert.equal(await play(), ['partial', 3, 2]);
  worked.length = 0;
  assert.equal(await play(), ['partial', 3, 2]);
  assert.equal(worked, []);
  broken = false;
  assert.equal(await play('failed'), ['succeeded', 4, 4]);
  assert.equal(worked.sort(), ['first/1', 'second/1', 'second/2']);
});

test('schedules in which attempts end otherwise, fail, and the process dies at any record', async () => {
  const flow = workflow({ name: 'explored', groups: { a: { concurrency: 2 }, b: { concurrency: 1 } } });
  const first = flow.each('first', {
    from: [1, 2, 3, 4],
    group: 'a',
    run: (n, ctx) => ctx.sleep(10 * n).then(() => n),
  });
  const second = flow.each('second', {
    from: first,
    buffer: 2,
    group: 'b',
    ordered: true,
    run: (n, ctx) => ctx.sleep(15).then(() => n),
  });
  const third = flow.each('third', {
    from: second,
    batch: { size: 2 },
    run: (all, ctx) => ctx.sleep(5).then(() => all.length),
  });
  flow.task('after', { dependencies: { first, third }, run: ({ third }) => third.succeeded });
  const { crashes } = await explore(flow, { schedules: 60, failures: 0.1, seed: 1 });
  assert.ok(crashes > 20, String(crashes));
});

test.run();
