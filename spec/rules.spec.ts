import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Settled } from '../lib/entry/types.js';
import {
  any,
  checkWorkflow,
  done,
  failed,
  memory,
  optional,
  race,
  settled,
  type Task,
  type TaskContext,
  workflow,
} from '../lib/index.js';
import { simulate } from '../lib/testing/index.js';

/** How the tasks end that others depend on: well, badly, by a decision, or behind one that failed. */
type End = 'ok' | 'bad' | 'off' | 'behind';

function bad(): never {
  throw new Error('broken');
}

/** A workflow of two tasks that end so, after 10 and 20 ms. */
function two(a: End, b: End, failurePolicy: 'continue' | 'fail-fast' = 'continue') {
  const flow = workflow({ name: 'rules', failurePolicy });
  const make = (id: string, end: End, ms: number): Task<string> => {
    const run = async (_: unknown, ctx: TaskContext): Promise<string> => {
      await ctx.sleep(ms);
      return end === 'bad' ? bad() : id;
    };
    if (end === 'behind') {
      const broken = flow.task(`before ${id}`, { run: bad });
      return flow.task(id, { dependencies: { broken }, run: () => id });
    }
    return flow.task(id, { when: () => end !== 'off', run });
  };
  return { flow, a: make('a', a, 10), b: make('b', b, 20) };
}

type Made = ReturnType<typeof two>;

/** For which ends the task that `rule` makes runs, as `ok bad`. */
async function runsFor(rule: (made: Made) => Task<unknown>): Promise<string[]> {
  const found: string[] = [];
  for (const a of ['ok', 'bad', 'off', 'behind'] as const)
    for (const b of ['ok', 'bad', 'off'] as const) {
      const made = two(a, b);
      const task = rule(made);
      const { result } = await simulate(made.flow);
      if (result.tasks.get(task)?.status === 'succeeded') found.push(`${a} ${b}`);
      else assert.is(result.tasks.get(task)?.status, 'skipped');
    }
  return found;
}

const run = (): string => 'ran';
const wentWrong = ({ status, decided }: { readonly status: string; readonly decided?: true }): boolean =>
  status !== 'succeeded' && decided !== true;
const all = [...['ok', 'bad', 'off', 'behind']].flatMap((a) => ['ok', 'bad', 'off'].map((b) => `${a} ${b}`));
const rule = (name: string, make: (made: Made) => Task<unknown>, expected: readonly string[]): void =>
  test(`Airflow: ${name}`, async () => assert.equal(await runsFor(make), expected));

rule('all_success', ({ flow, a, b }) => flow.task('x', { dependencies: [a, b], run }), ['ok ok']);
rule('all_failed', ({ flow, a, b }) => flow.task('x', { dependencies: [failed(a), failed(b)], run }), [
  'bad bad',
]);
rule('all_done', ({ flow, a, b }) => flow.task('x', { dependencies: [done(a), done(b)], run }), all);
rule(
  'one_failed',
  ({ flow, a, b }) => {
    const failures = [a, b].map((one) => flow.task(`${one.id} failed`, { dependencies: [failed(one)], run }));
    return flow.task('x', { dependencies: [any(failures)], run });
  },
  all.filter((ends) => ends.includes('bad')),
);
rule(
  'one_success',
  ({ flow, a, b }) => flow.task('x', { dependencies: [any([a, b])], run }),
  all.filter((ends) => ends.includes('ok')),
);
rule(
  'one_done',
  ({ flow, a, b }) => {
    const ended = [a, b].map((one) =>
      flow.task(`${one.id} ended`, {
        dependencies: { one: done(one) },
        when: ({ one: { status } }) => status !== 'skipped',
        run,
      }),
    );
    return flow.task('x', { dependencies: [any(ended)], run });
  },
  all.filter((ends) => ends.includes('ok') || ends.includes('bad')),
);
rule(
  'none_failed',
  ({ flow, a, b }) =>
    flow.task('x', { dependencies: [done(a), done(b)], when: (ends) => !ends.some(wentWrong), run }),
  ['ok ok', 'ok off', 'off ok', 'off off'],
);
rule(
  'none_failed_min_one_success',
  ({ flow, a, b }) =>
    flow.task('x', {
      dependencies: [done(a), done(b)],
      when: (ends) => !ends.some(wentWrong) && ends.some(({ status }) => status === 'succeeded'),
      run,
    }),
  ['ok ok', 'ok off', 'off ok'],
);
rule(
  'none_skipped',
  ({ flow, a, b }) =>
    flow.task('x', {
      dependencies: [done(a), done(b)],
      when: (ends) => ends.every(({ status }) => status !== 'skipped'),
      run,
    }),
  ['ok ok', 'ok bad', 'bad ok', 'bad bad'],
);
rule(
  'all_skipped',
  ({ flow, a, b }) =>
    flow.task('x', {
      dependencies: [done(a), done(b)],
      when: (ends) => ends.every(({ status }) => status === 'skipped'),
      run,
    }),
  ['off off', 'behind off'],
);
rule('always', ({ flow }) => flow.task('x', { run }), all);
rule(
  'all_done_min_one_success',
  ({ flow, a, b }) =>
    flow.task('x', {
      dependencies: [done(a), done(b)],
      when: (ends) => ends.some(({ status }) => status === 'succeeded'),
      run,
    }),
  all.filter((ends) => ends.includes('ok')),
);

test('Airflow: BranchPythonOperator', async () => {
  const flow = workflow({ name: 'branch' });
  const choose = flow.task('choose', { run: (): 'small' | 'large' => 'large' });
  const branch = (id: 'small' | 'large') =>
    flow.task(id, { dependencies: { choose }, when: ({ choose: chosen }) => chosen === id, run: () => id });
  const [small, large] = [branch('small'), branch('large')];
  const merge = flow.task('merge', { dependencies: [any([small, large])], run: ([one]) => one });
  const { result } = await simulate(flow);
  assert.is(result.status, 'succeeded');
  assert.is(result.results.get(merge), 'large');
  assert.equal([result.tasks.get(small)?.status, result.tasks.get(large)?.status], ['skipped', 'succeeded']);
});

test('Airflow: ShortCircuitOperator', async () => {
  const flow = workflow({ name: 'short' });
  const gate = flow.task('gate', { run: (_, ctx) => (ctx.attempt > 5 ? 1 : ctx.skip('a holiday')) });
  const next = flow.task('next', { dependencies: [gate], run });
  const last = flow.task('last', { dependencies: [next], run });
  const report = flow.task('report', { dependencies: [done(last)], run });
  const { result } = await simulate(flow);
  assert.is(result.status, 'succeeded');
  assert.equal(
    [gate, next, last, report].map((one) => result.tasks.get(one)?.status),
    ['skipped', 'skipped', 'skipped', 'succeeded'],
  );
  assert.equal(result.tasks.get(last)?.skippedBecause, ['gate']);
});

test('Airflow: soft_fail', async () => {
  const flow = workflow({ name: 'soft' });
  const sensor = flow.task('sensor', {
    run: (_, ctx) => {
      try {
        return bad();
      } catch (error) {
        return ctx.skip((error as Error).message);
      }
    },
  });
  const { result } = await simulate(flow);
  assert.is(result.status, 'succeeded');
  assert.match(String(result.tasks.get(sensor)?.error), 'broken');
});

test('Airflow: on_failure_callback', async () => {
  for (const end of ['ok', 'bad'] as const) {
    const { flow, a } = two(end, 'ok');
    const told = flow.task('told', { dependencies: { error: failed(a) }, run: ({ error }) => String(error) });
    const { result } = await simulate(flow);
    assert.is(result.status, 'succeeded', end);
    assert.is(result.results.get(told), end === 'bad' ? 'Error: broken' : undefined);
  }
});

test('Airflow: on_success_callback', async () => {
  const { flow, a } = two('ok', 'bad');
  const told: string[] = [];
  flow.onTaskComplete(a, (value) => told.push(value));
  await simulate(flow);
  assert.equal(told, ['a']);
});

/** Two days of one workflow; on the second a task asks the log of the first. */
async function twoDays(first: End, behind: boolean): Promise<string | undefined> {
  const store = memory();
  const make = (day: number) => {
    const flow = workflow({ name: 'days' });
    const load = flow.task('load', {
      when: async () => {
        if (day === 1) return true;
        const past = (await flow.history(store, 'day 1')).timeline();
        const good = past.filter(({ status }) => status === 'succeeded').map(({ taskId }) => taskId);
        return good.includes('load') && (!behind || good.includes('publish'));
      },
      run: () => (day === 1 && first === 'bad' ? bad() : day),
    });
    flow.task('publish', {
      dependencies: [load],
      run: () => (day === 1 && first === 'behind' ? bad() : day),
    });
    return flow;
  };
  await simulate(make(1), { store, runId: 'day 1' });
  const { result } = await simulate(make(2), { store, runId: 'day 2' });
  return result.tasks.get('load')?.status;
}

test('Airflow: depends_on_past', async () => {
  assert.is(await twoDays('ok', false), 'succeeded');
  assert.is(await twoDays('bad', false), 'skipped');
  assert.is(await twoDays('behind', false), 'succeeded');
});

test('Airflow: wait_for_downstream', async () => {
  assert.is(await twoDays('ok', true), 'succeeded');
  assert.is(await twoDays('behind', true), 'skipped');
});

test('a failure that was handled leaves the run succeeded, with what was skipped for it', async () => {
  const { flow, a, b } = two('bad', 'ok');
  const next = flow.task('next', { dependencies: [a, b], run });
  const after = flow.task('after', { dependencies: [next], run });
  const handler = flow.task('handler', { dependencies: { error: failed(a) }, run: ({ error }) => error });
  const { result } = await simulate(flow);
  assert.is(result.status, 'succeeded');
  assert.is(result.tasks.get(a)?.status, 'failed');
  assert.is((result.results.get(handler) as Error).message, 'broken');
  assert.equal(
    [next, after].map((one) => result.tasks.get(one)?.status),
    ['skipped', 'skipped'],
  );
  assert.equal(result.tasks.get(after)?.skippedBecause, ['a']);
});

test('a handler that fails, or is skipped, leaves the failure what it is', async () => {
  for (const handler of [{ run: bad }, { when: () => false, run }]) {
    const { flow, a } = two('bad', 'ok');
    flow.task('handler', { dependencies: [failed(a)], ...handler });
    assert.is((await simulate(flow)).result.status, 'partial');
  }
});

test('fail-fast waits for a handler, and ends the run where it does not succeed', async () => {
  for (const good of [true, false]) {
    const { flow, a } = two('bad', 'ok', 'fail-fast');
    flow.task('handler', {
      dependencies: [failed(a)],
      run: (_, ctx) => ctx.sleep(5).then(() => (good ? 1 : bad())),
    });
    assert.is((await simulate(flow)).result.status, good ? 'succeeded' : 'failed');
  }
  const { flow, a, b } = two('bad', 'ok', 'fail-fast');
  flow.task('handler', { dependencies: [failed(a), optional(b)], when: () => false, run });
  const slow = flow.task('slow', { dependencies: [b], run: (_, ctx) => ctx.sleep(50).then(run) });
  const { result } = await simulate(flow);
  assert.is(result.status, 'failed');
  assert.is(result.tasks.get(slow)?.status, 'cancelled');
});

test('any takes the first success, and the others go on', async () => {
  const flow = workflow({ name: 'any' });
  const ask = (id: string, ms: number, fails = false) =>
    flow.task(id, { run: (_, ctx) => ctx.sleep(ms).then(() => (fails ? bad() : id)) });
  const tasks = [ask('broken', 5, true), ask('quick', 10), ask('slow', 500)] as const;
  const first = flow.task('first', { dependencies: { one: any(tasks) }, run: ({ one }) => one });
  const joined = flow.task('joined', { run: (_, ctx) => ctx.join(any([tasks[2], tasks[1]])) });
  const { result } = await simulate(flow);
  assert.is(result.status, 'succeeded');
  assert.equal([result.results.get(first), result.results.get(joined)], ['quick', 'quick']);
  assert.is(result.results.get(tasks[2]), 'slow');
  assert.is(result.report.wallMs, 500);
  const none = two('bad', 'off');
  const x = none.flow.task('x', { dependencies: [any([none.a, none.b])], run });
  const told = await simulate(none.flow);
  assert.is(told.result.status, 'failed');
  assert.equal(told.result.tasks.get(x)?.skippedBecause, ['a', 'b']);
});

test('what any needs is not stopped when it loses a race', async () => {
  const flow = workflow({ name: 'both' });
  const ask = (id: string, ms: number) => flow.task(id, { run: (_, ctx) => ctx.sleep(ms).then(() => id) });
  const [quick, slow] = [ask('quick', 10), ask('slow', 100)];
  flow.task('raced', { dependencies: [race([quick, slow])], run });
  flow.task('any', { dependencies: [any([quick, slow])], run });
  const { result } = await simulate(flow);
  assert.is(result.results.get(slow), 'slow');
});

test('a run that goes on gives any the result that was first', async () => {
  const store = memory();
  const make = (wait: boolean) => {
    const flow = workflow({ name: 'first' });
    const ask = (id: string, ms: number) =>
      flow.task(id, { version: '1', run: (_, ctx) => ctx.sleep(ms).then(() => id) });
    const [slow, quick] = [ask('slow', 100), ask('quick', 10)];
    flow.task('one', {
      version: '1',
      dependencies: [any([slow, quick])],
      run: ([value], ctx) => (wait ? ctx.sleep(1e6).then(() => value) : value),
    });
    flow.task('behind', { dependencies: [slow], run });
    return flow;
  };
  await simulate(make(true), { store, runId: 'r', until: 1_000, durability: 'sync' });
  const { result } = await simulate(make(false), { store: memory(store.dump()), runId: 'r' });
  assert.is(result.results.get('one'), 'quick');
});

test('a handled failure is handled when the run goes on', async () => {
  const store = memory();
  const make = () => {
    const { flow, a } = two('bad', 'ok');
    flow.task('handler', { dependencies: [failed(a)], run });
    flow.task('next', { dependencies: [a], run });
    return flow;
  };
  await simulate(make(), { store, runId: 'r' });
  const { result } = await simulate(make(), { store: memory(store.dump()), runId: 'r' });
  assert.is(result.status, 'succeeded');
  assert.is(result.tasks.get('handler')?.status, 'restored');
});

test('rules are explained, drawn and checked', async () => {
  const { flow, a, b } = two('bad', 'ok');
  flow.task('handler', { dependencies: [failed(a)], run });
  flow.task('one', { dependencies: [any([a, b])], run });
  const never = flow.task('never', { dependencies: { a, error: failed(a) }, run });
  flow.task('behind', { dependencies: [never], run });
  const mermaid = flow.graph();
  assert.match(mermaid, 't0{{"a"}}');
  assert.match(mermaid, '-. failed .->');
  assert.match(mermaid, '-. any .->');
  assert.match(flow.graph('dot'), '[label="a", shape=hexagon]');
  const findings = checkWorkflow(flow);
  assert.equal(
    findings.map(({ kind, taskId }) => [kind, taskId]),
    [
      ['unreachable', 'never'],
      ['unreachable', 'behind'],
    ],
  );
  assert.match(findings[0]?.message ?? '', 'needs "a" to succeed and to fail');
  const going = flow.run();
  const pending = going.result();
  assert.match(going.explain('handler'), '"a" (running, whose failure it handles)');
  assert.match(going.explain('one'), 'one of 2 in any(...)');
  await pending;
  const good = two('ok', 'ok');
  const handler = good.flow.task('handler', { dependencies: [failed(good.a)], run });
  const ended = good.flow.run();
  await ended.result();
  assert.is(ended.explain(handler), 'Task "handler" was skipped: "a" has not failed.');
});

test('rules are typed by the tasks they are about', () => {
  const { flow, a } = two('ok', 'ok');
  const n = flow.task('n', { run: () => 1 });
  flow.task('x', {
    dependencies: { error: failed(a), end: done(n), one: any([a, n]) },
    run: ({ error, end, one }) => {
      const thrown: unknown = error;
      const outcome: Settled<number> = end;
      const value: string | number = one;
      // @ts-expect-error what was thrown may be anything
      const message: Error = error;
      // @ts-expect-error it may be a text
      const number: number = one;
      return [thrown, outcome, value, message, number];
    },
  });
  // @ts-expect-error no task
  failed('a');
  // @ts-expect-error a rule about a rule
  any([settled(a)]);
});

test.run();
