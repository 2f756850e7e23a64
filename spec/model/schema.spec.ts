import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as v from 'valibot';
import { z } from 'zod';
import {
  AgentTask,
  InvalidResultError,
  memory,
  RxhiveError,
  type StandardSchema,
  type Task,
  typed,
  WorkflowDefinitionError,
  WorkflowOrchestrator,
  workflow,
} from '../../lib/index.js';

const codeOf = (error: unknown): string | undefined =>
  error instanceof RxhiveError ? error.code : undefined;

/** A schema that answers later. */
function later<T>(schema: StandardSchema<T>): StandardSchema<T> {
  const { validate, ...rest } = schema['~standard'];
  const late = async (value: unknown): Promise<Awaited<ReturnType<typeof validate>>> => {
    await new Promise((done) => setImmediate(done));
    return validate(value);
  };
  return { '~standard': { ...rest, validate: late } };
}

test('what the schema makes of a result is the result, in value and in type', async () => {
  const flow = workflow({ name: 'schemas' });
  const day = flow.task('day', {
    result: z.string().transform((text) => new Date(text)),
    run: async () => '2024-05-01',
    compensate: (date) => date.getTime() satisfies number,
  });
  const plan = flow.task('plan', {
    result: later(v.object({ steps: v.optional(v.array(v.string()), ['look']) })),
    run: (): unknown => JSON.parse('{}'),
  });
  const free = flow.task('free', { result: typed<'a' | 'b'>(), run: (): unknown => 'a' });
  const stream = flow.task('stream', {
    result: z.coerce.number(),
    run: async function* () {
      yield 'not a number';
      yield '7';
    },
  });
  const joined = flow.task('joined', {
    dependencies: { day, plan, free, stream },
    run: ({ day, plan, free, stream }) => [
      day.getUTCDate() satisfies number,
      plan.steps satisfies string[],
      free satisfies 'a' | 'b',
      stream satisfies number,
    ],
  });
  flow.onTaskComplete(plan, (value, add) => {
    for (const step of value.steps)
      add(`do ${step}`, { result: z.literal('done'), run: () => 'done' }) satisfies Task<'done'>;
  });
  // @ts-expect-error a date is no string
  day satisfies Task<string>;
  const { results } = (await flow.run().result()).orThrow();
  assert.equal(results.get(joined), [1, ['look'], 'a', 7]);
  assert.is(results.get('do look'), 'done');
});

test('a misfit is retried, then fails with its places and not with its values', async () => {
  for (const [name, schema] of [
    ['zod', z.object({ score: z.number(), steps: z.array(z.object({ title: z.string() })) })],
    ['valibot', v.object({ score: v.number(), steps: v.array(v.object({ title: v.string() })) })],
    ['later', later(z.object({ score: z.number(), steps: z.array(z.object({ title: z.string() })) }))],
  ] as const) {
    const flow = workflow({ name: 'misfit', retry: { count: 1, backoff: () => 0 } });
    let attempts = 0;
    flow.task('bad', {
      result: schema,
      run: async () => {
        attempts += 1;
        return { score: 'SECRET', steps: [{ title: 'one' }, { title: 42 }] };
      },
    });
    flow.task('heals', {
      result: schema as StandardSchema<unknown>,
      run: async (_, ctx) => (ctx.attempt === 1 ? 'nonsense' : { score: 1, steps: [] }),
    });
    const result = await flow.run().result();
    const error = result.tasks.get('bad')?.error;
    if (!(error instanceof InvalidResultError)) return assert.unreachable(String(error));
    assert.is(error.code, 'INVALID_RESULT');
    assert.match(error.message, 'at score, steps.1.title.');
    assert.equal(error.details.paths, ['score', 'steps.1.title']);
    assert.not.match(`${error.message} ${JSON.stringify(error.details)} ${result.report}`, 'SECRET');
    assert.ok(error.issues.every(({ message }) => message.length > 5));
    assert.is(attempts, 2, name);
    assert.is(result.tasks.get('heals')?.attempts.length, 2);
    assert.is(result.tasks.get('heals')?.status, 'succeeded');
  }
});

test('a schema is part of the attempt: its timeout, its cancellation, what it throws', async () => {
  const never: StandardSchema<never> = {
    '~standard': { version: 1, vendor: 'spec', validate: () => new Promise(() => undefined) },
  };
  const throws: StandardSchema<never> = {
    '~standard': {
      version: 1,
      vendor: 'spec',
      validate: () => {
        throw new TypeError('schema broke');
      },
    },
  };
  const flow = workflow({ name: 'within' });
  flow.task('slow', { timeout: 20, result: never, run: () => 1 });
  flow.task('throws', { result: throws, run: () => 1 });
  const after = flow.task('after', { result: later(throws), run: () => 1 });
  const { tasks, status } = await flow.run().result();
  assert.is(status, 'failed');
  assert.is(codeOf(tasks.get('slow')?.error), 'TASK_TIMEOUT');
  assert.match(String(tasks.get('throws')?.error), 'schema broke');
  assert.match(String(tasks.get(after)?.error), 'schema broke');
});

test('what is no schema is refused before anything starts', () => {
  const flow = workflow({ name: 'none', input: { parse: () => 1 } as never });
  flow.task('a', { result: { parse: () => 1 } as never, run: () => 1 });
  assert.throws(
    () => flow.run({ input: 1 as never }),
    (error: unknown) =>
      error instanceof WorkflowDefinitionError &&
      error.faults.length === 2 &&
      error.faults.every(({ message }) => message.includes('Standard Schema')),
  );
  const checked = workflow({ name: 'input', input: v.object({ key: v.number() }) });
  assert.throws(
    () => checked.run({ input: { key: 'SECRET' as never } }),
    (error: unknown) =>
      error instanceof RxhiveError &&
      error.code === 'INVALID_INPUT' &&
      error.message.includes('at key') &&
      !error.message.includes('SECRET'),
  );
});

/** Runs a task with a schema, and one behind it, twice on one store; what ran and what was said to run again. */
async function twice(
  schemas: readonly StandardSchema[],
  dynamic: boolean,
): Promise<{ ran: string[]; rerun: string[]; value: unknown }> {
  const store = memory();
  const ran: string[] = [];
  const rerun: string[] = [];
  let value: unknown;
  for (const result of schemas) {
    const flow = workflow({ name: 'twice' });
    const body = (): unknown => (ran.push('one') < 3 ? '12' : '3');
    const one = { result, version: '1', run: body };
    const next = (one: Task): object => ({
      dependencies: { one },
      version: '1',
      run: () => ran.push('next'),
    });
    const start = flow.task('start', { version: '1', run: () => 1 });
    if (dynamic) flow.onTaskComplete(start, (_, add) => void add('next', next(add('one', one)) as never));
    else flow.task('next', next(flow.task('one', one)) as never);
    const run = flow.run({ store, runId: 'r' });
    run.subscribe((event) => {
      if (event.type === 'run')
        rerun.push(...(event.rerun ?? []).map(({ taskId, because }) => `${taskId}: ${because}`));
    });
    value = (await run.result()).orThrow().results.get('one');
  }
  return { ran, rerun, value };
}

test('a stored result has to fit the schema still; one that transforms sees what the body returned', async () => {
  const number = (most: number): StandardSchema => z.string().transform(Number).pipe(z.number().max(most));
  for (const dynamic of [false, true]) {
    const same = await twice([number(20), number(20)], dynamic);
    assert.equal(same, { ran: ['one', 'next'], rerun: [], value: 12 });
    const made = await twice([typed(), number(20)], dynamic);
    assert.equal(made, { ran: ['one', 'next'], rerun: [], value: 12 });
    const { ran, rerun, value } = await twice([number(20), number(5)], dynamic);
    assert.equal([ran, value], [['one', 'next', 'one', 'next'], 3]);
    if (!dynamic)
      assert.equal(rerun, [
        'one: its stored result does not fit its schema any more',
        'next: "one" runs again',
      ]);
  }
});

test('a cached result that does not fit is not used', async () => {
  const store = memory();
  const ran: number[] = [];
  for (const most of [9, 9, 3, 3]) {
    const flow = workflow({ name: 'cached' });
    const task = flow.task('t', {
      cache: {},
      version: '1',
      result: z.string().transform(Number).pipe(z.number().max(most)),
      run: () => {
        ran.push(most);
        return String(most);
      },
    });
    const { results } = (await flow.run({ store, runId: `${ran.length} ${most}` }).result()).orThrow();
    assert.is(results.get(task), most);
  }
  assert.equal(ran, [9, 3]);
});

test('an agent task has a schema, too', async () => {
  const orchestrator = new WorkflowOrchestrator({ agents: { echo: ({ data }: { data: unknown }) => data } });
  orchestrator.addTask(new AgentTask({ id: 'good', agentType: 'echo', data: 1, result: z.number() }));
  orchestrator.addTask(new AgentTask({ id: 'bad', agentType: 'echo', data: 'x', result: z.number() }));
  const { tasks } = await orchestrator.executeWorkflow();
  assert.is(tasks.get('good')?.status, 'succeeded');
  assert.is(codeOf(tasks.get('bad')?.error), 'INVALID_RESULT');
});

test.run();
