import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { createServer as createSocket } from 'node:net';
import type { Readable } from 'node:stream';
import { FastMCP } from 'fastmcp';
import { type AgentError, type TaskContext, workflow } from 'rxhive';
import { fromMcpTool, mcpClient } from 'rxhive/mcp';
import { defer, switchMap } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { z } from 'zod/v4';
import { installed } from './mcp-servers.js';

async function freePort(): Promise<number> {
  const socket = createSocket().listen(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address() as { port: number };
  socket.close();
  await once(socket, 'close');
  return port;
}

const nothing = (): void => undefined;
const quiet = { debug: nothing, error: nothing, info: nothing, log: nothing, warn: nothing };

/** Calls of `wait` that go on, and those that the client has cancelled. */
const waiting = new EventEmitter();

function tools(): FastMCP {
  const server = new FastMCP({ name: 'tools', version: '1.0.0', logger: quiet });
  server.addTool({
    name: 'double',
    description: 'Twice a number',
    parameters: z.object({ n: z.number() }),
    execute: async ({ n }, { reportProgress }) => {
      await reportProgress({ progress: 1, total: 2 });
      return String(2 * n);
    },
  });
  server.addTool({
    name: 'order',
    description: 'Asks before it orders',
    parameters: z.object({ what: z.string() }),
    execute: async ({ what }, { elicit }) => {
      const requestedSchema = {
        type: 'object',
        properties: { count: { type: 'integer', minimum: 1 } },
      } as const;
      const { action, content } = await elicit({ message: `How many ${what}?`, requestedSchema });
      return `${action} ${what} ${content?.count}`;
    },
  });
  server.addTool({
    name: 'wait',
    description: 'Waits',
    parameters: z.object({ key: z.string() }),
    execute: ({ key }, { signal }) => {
      signal.addEventListener('abort', () => waiting.emit(`cancelled ${key}`));
      waiting.emit(`begun ${key}`);
      return new Promise<string>(nothing);
    },
  });
  return server;
}

async function listen(port: number): Promise<FastMCP> {
  const server = tools();
  await server.start({ transportType: 'httpStream', httpStream: { port, host: '127.0.0.1' } });
  return server;
}

test('FastMCP over HTTP: parallel calls, progress, questions of several calls at once, abort', async () => {
  const port = await freePort();
  const server = await listen(port);
  await using client = mcpClient({ url: `http://127.0.0.1:${port}/mcp` });
  const double = fromMcpTool(client, 'double');
  const order = fromMcpTool(client, 'order', { asks: true, result: ({ text }) => text });
  const wait = fromMcpTool(client, 'wait');
  const flow = workflow({ name: 'http', concurrency: 40 });
  const doubles = Array.from({ length: 30 }, (_, n) =>
    flow.task(`double-${n}`, { run: (_, ctx) => double({ n }, ctx) }),
  );
  const orders = ['eggs', 'pans', 'hives'].map((what) =>
    flow.task(what, { run: (_, ctx) => order({ what }, ctx) }),
  );
  const stopped = flow.task('stopped', { run: (_, ctx) => wait({ key: 'stopped' }, ctx) });
  const cancelled = once(waiting, 'cancelled stopped');
  const run = flow.run();
  const seen: unknown[] = [];
  run
    .values$(doubles[7] as (typeof doubles)[0])
    .subscribe(({ progress, text }) => seen.push(progress?.progress ?? text));
  run.questions$.subscribe((open) => {
    // All three are asked before one is answered.
    if (open.length < 3) return;
    for (const { id, taskId, prompt } of open) {
      assert.is(prompt, `How many ${taskId}?`);
      void run.answer(id, taskId === 'hives' ? null : { count: taskId.length });
    }
    run.cancelTask(stopped);
  });
  const result = await run.result();
  assert.is(result.results.get(doubles[21] as (typeof doubles)[0])?.text, '42', String(result.report));
  assert.equal(seen, [1, '14']);
  assert.equal(
    orders.map((task) => result.results.get(task)),
    ['accept eggs 4', 'accept pans 4', 'decline hives undefined'],
  );
  await cancelled;
  await server.stop();
});

test('a server that went away and came back: the call fails, the next attempt has a new session', async () => {
  const port = await freePort();
  let server = await listen(port);
  await using client = mcpClient({ url: `http://127.0.0.1:${port}/mcp` });
  const double = fromMcpTool(client, 'double', { result: ({ text }) => text });
  const wait = fromMcpTool(client, 'wait', { result: ({ text }) => text });
  const flow = workflow({ name: 'back', retry: 1 });
  let again: Promise<FastMCP> | undefined;
  const task = flow.task('task', {
    run: (_, ctx: TaskContext) =>
      ctx.attempt === 1
        ? wait({ key: 'a' }, ctx)
        : defer(() => again ?? []).pipe(switchMap(() => double({ n: 4 }, ctx))),
  });
  waiting.once('begun a', () => {
    again = server.stop().then(() => listen(port));
  });
  const result = await flow.run().result();
  assert.is(result.results.get(task), '8', String(result.report));
  const [first] = result.tasks.get(task)?.attempts ?? [];
  assert.is((first?.error as Partial<AgentError> | undefined)?.kind, 'network');
  server = (await again) as FastMCP;
  await server.stop();
});

/** The real server-everything over HTTP. */
async function everything(port: number): Promise<ChildProcess> {
  const { command, args = [] } = installed('everything');
  const child = spawn(command, [...args, 'streamableHttp'], {
    env: { ...process.env, PORT: String(port) },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  for await (const chunk of child.stderr as Readable) {
    said += chunk;
    if (said.includes('listening on port')) break;
  }
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

test('server-everything over HTTP: questions come with the answer, so they belong to their call; a new server is found', async () => {
  const port = await freePort();
  let server = await everything(port);
  await using client = mcpClient({ url: `http://127.0.0.1:${port}/mcp` });
  const ask = fromMcpTool(client, 'trigger-elicitation-request', { result: ({ text }) => text });
  const echo = fromMcpTool(client, 'echo', { result: ({ text }) => text });
  const flow = workflow({ name: 'everything' });
  const tasks = ['Ann', 'Bea', 'Cleo'].map((id) => flow.task(id, { run: (_, ctx) => ask({}, ctx) }));
  const run = flow.run();
  run.questions$.subscribe((open) => {
    // All are asked before one is answered.
    if (open.length < 3) return;
    for (const { id, taskId } of open) void run.answer(id, { name: taskId });
  });
  const { results, report } = await run.result();
  for (const task of tasks) assert.match(results.get(task) ?? String(report), `Name: ${task.id}`);

  await end(server);
  server = await everything(port);
  const later = workflow({ name: 'later' });
  const said = later.task('echo', { run: (_, ctx) => echo({ message: 'again' }, ctx) });
  const again = await later.run().result();
  assert.is(again.results.get(said), 'Echo: again', String(again.report));
  await end(server);
});

/** A server that answers the handshake as it should, and calls as `call` likes. */
async function rough(
  call: (id: number, response: ServerResponse) => unknown,
): Promise<{ url: string; close(): void }> {
  const server = createServer((request, response): unknown => {
    if (request.method !== 'POST') return response.writeHead(405).end();
    let text = '';
    request.on('data', (chunk) => {
      text += chunk;
    });
    return request.on('end', (): unknown => {
      const { id, method } = JSON.parse(text) as { id?: number; method: string };
      if (id === undefined) return response.writeHead(202).end();
      if (method === 'tools/call') return call(id, response);
      const tools = [{ name: 'tool', inputSchema: { type: 'object' } }];
      const hello = {
        protocolVersion: '2025-06-18',
        capabilities: { tools: {} },
        serverInfo: { name: 'rough', version: '1' },
      };
      const result = method === 'initialize' ? hello : { tools };
      response.writeHead(200, { 'content-type': 'application/json' });
      return response.end(JSON.stringify({ jsonrpc: '2.0', id, result }));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const close = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${port}/mcp`, close };
}

const answers: [
  name: string,
  call: (id: number, response: ServerResponse) => unknown,
  kind: string,
  words: RegExp,
][] = [
  [
    'refused',
    (_, response) => response.writeHead(429, { 'retry-after': '7' }).end('slow down'),
    'rate-limit',
    /slow down/,
  ],
  [
    'not allowed',
    (_, response) => response.writeHead(401).end('key sk-123 is wrong'),
    'auth',
    /Check the key/,
  ],
  ['broken', (_, response) => response.writeHead(502).end('bad gateway'), 'other', /502/],
  [
    'dropped in the middle of a stream',
    (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(': wait\n\n', () => response.destroy());
    },
    'network',
    /./,
  ],
  [
    'a stream that ends without an answer',
    (_, response) => response.writeHead(200, { 'content-type': 'text/event-stream' }).end(': bye\n\n'),
    'network',
    /before its answer/,
  ],
  [
    'too long, as JSON',
    (id, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const content = [{ type: 'text', text: 'x'.repeat(200_000) }];
      response.end(JSON.stringify({ jsonrpc: '2.0', id, result: { content } }));
    },
    'other',
    /more than 100000 bytes/,
  ],
  [
    'too long, as a stream',
    (id, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const content = [{ type: 'text', text: 'x'.repeat(200_000) }];
      response.end(`data: ${JSON.stringify({ jsonrpc: '2.0', id, result: { content } })}\n\n`);
    },
    'other',
    /more than 100000 bytes/,
  ],
];
for (const [name, call, kind, words] of answers)
  test(`a call that is ${name}`, async () => {
    const server = await rough(call);
    await using client = mcpClient({ url: server.url, maxMessageBytes: 100_000 });
    const tool = fromMcpTool(client, 'tool');
    const flow = workflow({ name: 'rough' });
    const task = flow.task('task', { run: (_, ctx) => tool({}, ctx) });
    const error = (await flow.run().result()).tasks.get(task)?.error as AgentError;
    server.close();
    assert.is(error.code, 'AGENT_FAILED', String(error));
    assert.is(error.kind, kind, error.message);
    assert.match(error.message, words);
    assert.is(error.message.includes('sk-123'), false);
    if (kind === 'rate-limit') assert.is(error.retryAfter, 7);
  });

test.run();
