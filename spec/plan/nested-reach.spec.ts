import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  failed,
  memory,
  type RunOptions,
  RxhiveError,
  settled,
  typed,
  type Workflow,
  type WorkflowResult,
  workflow,
} from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';

/** What each body did, with its full id. */
type Told = (what: string) => void;

/** The innermost of three: two steps of 10 ms, one after the other, and cleanup. */
function innermost(told: Told) {
  const flow = workflow({ name: 'inner', input: typed<string>() });
  const first = flow.task('first', {
    compensate: (value) => told(`take back ${value}`),
    run: (_, ctx) => ctx.sleep(10).then(() => `${ctx.input} first`),
  });
  const second = flow.task('second', {
    dependencies: [first],
    compensate: (value) => told(`take back ${value}`),
    run: (_, ctx) => {
      ctx.signal.addEventListener('abort', () => told(`${ctx.taskId} is aborted`));
      return ctx.sleep(10).then(() => `${ctx.input} second`);
    },
  });
  flow.task('clean', {
    always: true,
    dependencies: { second: settled(second) },
    run: ({ second }, ctx) => told(`${ctx.taskId} after ${second.status}`),
  });
  return { flow, second };
}

/** A run with a workflow in a workflow; `then`: what the outer one has beside it. */
function threeLevels(settings: { readonly budget?: { readonly calls: number } } = {}) {
  const told: string[] = [];
  const { flow: inner, second } = innermost((what) => void told.push(what));
  const middle = workflow({ name: 'middle' });
  const part = middle.task('part', { workflow: inner, input: 'a', output: second });
  const flow = workflow({ name: 'outer', ...settings });
  const whole = flow.task('whole', { workflow: middle, output: part });
  return { flow, whole, told };
}

async function ended(
  flow: Workflow,
  options: RunOptions = {},
  at?: { readonly ms: number; act(run: ReturnType<Workflow['run']>): void },
): Promise<WorkflowResult> {
  const scheduler = new SimulationScheduler();
  const run = flow.run({ ...options, scheduler } as never) as ReturnType<Workflow['run']>;
  const result = run.result();
  if (at !== undefined) scheduler.schedule(() => at.act(run), at.ms);
  await advance(scheduler);
  return result as Promise<WorkflowResult>;
}

const statusesOf = ({ tasks }: WorkflowResult): Record<string, string> =>
  Object.fromEntries([...tasks].map(([id, { status }]) => [id, status]));

const codeOf = (error: unknown): string | undefined =>
  error instanceof RxhiveError ? error.code : undefined;

const inputs = { 'whole.input': 'succeeded', 'whole/part.input': 'succeeded' };

test('a cancel reaches the innermost task, whose cleanup runs', async () => {
  const { flow, told } = threeLevels();
  const result = await ended(flow as never, {}, { ms: 15, act: (run) => run.cancel('enough') });
  assert.is(result.status, 'cancelled');
  assert.equal(statusesOf(result), {
    ...inputs,
    'whole/part/first': 'succeeded',
    'whole/part/second': 'cancelled',
    'whole/part/clean': 'succeeded',
    'whole/part': 'cancelled',
    whole: 'cancelled',
  });
  assert.equal(told, ['whole/part/second is aborted', 'whole/part/clean after cancelled']);
});

test('a run is drained in the midst of the innermost workflow, and goes on there', async () => {
  const store = memory();
  const { flow, told } = threeLevels();
  const half = await ended(
    flow as never,
    { store, runId: 'one' },
    { ms: 5, act: (run) => void run.drain({ deadline: 20 }) },
  );
  assert.equal([half.status, told], ['suspended', []]);
  const whole = await ended(flow as never, { store, runId: 'one' });
  assert.equal([whole.status, whole.results.get('whole')], ['succeeded', 'a second']);
  assert.is(statusesOf(whole)['whole/part/first'], 'restored');
  assert.equal(told, ['whole/part/clean after succeeded']);
});

test('the budget of the run counts the calls of the innermost tasks', async () => {
  const { flow, told } = threeLevels({ budget: { calls: 3 } });
  // Two inputs and the first step.
  const result = await ended(flow as never);
  const second = result.tasks.get('whole/part/second');
  assert.is(second?.status, 'skipped');
  assert.is(codeOf(second?.error), 'LIMIT_EXCEEDED');
  assert.equal(told, ['whole/part/clean after skipped']);
});

test('a deadline and retries of the run hold for tasks that say nothing', async () => {
  const inner = workflow({ name: 'inner' });
  let calls = 0;
  inner.task('slow', {
    run: (_, ctx) => {
      calls += 1;
      return ctx.sleep(100);
    },
  });
  const flow = workflow({ name: 'outer', timeout: 20, retry: { count: 2, backoff: () => 1 } });
  flow.task('whole', { workflow: inner });
  const result = await ended(flow as never);
  assert.is(codeOf(result.tasks.get('whole/slow')?.error), 'TASK_TIMEOUT');
  // The end of the workflow is not tried again: nothing would be another.
  assert.equal([calls, result.report.wallMs, result.tasks.get('whole')?.attempts.length], [3, 62, 1]);
});

test('what the innermost tasks have done is taken back, the last first', async () => {
  const store = memory();
  const { flow, whole, told } = threeLevels();
  flow.task('fails', { dependencies: [whole], run: () => Promise.reject(new Error('planned')) });
  assert.is((await ended(flow as never, { store, runId: 'one' })).status, 'partial');
  told.length = 0;
  const scheduler = new SimulationScheduler();
  const run = await flow.compensate(store, 'one', { scheduler });
  const result = run.result();
  await advance(scheduler);
  assert.is((await result).status, 'succeeded');
  assert.equal(told, ['take back a second', 'take back a first']);
});

test('two copies of a workflow share what its tasks keep in the cache', async () => {
  let calls = 0;
  const inner = workflow({ name: 'inner', input: typed<string>() });
  inner.task('ask', {
    cache: { key: (_, input) => input },
    run: (_, ctx) => {
      calls += 1;
      return ctx.sleep(10).then(() => `answer to ${ctx.input}`);
    },
  });
  const flow = workflow({ name: 'outer' });
  const one = flow.task('one', { workflow: inner, input: 'a' });
  flow.task('two', { workflow: inner, input: 'a', dependencies: [one] });
  flow.task('three', { workflow: inner, input: 'b' });
  const { results } = await ended(flow as never, { store: memory() });
  assert.equal(
    ['one', 'two', 'three'].map((id) => results.get(id)),
    ['answer to a', 'answer to a', 'answer to b'],
  );
  assert.is(calls, 2);
});

test('with fail-fast a failure in the innermost workflow ends the run, unless somebody handles it', async () => {
  for (const isHandled of [false, true]) {
    const inner = workflow({ name: 'inner' });
    inner.task('fails', {
      run: (_, ctx) =>
        ctx.sleep(5).then(() => {
          throw new Error('planned');
        }),
    });
    const middle = workflow({ name: 'middle' });
    middle.task('part', { workflow: inner });
    const flow = workflow({ name: 'outer', failurePolicy: 'fail-fast' });
    const whole = flow.task('whole', { workflow: middle });
    flow.task('beside', { run: (_, ctx) => ctx.sleep(20) });
    if (isHandled) flow.task('handles', { dependencies: [failed(whole)], run: () => 'handled' });
    const result = await ended(flow as never);
    assert.is(result.status, isHandled ? 'succeeded' : 'failed');
    assert.is(result.tasks.get('beside')?.status, isHandled ? 'succeeded' : 'cancelled');
  }
});

test.run();
