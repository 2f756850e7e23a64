import { createOpenAI } from '@ai-sdk/openai';
import { generateText, stepCountIs, streamText, ToolLoopAgent, tool } from 'ai';
import { human, typed, workflow } from 'rxhive';
import { asTool, fromAiSdk } from 'rxhive/ai-sdk';
import { OpenAIServer } from 'rxhive/testing';
import { testModel, testTool } from 'rxhive/testing/conformance';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { z } from 'zod';
// The zod of the checkout, which tells its JSON schema by itself; the one that is installed here is older.
import { z as z4 } from '../node_modules/zod/index.js';
import { conform } from './conform.js';

const capital = tool({
  description: testTool.description,
  inputSchema: z.object({ country: z.string() }),
  execute: async () => testTool.answer,
});

conform('ToolLoopAgent', {
  make: (url, { tools, stream }) => {
    const model = createOpenAI({ baseURL: url, apiKey: 'key' }).chat(testModel);
    return fromAiSdk(new ToolLoopAgent({ model, ...(tools && { tools: { [testTool.name]: capital } }) }), {
      stream,
    });
  },
});
conform('generateText and streamText, with /v1/responses', {
  make: (url, { tools, stream }) => {
    const base = {
      model: createOpenAI({ baseURL: url, apiKey: 'key' })(testModel),
      stopWhen: stepCountIs(5),
      ...(tools && { tools: { [testTool.name]: capital } }),
    };
    return fromAiSdk(
      {
        generate: (options: { prompt: string }) => generateText({ ...base, ...options }),
        stream: (options: { prompt: string }) => streamText({ ...base, ...options }),
      },
      { stream },
    );
  },
});

/** A model that calls the tool `order` with what `calls` says, then tells what it got. */
async function ordering(
  ...calls: object[]
): Promise<{ model: ReturnType<ReturnType<typeof createOpenAI>['chat']>; server: OpenAIServer }> {
  const left = [...calls];
  const server = await OpenAIServer.listen({
    answer: ({ messages }) => {
      const args = left.shift();
      if (args !== undefined) return { toolCalls: [{ name: 'order', arguments: args }] };
      return messages.findLast(({ role }) => role === 'tool')?.text ?? 'nothing';
    },
  });
  return { server, model: createOpenAI({ baseURL: server.url, apiKey: 'key' }).chat(testModel) };
}

test('a workflow as a tool: the model reads its schema, corrects itself, and gets the answer', async () => {
  const { model, server } = await ordering({ what: 7 }, { what: 'eggs' });
  const flow = workflow({
    name: 'order',
    description: 'Orders things',
    input: z4.object({ what: z4.string() }),
  });
  const count = flow.task('count', { run: (_, ctx) => ctx.ask(human(typed<number>(), 'How many?')) });
  const price = flow.task('price', { run: () => 2 });
  flow.task('sum', {
    dependencies: { count, price },
    run: ({ count, price }, ctx) => `${count} ${ctx.input.what} for ${count * price}`,
  });
  const asked: string[] = [];
  const order = asTool(flow, {
    ask: async ({ prompt }) => {
      asked.push(prompt);
      return 12;
    },
  });
  const agent = new ToolLoopAgent({ model, tools: { order } });
  const { text } = await agent.generate({ prompt: 'Order eggs.' });
  assert.match(text, '12 eggs for 24');
  assert.equal(asked, ['How many?']);
  const [first, second] = server.requests;
  assert.is(first?.tools[0]?.description, 'Orders things');
  assert.equal((first?.tools[0]?.parameters as { required: unknown } | undefined)?.required, ['what']);
  assert.match(JSON.stringify(second?.messages), 'does not fit its schema at what');
  await server.close();
});

test('a workflow as a tool: an abort cancels the run; one that fails or cannot ask is a failed call', async () => {
  const abort = new AbortController();
  const flow = workflow({ name: 'waits' });
  const reasons: unknown[] = [];
  flow.task('wait', {
    run: (_, ctx) => {
      ctx.signal.addEventListener('abort', () => reasons.push(ctx.signal.reason.code));
      abort.abort();
      return new Promise<never>(() => undefined);
    },
  });
  const { model, server } = await ordering({});
  const agent = new ToolLoopAgent({ model, tools: { order: asTool(flow) } });
  await agent.generate({ prompt: 'Order.', abortSignal: abort.signal }).then(
    () => assert.unreachable(),
    () => undefined,
  );
  assert.equal(reasons, ['WORKFLOW_CANCELLED']);
  await server.close();

  const asks = workflow({ name: 'asks' });
  asks.task('ask', { run: (_, ctx) => ctx.ask(human(typed<number>(), 'How many?')) });
  const other = await ordering({});
  const { text } = await new ToolLoopAgent({ model: other.model, tools: { order: asTool(asks) } }).generate({
    prompt: 'Order.',
  });
  assert.match(text, 'nobody can be asked');
  await other.server.close();
});

test.run();
