import { NEVER, of } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { MemoryStore } from '../lib/entry/stores.js';
import {
  AgentTask,
  latest,
  memory,
  optional,
  orElse,
  type RxhiveError,
  settled,
  type Task,
  type TaskContext,
  WorkflowOrchestrator,
  workflow,
} from '../lib/index.js';
import { TaskSkippedError } from '../lib/kernel/errors.js';
import { simulate } from '../lib/testing/index.js';

const codeOf = (error: unknown): unknown => (error as RxhiveError).code;

test('a condition that is false skips the task and those that need it, and the run has succeeded', async () => {
  const called: string[] = [];
  const flow = workflow({ name: 'branch' });
  const score = flow.task('score', { run: () => 40 });
  const good = flow.task('good', {
    dependencies: { score },
    when: ({ score: is }) => is > 50,
    run: () => called.push('good'),
  });
  const bad = flow.task('bad', {
    dependencies: { score },
    when: async ({ score: is }, ctx) => {
      assert.is(ctx.taskId, 'bad');
      return is <= 50;
    },
    run: () => 'bad',
  });
  const next = flow.task('next', { dependencies: [good], run: () => called.push('next') });
  const merge = flow.task('merge', {
    dependencies: { good: optional(good), bad: optional(bad), how: settled(next), other: orElse(good, 7) },
    run: (inputs) => inputs,
  });
  const { result, events } = await simulate(flow);
  assert.equal(called, []);
  assert.is(result.status, 'succeeded');
  assert.is(result.orThrow(), result);
  const [own, others] = [result.tasks.get(good), result.tasks.get(next)];
  assert.is(own?.status, 'skipped');
  assert.is(own?.decided, true);
  assert.equal(own?.skippedBecause, ['condition']);
  assert.equal([others?.status, others?.decided, others?.skippedBecause], ['skipped', true, ['good']]);
  assert.is(own?.usage.calls, 0);
  assert.instance(own?.error, TaskSkippedError);
  assert.is(result.results.get(merge)?.bad, 'bad');
  assert.is(result.results.get(merge)?.good, undefined);
  assert.is(result.results.get(merge)?.other, 7);
  assert.is(result.results.get(merge)?.how.status, 'skipped');
  const told = events.flatMap((one) =>
    one.type === 'task' && one.reason === 'skipped' ? [[one.taskId, one.decided]] : [],
  );
  assert.equal(told, [
    ['good', true],
    ['next', true],
  ]);
  const text = result.report.toString();
  assert.match(text, 'skipped "good": its condition was false');
  assert.match(text, 'skipped "next" because of good');
});

test('ctx.skip ends the task where it stands, with its reason; what it wrote and added is dropped', async () => {
  let after = false;
  const flow = workflow({ name: 'skip', state: { n: 0 }, retry: 3 });
  const one = flow.task('one', {
    run: async (_, ctx) => {
      ctx.update((state) => {
        state.n = 1;
      });
      ctx.spawn('child', { run: () => 1 });
      await ctx.sleep(10);
      try {
        return ctx.skip('nothing to do');
      } catch {
        // A body that catches everything does not undo it.
        after = ctx.signal.aborted;
        return 3;
      }
    },
  });
  flow.task('two', { dependencies: [one], run: () => 2 });
  const run = flow.run();
  const result = await run.result();
  assert.is(after, true);
  assert.is(result.status, 'succeeded');
  assert.equal(result.state, { n: 0 });
  assert.equal([...result.tasks.keys()], ['one', 'two']);
  assert.is(result.tasks.get('one')?.attempts.length, 1);
  assert.is(result.tasks.get('one')?.usage.calls, 1);
  assert.is(run.explain('one'), 'Task "one" was skipped: nothing to do.');
  assert.is(run.explain('two'), 'Task "two" was skipped: "one" did not run, for nothing to do.');
});

test('ctx.skip of an attempt that is over has no effect', async () => {
  let late: TaskContext | undefined;
  const flow = workflow({ name: 'late' });
  flow.task('one', {
    run: (_, ctx) => {
      late = ctx;
      return 1;
    },
  });
  assert.is((await flow.run().result()).status, 'succeeded');
  assert.throws(
    () => late?.skip(),
    (error: unknown) => codeOf(error) === 'ATTEMPT_ENDED',
  );
});

test('a condition that throws, rejects or says neither fails the task by name', async () => {
  const flow = workflow({ name: 'wrong' });
  const fail = (): never => {
    throw new Error('no score');
  };
  flow.task('throws', { when: fail, run: () => 1 });
  flow.task('rejects', { when: async () => fail(), run: () => 1 });
  flow.task('text', { when: (() => 'yes') as never, run: () => 1 });
  flow.task('late text', { when: (async () => 'yes') as never, run: () => 1 });
  const { result } = await simulate(flow);
  assert.is(result.status, 'failed');
  const told = [...result.tasks.values()].map(({ error }) => [codeOf(error), (error as Error).message]);
  assert.ok(told.every(([code]) => code === 'CALLBACK_FAILED'));
  assert.match(String(told[0]?.[1]), /^Task "throws": when threw: no score/);
  assert.match(String(told[1]?.[1]), /^Task "rejects": when threw: no score/);
  assert.match(String(told[2]?.[1]), /^Task "text": when returned "yes"; return true or false/);
  assert.match(String(told[3]?.[1]), /^Task "late text": when returned "yes"; return true or false/);
});

test('a condition that hangs is bounded by the timeout of the attempt, and asked again by a retry', async () => {
  let asked = 0;
  const flow = workflow({ name: 'hangs' });
  const one = flow.task('one', {
    timeout: { attempt: 100 },
    retry: { count: 1, backoff: () => 10 },
    when: () => {
      asked += 1;
      return asked === 1 ? new Promise<boolean>(() => undefined) : true;
    },
    run: () => 5,
  });
  const { result } = await simulate(flow);
  assert.is(result.results.get(one), 5);
  assert.is(asked, 2);
});

test('an answer holds: a retry of the body does not ask again', async () => {
  let asked = 0;
  const flow = workflow({ name: 'once', retry: { count: 2, backoff: () => 10 } });
  flow.task('one', {
    when: () => {
      asked += 1;
      return true;
    },
    run: (_, ctx) => {
      if (ctx.attempt < 3) throw new Error('again');
      return ctx.attempt;
    },
  });
  assert.is((await simulate(flow)).result.status, 'succeeded');
  assert.is(asked, 1);
});

test('cancelled while it is asked the task is cancelled, and a late answer changes nothing', async () => {
  const flow = workflow({ name: 'cancelled' });
  let say: (answer: boolean) => void = () => undefined;
  let called = false;
  flow.task('one', {
    when: () =>
      new Promise<boolean>((resolve) => {
        say = resolve;
      }),
    run: () => {
      called = true;
    },
  });
  const run = flow.run();
  const pending = run.result();
  await Promise.resolve();
  run.cancel();
  say(true);
  assert.is((await pending).tasks.get('one')?.status, 'cancelled');
  assert.not(called);
});

test('a stream whose source decides that it does not run is skipped with it', async () => {
  const flow = workflow({ name: 'stream' });
  const source = flow.task('source', {
    run: async function* (_, ctx) {
      yield 1;
      await ctx.sleep(5);
      ctx.skip('enough');
    },
  });
  const reader = flow.task('reader', { dependencies: [latest(source)], run: (inputs$) => inputs$ });
  const first = flow.task('first', {
    dependencies: { source: latest(source) },
    when: ({ source: value }) => Number(value) > 5,
    run: (inputs$) => inputs$,
  });
  const { result } = await simulate(flow);
  assert.is(result.status, 'succeeded');
  for (const one of [source, reader, first]) assert.is(result.tasks.get(one)?.decided, true, one.id);
});

test('a failure beside it still counts', async () => {
  const flow = workflow({ name: 'both' });
  const off = flow.task('off', { when: () => false, run: () => 1 });
  const bad = flow.task('bad', {
    run: () => {
      throw new Error('bad');
    },
  });
  flow.task('good', { run: () => 1 });
  const both = flow.task('both', { dependencies: [off, bad], run: () => 1 });
  const { result } = await simulate(flow);
  assert.is(result.status, 'partial');
  assert.is(result.tasks.get(both)?.status, 'skipped');
});

test('fail-fast does not end a run for a decision', async () => {
  const flow = workflow({ name: 'fast', failurePolicy: 'fail-fast' });
  flow.task('off', { run: (_, ctx) => ctx.skip() });
  const slow = flow.task('slow', { run: (_, ctx) => ctx.sleep(100).then(() => 1) });
  const { result } = await simulate(flow);
  assert.is(result.status, 'succeeded');
  assert.is(result.results.get(slow), 1);
});

test('an attempt beside another one may decide for the task', async () => {
  let begun = 0;
  const flow = workflow({ name: 'hedged' });
  flow.task('one', {
    hedge: { after: 10 },
    run: (_, ctx) => {
      begun += 1;
      return begun === 1 ? NEVER : ctx.skip('found elsewhere');
    },
  });
  const { result } = await simulate(flow);
  assert.is(result.status, 'succeeded');
  assert.is(result.tasks.get('one')?.decided, true);
  assert.is(begun, 2);
});

test('what a task has joined and was skipped rejects with its reason', async () => {
  const flow = workflow({ name: 'joined' });
  flow.task('parent', {
    run: async (_, ctx) => {
      const child = ctx.spawn('child', { when: () => false, run: () => 1 });
      return ctx.join(child).catch((error: unknown) => [codeOf(error), error instanceof TaskSkippedError]);
    },
  });
  const { result } = await simulate(flow);
  assert.equal(result.results.get('parent'), ['TASK_SKIPPED', true]);
});

/** The stores of a run whose process died after one record of its log, for each of them, and what is in the log. */
async function* deathsOf(
  store: MemoryStore,
): AsyncGenerator<{ readonly left: MemoryStore; readonly text: string }> {
  const entries = await store.read('r');
  for (let n = 1; n <= entries.length; n++) {
    const left = memory();
    const log = await left.open('r');
    await log.append(entries.slice(0, n));
    await log.close();
    yield {
      left,
      text: entries
        .slice(0, n)
        .map(({ body }) => body)
        .join('\n'),
    };
  }
}

test('a run that goes on does not ask again what is in the log, wherever it was stopped', async () => {
  const make = (called: string[]) => {
    const flow = workflow({ name: 'resume' });
    const note = <T>(what: string, value: T): T => {
      called.push(what);
      return value;
    };
    const score = flow.task('score', { run: () => note('score', 40) });
    const off = flow.task('off', {
      dependencies: [score],
      when: ([is]) => note('when off', is > 50),
      run: () => note('off', 1),
    });
    const own = flow.task('own', { run: (_, ctx) => note('own', ctx).skip('own reason') });
    flow.task('behind', { dependencies: [off, own], run: () => note('behind', 1) });
    flow.task('merge', {
      dependencies: [optional(off), settled(own)],
      run: ([, how]) => note('merge', how.status === 'skipped' ? codeOf(how.error) : how.status),
    });
    return flow;
  };
  const store = memory();
  const first: string[] = [];
  const whole = await simulate(make(first), { store, runId: 'r', durability: 'sync' });
  assert.equal(first, ['score', 'own', 'when off', 'merge']);
  let deaths = 0;
  for await (const { left, text } of deathsOf(store)) {
    deaths += 1;
    const called: string[] = [];
    const { result } = await simulate(make(called), { store: left, runId: 'r', retry: 'failed' });
    assert.is(result.status, 'succeeded', text);
    assert.is(result.results.get('merge'), 'TASK_SKIPPED');
    for (const [id, { status, decided, skippedBecause }] of whole.result.tasks) {
      const task = result.tasks.get(id);
      const same = task?.status === 'restored' ? 'succeeded' : task?.status;
      assert.equal([same, task?.decided, task?.skippedBecause], [status, decided, skippedBecause], id);
    }
    if (text.includes('own reason')) assert.not(called.includes('own'), text);
    if (text.includes('was false')) assert.not(called.includes('when off'), text);
  }
  assert.ok(deaths >= 5);
});

test('a condition that was changed is asked again', async () => {
  const make = (limit: () => boolean) => {
    const flow = workflow({ name: 'changed' });
    flow.task('one', { when: limit, run: () => 1 });
    flow.task('two', { run: () => 1 });
    return flow;
  };
  const store = memory();
  await simulate(
    make(() => false),
    { store, runId: 'r' },
  );
  const { result } = await simulate(
    make(() => !false),
    { store: memory(store.dump()), runId: 'r' },
  );
  assert.is(result.tasks.get('one')?.status, 'succeeded');
  assert.is(result.tasks.get('two')?.status, 'restored');
});

test('a nested workflow has a condition, and is skipped where its result was decided not to be', async () => {
  const inner = (on: boolean) => {
    const flow = workflow({ name: 'inner' });
    const first = flow.task('first', { when: () => on, run: () => 1 });
    flow.task('last', { dependencies: [first], run: () => 2 });
    return flow;
  };
  for (const [outer, within] of [
    [false, true],
    [true, false],
    [true, true],
  ] as const) {
    const flow = workflow({ name: 'outer' });
    const sub = flow.task('sub', { when: () => outer, workflow: inner(within) });
    flow.task('behind', { dependencies: [sub], run: () => 1 });
    const { result } = await simulate(flow);
    assert.is(result.status, 'succeeded');
    const status = outer && within ? 'succeeded' : 'skipped';
    for (const id of ['sub', 'sub/last', 'behind']) assert.is(result.tasks.get(id)?.status, status, id);
  }
});

test('types and agents have conditions, of their data and of inputs by id', async () => {
  const flow = workflow({ name: 'typed' });
  const even = flow.taskType('even', { when: (n: number) => n % 2 === 0, run: (n: number) => n });
  flow.task('all', { run: (_, ctx) => [1, 2].map((n) => ctx.spawn(even, `n${n}`, n).id) });
  const { result } = await simulate(flow);
  assert.is(result.status, 'succeeded');
  assert.equal(
    ['n1', 'n2'].map((id) => result.tasks.get(id)?.status),
    ['skipped', 'succeeded'],
  );
  const agents = new WorkflowOrchestrator({ agents: { work: ({ id }) => id } });
  agents.addTask(new AgentTask({ id: 'a', agentType: 'work' }));
  agents.addTask(
    new AgentTask({
      id: 'b',
      agentType: 'work',
      dependencies: ['a'],
      when: ({ a }) => a !== 'a',
    }),
  );
  const told = await agents.executeWorkflow();
  assert.is(told.status, 'succeeded');
  assert.is(told.tasks.get('b')?.decided, true);
});

test('a condition is typed by the dependencies, and checked with the other options', async () => {
  const flow = workflow({ name: 'types', state: { n: 1 } });
  const text: Task<string> = flow.task('text', { run: () => 'x' });
  flow.task('ok', {
    dependencies: { text },
    when: ({ text: is }, ctx) => is.length > 0 && ctx.read().n === 1,
    run: ({ text: is }) => is,
  });
  // @ts-expect-error an input that is not there
  flow.task('a', { dependencies: { text }, when: ({ other }) => other, run: () => 1 });
  // @ts-expect-error no text
  flow.task('b', { dependencies: { text }, when: ({ text: is }) => is, run: () => 1 });
  // @ts-expect-error no function
  flow.task('c', { when: true, run: () => 1 });
  const wrong = workflow({ name: 'wrong' });
  wrong.task('c', { when: true as never, run: () => of(1) });
  assert.throws(() => wrong.run(), /Task "c": when is true; give a function that returns true or false/);
});

test.run();
