import { firstValueFrom, of, toArray } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  failed,
  human,
  latest,
  memory,
  optional,
  type RxhiveError,
  type TaskContext,
  typed,
  WorkflowDefinitionError,
  workflow,
} from '../../lib/index.js';
import { advance, explore, fakeAgent, SimulationScheduler, simulate } from '../../lib/testing/index.js';

interface Draft {
  readonly text: string;
  readonly turns: number;
}

/** A draft that is good after three turns; `calls`: who is called and asked. */
function writer(calls: string[], { max = 5, fails = -1 }: { max?: number; fails?: number } = {}) {
  const flow = workflow({ name: 'writer' });
  const topic = flow.task('topic', { run: () => 'bees' });
  const draft = flow.loop('draft', {
    dependencies: { topic },
    from: ({ topic }): Draft => ({ text: topic, turns: 0 }),
    max,
    until: ({ turns }) => {
      calls.push(`until ${turns}`);
      return turns >= 3;
    },
    version: '1',
    run: async (last, ctx, { topic }) => {
      calls.push(ctx.taskId);
      if (last.turns === fails) throw new Error('no idea');
      return { text: `${last.text} and ${topic}`, turns: last.turns + 1 };
    },
  });
  flow.task('print', { dependencies: { draft }, run: ({ draft }) => draft.text.length });
  return { flow, draft };
}

/** What a process that dies after `kept` records of a log leaves. */
function beginning(store: ReturnType<typeof memory>, kept: number): ReturnType<typeof memory> {
  const left = memory();
  const log = left.open('r');
  log.append(store.read('r').slice(0, kept));
  log.close();
  return left;
}

const wholeCourse = ['draft/0', 'until 1', 'draft/1', 'until 2', 'draft/2', 'until 3'];

test('each turn is a task that is given what the one before has made, until that is good enough', async () => {
  const calls: string[] = [];
  const { flow, draft } = writer(calls);
  const run = flow.run();
  const values = firstValueFrom(run.values$(draft).pipe(toArray()));
  const { status, results, tasks, report } = await run.result();
  assert.is(status, 'succeeded');
  assert.equal(calls, wholeCourse);
  const last = results.get(draft) satisfies Draft | undefined;
  assert.equal(last, { text: 'bees and bees and bees and bees', turns: 3 });
  assert.equal(await values, [results.get('draft/0'), results.get('draft/1'), last]);
  assert.is(results.get('print'), last?.text.length);
  assert.equal([...tasks.keys()], ['topic', 'draft', 'print', 'draft/0', 'draft/1', 'draft/2']);
  assert.is(tasks.get('draft/1')?.type, 'draft');
  assert.is(report.counts.succeeded, 6);
  assert.match(flow.graph(), '["draft (loop, at most 5)"]');
});

test('a run goes on from every record of its log: turns that have ended are not paid again, what was decided holds', async () => {
  for (const durability of ['sync', 'group'] as const) {
    const undisturbed = memory();
    const { results } = await writer([]).flow.run({ store: undisturbed, runId: 'r', durability }).result();
    const lines = undisturbed.read('r').map(({ body }) => body);
    assert.ok(lines.length >= 6);
    for (let kept = 1; kept <= lines.length; kept++) {
      const calls: string[] = [];
      const store = beginning(undisturbed, kept);
      const ended = lines.slice(0, kept).filter((line) => /"commit","task":"draft\/\d/.test(line)).length;
      const again = await writer(calls).flow.run({ store, runId: 'r', durability }).result();
      assert.is(again.status, 'succeeded');
      assert.equal([...again.results].sort(), [...results].sort());
      // Of the newest turn the log may not tell what was decided.
      const rest = wholeCourse.slice(ended === 0 ? 0 : ended * 2 - 1);
      const isDone = lines.slice(0, kept).some((line) => line.includes('"commit","task":"draft",'));
      assert.equal(calls, isDone ? [] : rest, `${kept} records`);
    }
  }
});

test('a loop that is not done fails at its limit, or keeps the last value; with a higher limit it goes on from there', async () => {
  const store = memory();
  const calls: string[] = [];
  const first = await writer(calls, { max: 2 }).flow.run({ store, runId: 'r' }).result();
  assert.is(first.status, 'partial');
  const { error } = first.tasks.get('draft') as { error: RxhiveError };
  assert.is(error.code, 'LOOP_LIMIT');
  assert.equal(error.details, { taskId: 'draft', max: 2 });
  assert.is(first.tasks.get('draft/1')?.status, 'succeeded');
  const more: string[] = [];
  const second = await writer(more, { max: 3 }).flow.run({ store, runId: 'r', retry: 'failed' }).result();
  assert.is(second.status, 'succeeded');
  assert.equal(more, ['until 2', 'draft/2', 'until 3']);

  const flow = workflow({ name: 'keeps' });
  const loop = flow.loop('n', { from: 1, until: () => false, max: 3, atMax: 'keep', run: (n) => n * 2 });
  const { status, results } = await flow.run().result();
  assert.is(status, 'succeeded');
  assert.is(results.get(loop), 8);
});

test('what a turn fails with is what the loop fails with, once; who may do without, or handles it, goes on', async () => {
  const store = memory();
  const { flow, draft } = writer([], { fails: 1 });
  flow.task('without', { dependencies: { draft: optional(draft) }, run: ({ draft }) => draft ?? 'none' });
  const first = await flow.run({ store, runId: 'r' }).result();
  assert.is(first.status, 'partial');
  assert.is(String(first.tasks.get('draft')?.error), 'Error: no idea');
  assert.is(first.results.get('without'), 'none');
  assert.is(String(first.report).match(/no idea/g)?.length, 1);
  const calls: string[] = [];
  const second = await writer(calls).flow.run({ store, runId: 'r', retry: 'failed' }).result();
  assert.is(second.status, 'succeeded');
  assert.equal(
    calls.filter((one) => one.startsWith('draft')),
    ['draft/1', 'draft/2'],
  );

  const handles = writer([], { fails: 0 });
  handles.flow.task('sorry', {
    dependencies: { error: failed(handles.draft) },
    run: ({ error }) => String(error),
  });
  const handled = await handles.flow.run().result();
  assert.is(handled.status, 'succeeded');
  assert.is(handled.results.get('sorry'), 'Error: no idea');

  const tolerant = workflow({ name: 'tolerant' });
  const throws = (): number => {
    throw new Error('no');
  };
  tolerant.loop('n', { from: 0, until: () => true, max: 1, tolerate: true, run: throws });
  assert.is((await tolerant.run().result()).status, 'succeeded');
});

test('options of tasks are those of each turn: group, retry, timeout, resources, schema, executor', async () => {
  const flow = workflow({ name: 'w', groups: { llm: { concurrency: 1 } }, resources: { gpu: 2 } });
  let busy = 0;
  let most = 0;
  const turn = async (last: number, ctx: TaskContext): Promise<number> => {
    most = Math.max(most, ++busy);
    await ctx.sleep(10);
    busy -= 1;
    if (ctx.attempt === 1) throw new Error('once');
    return last + 1;
  };
  const options = {
    max: 3,
    until: (n: number) => n === 2,
    group: 'llm',
    retry: { count: 1, backoff: () => 5 },
  } as const;
  const one = flow.loop('one', { ...options, from: 0, run: turn });
  const two = flow.loop('two', { ...options, from: 0, run: turn });
  const slow = flow.loop('slow', {
    from: 0,
    until: () => true,
    max: 1,
    timeout: 20,
    run: (n, ctx) => ctx.sleep(100).then(() => n),
  });
  const wrong = flow.loop('wrong', {
    from: 0,
    until: () => true,
    max: 1,
    result: {
      '~standard': { version: 1, vendor: 'spec', validate: () => ({ issues: [{ message: 'odd' }] }) },
    },
    run: (n) => n,
  });
  const far = flow.loop('far', {
    from: 1,
    until: (n) => n > 2,
    max: 5,
    resources: { gpu: 1 },
    executor: { version: '1', run: (n: number) => of(n, n + 1) },
  });
  const scheduler = new SimulationScheduler();
  const ends = flow.run({ scheduler }).result();
  await advance(scheduler);
  const { results, tasks } = await ends;
  assert.is(most, 1);
  assert.is(results.get(one), 2);
  assert.is(results.get(two), 2);
  assert.is(tasks.get('one/0')?.attempts.length, 2);
  assert.is(tasks.get('one')?.attempts.length, 1);
  assert.is((tasks.get(slow.id)?.error as RxhiveError | undefined)?.code, 'TASK_TIMEOUT');
  assert.is((tasks.get(wrong.id)?.error as RxhiveError | undefined)?.code, 'INVALID_RESULT');
  assert.is(results.get(far), 3);
});

test('conditions, skips, and functions that throw', async () => {
  const flow = workflow({ name: 'w' });
  const common = { from: 0, max: 3, run: (n: number) => n + 1 };
  flow.loop('off', { ...common, until: () => true, when: () => false });
  flow.loop('skips', {
    ...common,
    until: () => false,
    run: (n, ctx) => (n === 1 ? ctx.skip('enough') : n + 1),
  });
  flow.loop('later', { ...common, from: async () => 7, until: async (n) => n === 9 });
  flow.loop('from', {
    ...common,
    from: (): number => {
      throw new Error('no from');
    },
    until: () => true,
  });
  flow.loop('until', {
    ...common,
    until: () => {
      throw new Error('no until');
    },
  });
  flow.loop('odd', { ...common, until: (() => 1) as never });
  const { tasks, results } = await flow.run().result();
  const end = (id: string): string =>
    `${tasks.get(id)?.status} ${(tasks.get(id)?.error as RxhiveError)?.message ?? ''}`;
  assert.match(end('off'), 'skipped');
  assert.match(end('skips'), 'skipped Task "skips" was skipped: enough');
  assert.is(results.get('later'), 9);
  assert.match(end('from'), 'failed Task "from": from threw: no from');
  assert.match(end('until'), 'failed Task "until": until threw: no until');
  assert.match(end('odd'), 'failed Task "odd": until returned 1; return true or false, or a promise of it');
});

test('who reads the stream of a loop hears of each turn', async () => {
  const flow = workflow({ name: 'w' });
  const count = flow.loop('count', { from: 0, until: (n) => n === 3, max: 3, run: (n) => n + 1 });
  flow.task('reads', {
    dependencies: { n: latest(count) },
    run: async (inputs) => {
      const seen: number[] = [];
      await inputs.forEach(({ n }) => void seen.push(n));
      return seen;
    },
  });
  assert.equal((await flow.run().result()).results.get('reads'), [1, 2, 3]);
});

test('a loop in a nested workflow has its turns there; what it is ended with ends its turn, too', async () => {
  const inner = workflow({ name: 'inner', input: typed<number>() });
  const start = inner.task('start', { run: (_, ctx) => ctx.input });
  const n = inner.loop('n', {
    dependencies: { start },
    from: ({ start }) => start,
    until: (value, ctx) => value >= ctx.input + 2,
    max: 9,
    run: (last, ctx, { start }) => last + (ctx.input === start ? 1 : 100),
  });
  const flow = workflow({ name: 'outer' });
  const a = flow.task('a', { workflow: inner, input: 1, output: n });
  const b = flow.task('b', { workflow: inner, input: 10, output: n });
  const store = memory();
  const { status, results } = await flow.run({ store, runId: 'r' }).result();
  assert.is(status, 'succeeded');
  assert.equal([results.get(a), results.get(b)], [3, 12]);
  assert.is(results.get('b/n/1'), 12);
  for (let kept = 1; kept <= store.read('r').length; kept++) {
    const again = await flow.run({ store: beginning(store, kept), runId: 'r' }).result();
    assert.equal([...again.results].sort(), [...results].sort());
  }

  const waits = workflow({ name: 'waits' });
  const told: unknown[] = [];
  const endless = (last: number, { signal }: TaskContext): Promise<number> =>
    new Promise((_, fail) => {
      signal.addEventListener('abort', () => {
        told.push((signal.reason as Error).message.split('.')[0]);
        fail(signal.reason);
      });
      void last;
      run.cancelTask('loop', 'enough');
    });
  waits.loop('loop', { from: 0, until: () => false, max: 3, run: endless });
  const run = waits.run();
  const ended = await run.result();
  assert.is(ended.tasks.get('loop')?.status, 'cancelled');
  assert.is(ended.tasks.get('loop/0')?.status, 'cancelled');
  assert.is(told.length, 1);
});

test('a turn may ask a person, and the process may end meanwhile', async () => {
  const calls: string[] = [];
  const make = () => {
    const flow = workflow({ name: 'w' });
    flow.loop('text', {
      from: 'a',
      until: (text) => text.endsWith('!'),
      max: 9,
      run: async (last, ctx) => {
        calls.push(ctx.taskId);
        return last + (await ctx.ask(human(typed<string>(), { key: 'next', prompt: `after ${last}?` })));
      },
    });
    return flow;
  };
  const store = memory();
  const first = await make().run({ store, runId: 'r', suspend: 'exit' }).result();
  assert.is(first.status, 'suspended');
  const second = await make().answer(memory(store.dump()), 'r', 'text/0?next', 'b');
  assert.equal([second.status, second.questions.map(({ id }) => id)], ['suspended', ['text/1?next']]);
  const both = memory(store.dump());
  await make().answer(both, 'r', 'text/0?next', 'b');
  const third = await make().answer(memory(both.dump()), 'r', 'text/1?next', '!');
  assert.is(third.status, 'succeeded');
  assert.is(third.results.get('text'), 'ab!');
});

test('another version of the work begins again with the first turn, another one of the end asks anew', async () => {
  const store = memory();
  await writer([]).flow.run({ store, runId: 'r' }).result();
  const calls: string[] = [];
  const { flow } = writer(calls);
  const run = flow.run({ store: memory(store.dump()), runId: 'r', rerun: ['draft/1'] });
  const { status } = await run.result();
  assert.is(status, 'succeeded');
  assert.equal(
    calls.filter((one) => one.startsWith('draft')),
    ['draft/1', 'draft/2'],
  );
  const past = await flow.history(store, 'r');
  const at = past.timeline().find(({ taskId }) => taskId === 'draft/0')?.seq as number;
  const forked: string[] = [];
  const fork = await writer(forked).flow.fork(store, 'r', { at, runId: 'f' }).result();
  assert.is(fork.status, 'succeeded');
  assert.equal(forked, wholeCourse.slice(1));
});

test('another text of until is asked behind the last turn there is; no turn is paid again', async () => {
  const store = memory();
  const turns: number[] = [];
  const count = (until: (n: number) => boolean, max: number) => {
    const flow = workflow({ name: 'count', state: { sum: 0 } });
    const n = flow.loop('n', {
      from: 0,
      max,
      until,
      run: (last: number, ctx) => {
        turns.push(last);
        ctx.update((state) => {
          state.sum += last;
        });
        return last + 1;
      },
    });
    flow.task('print', { dependencies: { n }, run: ({ n }) => `n is ${n}` });
    return flow.run({ store, runId: 'r' }).result();
  };
  const ends = async (...how: Parameters<typeof count>) => {
    const { status, results, state } = await count(...how);
    return [status, results.get('print'), state.sum, turns.splice(0).join(' ')];
  };
  assert.equal(await ends((n) => n >= 3, 9), ['succeeded', 'n is 3', 3, '0 1 2']);
  assert.equal(await ends((n) => n >= 5, 9), ['succeeded', 'n is 5', 10, '3 4']);
  assert.equal(await ends((n) => n >= 2, 9), ['succeeded', 'n is 5', 10, '']);
  // It fails at its limit; with another text it has not failed.
  assert.equal(await ends((n) => n > 50, 5), ['partial', undefined, 10, '']);
  assert.equal(await ends((n) => n > 4, 5), ['succeeded', 'n is 5', 10, '']);
});

test('agents take the place of turns, by the id of the loop or of one turn', async () => {
  const { flow } = writer([]);
  const agents = {
    draft: (inputs: never) => ({
      text: 'fake',
      turns: 1 + (((inputs as readonly Draft[])[0] as Draft | undefined)?.turns ?? 0),
    }),
    'draft/1': fakeAgent({ duration: 1_000, value: { text: 'second', turns: 2 } }),
  };
  const { result } = await simulate(flow, { agents });
  assert.equal(result.results.get('draft'), { text: 'fake', turns: 3 });
  assert.is(result.report.wallMs, 1_000);
});

test('orders, late answers and crashes leave the result as it is', async () => {
  const { schedules, crashes } = await explore(() => writer([]).flow, {
    schedules: 80,
    invariants: [
      {
        name: 'the text is whole',
        end: ({ trialRun: { result } }) =>
          result?.results.get('print') === 31 ? undefined : 'it is another one',
      },
    ],
  });
  assert.is(schedules, 80);
  assert.ok(crashes > 20);
});

test('what cannot work is told when it is defined, or with the other faults of the workflow', () => {
  const flow = workflow({ name: 'w', groups: { llm: {} } });
  const good = { from: 0, until: () => true, max: 1, run: (n: number) => n };
  const told = (options: object): string => {
    try {
      flow.loop('l', options as never);
    } catch (error) {
      return (error as Error).message;
    }
    return 'nothing';
  };
  assert.match(
    told({ ...good, max: undefined }),
    'flow.loop "l": max is missing; give the number of turns at most',
  );
  assert.match(told({ ...good, max: 0 }), 'flow.loop "l": max is 0');
  assert.match(told({ ...good, until: true }), 'flow.loop "l": until is true; give a function');
  assert.match(told({ ...good, atMax: 'stop' }), 'use "fail" or "keep"');
  assert.match(told({ until: good.until, max: 1, run: good.run }), 'from is missing');
  const faulty = workflow({ name: 'faulty', groups: { llm: {} } });
  faulty.loop('l', { ...good, group: 'gpu' as never, timeout: -1 });
  faulty.loop('m', { from: 0, until: () => true, max: 1 } as never);
  try {
    faulty.run();
    assert.unreachable();
  } catch (error) {
    assert.instance(error, WorkflowDefinitionError);
    const text = (error as WorkflowDefinitionError).faults.map(({ message }) => message).join('\n');
    assert.match(text, 'Task "l" is in group "gpu", which does not exist');
    assert.match(text, 'Task "l".timeout is -1');
    assert.match(text, 'Task "m": run is undefined; give a function');
  }
});

test.run();
