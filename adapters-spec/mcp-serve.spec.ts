import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { ElicitRequestSchema, ElicitResultSchema } from '@modelcontextprotocol/sdk/types.js';
import { type AgentError, human, workflow } from 'rxhive';
import { asMcpTool, fromMcpTool, type McpClient, mcpClient, mcpServer } from 'rxhive/mcp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { z as zod } from 'zod';
// The zod of the checkout, which tells its JSON schema by itself; the one that is installed here is older.
import { z } from '../node_modules/zod/index.js';

const main = fileURLToPath(new URL('node_modules/rxhive/dist/cli/main.js', import.meta.url));
const flows = fileURLToPath(new URL('mcp-flows.ts', import.meta.url));
const command = { command: process.execPath, args: ['--import', 'tsx', main, 'mcp', flows] };

interface Said {
  readonly content: readonly { readonly text: string }[];
  readonly structuredContent?: unknown;
  readonly isError?: boolean;
}

test('rxhive mcp serves workflows to a plain client: schema, progress, result, errors, cancel', async () => {
  const transport = new StdioClientTransport({ ...command, stderr: 'pipe' });
  let stderr = '';
  transport.stderr?.on('data', (chunk) => {
    stderr += chunk;
  });
  const client = new Client({ name: 'plain', version: '1' });
  await client.connect(transport);
  const { tools } = await client.listTools();
  assert.equal(tools.map(({ name }) => name).sort(), ['broken', 'endless', 'order', 'talk', 'word_count']);
  const counting = tools.find(({ name }) => name === 'word_count');
  assert.is(counting?.description, 'Counts words, several texts at once');
  assert.equal(counting?.inputSchema.required, ['texts']);
  const call = (name: string, args: object, options = {}): Promise<Said> =>
    client.callTool({ name, arguments: { ...args } }, undefined, options) as Promise<Said>;

  const texts = ['bees are busy', 'hives', 'honey is sweet'];
  const counted = await call('word_count', { texts });
  assert.equal(counted.structuredContent, { words: 7 });
  assert.is(counted.content[0]?.text, '{"words":7}');

  const wrong = await call('word_count', { texts: 7 });
  assert.is(wrong.isError, true);
  assert.match(wrong.content[0]?.text ?? '', 'does not fit its schema at texts');
  assert.match((await call('broken', {})).content[0]?.text ?? '', 'no honey');
  assert.match((await call('order', { what: 'eggs' })).content[0]?.text ?? '', 'cannot ask anybody');
  assert.match((await call('nothing', {})).content[0]?.text ?? '', 'no tool "nothing"');
  const talks = await Promise.all([call('talk', {}), call('talk', {})]);
  assert.equal(
    talks.map(({ content }) => content[0]?.text),
    ['hello', 'hello'],
  );

  const abort = new AbortController();
  const endless = call('endless', {}, { signal: abort.signal }).catch((error) => error.message);
  const again = await call('word_count', { texts });
  assert.is(again.isError, undefined);
  abort.abort('enough');
  await endless;
  while (!stderr.includes('endless was stopped')) await new Promise((next) => setTimeout(next, 5));
  assert.ok(stderr.includes('loading') && stderr.includes('counting'));
  await client.close();
});

test('SIGTERM, stdin that ends and a pipe that nobody reads cancel what a served workflow does', async () => {
  const ends: Record<string, (child: ChildProcessWithoutNullStreams) => void> = {
    sigterm: (child) => void child.kill('SIGTERM'),
    'stdin ends': (child) => void child.stdin.end(),
    'nobody reads': (child) => {
      child.stdout.destroy();
      // The answers to these find the pipe closed.
      for (let id = 10; id < 20; id++) say(child, { id, method: 'tools/list' });
    },
  };
  const say = (child: ChildProcessWithoutNullStreams, message: object): void =>
    void child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  await Promise.all(
    Object.entries(ends).map(async ([name, end]) => {
      const child = spawn(command.command, command.args);
      child.stdin.on('error', () => undefined);
      let stderr = '';
      child.stderr.on('data', (chunk) => {
        stderr += chunk;
      });
      const code = once(child, 'exit');
      const clientInfo = { name: 'raw', version: '1' };
      say(child, {
        id: 1,
        method: 'initialize',
        params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo },
      });
      await once(child.stdout, 'data');
      say(child, { method: 'notifications/initialized' });
      say(child, { id: 2, method: 'tools/call', params: { name: 'endless', arguments: {} } });
      // Tools are called in order: this one is answered when the other goes on.
      say(child, {
        id: 3,
        method: 'tools/call',
        params: { name: 'word_count', arguments: { texts: ['a'] } },
      });
      await once(child.stdout, 'data');
      end(child);
      assert.equal(await code, [name === 'sigterm' ? 130 : 0, null], `${name}: ${stderr}`);
      assert.match(stderr, 'endless was stopped', name);
    }),
  );
});

test('questions of a served workflow go through another rxhive to people, and back', async () => {
  await using server = mcpClient(command);
  const order = fromMcpTool(server, 'order', { asks: true, result: ({ text }) => text });
  const count = fromMcpTool(server, 'word_count');
  const flow = workflow({ name: 'outer' });
  const counted = flow.task('counted', { run: (_, ctx) => count({ texts: ['a b', 'c'] }, ctx) });
  const tasks = ['eggs', 'pans'].map((what) => flow.task(what, { run: (_, ctx) => order({ what }, ctx) }));
  const run = flow.run();
  const seen: unknown[] = [];
  run.values$(counted).subscribe(({ progress, structured }) => seen.push(progress ?? structured));
  run.questions$.subscribe((open) => {
    if (open.length < 2) return;
    for (const { id, taskId, prompt } of open) {
      assert.match(prompt, `How many ${taskId}?`);
      void run.answer(id, { answer: String(taskId.length) });
    }
  });
  const { results, report } = await run.result();
  assert.equal(
    tasks.map((task) => results.get(task)),
    ['4 eggs', '4 pans'],
    String(report),
  );
});

test('with a store, a client that cannot ask is told what is asked, and answers when its user has: another server too', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rxhive-'));
  const kept = { command: command.command, args: [...command.args, '--store', join(folder, 'runs.db')] };
  const connect = async (): Promise<Client> => {
    const client = new Client({ name: 'plain', version: '1' });
    await client.connect(new StdioClientTransport({ ...kept, stderr: 'ignore' }));
    return client;
  };
  const call = (client: Client, name: string, args: object): Promise<Said> =>
    client.callTool({ name, arguments: { ...args } }) as Promise<Said>;
  const first = await connect();
  const { tools } = await first.listTools();
  assert.ok(tools.some(({ name }) => name === 'order_answer'));
  const waits = await call(first, 'order', { what: 'eggs' });
  assert.is(waits.isError, undefined);
  assert.match(waits.content[0]?.text ?? '', 'Ask the user, then call order_answer');
  const { status, run, questions } = waits.structuredContent as {
    status: string;
    run: string;
    questions: { question: string; prompt: string; context: unknown }[];
  };
  assert.is(status, 'suspended');
  assert.equal(questions, [{ question: 'count?1', prompt: 'How many eggs?', context: { shop: 'bees' } }]);
  await first.close();

  const second = await connect();
  const unknown = await call(second, 'order_answer', { run, question: 'count?9', answer: 12 });
  assert.is(unknown.isError, true);
  const done = await call(second, 'order_answer', { run, question: 'count?1', answer: 12 });
  assert.is(done.content[0]?.text, '12 eggs');
  const twice = await call(second, 'order_answer', { run, question: 'count?1', answer: 13 });
  assert.is(twice.isError, true);
  await second.close();
  rmSync(folder, { recursive: true, force: true });
});

test('a question with a schema is a form; answers that do not fit are asked for again; declining fails the call', async () => {
  const flow = workflow({ name: 'form', input: z.object({ kind: z.string() }) });
  const schema = z.object({ name: z.string().min(2), size: z.enum(['s', 'm']), fresh: z.boolean() });
  flow.task('ask', {
    run: (_, ctx) =>
      ctx.input.kind === 'form'
        ? ctx.ask(human(schema, 'Which?'))
        : ctx.ask(human(z.number().max(5), 'How many?')),
  });
  const server = await mcpServer([await asMcpTool(flow)]);
  const [ours, theirs] = InMemoryTransport.createLinkedPair();
  const client = new Client({ name: 'plain', version: '1' }, { capabilities: { elicitation: { form: {} } } });
  const asked: { readonly message?: string; readonly requestedSchema?: unknown }[] = [];
  const answers: (
    | { action: 'accept'; content: Record<string, string | number | boolean> }
    | { action: 'decline' }
  )[] = [
    { action: 'accept', content: { name: 'Ann', size: 's', fresh: true } },
    { action: 'accept', content: { answer: 7 } },
    { action: 'accept', content: { answer: 3 } },
    { action: 'decline' },
  ];
  client.setRequestHandler(ElicitRequestSchema, ({ params }) => {
    asked.push(params as (typeof asked)[0]);
    return answers.shift() ?? { action: 'cancel' };
  });
  await server.connect(ours);
  await client.connect(theirs);
  const call = (kind: string): Promise<Said> =>
    client.callTool({ name: 'form', arguments: { kind } }) as Promise<Said>;
  assert.equal((await call('form')).structuredContent, { name: 'Ann', size: 's', fresh: true });
  const form = asked[0]?.requestedSchema as { required: unknown } | undefined;
  assert.equal(form?.required, ['name', 'size', 'fresh']);
  assert.is((await call('number')).content[0]?.text, '3');
  assert.match(asked[2]?.message ?? '', /How many\?\n\(.+\)/);
  const declined = await call('number');
  assert.is(declined.isError, true);
  assert.match(declined.content[0]?.text ?? '', 'decline');
  await client.close();
});

/** A client of a server of the SDK in this process. */
function inProcess(server: McpServer): McpClient {
  return mcpClient({
    transport: () => {
      const [ours, theirs] = InMemoryTransport.createLinkedPair();
      void server.connect(ours);
      return theirs;
    },
  });
}

test('a server that does not wait for the answer any more gets none, and the task goes on', async () => {
  const server = new McpServer({ name: 'impatient', version: '1' });
  server.registerTool('ask', {}, async (extra) => {
    const params = { message: 'Well?', requestedSchema: { type: 'object', properties: {} } };
    const text = await extra
      .sendRequest({ method: 'elicitation/create', params } as never, ElicitResultSchema, { timeout: 1_000 })
      .then(
        () => 'answered',
        () => 'gave up',
      );
    return { content: [{ type: 'text', text }] };
  });
  await using client = inProcess(server);
  const ask = fromMcpTool(client, 'ask', { result: ({ text }) => text });
  const flow = workflow({ name: 'late' });
  const task = flow.task('ask', { run: (_, ctx) => ask({}, ctx) });
  const run = flow.run();
  const open: number[] = [];
  run.questions$.subscribe((all) => open.push(all.length));
  const result = await run.result();
  assert.is(result.results.get(task), 'gave up', String(result.report));
  assert.equal([open.includes(1), open.at(-1)], [true, 0]);
});

test('a deadline without an answer tells the server cancel; elicitation: false that nobody is there', async () => {
  const server = (): McpServer => {
    const one = new McpServer({ name: 'asks', version: '1' });
    one.registerTool('ask', {}, async (extra) => {
      const params = { message: 'Well?', requestedSchema: { type: 'object', properties: {} } };
      const { action } = await extra.sendRequest(
        { method: 'elicitation/create', params } as never,
        ElicitResultSchema,
      );
      return { content: [{ type: 'text', text: String(action) }] };
    });
    return one;
  };
  const [ours, theirs] = InMemoryTransport.createLinkedPair();
  await server().connect(ours);
  await using mute = mcpClient({ transport: () => theirs, elicitation: false });
  const flow = workflow({ name: 'mute' });
  const ask = fromMcpTool(mute, 'ask');
  const task = flow.task('ask', { run: (_, ctx) => ask({}, ctx) });
  const error = (await flow.run().result()).tasks.get(task)?.error as AgentError;
  assert.match(error.message, 'Method not found');

  await using client = inProcess(server());
  const other = fromMcpTool(client, 'ask', { result: ({ text }) => text });
  const stopped = workflow({ name: 'stopped' });
  const asks = stopped.task('ask', { run: (_, ctx) => other({}, ctx) });
  const run = stopped.run();
  run.questions$.subscribe(([one]) => one !== undefined && run.cancelTask(asks));
  assert.is((await run.result()).tasks.get(asks)?.status, 'cancelled');
});

test('middleware ends the connection with each run, the last of several at once; the next run opens it again', async () => {
  let connections = 0;
  let closed = 0;
  const server = (): McpServer => {
    const one = new McpServer({ name: 'counted', version: '1' });
    one.registerTool('hello', {}, async () => ({ content: [{ type: 'text', text: 'hello' }] }));
    one.server.onclose = () => {
      closed += 1;
    };
    return one;
  };
  const client = mcpClient({
    transport: () => {
      const [ours, theirs] = InMemoryTransport.createLinkedPair();
      connections += 1;
      void server().connect(ours);
      return theirs;
    },
  });
  const hello = fromMcpTool(client, 'hello', { result: ({ text }) => text });
  const flow = workflow({ name: 'hello', middleware: [client] });
  for (let i = 0; i < 5; i += 1) flow.task(`hello-${i}`, { run: (_, ctx) => hello({}, ctx) });
  const both = await Promise.all([flow.run().result(), flow.run().result()]);
  assert.equal(
    both.map(({ status }) => status),
    ['succeeded', 'succeeded'],
  );
  while (closed < connections) await new Promise((next) => setImmediate(next));
  assert.is(connections, 1);
  assert.is((await flow.run().result()).status, 'succeeded');
  while (closed < 2) await new Promise((next) => setImmediate(next));
  assert.is(connections, 2);
  await client.close();
  const late = (await flow.run().result()).tasks.get('hello-0')?.error as Error;
  assert.match(late.message, 'was closed; make another one');
});

test('a tool made of a workflow is a handler for a McpServer of yours; a function makes one for each call', async () => {
  const seen: unknown[] = [];
  const greet = await asMcpTool(
    (args: { readonly name: string }) => {
      seen.push(args);
      const flow = workflow({ name: 'greet' });
      flow.task('greet', { run: () => `hello ${args.name}` });
      return flow;
    },
    { name: 'greet', output: (result) => ({ said: result.results.get('greet') }) },
  );
  const server = new McpServer({ name: 'mine', version: '1' });
  server.registerTool('greet', { inputSchema: { name: zod.string() } }, async (args, extra) => {
    const { content } = await greet.call(args, extra as never);
    return { content: [{ type: 'text', text: content[0]?.text ?? '' }] };
  });
  await using client = inProcess(server);
  const tool = fromMcpTool(client, 'greet', { result: ({ text }) => text });
  const flow = workflow({ name: 'outer' });
  const task = flow.task('call', { run: (_, ctx) => tool({ name: 'Ann' }, ctx) });
  assert.is((await flow.run().result()).results.get(task), '{"said":"hello Ann"}');
  assert.equal(seen, [{ name: 'Ann' }]);
  for (const name of ['two words', '', 'x'.repeat(200)])
    await asMcpTool(flow, { name }).then(
      () => assert.unreachable(),
      (error) => assert.is(error.code, 'INVALID_OPTION'),
    );
  await mcpServer([greet, greet]).then(
    () => assert.unreachable(),
    (error) => assert.match(error.message, 'two tools have the same name'),
  );
});

test.run();
