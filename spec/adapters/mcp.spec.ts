import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { z } from 'zod';
import { toolName } from '../../lib/adapters/mcp/as-mcp-tool.js';
import { fromMcpTool, mcpClient } from '../../lib/adapters/mcp/mcp.js';
import { formOf } from '../../lib/adapters/mcp/mcp-form.js';
import { harmless } from '../../lib/adapters/mcp/mcp-schema.js';
import { human, RxhiveError, workflow } from '../../lib/index.js';
import { fromSources } from '../support/from-sources.js';

// What goes on with servers and clients is in adapters-spec, where the SDK is installed.
const hasSdk = existsSync('node_modules/@modelcontextprotocol/sdk');

test('without the SDK a call and the command say what to install', async () => {
  if (hasSdk) return;
  const client = mcpClient({ command: 'server' });
  const tool = fromMcpTool(client, 'echo');
  const flow = workflow({ name: 'no-sdk' });
  const task = flow.task('call', { run: (_, ctx) => tool({}, ctx) });
  const error = (await flow.run().result()).tasks.get(task)?.error;
  assert.instance(error, RxhiveError);
  assert.match(String(error), 'npm install @modelcontextprotocol/sdk zod');
  const command = [...fromSources, 'lib/cli/main.ts', 'mcp'];
  const cli = (...words: string[]) =>
    spawnSync(process.execPath, [...command, ...words], { encoding: 'utf8', input: '' });
  const served = cli('examples/16-graph.ts');
  assert.is(served.status, 2);
  assert.match(served.stderr, 'npm install @modelcontextprotocol/sdk zod');
  assert.is(served.stdout, '');
  assert.match(cli().stderr, 'rxhive mcp flow.js');
  assert.match(cli('spec/runner.ts').stderr, /cannot load|exports no workflow/);
});

test('bad options of a client are refused before anything starts', () => {
  const cases: [options: unknown, words: string][] = [
    [{}, 'no way to the server'],
    [{ command: 'a', url: 'http://a' }, 'both command and url'],
    [{ command: '' }, 'command is ""'],
    [{ url: 'ftp://a' }, 'url is "ftp://a"'],
    [{ url: 'nowhere' }, 'http or https'],
    [{ command: 'a', maxMessageBytes: 0 }, 'maxMessageBytes is 0'],
  ];
  for (const [options, words] of cases)
    assert.throws(
      () => mcpClient(options as never),
      (error: RxhiveError) => error.code === 'INVALID_OPTION' && error.message.includes(words),
    );
});

test('schemas of servers: what could stop this process is not checked, names stay, size has an end', () => {
  const schema = {
    $schema: 'https://example.com/other',
    type: 'object',
    properties: {
      pattern: { type: 'string', pattern: '^(a+)+$' },
      list: { type: 'array', uniqueItems: true, items: { type: 'string' } },
    },
  };
  assert.equal(harmless(schema), {
    type: 'object',
    properties: { pattern: { type: 'string' }, list: { type: 'array', items: { type: 'string' } } },
  });
  let deep: object = {};
  for (let i = 0; i < 100; i += 1) deep = { not: deep };
  assert.throws(() => harmless(deep), /too large/);
  assert.throws(() => harmless({ enum: new Array(10_000).fill(1) }), /too large/);
  const own = harmless(JSON.parse('{"__proto__": {"type": "string"}, "type": "object"}')) as object;
  assert.equal(Object.keys(own), ['type']);
});

test('questions as forms: an object of simple fields, one simple value, else JSON', () => {
  const form = formOf(
    z.toJSONSchema(z.object({ name: z.string().min(2), mail: z.email(), many: z.int().max(9).optional() })),
  );
  const { properties, required } = form.requestedSchema as {
    properties: Record<string, object>;
    required: string[];
  };
  assert.equal(required, ['name', 'mail']);
  assert.equal(properties.name, { type: 'string', minLength: 2 });
  assert.equal(properties.mail, { type: 'string', format: 'email' });
  assert.equal(form.answer({ name: 'Ann' }), { name: 'Ann' });
  const yes = formOf({ type: 'boolean' });
  assert.equal(yes.requestedSchema.properties, { answer: { type: 'boolean' } });
  assert.is(yes.answer({ answer: true }), true);
  for (const schema of [undefined, z.toJSONSchema(z.array(z.object({ a: z.number() }))), { anyOf: [] }]) {
    const typed = formOf(schema);
    assert.is((typed.requestedSchema.properties as { answer: { type: string } }).answer.type, 'string');
    assert.equal(typed.answer({ answer: '[{"a":1}]' }), [{ a: 1 }]);
    assert.is(typed.answer({ answer: 'a text' }), 'a text');
  }
});

test('open questions tell the JSON schema of their answer', async () => {
  const flow = workflow({ name: 'ask' });
  flow.task('ask', { run: (_, ctx) => ctx.ask(human(z.object({ n: z.number() }), 'How many?')) });
  const run = flow.run();
  run.questions$.subscribe(([question]) => {
    if (question === undefined) return;
    assert.equal(question.schema?.required, ['n']);
    void run.answer(question.id, { n: 1 });
  });
  assert.is((await run.result()).status, 'succeeded');
});

test('names of tools are made of any name', () => {
  assert.is(toolName('word count'), 'word_count');
  assert.is(toolName('  Größe/Ort?'), 'Gro_e_Ort');
  assert.is(toolName('💥'), 'workflow');
  assert.is(toolName('a'.repeat(500)).length, 128);
});

test.run();
