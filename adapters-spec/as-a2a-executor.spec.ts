import {
  AgentError,
  AgentTask,
  human,
  type StandardSchema,
  type TaskContext,
  typed,
  WorkflowOrchestrator,
  workflow,
} from 'rxhive';
import { asA2AExecutor, fromA2A } from 'rxhive/a2a';
import { lastValueFrom } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { A2AServer } from './a2a-server.js';

/** Calls what is served, as a task of another workflow, with answers to its questions. */
async function called(url: string, prompt: unknown, answer?: (prompt: string) => unknown, retry = 0) {
  const remote = fromA2A<unknown, unknown>(url, {
    result: ({ task, text }) => task?.artifacts?.[0]?.parts[0]?.data ?? text,
  });
  const streamed = fromA2A(url);
  const flow = workflow({ name: 'caller' });
  const task = flow.task('call', {
    retry: { count: retry, backoff: { initial: 1, jitter: 'none' } },
    run: (_, ctx): ReturnType<typeof remote> => (answer === undefined ? streamed : remote)(prompt, ctx),
  });
  const going = flow.run();
  const values: unknown[] = [];
  const asked: string[] = [];
  const logs: string[] = [];
  going.values$(task).subscribe((value) => values.push(value));
  going.events$.subscribe((event) => {
    if (event.type === 'log') logs.push(`${event.message} ${event.data ?? ''}`.trimEnd());
    if (event.type !== 'question' || event.reason !== 'asked') return;
    asked.push(event.prompt ?? '');
    going.answer(event.questionId, answer?.(event.prompt ?? ''));
  });
  const { results, tasks, report } = await going.result();
  const { error, attempts = [] } = tasks.get('call') ?? {};
  return {
    value: results.get(task),
    values,
    asked,
    logs,
    error: error as AgentError,
    attempts,
    usage: report.usage,
  };
}

test('a workflow is served: its stream is an artifact, its usage is told, progress as one likes', async () => {
  const flow = workflow({ name: 'served', input: typed<{ prompt: string }>() });
  const find = flow.task('find', { run: (_, ctx) => ctx.input.prompt });
  flow.task('say', {
    dependencies: [find],
    run: async function* ([found], ctx) {
      ctx.usage({ inputTokens: 5, outputTokens: 2 });
      for (const text of ['You', 'You said', `You said ${found}`]) {
        yield text;
        await ctx.sleep(1);
      }
    },
  });
  const progress = (event: { type: string; reason: string; taskId?: string }) =>
    event.type === 'task' && event.reason === 'succeeded' ? `${event.taskId} is done` : undefined;
  for (const transport of ['JSONRPC', 'HTTP+JSON'] as const) {
    const server = await A2AServer.listen(asA2AExecutor(flow, { progress }), { transport });
    const said = await called(server.url, 'bees');
    assert.equal(said.values, ['You', 'You said', 'You said bees', 'You said bees'], String(said.error));
    assert.equal([said.usage.inputTokens, said.usage.outputTokens], [5, 2]);
    const sent = fromA2A(server.url, { stream: false });
    const caller = workflow({ name: 'sender' });
    caller.task('call', { run: (_, ctx) => sent('bees', ctx) });
    assert.is((await caller.run().result()).report.usage.inputTokens, 5);
    assert.equal(said.logs, [
      'submitted',
      'working',
      'working find is done',
      'working say is done',
      'completed',
    ]);
    await server.close();
  }
});

test('open questions need input, one after the other; answers that do not fit are asked for again', async () => {
  const count: StandardSchema<number> & { readonly '~standard': object } = {
    '~standard': {
      version: 1,
      vendor: 'spec',
      validate: (value: unknown) =>
        typeof value === 'number' ? { value } : { issues: [{ message: 'a number, please' }] },
      jsonSchema: { input: () => ({ type: 'number' }), output: () => ({ type: 'number' }) },
    },
  } as never;
  const flow = workflow({ name: 'asks' });
  const many = flow.task('many', { run: (_, ctx) => ctx.ask(human(count, 'How many?')) });
  const who = flow.task('who', { run: (_, ctx) => ctx.ask(human(typed<string>(), 'For whom?')) });
  flow.task('both', { dependencies: { many, who }, run: (both) => both });
  const server = await A2AServer.listen(asA2AExecutor(flow));
  const said = await called(server.url, 'go', (prompt) => {
    if (prompt === 'For whom?') return 'Ann';
    return prompt === 'How many?' ? 'some' : '4';
  });
  assert.equal(said.value, { many: 4, who: 'Ann' }, String(said.error));
  assert.equal(said.asked.map((text) => text.split('\n')[0]).sort(), ['For whom?', 'How many?', 'How many?']);
  await server.close();
});

test('a cancelled task cancels its run', async () => {
  let stopped: (() => void) | undefined;
  const ended = new Promise<void>((done) => {
    stopped = done;
  });
  const flow = workflow({ name: 'endless' });
  flow.task('wait', {
    run: async function* (_, ctx: TaskContext) {
      ctx.signal.addEventListener('abort', () => stopped?.());
      yield 'begun';
      await ctx.sleep(1e9);
    },
  });
  const server = await A2AServer.listen(asA2AExecutor(flow));
  const remote = fromA2A(server.url);
  const caller = workflow({ name: 'caller' });
  const task = caller.task('call', { run: (_, ctx) => remote('x', ctx) });
  const going = caller.run();
  going.values$(task).subscribe(() => going.cancelTask('call'));
  assert.is((await going.result()).tasks.get('call')?.status, 'cancelled');
  await ended;
  await server.close();
});

test('a failure tells whether and when to try again', async () => {
  let calls = 0;
  const flow = workflow({ name: 'failing' });
  flow.task('model', {
    run: () => {
      calls += 1;
      if (calls > 1) throw new AgentError('model', facts(401, false), new Error('no key'));
      throw new AgentError('model', facts(429, true), new Error('slow down'));
    },
  });
  const server = await A2AServer.listen(asA2AExecutor(flow));
  const { error, attempts } = await called(server.url, 'x', undefined, 5);
  const first = attempts[0]?.error as AgentError | undefined;
  assert.equal([first?.kind, first?.retryAfter], ['rate-limit', 0.01]);
  assert.equal([error.kind, error.isRetryable, attempts.length, calls], ['auth', false, 2, 2]);
  await server.close();
});

function facts(status: number, isRetryable: boolean) {
  const kind = status === 429 ? ('rate-limit' as const) : ('auth' as const);
  return { kind, status, isRetryable, retryAfter: status === 429 ? 0.01 : undefined, headers: undefined };
}

test('an orchestrator serves one after the other; data are the input where there is no text', async () => {
  const orchestrator = new WorkflowOrchestrator({ agents: { echo: async (task) => [task.data] } });
  orchestrator.addTask(new AgentTask({ id: 'a', agentType: 'echo', data: 'the same' }));
  const server = await A2AServer.listen(asA2AExecutor(orchestrator));
  const all = await Promise.all([called(server.url, 'x'), called(server.url, 'y')]);
  assert.equal(
    all.map(({ value }) => value),
    ['["the same"]', '["the same"]'],
  );
  await server.close();
  const flow = workflow({ name: 'data', input: typed<{ n: number }>() });
  flow.task('double', { run: (_, ctx) => ({ n: 2 * ctx.input.n }) });
  const other = await A2AServer.listen(asA2AExecutor(() => flow));
  const remote = fromA2A(other.url, { parts: () => [{ kind: 'data', data: { n: 4 } }] });
  const caller = workflow({ name: 'caller' });
  const task = caller.task('call', { run: (_, ctx) => lastValueFrom(remote('', ctx)) });
  assert.is((await caller.run().result()).results.get(task), '{"n":8}');
  await other.close();
});

test.run();
