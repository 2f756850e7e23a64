import { execFileSync } from 'node:child_process';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { LogEvent } from '../../lib/entry/events.js';
import { threads } from '../../lib/executors/threads.js';
import { AgentTask, latest, WorkflowOrchestrator, workflow } from '../../lib/index.js';
import { leastOf } from '../support/event-loop.js';
import { fromSources } from '../support/from-sources.js';
import type * as work from '../support/thread-work.js';

const file = new URL('../support/thread-work.ts', import.meta.url);

const codeOf = (error: unknown): string => (error as { code: string }).code;

test('a task computes in a thread: inputs, result, facts, usage and log pass', async () => {
  const flow = workflow({ name: 'threads' });
  const one = flow.task('one', { run: () => 21 });
  const double = flow.task('double', {
    dependencies: { n: one },
    executor: threads<typeof work.default>({ file }),
  });
  const facts = flow.task('facts', { executor: threads<typeof work.facts>({ file, name: 'facts' }) });
  const run = flow.run({ runId: 'r' });
  const logs: LogEvent[] = [];
  run.events$.subscribe((event) => event.type === 'log' && logs.push(event));
  const result = (await run.result()).orThrow();
  assert.is(result.results.get(double) satisfies number | undefined, 42);
  assert.equal(result.results.get(facts), { taskId: 'facts', attempt: 1, key: 'r/facts' });
  const { usage } = result.tasks.get(facts) as { usage: { inputTokens: number; outputTokens: number } };
  assert.equal([usage.inputTokens, usage.outputTokens], [3, 4]);
  assert.equal(
    logs.map(({ message, data }) => [message, data]),
    [['from a thread', { attempt: 1 }]],
  );
});

test('what must not compile does not', () => {
  const flow = workflow({ name: 'types' });
  const text = flow.task('text', { run: () => 'abc' });
  const double = threads<typeof work.default>({ file });
  // @ts-expect-error it takes a number
  flow.task('a', { dependencies: { n: text }, executor: double });
  // @ts-expect-error run or executor, not both
  flow.task('b', { dependencies: { n: text }, executor: threads({ file }), run: () => 1 });
  // @ts-expect-error one of them
  flow.task('c', {});
  assert.throws(() => flow.run(), /"b" has run and executor; give one of them[\s\S]*"c": run is undefined/);
});

test('values of a stream come one by one, from a generator and from an Observable', async () => {
  const flow = workflow({ name: 'streams' });
  const n = flow.task('to', { run: () => 5 });
  const count = flow.task('count', {
    dependencies: { to: n },
    executor: threads<typeof work.count>({ file, name: 'count' }),
  });
  const observed = flow.task('observed', {
    executor: threads<typeof work.observed>({ file, name: 'observed' }),
  });
  const sums: number[] = [];
  flow.task('sum', {
    dependencies: { count: latest(count) },
    run: (inputs$) => {
      inputs$.subscribe(({ count }) => sums.push(count));
      return inputs$;
    },
  });
  const run = flow.run();
  const seen: number[] = [];
  run.values$(count).subscribe((value) => seen.push(value));
  const result = (await run.result()).orThrow();
  assert.equal(seen, [1, 2, 3, 4, 5]);
  assert.is(sums.at(-1), 5);
  assert.is(result.results.get(observed), 'b');
});

test('errors keep name, message, code, cause and what retry decides by; the engine retries', async () => {
  const flow = workflow({ name: 'errors' });
  flow.task('fails', {
    executor: threads({ file, name: 'fails' }),
    retry: { count: 5, backoff: { initial: 1 } },
  });
  flow.task('text', { executor: threads({ file, name: 'throwsText' }) });
  const result = await flow.run().result();
  const report = result.tasks.get('fails');
  // The third attempt said that another one is useless.
  assert.is(report?.attempts.length, 3);
  const error = report?.error as RangeError & { code: string; cause: Error };
  assert.instance(error, Error);
  assert.equal([error.name, error.message, error.code], ['RangeError', 'attempt 3', 'E_PLANNED']);
  assert.match(error.stack ?? '', 'thread-work.ts');
  assert.is(error.cause.message, 'below');
  assert.is(result.tasks.get('text')?.error, 'a text');
});

test('timeout and cancel end the thread, whatever it does; the next attempt gets another one', async () => {
  const flow = workflow({ name: 'aborts' });
  const pool = threads({ file, name: 'endless', maxThreads: 2 });
  flow.task('late', { executor: pool, timeout: 300, retry: { count: 1, backoff: { initial: 1 } } });
  flow.task('cancelled', { executor: pool });
  const run = flow.run();
  const result = run.result();
  await new Promise((done) => setTimeout(done, 400));
  run.cancelTask('cancelled');
  const { tasks } = await result;
  assert.is(codeOf(tasks.get('late')?.error), 'TASK_TIMEOUT');
  assert.is(tasks.get('late')?.attempts.length, 2);
  assert.is(tasks.get('cancelled')?.status, 'cancelled');
  await pool.close();
});

test('a thread that dies, or has nothing to run, fails its task and no other', async () => {
  const flow = workflow({ name: 'deaths' });
  flow.task('exits', { executor: threads({ file, name: 'exits' }) });
  flow.task('missing', { executor: threads({ file, name: 'nowhere' }), retry: 3 });
  flow.task('value', { executor: threads({ file, name: 'notAFunction' }) });
  const { tasks } = await flow.run().result();
  for (const id of ['exits', 'missing', 'value']) assert.is(tasks.get(id)?.status, 'failed', id);
  assert.match(String(tasks.get('missing')?.error), /exports no function nowhere/);
  assert.is(tasks.get('missing')?.attempts.length, 1);
});

test('what cannot be cloned is said, on the way in and on the way out', async () => {
  const flow = workflow({ name: 'clones' });
  const fn = flow.task('fn', { run: () => () => 1 });
  flow.task('in', { dependencies: { fn }, executor: threads({ file }) });
  flow.task('out', { executor: threads({ file, name: 'notCloneable' }) });
  const words = flow.task('words', { run: () => 'w' });
  flow.task('latest', { dependencies: { words: latest(words) }, executor: threads({ file }) as never });
  const { tasks } = await flow.run().result();
  for (const id of ['in', 'out'])
    assert.is(codeOf(tasks.get(id)?.error), 'NOT_SERIALIZABLE', String(tasks.get(id)?.error));
  assert.match(String(tasks.get('latest')?.error), /latest\(\.\.\.\) dependency, which cannot be sent/);
});

test('as many attempts as there are threads; who waits is ready, by priority, and explained', async () => {
  const flow = workflow({ name: 'slots' });
  const busy = threads<typeof work.busy>({ file, name: 'busy', maxThreads: 1 });
  const ms = flow.task('ms', { run: () => 150 });
  for (const priority of [0, 1, 2])
    flow.task(`p${priority}`, { dependencies: { ms }, priority, executor: busy });
  const other = flow.task('other', { dependencies: { ms }, run: () => 'not held up' });
  const run = flow.run();
  const order: string[] = [];
  let explained = '';
  run.events$.subscribe((event) => {
    if (event.type !== 'task' || event.reason !== 'running') return;
    order.push(event.taskId);
    if (event.taskId === 'p1') explained = run.explain('p0');
  });
  const result = run.result();
  await result;
  assert.match(explained, /waits for 1 of "threads of thread-work.ts" \(0 of 1 free\)/);
  const { results } = (await result).orThrow();
  assert.equal(
    order.filter((id) => id.startsWith('p')),
    ['p2', 'p1', 'p0'],
  );
  assert.is(results.get(other), 'not held up');
});

test('an executor is an agent too', async () => {
  const orchestrator = new WorkflowOrchestrator({
    agents: { crunch: threads({ file, name: 'facts' }) },
  });
  orchestrator.addTask(new AgentTask({ id: 'a', agentType: 'crunch', data: {} }));
  const { results } = (await orchestrator.executeWorkflow()).orThrow();
  assert.is((results.get('a') as { taskId: string }).taskId, 'a');
});

test('options that make no sense are refused with the reason', () => {
  for (const [options, why] of [
    [{ file: './relative.js' }, /file is "\.\/relative\.js"; give new URL/],
    [{ file: new URL('https://example.org/x.js') }, /file is/],
    [{ file: 7 as never }, /file is 7/],
    [{ file: '/nowhere/at/all.js' }, /does not exist/],
    [{ file, maxThreads: 0 }, /maxThreads is 0/],
    [{ file, maxThreads: Number.NaN }, /maxThreads is NaN/],
    [{ file, idleTimeout: -1 }, /idleTimeout is -1/],
    [{ file, name: '' }, /name is ""/],
  ] as const)
    assert.throws(() => threads(options), why);
});

test('idle threads do not keep a process alive', () => {
  const args = [...fromSources, 'spec/support/thread-run.ts'];
  const out = execFileSync(process.execPath, args, { encoding: 'utf8', timeout: 20_000 });
  assert.is(out, 'succeeded\n');
});

test('eight tasks that compute in threads leave the event loop responsive', async () => {
  const p99 = await leastOf(6, async () => {
    const flow = workflow({ name: 'busy', concurrency: 8 });
    const busy = threads<typeof work.busy>({ file, name: 'busy' });
    const ms = flow.task('ms', { run: () => 300 });
    for (let i = 0; i < 8; i++) flow.task(`busy ${i}`, { dependencies: { ms }, executor: busy });
    (await flow.run().result()).orThrow();
  });
  assert.ok(p99 < 50, `p99 of the event loop's delay is ${p99} ms`);
});

test.run();
