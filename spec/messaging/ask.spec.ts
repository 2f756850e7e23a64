import { filter, firstValueFrom, take } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as v from 'valibot';
import { z } from 'zod';
import type { MemoryStore } from '../../lib/entry/stores.js';
import {
  AgentTask,
  AnswerRefusedError,
  human,
  latest,
  memory,
  RxhiveError,
  type StandardSchema,
  TaskTimeoutError,
  typed,
  type WorkflowEvent,
  WorkflowOrchestrator,
  workflow,
} from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';
import { LateStore } from '../support/late-store.js';

const yes = typed<boolean>();
const word = typed<string>();

const codeOf = (error: unknown): unknown => (error instanceof RxhiveError ? error.code : error);

function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'it did not reject',
    (error: unknown) => error,
  );
}

/** Code of the error of a promise. */
const refusal = (promise: Promise<unknown>): Promise<unknown> => failure(promise).then(codeOf);

/** Records of a run in a store. */
function recordsOf(store: MemoryStore, runId: string, kind: string): Record<string, unknown>[] {
  const records = store.read(runId).map(({ body }) => JSON.parse(body) as Record<string, unknown>);
  return records.filter((record) => record.kind === kind);
}

test('who asks holds no slot, group place or resource; the others go on; waits add up', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({
    name: 'gate',
    concurrency: 1,
    groups: { llm: { concurrency: 1 } },
    resources: { gpu: 1 },
  });
  const options = { group: 'llm', resources: { gpu: 1 } } as const;
  const gate = flow.task('gate', {
    ...options,
    priority: 1,
    run: async (_, ctx) => {
      await ctx.sleep(10);
      const answer = await ctx.ask(human(yes, { prompt: 'Publish?', context: { draft: 1 } }));
      await ctx.sleep(10);
      return answer;
    },
  });
  const other = flow.task('other', {
    ...options,
    run: async (_, ctx) => {
      await ctx.sleep(100);
      return 'done';
    },
  });
  const run = flow.run({ scheduler });
  const end = run.result();
  await advance(scheduler, 60);
  assert.equal(run.questions(), [
    { id: 'gate?1', taskId: 'gate', prompt: 'Publish?', context: { draft: 1 }, askedAt: 10 },
  ]);
  assert.is(
    run.explain(gate),
    'Task "gate" gave its slot back 0.1 s ago and waits for people to answer "gate?1".',
  );
  assert.is(run.snapshot().tasks.get('other'), 'running');
  const answered = run.answer('gate?1', true);
  await advance(scheduler);
  await answered;
  const result = await end;
  assert.is(result.status, 'succeeded');
  assert.is(result.results.get(gate), true);
  assert.is(result.results.get(other), 'done');
  const { waits, runningMs } = result.tasks.get(gate) as NonNullable<ReturnType<typeof result.tasks.get>>;
  // Answered at 60, its slot is free at 110.
  assert.equal([waits.suspended, waits.slot, runningMs], [50, 50, 20]);
  assert.equal(result.questions, []);
});

test('many questions are open at once, each gets its own answer, in any order', async () => {
  const flow = workflow({ name: 'many' });
  const ids = ['a', 'b', 'c'];
  const tasks = ids.map((id) =>
    flow.task(id, {
      run: async (_, ctx) => {
        // The same words everywhere: only ids tell them apart.
        const both = [1, 2].map(() => ctx.ask(human(word, 'Which?')));
        return (await Promise.all(both)).join();
      },
    }),
  );
  const run = flow.run();
  const end = run.result();
  assert.equal(
    run.questions().map(({ id }) => id),
    ids.flatMap((id) => [`${id}?1`, `${id}?2`]),
  );
  const seen: number[] = [];
  run.questions$.subscribe((open) => seen.push(open.length));
  for (const id of ['b?2', 'c?1', 'a?2', 'a?1', 'b?1']) await run.answer(id, `to ${id}`);
  // Two of three are done, one is answered in part: nothing ends early.
  await new Promise((next) => setTimeout(next, 1));
  assert.equal([...run.snapshot().tasks.values()], ['succeeded', 'succeeded', 'suspended']);
  await run.answer('c?2', 'to c?2');
  const { results, status } = await end;
  assert.is(status, 'succeeded');
  assert.equal(
    tasks.map((task) => results.get(task)),
    ['to a?1,to a?2', 'to b?1,to b?2', 'to c?1,to c?2'],
  );
  assert.equal(seen, [6, 5, 4, 3, 2, 1, 0]);
});

test('a question is asked once: retries and conflicts use its answer again, another gets none of it', async () => {
  const store = memory();
  const flow = workflow({ name: 'once', state: { n: 0 } });
  const given: string[][] = [];
  const retried = flow.task('retried', {
    retry: { count: 2, backoff: () => 0 },
    run: async (_, ctx) => {
      const one = await ctx.ask(human(word, 'One?'));
      if (ctx.attempt === 1) throw new Error('after the first');
      const two = await ctx.ask(human(word, 'Two?'));
      given.push([one, two]);
      if (ctx.attempt === 2) throw new Error('after the second');
      return one + two;
    },
  });
  let runs = 0;
  const again = flow.task('again', {
    isolation: 'serializable',
    run: async (_, ctx) => {
      runs += 1;
      const n = ctx.read((s) => s.n);
      const answer = await ctx.ask(human(word, { key: 'name', prompt: `At ${n}?` }));
      ctx.update((s) => {
        s.n += 10;
      });
      return answer;
    },
  });
  flow.task('writes', {
    run: async (_, ctx) => {
      await ctx.ask(human(yes, 'Write?'));
      ctx.update((s) => {
        s.n += 1;
      });
    },
  });
  const run = flow.run({ store, runId: 'o' });
  const end = run.result();
  const events: WorkflowEvent[] = [];
  run.events$.subscribe((event) => events.push(event));
  await run.answer('writes?1', true);
  await run.answer('again?name', 'bob');
  await run.answer('retried?1', '1');
  while (run.questions().length === 0) await new Promise((next) => setTimeout(next, 1));
  assert.equal(
    run.questions().map(({ id }) => id),
    ['retried?2'],
  );
  await run.answer('retried?2', '2');
  const { results } = await end;
  assert.is(results.get(retried), '12');
  assert.equal(given, [
    ['1', '2'],
    ['1', '2'],
  ]);
  assert.equal([runs, results.get(again)], [2, 'bob']);
  assert.is(recordsOf(store, 'o', 'question').length, 4);
  assert.is(recordsOf(store, 'o', 'answer').length, 4);
  assert.is(events.filter(({ type, reason }) => type === 'question' && reason === 'answered').length, 4);
});

test('answers are not crossed when bodies ask in another order the next time', async () => {
  const store = memory();
  let order = ['red', 'blue'];
  let crash = true;
  const flow = workflow({ name: 'order' });
  const task = flow.task('t', {
    retry: { count: 1, backoff: () => 0 },
    run: async (_, ctx) => {
      const answers = await Promise.all(
        order.map(async (colour) => [colour, await ctx.ask(human(word, `Like ${colour}?`))]),
      );
      if (crash) throw new Error('crash');
      return Object.fromEntries(answers) as Record<string, string>;
    },
  });
  const first = flow.run({ store, runId: 'x' });
  const end = first.result();
  await first.answer('t?1', 'to red');
  order = ['blue', 'red'];
  crash = false;
  await first.answer('t?2', 'to blue');
  await end;
  const resumed = await flow.run({ store: memory(store.dump()), runId: 'x' }).result();
  for (const { results } of [await end, resumed])
    assert.equal(results.get(task), { blue: 'to blue', red: 'to red' });
});

test('the same answer again changes nothing; another, an unknown and an unfit one are refused', async () => {
  const store = memory();
  const flow = workflow({ name: 'refuse' });
  const task = flow.task('t', {
    run: (_, ctx) => ctx.ask(human(v.object({ amount: v.number(), to: v.string() }), 'How much?')),
  });
  const slow = flow.task('slow', { run: (_, ctx) => ctx.ask(human(yes, 'Go on?')) });
  const run = flow.run({ store, runId: 'r' });
  const end = run.result();
  const events: unknown[] = [];
  run.events$.subscribe((event) => {
    if (event.type === 'question') events.push([event.reason, event.questionId, event.because]);
  });
  const before = store.dump();
  const error = await failure(run.answer('t?1', { amount: 'secret' }));
  assert.instance(error, AnswerRefusedError);
  const { code, message, issues } = error as AnswerRefusedError;
  assert.is(code, 'ANSWER_REFUSED');
  assert.equal(issues.map(({ path }) => path).sort(), ['amount', 'to']);
  assert.not.match(message, /secret/);
  assert.is(await refusal(run.answer('t?1', () => 1)), 'NOT_SERIALIZABLE');
  assert.is(await refusal(run.answer('t?2', 1)), 'QUESTION_UNKNOWN');
  assert.equal(store.dump(), before);
  assert.is(run.snapshot().tasks.get('t'), 'suspended');
  assert.is(run.questions().length, 2);
  const good = { amount: 1, to: 'ann' };
  // At the same moment: one is first, the others are compared with it.
  const [one, two, three] = await Promise.all(
    [good, { ...good }, { amount: 2, to: 'eve' }].map((answer) => refusal(run.answer('t?1', answer))),
  );
  assert.equal([one, two, three], ['it did not reject', 'it did not reject', 'ALREADY_ANSWERED']);
  good.amount = 99; // The body has a value of its own.
  await run.answer('slow?1', true);
  assert.equal((await end).results.get(task), { amount: 1, to: 'ann' });
  assert.is((await end).results.get(slow), true);
  assert.is(await refusal(run.answer('t?1', { amount: 1, to: 'ann' })), 'it did not reject');
  assert.equal(
    events.filter((event) => (event as unknown[])[0] !== 'asked'),
    [
      ['refused', 't?1', 'amount, to'],
      ['answered', 't?1', undefined],
      ['answered', 'slow?1', undefined],
    ],
  );
  assert.is(recordsOf(store, 'r', 'answer').length, 2);
});

test('a schema may answer later and make something else of the answer, each time anew', async () => {
  const later: StandardSchema<URL> = {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: async (value) => {
        await Promise.resolve();
        return String(value).startsWith('https:')
          ? { value: new URL(String(value)) }
          : { issues: [{ message: 'no https' }] };
      },
    },
  };
  const store = memory();
  const flow = workflow({ name: 'later' });
  const hosts: string[] = [];
  const task = flow.task('t', {
    retry: { count: 1, backoff: () => 0 },
    run: async (_, ctx) => {
      const url = await ctx.ask(human(later, 'Where?'));
      hosts.push(url.host);
      url.host = 'changed';
      if (ctx.attempt === 1) throw new Error('again');
      return url.href;
    },
  });
  const run = flow.run({ store, runId: 'l' });
  const end = run.result();
  const two = [run.answer('t?1', 'http://a'), run.answer('t?1', 'https://b')];
  assert.equal(await Promise.all(two.map(refusal)), ['ANSWER_REFUSED', 'it did not reject']);
  assert.is((await end).results.get(task), 'https://changed/');
  assert.equal(hosts, ['b', 'b']);
  assert.is(recordsOf(store, 'l', 'answer')[0]?.value, 'https://b');
});

test('after a deadline the default counts, or the task fails without a retry', async () => {
  const scheduler = new SimulationScheduler();
  const store = memory();
  const flow = workflow({ name: 'deadline', retry: 3 });
  const soft = flow.task('soft', {
    run: (_, ctx) => ctx.ask(human(word, { prompt: 'Name?', deadline: 100, default: 'nobody' })),
  });
  const hard = flow.task('hard', {
    run: (_, ctx) => ctx.ask(human(word, { prompt: 'Name?', deadline: 200 })),
  });
  const run = flow.run({ store, runId: 'd', scheduler });
  const end = run.result();
  const events: unknown[] = [];
  run.events$.subscribe((event) => {
    if (event.type === 'question') events.push([event.at, event.reason, event.questionId]);
  });
  await advance(scheduler, 150);
  assert.equal(recordsOf(store, 'd', 'answer'), [
    { kind: 'answer', id: 'soft?1', value: 'nobody', by: 'deadline' },
  ]);
  assert.is(await refusal(run.answer('soft?1', 'bob')), 'ALREADY_ANSWERED');
  await advance(scheduler);
  const result = await end;
  assert.is(result.results.get(soft), 'nobody');
  const report = result.tasks.get(hard);
  assert.is(report?.attempts.length, 1);
  assert.instance(report?.error, TaskTimeoutError);
  assert.match(String(report?.error), /nobody answered its question within 200 ms/);
  assert.is(result.report.wallMs, 200);
  assert.is(await refusal(run.answer('hard?1', 'bob')), 'QUESTION_CLOSED');
  assert.equal(events, [
    [100, 'expired', 'soft?1'],
    [200, 'expired', 'hard?1'],
  ]);
  // Who runs failed tasks again asks again, with a new deadline.
  const again = flow.run({ store, runId: 'd', scheduler, retry: 'failed' });
  const second = again.result();
  await advance(scheduler, 250);
  assert.equal(
    again.questions().map(({ id, askedAt, deadline }) => [id, askedAt, deadline]),
    [['hard?1', 200, 400]],
  );
  const answered = again.answer('hard?1', 'bob');
  await advance(scheduler);
  await answered;
  assert.is((await second).results.get(hard), 'bob');
});

test('a process that comes back late applies the default at once, an answer that comes with it is too late', async () => {
  const flow = workflow({ name: 'late' });
  const task = flow.task('t', {
    run: (_, ctx) => ctx.ask(human(word, { prompt: 'Name?', deadline: 100, default: 'nobody' })),
  });
  const store = memory();
  const first = flow.run({ store, runId: 'l', scheduler: new SimulationScheduler(), suspend: 'exit' });
  assert.is((await first.result()).status, 'suspended');
  const scheduler = new SimulationScheduler();
  scheduler.run(1_000);
  const second = flow.run({ store, runId: 'l', scheduler, suspend: 'exit' });
  const given = refusal(second.answer('t?1', 'bob'));
  const result = second.result();
  await advance(scheduler);
  assert.is((await result).results.get(task), 'nobody');
  assert.is((await result).report.wallMs, 0);
  assert.is(await given, 'ALREADY_ANSWERED');
});

test('a run of one task that asks after a while ends to wait, and goes on', async () => {
  const store = memory();
  const make = () => {
    const flow = workflow({ name: 'alone' });
    const task = flow.task('t', {
      run: async (_, ctx) => {
        await null;
        return ctx.ask(human(word, 'Name?'));
      },
    });
    return { flow, task };
  };
  const first = await make().flow.run({ store, runId: 'a', suspend: 'exit' }).result();
  assert.is(first.status, 'suspended');
  const { flow, task } = make();
  const run = flow.run({ store, runId: 'a' });
  const result = run.result();
  await run.answer('t?1', 'ann');
  assert.is((await result).results.get(task), 'ann');
});

test('the clocks of a task stand still while people are asked', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'clocks' });
  for (const [id, timeout] of [
    ['attempt', { attempt: 30 }],
    ['total', { total: 30 }],
    ['idle', { idle: 30 }],
  ] as const)
    flow.task(id, {
      timeout,
      run: async (_, ctx) => {
        await ctx.sleep(20);
        await ctx.ask(human(yes, 'First?'));
        await ctx.ask(human(yes, 'Second?'));
        await ctx.sleep(9);
        return 1;
      },
    });
  flow.task('slow', {
    timeout: { attempt: 30 },
    run: async (_, ctx) => {
      await ctx.sleep(20);
      await ctx.ask(human(yes, 'First?'));
      await ctx.sleep(11);
    },
  });
  const run = flow.run({ scheduler });
  const end = run.result();
  for (let i = 0; i < 2; i++) {
    await advance(scheduler, scheduler.now() + 1_000_000);
    for (const { id } of run.questions()) void run.answer(id, true);
  }
  await advance(scheduler);
  const { tasks } = await end;
  for (const id of ['attempt', 'total', 'idle']) assert.is(tasks.get(id)?.status, 'succeeded', id);
  assert.is((tasks.get('slow')?.error as TaskTimeoutError | undefined)?.kind, 'attempt');
  assert.is(tasks.get('slow')?.runningMs, 30);
});

test('a run may exit and another process goes on with the answer', async () => {
  let store = memory();
  const ran: string[] = [];
  const make = () => {
    const flow = workflow({ name: 'exit', input: typed<{ topic: string }>() });
    const draft = flow.task('draft', {
      run: (_, ctx) => {
        ran.push('draft');
        return `on ${ctx.input.topic}`;
      },
    });
    const review = (who: string) =>
      flow.task(who, {
        dependencies: { draft },
        run: async ({ draft }, ctx) => {
          ran.push(who);
          return ctx.ask(human(v.picklist(['yes', 'no']), { key: 'ok', prompt: `Print "${draft}"?` }));
        },
      });
    flow.task('print', {
      dependencies: [review('ann'), review('bob')],
      run: (votes) => votes.join(),
    });
    return flow;
  };
  const first = await make()
    .run({ store, runId: 'e', suspend: 'exit', input: { topic: 'bees' } })
    .result();
  assert.is(first.status, 'suspended');
  assert.equal(
    first.questions.map(({ id }) => id),
    ['ann?ok', 'bob?ok'],
  );
  assert.equal(
    [...first.tasks.values()].map(({ status }) => status),
    ['succeeded', 'suspended', 'suspended', 'waiting'],
  );
  assert.match(
    String(first.report),
    /suspended[\s\S]*2 suspended, 1 waiting[\s\S]*"ann\?ok": Print "on bees"\?/,
  );
  assert.throws(() => first.orThrow(), /have to answer/);

  store = memory(store.dump());
  const flow = make();
  assert.equal(await flow.questions(store, 'e'), first.questions);
  const wrong = store.dump();
  assert.is(await refusal(flow.answer(store, 'e', 'eve?ok', 'yes')), 'QUESTION_UNKNOWN');
  assert.equal(ran, ['draft', 'ann', 'bob']);
  assert.is(await refusal(flow.answer(store, 'e', 'ann?ok', 'perhaps')), 'ANSWER_REFUSED');
  assert.equal(store.dump(), wrong);
  assert.is((await flow.questions(store, 'e')).length, 2);
  const half = await flow.answer(store, 'e', 'bob?ok', 'no');
  assert.is(half.status, 'suspended');
  assert.equal(
    half.questions.map(({ id }) => id),
    ['ann?ok'],
  );
  assert.is(await refusal(flow.answer(store, 'e', 'bob?ok', 'yes')), 'ALREADY_ANSWERED');
  assert.is((await flow.answer(store, 'e', 'bob?ok', 'no')).status, 'suspended');
  const done = await flow.answer(store, 'e', 'ann?ok', 'yes');
  assert.is(done.status, 'succeeded');
  assert.is(done.results.get('print'), 'yes,no');
  assert.equal(await flow.questions(store, 'e'), []);
  assert.is((await flow.answer(store, 'e', 'ann?ok', 'yes')).status, 'succeeded');
  assert.is(ran.filter((id) => id === 'draft').length, 1);
  assert.is(recordsOf(store, 'e', 'question').length, 2);
  assert.is(recordsOf(store, 'e', 'answer').length, 2);
});

test('exit waits for all that can go on by itself', async () => {
  const scheduler = new SimulationScheduler();
  const store = memory();
  const flow = workflow({ name: 'busy', concurrency: 2 });
  flow.task('asks', { run: (_, ctx) => ctx.ask(human(yes, 'Go?')) });
  flow.task('retries', {
    retry: { count: 1, backoff: () => 500 },
    run: (_, ctx) => {
      if (ctx.attempt === 1) throw new Error('once');
      return 1;
    },
  });
  flow.task('parent', {
    run: async (_, ctx) => {
      const child = ctx.spawn('child', { run: (_, ctx) => ctx.ask(human(yes, 'Child?')) });
      return ctx.join(child);
    },
  });
  const run = flow.run({ store, runId: 'b', scheduler, suspend: 'exit' });
  const end = run.result();
  await advance(scheduler);
  const result = await end;
  assert.is(result.report.wallMs, 500);
  assert.is(result.status, 'suspended');
  assert.equal(Object.fromEntries([...result.tasks].map(([id, { status }]) => [id, status])), {
    asks: 'suspended',
    retries: 'succeeded',
    parent: 'suspended',
    child: 'suspended',
  });
  for (const { waits, runningMs, attempts } of result.tasks.values()) {
    const sum = Object.values(waits).reduce((a, b) => a + b, 0);
    assert.is(sum + runningMs, 500, JSON.stringify([waits, attempts]));
    break;
  }
  const half = await flow.answer(store, 'b', 'child?1', true);
  assert.equal(
    half.questions.map(({ id }) => id),
    ['asks?1'],
  );
  assert.is((await flow.answer(store, 'b', 'asks?1', true)).status, 'succeeded');
  assert.throws(
    () => flow.run({ suspend: 'exit' }),
    (error: unknown) => codeOf(error) === 'INVALID_OPTION',
  );
  assert.throws(() => flow.run({ suspend: 'never' as 'wait' }), /"wait", "exit" or "end"/);
});

test('without a store a run may end at its questions, once no deadline can answer one', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'end' });
  const early = flow.task('early', {
    run: (_, ctx) => ctx.ask(human(v.boolean(), { prompt: 'Now?', deadline: 1_000, default: true })),
  });
  flow.task('late', { dependencies: { early }, run: (_, ctx) => ctx.ask(human(v.string(), 'Why?')) });
  const ended = flow.run({ scheduler, suspend: 'end' }).result();
  await advance(scheduler);
  const { status, questions, results, report } = await ended;
  assert.is(status, 'suspended');
  assert.is(results.get(early), true);
  assert.equal(
    questions.map(({ prompt }) => prompt),
    ['Why?'],
  );
  assert.is(report.wallMs, 1_000);
});

test('streams of tasks that have not ended fail when a run exits; a lease elsewhere refuses the answer', async () => {
  const store = memory();
  const flow = workflow({ name: 'streams' });
  const task = flow.task('t', { run: (_, ctx) => ctx.ask(human(yes, 'Go?')) });
  const run = flow.run({ store, runId: 's', suspend: 'exit' });
  const ends: unknown[] = [];
  run.result$(task).subscribe({ error: (error: unknown) => ends.push(codeOf(error)) });
  run.values$(task).subscribe({ error: (error: unknown) => ends.push(codeOf(error)) });
  await run.result();
  assert.equal(ends, ['RUN_SUSPENDED', 'RUN_SUSPENDED']);
  const open = flow.run({ store, runId: 's' });
  const end = open.result();
  assert.is(await refusal(flow.answer(store, 's', 't?1', true)), 'RUN_LEASED');
  await open.answer('t?1', true);
  assert.is((await end).status, 'succeeded');
});

test('cancel, cancelTask and fail-fast end what waits; an answer then comes too late', async () => {
  for (const how of ['cancel', 'cancelTask', 'fail-fast'] as const) {
    const scheduler = new SimulationScheduler();
    const store = memory();
    const flow = workflow({ name: 'stop', ...(how === 'fail-fast' && { failurePolicy: how }) });
    const told: unknown[] = [];
    const asks = flow.task('asks', {
      run: async (_, ctx) => {
        try {
          return await ctx.ask(human(yes, 'Go?'));
        } catch (error) {
          told.push(codeOf(error), ctx.signal.aborted);
          told.push(await refusal(Promise.resolve().then(() => ctx.ask(human(yes, 'And now?')))));
          throw error;
        }
      },
    });
    flow.task('fails', {
      run: async (_, ctx) => {
        await ctx.sleep(50);
        if (how === 'fail-fast') throw new Error('no');
      },
    });
    const run = flow.run({ scheduler, store, runId: 'c' });
    const end = run.result();
    await advance(scheduler, 10);
    if (how === 'cancel') run.cancel();
    if (how === 'cancelTask') run.cancelTask(asks);
    await advance(scheduler);
    const result = await end;
    assert.is(result.tasks.get(asks)?.status, 'cancelled', how);
    assert.equal(told, ['WORKFLOW_CANCELLED', true, 'ATTEMPT_ENDED'], how);
    assert.equal(run.questions(), []);
    assert.is(await refusal(run.answer('asks?1', true)), 'QUESTION_CLOSED', how);
    assert.is(recordsOf(store, 'c', 'question').length, 1);
    if (how === 'fail-fast') {
      // The failure is in the log, and ends whoever goes on too.
      assert.is(await refusal(flow.answer(store, 'c', 'asks?1', true)), 'QUESTION_CLOSED');
      continue;
    }
    // What was cancelled is not in the log: the question is open for whoever goes on.
    const later = await flow.answer(store, 'c', 'asks?1', true);
    assert.is(later.results.get(asks), true, how);
  }
});

test('of several open questions each resolves when it is answered; the first may win', async () => {
  const flow = workflow({ name: 'race' });
  const task = flow.task('t', {
    run: (_, ctx) =>
      Promise.race([ctx.ask(human(word, { key: 'ann' })), ctx.ask(human(word, { key: 'bob' }))]),
  });
  const run = flow.run();
  const end = run.result();
  await run.answer('t?bob', 'I say so');
  assert.is((await end).results.get(task), 'I say so');
  assert.is(await refusal(run.answer('t?ann', 'no')), 'QUESTION_CLOSED');
});

test('readers of a stream wait with who asks, and see the rest', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'stream', concurrency: 1 });
  const words = flow.task('words', {
    run: async function* (_, ctx) {
      yield 'one';
      yield await ctx.ask(human(word, 'Next?'));
    },
  });
  const read = flow.task('read', {
    dependencies: { words: latest(words) },
    run: (inputs$) => inputs$,
  });
  const other = flow.task('other', { priority: -1, run: async (_, ctx) => ctx.sleep(10) });
  const run = flow.run({ scheduler });
  const end = run.result();
  await advance(scheduler);
  assert.equal([...run.snapshot().tasks.values()], ['suspended', 'suspended', 'succeeded']);
  void run.answer('words?1', 'two');
  await advance(scheduler);
  const result = await end;
  assert.equal(result.results.get(read), { words: 'two' });
  assert.is(result.tasks.get(other)?.status, 'succeeded');
});

test('a shared thing is not kept waiting for a person', async () => {
  const flow = workflow({ name: 'shared' });
  const asks = human(yes, 'Go?');
  flow.task('within', { run: (_, ctx) => ctx.shared('x').use(() => ctx.ask(asks)) });
  flow.task('beside', {
    run: (_, ctx) => Promise.all([ctx.ask(asks), ctx.shared('x').use(() => 1)]),
  });
  const after = flow.task('after', {
    run: async (_, ctx) => {
      await ctx.shared('x').use(() => 1);
      const answer = await ctx.ask(asks);
      return ctx.shared('x').use(() => answer);
    },
  });
  const run = flow.run();
  const end = run.result();
  while (run.snapshot().tasks.get('after') !== 'suspended') await new Promise((next) => setTimeout(next, 1));
  await run.answer('after?1', true);
  const result = await end;
  assert.is(codeOf(result.tasks.get('within')?.error), 'INVALID_OPTION');
  assert.is(codeOf(result.tasks.get('beside')?.error), 'INVALID_OPTION');
  assert.is(result.results.get(after), true);
});

test('who waits for the same cached work waits for its answer too; compensations may ask', async () => {
  const store = memory();
  const flow = workflow({ name: 'cached' });
  const cache = { key: () => 'same' };
  const run = (_: unknown, ctx: { ask: (q: ReturnType<typeof human<string>>) => Promise<string> }) =>
    ctx.ask(human(word, 'Name?'));
  const compensate = async (
    value: string,
    ctx: typeof run extends (_: never, c: infer C) => unknown ? C : never,
  ) => {
    undone.push(`${value}: ${await ctx.ask(human(word, 'Really?'))}`);
  };
  const undone: string[] = [];
  const options = { type: 'name', cache, run, compensate };
  flow.task('a', options);
  flow.task('b', options);
  const first = await flow.run({ store, runId: 'c', suspend: 'exit' }).result();
  assert.equal(
    first.questions.map(({ id }) => id),
    ['a?1'],
  );
  const second = await flow.answer(store, 'c', 'a?1', 'bob');
  assert.equal([...second.results.values()], ['bob', 'bob']);
  const undo = await flow.compensate(store, 'c');
  const undoing = undo.result();
  for (const id of ['a?1', 'b?1']) {
    while (undo.questions().length === 0) await new Promise((next) => setTimeout(next, 1));
    await undo.answer(id, 'yes');
  }
  assert.is((await undoing).status, 'succeeded');
  assert.equal(undone, ['bob: yes', 'bob: yes']);
});

test('question and answer are in the log before anybody sees them, whatever the durability and the store', async () => {
  for (const durability of ['exit', 'group', 'sync'] as const) {
    for (const late of [false, true]) {
      const kept = memory();
      const slow = new LateStore(kept);
      slow.auto = () => 2;
      const store = late ? slow : kept;
      const flow = workflow({ name: 'durable' });
      const seen: number[] = [];
      const count = (kind: string): number => recordsOf(kept, 'd', kind).length;
      const task = flow.task('t', {
        run: async (_, ctx) => {
          const answer = await ctx.ask(human(word, 'Name?'));
          seen.push(count('answer'));
          return answer;
        },
      });
      const run = flow.run({ store, runId: 'd', durability });
      run.questions$.subscribe((open) => {
        if (open.length === 0) return;
        seen.push(count('question'));
        setImmediate(() => void run.answer('t?1', 'bob').then(() => seen.push(count('answer'))));
      });
      const result = await run.result();
      assert.is(result.results.get(task), 'bob');
      assert.equal(seen, [1, 1, 1], `${durability} ${late}`);
    }
  }
});

test('a stored answer that does not fit a changed schema is asked for again', async () => {
  const store = memory();
  const make = (schema: StandardSchema<unknown>, fail: boolean) => {
    const flow = workflow({ name: 'changed' });
    flow.task('t', {
      version: '1',
      run: async (_, ctx) => {
        const answer = await ctx.ask(human(schema, 'How many?'));
        if (fail) throw new Error('later');
        return answer;
      },
    });
    return flow;
  };
  const options = { store, runId: 'c' } as const;
  const first = make(v.string(), true).run(options);
  const end = first.result();
  await first.answer('t?1', 'three');
  await end;
  const second = make(v.number(), false).run({ ...options, retry: 'failed', suspend: 'exit' });
  assert.equal(
    (await second.result()).questions.map(({ id }) => id),
    ['t?1'],
  );
  assert.equal((await make(v.number(), false).answer(store, 'c', 't?1', 3)).results.get('t'), 3);
});

test('a question with another text is another question, unless it has a key', async () => {
  const store = memory();
  let draft = 'first';
  const flow = workflow({ name: 'texts' });
  const free = flow.task('free', { run: (_, ctx) => ctx.ask(human(yes, `Print ${draft}?`)) });
  const keyed = flow.task('keyed', {
    run: (_, ctx) => ctx.ask(human(yes, { key: 'ok', prompt: `Print ${draft}?` })),
  });
  const options = { store, runId: 't', suspend: 'exit' } as const;
  await flow.run(options).result();
  draft = 'second';
  const { questions } = await flow.run(options).result();
  assert.equal(questions.map(({ id, prompt }) => `${id} ${prompt}`).sort(), [
    'free?2 Print second?',
    'keyed?ok Print second?',
  ]);
  // What was asked about the first draft is not an answer about the second.
  assert.is(await refusal(flow.answer(store, 't', 'free?1', true)), 'QUESTION_CLOSED');
  await flow.answer(store, 't', 'free?2', false);
  const { results } = await flow.answer(store, 't', 'keyed?ok', true);
  assert.equal([results.get(free), results.get(keyed)], [false, true]);
});

test('a run exits whatever happens last: a question that a body asks late, or an answer that is refused late', async () => {
  const store = memory();
  const late: StandardSchema<number> = {
    '~standard': {
      version: 1,
      vendor: 'late',
      validate: async (value) =>
        typeof value === 'number' ? { value } : { issues: [{ message: 'give a number' }] },
    },
  };
  const flow = workflow({ name: 'late', concurrency: 1 });
  const task = flow.task('t', {
    run: async (_, ctx) => {
      await Promise.resolve();
      return ctx.ask(human(late, 'How many?'));
    },
  });
  flow.task('other', { run: () => 1 });
  const first = await flow.run({ store, runId: 'r', suspend: 'exit' }).result();
  assert.is(first.status, 'suspended');
  assert.is(await refusal(flow.answer(store, 'r', 't?1', 'two')), 'ANSWER_REFUSED');
  assert.is((await flow.answer(store, 'r', 't?1', 2)).results.get(task), 2);

  const stuck = flow.run().events$.pipe(
    filter((event) => event.type === 'run' && event.reason === 'stuck'),
    take(1),
  );
  assert.match(String(((await firstValueFrom(stuck)) as { waitsFor?: unknown }).waitsFor), 't?1');
});

test('questions say what may be answered where the library of the schema tells it, the newest version', async () => {
  const store = memory();
  const flowWith = (schema: StandardSchema<unknown>) => {
    const flow = workflow({ name: 'told' });
    flow.task('t', { version: '1', run: (_, ctx) => ctx.ask(human(schema, 'How many?')) });
    return flow;
  };
  const options = { store, runId: 'r', suspend: 'exit' } as const;
  const told: unknown[] = [];
  for (const schema of [z.number().min(1), z.number().min(2), v.number(), z.date()]) {
    const run = flowWith(schema).run(options);
    run.events$.subscribe((event) => event.type === 'question' && told.push(event.schema));
    const { questions } = await run.result();
    assert.equal(questions, await flowWith(schema).questions(store, 'r'));
    assert.equal(questions[0]?.schema, told.at(-1));
  }
  const min = (minimum: number) => ({ type: 'number', minimum });
  assert.equal(told, [min(1), min(2), undefined, undefined]);
  // valibot does not say it, and dates are not JSON: the same question, written anew only when what it says has changed.
  assert.is(recordsOf(store, 'r', 'question').length, 3);
});

test('the facade asks, exits and goes on', async () => {
  const store = memory();
  const make = () => {
    const orchestrator = new WorkflowOrchestrator({
      agents: {
        review: (task, ctx) => ctx.ask(human(word, { prompt: `${task.id}?`, context: task.data })),
      },
    });
    for (const id of ['a', 'b'])
      orchestrator.addTask(new AgentTask({ id, agentType: 'review', data: { id } }));
    return orchestrator;
  };
  const first = await make().executeWorkflow({ store, runId: 'f', suspend: 'exit' });
  assert.is(first.status, 'suspended');
  const second = make();
  const events: string[] = [];
  second.events$.subscribe(({ type }) => events.push(type));
  assert.equal(
    (await second.questions(store, 'f')).map(({ id, context }) => [id, context]),
    [
      ['a?1', { id: 'a' }],
      ['b?1', { id: 'b' }],
    ],
  );
  assert.is((await second.answer(store, 'f', 'b?1', 'B')).status, 'suspended');
  assert.ok(events.includes('question'));
  const live = second.executeWorkflow({ store, runId: 'f' });
  await second.answer('a?1', 'A');
  assert.equal([...(await live).results.values()], ['A', 'B']);
  assert.equal(second.questions(), []);
  assert.throws(
    () => second.answer('a?1', 'A'),
    (error: unknown) => codeOf(error) === 'RUN_ENDED',
  );
});

test('questions that make no sense are refused', async () => {
  const bad: [() => unknown, RegExp][] = [
    [() => human(undefined as never), /schema is undefined/],
    [() => human(yes, { prompt: 1 as never }), /prompt is 1/],
    [() => human(yes, { key: '1' }), /not only digits/],
    [() => human(yes, { key: 'a?b' }), /without "\?"/],
    [() => human(yes, { key: '' }), /key is ""/],
    [() => human(yes, { deadline: 0 }), /deadline is 0/],
    [() => human(yes, { deadline: Number.NaN }), /deadline is NaN/],
    [() => human(yes, { default: true }), /without deadline/],
    [() => human(yes, null as never), /question is null/],
  ];
  for (const [make, message] of bad) assert.throws(make, message);
  const flow = workflow({ name: 'bad' });
  const codes: unknown[] = [];
  flow.task('t', {
    run: async (_, ctx) => {
      for (const ask of [
        () => ctx.ask({} as never),
        () => ctx.ask(human(yes, { context: () => 1 })),
        () => ctx.ask(human(typed<unknown>(), { deadline: 1, default: () => 1 })),
        () => Promise.all([1, 2].map(() => ctx.ask(human(yes, { key: 'same' })))),
      ])
        codes.push(await refusal(Promise.resolve().then(ask)));
      ctx.ask(human(yes, 'Nobody waits for this.')).catch(() => undefined);
    },
  });
  assert.is((await flow.run().result()).status, 'succeeded');
  assert.equal(codes, ['INVALID_OPTION', 'NOT_SERIALIZABLE', 'NOT_SERIALIZABLE', 'INVALID_OPTION']);
});

test('flow.answer leaves the input as the log has it: a schema that makes something of it has seen it', async () => {
  const store = memory();
  const plusOne: StandardSchema<{ n: number }> = {
    '~standard': {
      version: 1,
      vendor: 'spec',
      validate: (value) => ({ value: { n: (value as { n: number }).n + 1 } }),
    },
  };
  const flow = workflow({ name: 'input', input: plusOne });
  const task = flow.task('t', {
    run: async (_, ctx) => {
      await ctx.ask(human(typed<string>(), 'Go on?'));
      return ctx.input.n;
    },
  });
  await flow.run({ store, runId: 'r', input: { n: 1 }, suspend: 'exit' }).result();
  const [question] = await flow.questions(store, 'r');
  const { results } = await flow.answer(store, 'r', question?.id ?? '', 'yes');
  assert.is(results.get(task), 2);
});

test('items that wait for people stay as they are when the run exits, also with a store that writes later', async () => {
  const scheduler = new SimulationScheduler();
  const store = new LateStore(memory(), scheduler);
  store.auto = () => 2;
  const flow = workflow({ name: 'items', concurrency: 1 });
  const each = flow.each('each', {
    from: ['a', 'b'],
    keep: true,
    run: (_, ctx) => ctx.ask(human(word, { key: 'q' })),
  });
  const options = { store, runId: 'r', durability: 'sync', suspend: 'exit', scheduler } as const;
  const first = flow.run(options).result();
  await advance(scheduler);
  const { status, questions } = await first;
  assert.is(status, 'suspended');
  const run = flow.run(options);
  for (const { id } of questions) run.answer(id, `yes to ${id}`);
  const second = run.result();
  await advance(scheduler);
  const result = await second;
  assert.is(result.status, 'succeeded');
  assert.equal(result.results.get(each)?.values, ['yes to each/0?q', 'yes to each/1?q']);
});

test.run();
