import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type AgentError, AgentTask, type TaskContext, WorkflowOrchestrator, workflow } from 'rxhive';
import { fromMcpTool, fromMcpTools, McpToolError, mcpClient } from 'rxhive/mcp';
import { lastValueFrom } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { installed } from './mcp-servers.js';

const stubborn = fileURLToPath(new URL('mcp-stubborn.mjs', import.meta.url));

/** Processes that have ended and that nobody has looked after yet do not count. */
const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch (error) {
    // There is no /proc elsewhere.
    return (error as { code?: string }).code === 'ENOENT' && process.platform !== 'linux';
  }
};

async function gone(pid: number): Promise<void> {
  while (alive(pid)) await delay(10);
}

test('100 parallel calls share one process, which ends with the run', async () => {
  const server = mcpClient(installed('everything'));
  const add = fromMcpTool(server, 'get-sum', { result: ({ text }) => text });
  const flow = workflow({ name: 'sums', concurrency: 100, middleware: [server] });
  const pids = new Set<number | undefined>();
  const tasks = Array.from({ length: 100 }, (_, i) =>
    flow.task(`sum-${i}`, { run: (_, ctx) => add({ a: i, b: 1 }, ctx) }),
  );
  const look = flow.task('look', {
    dependencies: tasks,
    run: async () => pids.add(await server.pid()),
  });
  const result = await flow.run().result();
  assert.is(String(result.report.status), 'succeeded', String(result.report));
  assert.is(result.results.get(tasks[41] as (typeof tasks)[0]), 'The sum of 41 and 1 is 42.');
  assert.ok(result.results.has(look));
  const [pid] = pids;
  assert.type(pid, 'number');
  await gone(pid as number);
});

test('tools of a server as agents of an orchestrator, structured results checked', async () => {
  await using server = mcpClient(installed('everything'));
  const agents = await fromMcpTools(server);
  assert.ok(agents.echo?.info.description);
  const orchestrator = new WorkflowOrchestrator({ agents });
  orchestrator.addTask(new AgentTask({ id: 'hello', agentType: 'echo', data: { message: 'hello' } }));
  orchestrator.addTask(
    new AgentTask({ id: 'weather', agentType: 'get-structured-content', data: { location: 'Chicago' } }),
  );
  const { results } = await orchestrator.executeWorkflow();
  assert.is((results.get('hello') as { text: string }).text, 'Echo: hello');
  const { structured } = results.get('weather') as { structured: { conditions: string } };
  assert.type(structured.conditions, 'string');
});

test('progress is the stream, abort reaches the server and leaves the connection to others', async () => {
  await using server = mcpClient(installed('everything'));
  const long = fromMcpTool(server, 'trigger-long-running-operation');
  const echo = fromMcpTool(server, 'echo');
  const flow = workflow({ name: 'long' });
  const short = flow.task('short', { run: (_, ctx) => long({ duration: 0.2, steps: 4 }, ctx) });
  const hour = flow.task('hour', { run: (_, ctx) => long({ duration: 3_600, steps: 36_000 }, ctx) });
  const run = flow.run();
  const seen: (number | undefined)[] = [];
  run.values$(short).subscribe(({ progress }) => seen.push(progress?.progress));
  // It runs: its first progress is there.
  run.values$(hour).subscribe({ next: () => run.cancelTask(hour), error: () => undefined });
  const result = await run.result();
  assert.is(result.tasks.get(short)?.status, 'succeeded');
  assert.is(result.tasks.get(hour)?.status, 'cancelled');
  assert.equal(seen, [1, 2, 3, 4, undefined]);
  const after = workflow({ name: 'after' });
  const said = after.task('echo', { run: (_, ctx) => echo({ message: 'still there' }, ctx) });
  assert.is((await after.run().result()).results.get(said)?.text, 'Echo: still there');
});

test('errors: of a tool, of arguments, unknown tools, a server that does not start, one that dies', async () => {
  await using server = mcpClient(installed('everything'));
  const fails = async (tool: string, input: unknown, client = server): Promise<AgentError> => {
    const flow = workflow({ name: 'fails' });
    const call = fromMcpTool(client, tool);
    const task = flow.task('call', { run: (_, ctx) => call(input, ctx) });
    return (await flow.run().result()).tasks.get(task)?.error as AgentError;
  };
  const wrong = await fails('get-sum', { a: 'x' });
  assert.is(wrong.code, 'AGENT_FAILED');
  assert.instance(wrong.cause, McpToolError);
  assert.is(wrong.isRetryable, false);
  const unknown = await fails('get-summ', {});
  assert.match(unknown.message, 'has no tool "get-summ"');
  assert.match((await fails('echo', 'text')).message, 'give an object of its arguments');
  await using nowhere = mcpClient({ command: 'no-such-program' });
  assert.match((await fails('echo', {}, nowhere)).message, 'Cannot start no-such-program');
  await using dies = mcpClient({
    command: process.execPath,
    args: ['-e', 'console.error("no key given"); process.exit(3)'],
  });
  const died = await fails('echo', {}, dies);
  assert.match(died.message, 'The server ended with exit code 3; stderr: no key given');
  assert.is(died.kind, 'network');
});

test('an error of the protocol that a server answers with is the error of its tool: the connection goes on', async () => {
  const file = fileURLToPath(new URL('mcp-refusing.mjs', import.meta.url));
  await using server = mcpClient({ command: process.execPath, args: [file] });
  const refuse = fromMcpTool(server, 'refuse');
  const flow = workflow({ name: 'refused', concurrency: 1, middleware: [server] });
  const pids = new Set<number | undefined>();
  const codes = [-32_000, -32_001, -32_603, 400, 404, 500, 1, undefined];
  const tasks = codes.map((code) =>
    flow.task(`code ${code}`, {
      run: async (_, ctx) => {
        try {
          return await lastValueFrom(refuse({ code }, ctx));
        } finally {
          pids.add(await server.pid());
        }
      },
    }),
  );
  const result = await flow.run().result();
  for (const [i, task] of tasks.entries()) {
    const { status, error } = result.tasks.get(task) ?? {};
    if (codes[i] === undefined) assert.is(status, 'succeeded');
    else {
      assert.match(String((error as AgentError).message), 'the shop is shut');
      assert.is((error as AgentError).kind, 'other', `${codes[i]}`);
      assert.is((error as AgentError).status, undefined, `${codes[i]}`);
    }
  }
  assert.is(pids.size, 1);
});

test('a server that was killed is started again for the next attempt', async () => {
  await using server = mcpClient(installed('everything'));
  const long = fromMcpTool(server, 'trigger-long-running-operation');
  const echo = fromMcpTool(server, 'echo');
  const flow = workflow({ name: 'killed', retry: 1 });
  const task = flow.task('long', {
    run: (_, ctx: TaskContext) =>
      ctx.attempt === 1 ? long({ duration: 3_600, steps: 36_000 }, ctx) : echo({ message: 'again' }, ctx),
  });
  const run = flow.run();
  run.values$(task).subscribe(async ({ progress }) => {
    const pid = await server.pid();
    if (progress !== undefined && pid !== undefined) process.kill(pid, 'SIGKILL');
  });
  const result = await run.result();
  assert.is(result.results.get(task)?.text, 'Echo: again', String(result.report));
  const error = result.tasks.get(task)?.attempts[0]?.error as AgentError;
  assert.is(error.kind, 'network');
  assert.match(error.message, 'SIGKILL');
});

test('what the server asks becomes a question of the task, and the answer goes back', async () => {
  await using server = mcpClient(installed('everything'));
  const ask = fromMcpTool(server, 'trigger-elicitation-request', { asks: true });
  const flow = workflow({ name: 'ask', concurrency: 1 });
  const tasks = ['a', 'b', 'c'].map((id) => flow.task(id, { run: (_, ctx) => ask({}, ctx) }));
  const run = flow.run();
  const answers = new Map<string, unknown>([
    ['a?1', { name: 'Ann' }],
    ['b?1', null],
    ['c?1', { name: 'Cleo', integer: 7 }],
  ]);
  const refused: unknown[] = [];
  run.questions$.subscribe((open) => {
    for (const { id, prompt, context } of open) {
      const answer = answers.get(id);
      if (answer === undefined) continue;
      answers.delete(id);
      assert.match(prompt, 'Please provide inputs');
      assert.is((context as { tool: string }).tool, 'trigger-elicitation-request');
      run
        .answer(id, { name: 7 })
        .catch((error) => refused.push(error.code))
        .then(() => run.answer(id, answer));
    }
  });
  const result = await run.result();
  const texts = tasks.map((task) => result.results.get(task)?.text ?? '');
  assert.match(texts[0] as string, 'Name: Ann');
  assert.match(texts[1] as string, 'declined');
  assert.match(texts[2] as string, 'Name: Cleo');
  assert.match(texts[2] as string, 'Favorite Integer: 7');
  assert.equal(refused, ['ANSWER_REFUSED', 'ANSWER_REFUSED', 'ANSWER_REFUSED']);
});

test('a message of a server that is too long ends the connection, and says so', async () => {
  await using server = mcpClient({ command: process.execPath, args: [stubborn], maxMessageBytes: 100_000 });
  const flow = workflow({ name: 'long' });
  const long = fromMcpTool(server, 'long');
  const task = flow.task('long', { run: (_, ctx) => long({}, ctx) });
  const error = (await flow.run().result()).tasks.get(task)?.error as AgentError;
  assert.match(error.message, 'A message of the server has more than 100000 bytes');
});

test('close ends a server that does not want to, and what it has started', async () => {
  const server = mcpClient({ command: process.execPath, args: [stubborn] });
  const pids = fromMcpTool(server, 'pids', { result: ({ text }) => JSON.parse(text) as number[] });
  const flow = workflow({ name: 'stubborn' });
  const task = flow.task('pids', { run: (_, ctx) => pids({}, ctx) });
  const both = (await flow.run().result()).results.get(task) ?? [];
  assert.is(both.length, 2);
  await server.close();
  for (const pid of both) await gone(pid);
});

for (const end of ['SIGTERM', 'ends'] as const)
  test(`a server does not outlive the process it belongs to: ${end}`, async () => {
    const script = fileURLToPath(new URL('mcp-owner.mjs', import.meta.url));
    const owner = spawn(process.execPath, [script, stubborn, end], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [said] = (await once(owner.stdout as Readable, 'data')) as [Buffer];
    const both = JSON.parse(String(said)) as number[];
    if (end !== 'ends') owner.kill(end);
    const [, signal] = (await once(owner, 'exit')) as [number | null, string | null];
    assert.is(signal, end === 'ends' ? null : end);
    for (const pid of both) await gone(pid);
  });

test.run();
