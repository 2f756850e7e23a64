import {
  Agent,
  MemorySession,
  OpenAIChatCompletionsModel,
  OpenAIProvider,
  setTracingDisabled,
  tool,
} from '@openai/agents';
import OpenAI from 'openai';
import { type AgentError, type TaskContext, workflow } from 'rxhive';
import { fromOpenAIAgent } from 'rxhive/openai-agents';
import { OpenAIServer } from 'rxhive/testing';
import { agentConformance, testModel, testTool } from 'rxhive/testing/conformance';
import type { Observable } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { z } from 'zod';
import { hold } from '../conform.js';

setTracingDisabled(true);

const clientAt = (baseURL: string) => new OpenAI({ baseURL, apiKey: 'key', maxRetries: 0 });
const modelAt = (url: string) => new OpenAIChatCompletionsModel(clientAt(url) as never, testModel);
const capital = (needsApproval = false) =>
  tool({
    name: testTool.name,
    description: testTool.description,
    parameters: z.object({ country: z.string() }),
    needsApproval,
    execute: async () => testTool.answer,
  });

hold(
  'an Agent with a model of its own',
  agentConformance({
    make: (url, { tools, stream }) =>
      fromOpenAIAgent(new Agent({ name: 'Bee', model: modelAt(url), tools: tools ? [capital()] : [] }), {
        stream,
      }),
  }),
);
hold(
  'an Agent with a provider, with /v1/responses',
  agentConformance({
    make: (url, { tools, stream }) => {
      const modelProvider = new OpenAIProvider({ openAIClient: clientAt(url) as never, useResponses: true });
      return fromOpenAIAgent(new Agent({ name: 'Bee', model: testModel, tools: tools ? [capital()] : [] }), {
        stream,
        runner: { modelProvider },
      });
    },
  }),
);

/** One task, with all that it says. */
async function one<T>(run: (ctx: TaskContext) => Observable<T>, answer?: (prompt: string) => unknown) {
  const flow = workflow({ name: 'one', prices: { [testModel]: { input: 1, output: 1 } } });
  const task = flow.task('a', { run: (_, ctx) => run(ctx) });
  const going = flow.run();
  const logs: string[] = [];
  const values: T[] = [];
  going.values$(task).subscribe((value) => values.push(value));
  going.events$.subscribe((event) => {
    if (event.type === 'log') logs.push(event.message);
    if (event.type === 'question' && event.reason === 'asked')
      going.answer(event.questionId, answer?.(`${event.prompt} ${event.context}`));
  });
  const { results, tasks, report } = await going.result();
  const { error } = tasks.get('a') ?? {};
  return { value: results.get(task), values, logs, error: error as AgentError, usage: report.usage };
}

/** Calls the tool it is offered, then says what it gave. */
const answering = () =>
  OpenAIServer.listen({
    latency: 1,
    answer: ({ messages, tools }) => {
      const last = messages.at(-1);
      if (last?.role === 'tool') return `It is ${last.text}.`;
      const [first] = tools;
      if (first === undefined) return `I said ${last?.text}`;
      return {
        toolCalls: [{ name: first.name, arguments: { country: 'France', input: 'x' } }],
        usage: { inputTokens: 5, outputTokens: 1 },
      };
    },
  });

test('a tool that needs approval asks people; no is told to the model', async () => {
  const server = await answering();
  for (const stream of [false, true]) {
    const agent = new Agent({ name: 'Bee', model: modelAt(server.url), tools: [capital(true)] });
    const run = fromOpenAIAgent(agent, { stream });
    const asked: string[] = [];
    const answer = (verdict: boolean) => (prompt: string) => {
      asked.push(prompt);
      return verdict;
    };
    const yes = await one((ctx) => run('Where?', ctx), answer(true));
    assert.is(yes.value, `It is ${testTool.answer}.`, String(yes.error));
    assert.equal(yes.logs, ['tool capital']);
    assert.match(asked[0] ?? '', /^May "Bee" call capital\? \{"country":"France"/);
    const no = await one((ctx) => run('Where?', ctx), answer(false));
    assert.match(no.value ?? '', /not approved/);
    assert.equal(no.logs, []);
  }
  await server.close();
});

test('each answer of a run is a text of its own', async () => {
  const server = await OpenAIServer.listen({ latency: 1, chunk: 100 });
  server.next(
    { text: 'Let me look.', toolCalls: [{ name: testTool.name, arguments: { country: 'France' } }] },
    'It is Paris.',
  );
  const agent = new Agent({ name: 'Bee', model: modelAt(server.url), tools: [capital()] });
  const run = fromOpenAIAgent(agent, { stream: true });
  assert.equal((await one((ctx) => run('Where?', ctx))).values, [
    'Let me look.',
    'It is Paris.',
    'It is Paris.',
  ]);
  await server.close();
});

test('handoffs and agents as tools count; a failed run has been paid for too', async () => {
  const server = await answering();
  const model = modelAt(server.url);
  const expert = new Agent({ name: 'Expert', model });
  const triage = fromOpenAIAgent(new Agent({ name: 'Triage', model, handoffs: [expert] }));
  const handed = await one((ctx) => triage('Where?', ctx));
  assert.equal(handed.logs, ['handoff to Expert']);
  assert.is(handed.usage.unpricedTokens, 0);
  assert.ok(handed.usage.inputTokens > 5);
  const asTool = expert.asTool({ toolName: 'expert', toolDescription: 'knows' });
  const boss = fromOpenAIAgent(new Agent({ name: 'Boss', model: testModel, tools: [asTool] }), {
    runner: { modelProvider: { getModel: () => model } },
  });
  assert.match((await one((ctx) => boss('Where?', ctx))).value ?? '', /It is I said x/);
  const half = fromOpenAIAgent(new Agent({ name: 'Bee', model: testModel, tools: [capital()] }), {
    runner: { modelProvider: { getModel: () => model } },
  });
  server.next(
    {
      toolCalls: [{ name: 'capital', arguments: { country: 'x' } }],
      usage: { inputTokens: 7, outputTokens: 2 },
    },
    { status: 500 },
  );
  const failed = await one((ctx) => half('Where?', ctx));
  assert.is(failed.error.status, 500);
  assert.equal([failed.usage.inputTokens, failed.usage.outputTokens, failed.usage.unpricedTokens], [7, 2, 0]);
  await server.close();
});

test('structured output, sessions, contexts and results of yours', async () => {
  const server = await OpenAIServer.listen({
    latency: 1,
    answer: ({ messages }) => `{"heard":${messages.length}}`,
  });
  const session = new MemorySession();
  const agent = new Agent({
    name: 'Counter',
    model: modelAt(server.url),
    outputType: z.object({ heard: z.number() }),
  });
  const run = fromOpenAIAgent<string, { heard: number }>(agent, { options: () => ({ session }) });
  assert.equal((await one((ctx) => run('one', ctx))).value, { heard: 1 });
  assert.equal((await one((ctx) => run('two', ctx))).value, { heard: 3 });
  const turns = fromOpenAIAgent<string, number>(agent, {
    options: () => ({ maxTurns: 3 }),
    result: (native) => (native as { rawResponses: unknown[] }).rawResponses.length,
  });
  assert.is((await one((ctx) => turns('x', ctx))).value, 1);
  await server.close();
});

test('guardrails and wrong settings are final, with their kind', async () => {
  const server = await OpenAIServer.listen({ latency: 1 });
  const guard = { name: 'no', execute: async () => ({ tripwireTriggered: true, outputInfo: 'x' }) };
  const guarded = new Agent({ name: 'Bee', model: modelAt(server.url), inputGuardrails: [guard] });
  const tripped = await one((ctx) => fromOpenAIAgent(guarded)('hello', ctx));
  assert.equal([tripped.error.kind, tripped.error.isRetryable], ['content-filter', false]);
  await server.close();
});

test.run();
