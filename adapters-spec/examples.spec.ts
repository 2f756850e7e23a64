import { spawn } from 'node:child_process';
import { OpenAIServer } from 'rxhive/testing';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

/** Runs an example as a user would. */
function run(file: string, env: NodeJS.ProcessEnv = {}): Promise<{ code: number | null; out: string }> {
  const { OPENAI_BASE_URL: _, OPENAI_API_KEY: __, ...others } = process.env;
  return new Promise((done) => {
    const child = spawn(process.execPath, ['--import', 'tsx', file], { env: { ...others, ...env } });
    let out = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => {
        out += chunk;
      });
    child.on('close', (code) => done({ code, out }));
  });
}

test('beeai-research runs against a local server and says so; its researchers are at work at once', async () => {
  const { code, out } = await run('examples/17-beeai-research.ts');
  assert.is(code, 0, out);
  assert.match(out, 'a local server plays the model');
  assert.match(out, '4 questions were looked into');
  assert.match(out, 'succeeded: 6 agents');
  const lines = out.split('\n');
  const first = lines.findIndex((line) => /research \d succeeded/.test(line));
  assert.is(lines.slice(0, first).filter((line) => /research \d running/.test(line)).length, 4);
});

test('beeai-research asks a real provider where one is named, and never shows the key', async () => {
  const apiKey = 'sk-of-somebody-1234';
  const server = await OpenAIServer.listen({ apiKey });
  const { code, out } = await run('examples/17-beeai-research.ts', {
    OPENAI_BASE_URL: server.url,
    OPENAI_API_KEY: apiKey,
    OPENAI_CHAT_MODEL: 'some-model',
  });
  assert.is(code, 0, out);
  assert.match(out, `some-model at ${new URL(server.url).host}`);
  assert.not.match(out, 'sk-of');
  assert.ok(server.requests.length >= 3);
  assert.equal([...new Set(server.requests.map(({ model }) => model))], ['some-model']);
  const refused = await run('examples/17-beeai-research.ts', {
    OPENAI_BASE_URL: server.url,
    OPENAI_API_KEY: 'sk-wrong-1234',
  });
  assert.is(refused.code, 1);
  assert.match(refused.out, 'Check the key');
  assert.not.match(refused.out, 'sk-wrong');
  await server.close();
});

test('mcp-tools calls real servers side by side, shows progress, asks, and thinks', async () => {
  const { code, out } = await run('examples/18-mcp-tools.ts');
  assert.is(code, 0, out);
  assert.match(out, 'slow-two: 5 of 5');
  assert.match(out, 'total of 32 calls: 528');
  assert.match(out, 'answered by Ann');
  assert.match(out, '3 ants: Look again. (revises 1)');
  assert.match(out, 'mcp-tools: succeeded');
});

test.run();
