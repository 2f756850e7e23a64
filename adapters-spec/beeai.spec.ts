import { OpenAIChatModel } from 'beeai-framework/adapters/openai/backend/chat';
import { ReActAgent } from 'beeai-framework/agents/react/agent';
import { RequirementAgent } from 'beeai-framework/agents/requirement/agent';
import { ToolCallingAgent } from 'beeai-framework/agents/toolCalling/agent';
import { UserMessage } from 'beeai-framework/backend/message';
import { UnconstrainedCache } from 'beeai-framework/cache/unconstrainedCache';
import { UnconstrainedMemory } from 'beeai-framework/memory/unconstrainedMemory';
import { type AnyTool, DynamicTool, StringToolOutput } from 'beeai-framework/tools/base';
import { HandoffTool } from 'beeai-framework/tools/handoff';
import { Workflow } from 'beeai-framework/workflows/workflow';
import { agentPool, human, memory, type TaskContext, typed, workflow } from 'rxhive';
import { type BeeTool, beeMiddleware, fromBeeAgent, fromBeeTool, fromBeeWorkflow } from 'rxhive/beeai';
import { OpenAIServer } from 'rxhive/testing';
import { type AgentSubject, testModel, testTool } from 'rxhive/testing/conformance';
import type { Observable } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { z } from 'zod';
import { conform } from './conform.js';

const modelAt = (url: string): OpenAIChatModel =>
  new OpenAIChatModel(testModel, {}, { baseURL: url, apiKey: 'key' });
const capital = () =>
  new DynamicTool({
    name: testTool.name,
    description: testTool.description,
    inputSchema: z.object({ country: z.string() }),
    handler: async () => new StringToolOutput(testTool.answer),
  });

const kinds = {
  RequirementAgent: (url: string, tools: boolean) =>
    new RequirementAgent({
      llm: modelAt(url),
      tools: tools ? [capital()] : [],
      memory: new UnconstrainedMemory(),
      role: 'a keeper of bees',
    }),
  ToolCallingAgent: (url: string, tools: boolean) =>
    new ToolCallingAgent({
      llm: modelAt(url),
      tools: tools ? [capital()] : [],
      memory: new UnconstrainedMemory(),
    }),
};

for (const [name, make] of Object.entries(kinds))
  conform(name, {
    make: (url, { tools, stream }) => fromBeeAgent(make(url, tools), stream ? { stream } : {}),
    skip:
      name === 'ToolCallingAgent'
        ? { 'streams the text so far, each of several its own': 'it has no stream of its answer' }
        : {},
  });

/** A ReActAgent reads lines. */
const lines: AgentSubject['speech'] = {
  say: ({ text, toolCalls: [call] = [], ...reply }) => {
    if (call === undefined) return { ...reply, text: `Thought: I know it.\nFinal Answer: ${text}` };
    const { name, arguments: input } = call;
    const asks = `Function Name: ${name}\nFunction Input: ${JSON.stringify(input)}`;
    return { ...reply, text: `Thought: I have to look it up.\n${asks}\nFunction Output:` };
  },
  heard: ({ messages }) => /Function Output: (.+)/.exec(messages.at(-1)?.text ?? '')?.[1],
};
conform('ReActAgent', {
  make: (url, { tools, stream }) =>
    fromBeeAgent(
      new ReActAgent({
        llm: modelAt(url),
        tools: tools ? [capital()] : [],
        memory: new UnconstrainedMemory(),
        stream,
      }),
    ),
  speech: lines,
});

const noted = async (text: string): Promise<UnconstrainedMemory> => {
  const memory = new UnconstrainedMemory();
  await memory.add(new UserMessage(text));
  return memory;
};
const asked = async <T>(run: Parameters<typeof oneTask<T>>[0]): Promise<T> => {
  const { results, orThrow } = await oneTask(run);
  if (!results.has('a')) orThrow();
  return results.get('a') as T;
};
function oneTask<T>(run: (ctx: TaskContext) => Observable<T> | Promise<T>) {
  const flow = workflow({ name: 'one', prices: { [testModel]: { input: 1, output: 1 } } });
  flow.task('a', { run: (_, ctx) => run(ctx) as Observable<T> });
  return flow.run().result();
}

test('an instance is a template: copies remember what it does, and it does not remember what they do', async () => {
  const server = await OpenAIServer.listen({ latency: 1 });
  const memory = await noted('the first rule');
  const agent = new RequirementAgent({ llm: modelAt(server.url), tools: [], memory });
  const run = fromBeeAgent(agent);
  for (const question of ['one', 'two']) assert.match(await asked((ctx) => run(question, ctx)), question);
  assert.is(memory.messages.length, 1);
  for (const { messages } of server.requests)
    assert.equal(messages.filter(({ role }) => role === 'user').length, 2);
  await server.close();
});

test('role and instructions of agents that run at once are their own', async () => {
  const server = await OpenAIServer.listen({ latency: 20 });
  const llm = modelAt(server.url);
  const flow = workflow({ name: 'roles' });
  for (let i = 0; i < 6; i++) {
    const make = () =>
      new RequirementAgent({
        llm,
        tools: [],
        memory: new UnconstrainedMemory(),
        role: `role ${i}`,
        instructions: `rule ${i}`,
      });
    const run = fromBeeAgent(i % 2 === 0 ? make : make());
    flow.task(`t${i}`, { run: (_, ctx) => run(`question ${i}`, ctx) });
  }
  assert.is((await flow.run().result()).status, 'succeeded');
  for (const { messages } of server.requests) {
    const text = messages.map((one) => one.text).join('\n');
    const number = /question (\d)/.exec(text)?.[1];
    assert.equal(
      [...text.matchAll(/(role|rule|question) \d/g)].map(([found]) => found),
      [`role ${number}`, `rule ${number}`, `question ${number}`],
    );
  }
  await server.close();
});

test('a ReActAgent streams its final answer, and its memory stays its own', async () => {
  const server = await OpenAIServer.listen({
    answer: ({ prompt }) => `Thought: I know it.\nFinal Answer: bees said ${prompt.split('\n')[0]}`,
  });
  const memory = await noted('the first rule');
  const run = fromBeeAgent(new ReActAgent({ llm: modelAt(server.url), tools: [], memory }));
  const values: string[] = [];
  const flow = workflow({ name: 'react' });
  const task = flow.task('a', { run: (_, ctx) => run('hum', ctx) });
  const going = flow.run();
  going.values$(task).subscribe((value) => values.push(value));
  const result = await going.result();
  assert.is(result.status, 'succeeded', String(result.tasks.get('a')?.error));
  assert.match(result.results.get(task) ?? '', 'bees said');
  assert.ok(values.length > 2, values.join('|'));
  assert.is(memory.messages.length, 1);
  await server.close();
});

test('an agent asks a person through a tool; its task is suspended meanwhile, and an answer is not asked for twice', async () => {
  const server = await OpenAIServer.listen({
    answer: ({ messages }) => {
      const last = messages.at(-1);
      const name = last?.role === 'tool' ? 'final_answer' : 'permission';
      const input = last?.role === 'tool' ? { response: `They said ${last.text}` } : { what: 'burn it' };
      return { toolCalls: [{ name, arguments: input }] };
    },
  });
  const careful = (ctx: TaskContext) => () =>
    new RequirementAgent({
      llm: modelAt(server.url),
      memory: new UnconstrainedMemory(),
      tools: [
        new DynamicTool({
          name: 'permission',
          description: 'Asks a person whether something may be done',
          inputSchema: z.object({ what: z.string() }),
          handler: async (input) => {
            const { what } = input as { what: string };
            const question = human(typed<boolean>(), { key: what, prompt: `May I ${what}?` });
            return new StringToolOutput((await ctx.ask(question)) ? 'yes' : 'no');
          },
        }),
      ],
    });
  const flow = workflow({ name: 'ask', concurrency: 1 });
  const tidy = flow.task('tidy', { run: (_, ctx) => fromBeeAgent(careful(ctx))('Tidy up', ctx) });
  const other = flow.task('other', { run: () => 'goes on meanwhile' });
  const store = memory();
  const first = await flow.run({ store, runId: 'r', suspend: 'exit' }).result();
  assert.is(first.status, 'suspended');
  assert.is(first.results.get(other), 'goes on meanwhile');
  assert.equal(
    first.questions.map(({ id, prompt }) => [id, prompt]),
    [['tidy?burn it', 'May I burn it?']],
  );
  const { results } = await flow.answer(store, 'r', 'tidy?burn it', false);
  assert.is(results.get(tidy), 'They said no');
  await server.close();
});

test('a function that gives the same agent twice is found out', async () => {
  const server = await OpenAIServer.listen({ latency: 30 });
  const agent = new RequirementAgent({
    llm: modelAt(server.url),
    tools: [],
    memory: new UnconstrainedMemory(),
  });
  const run = fromBeeAgent(() => agent);
  const flow = workflow({ name: 'same' });
  for (let i = 0; i < 2; i++) flow.task(`t${i}`, { run: (_, ctx) => run('hum', ctx) });
  const { tasks } = await flow.run().result();
  const failed = [...tasks.values()].filter(({ status }) => status === 'failed');
  assert.is(failed.length, 1);
  assert.match(String(failed[0]?.error), /same agent twice/);
  await server.close();
});

test('a pool makes as many as are needed, and uses them again', async () => {
  const server = await OpenAIServer.listen({ latency: 10 });
  let made = 0;
  const pool = agentPool(() => {
    made += 1;
    return new RequirementAgent({ llm: modelAt(server.url), tools: [], memory: new UnconstrainedMemory() });
  }, 2);
  const run = fromBeeAgent(pool);
  const flow = workflow({ name: 'pool' });
  for (let i = 0; i < 6; i++) flow.task(`t${i}`, { run: (_, ctx) => run(`q${i}`, ctx) });
  assert.is((await flow.run().result()).status, 'succeeded');
  assert.is(made, 2);
  assert.is(server.stats.mostInFlight, 2);
  await server.close();
});

test('an agent that cannot be copied says so', async () => {
  const run = fromBeeAgent({ run: () => assert.unreachable() } as never);
  const { tasks } = await oneTask((ctx) => run('hum', ctx));
  assert.match(String(tasks.get('a')?.error), /no clone\(\)\. Give a function/);
});

test('a workflow of BeeAI is a task, and so is a tool', async () => {
  const steps = new Workflow({ schema: z.object({ sum: z.number() }) })
    .addStep('double', async (state) => {
      state.sum *= 2;
    })
    .addStep('add', async (state) => {
      state.sum += 1;
    });
  const logs: string[] = [];
  const flow = workflow({ name: 'both' });
  const double = fromBeeWorkflow<unknown, { sum: number }>(steps);
  const tool = fromBeeTool(capital());
  const sum = flow.task('sum', { run: (_, ctx) => double({ sum: 4 }, ctx) });
  const city = flow.task('city', { run: (_, ctx) => tool({ country: 'France' }, ctx) });
  const run = flow.run();
  run.events$.subscribe((event) => event.type === 'log' && logs.push(event.message));
  const { results } = await run.result();
  assert.equal(results.get(sum), { sum: 9 });
  assert.is(results.get(city), 'Paris');
  assert.ok(
    logs.includes('workflow.start') && logs.includes('tool.dynamic.capital.start (capital)'),
    logs.join(),
  );
});

test('usage is counted however deep: agents in a workflow of BeeAI, and those that others hand over to', async () => {
  const usage = { inputTokens: 100, outputTokens: 10 };
  const server = await OpenAIServer.listen({
    answer: ({ messages, tools }) => {
      const last = messages.at(-1);
      const wants = tools.some(({ name }) => name === 'keeper') && last?.role !== 'tool';
      const call = wants ? ['keeper', { task: 'hum' }] : ['final_answer', { response: 'hm' }];
      return { toolCalls: [{ name: call[0] as string, arguments: call[1] }], usage };
    },
  });
  const make = (tools: AnyTool[] = [], name = 'Agent') =>
    new RequirementAgent({ llm: modelAt(server.url), tools, name, memory: new UnconstrainedMemory() });
  const steps = new Workflow({ schema: z.object({ text: z.string() }) });
  for (const name of ['one', 'two'])
    steps.addStep(name, async (state) => {
      state.text = (await make().run({ prompt: state.text })).result.text;
    });
  const boss = fromBeeAgent(make([new HandoffTool(make([], 'Keeper'))]));
  const whole = fromBeeWorkflow(steps);
  const tokens = async (run: (ctx: TaskContext) => Observable<unknown>): Promise<number[]> => {
    const { report } = await oneTask(run);
    assert.is(report.status, 'succeeded', String(report));
    return [report.usage.inputTokens, report.usage.outputTokens, report.usage.unpricedTokens];
  };
  assert.equal(await tokens((ctx) => whole({ text: 'hum' }, ctx)), [200, 20, 0]);
  assert.is(server.requests.length, 2);
  assert.equal(await tokens((ctx) => boss('hum', ctx)), [300, 30, 0]);
  assert.is(server.requests.length, 5);
  // Refusals come to rxhive at once from there too.
  server.next({ status: 500 });
  const { report } = await oneTask((ctx) => whole({ text: 'hum' }, ctx));
  assert.is(report.status, 'failed');
  assert.is(server.requests.length, 6);
  await server.close();
});

test('the middleware reports what an agent does that is called in a body', async () => {
  const server = await OpenAIServer.listen({ latency: 1 });
  const agent = new RequirementAgent({
    llm: modelAt(server.url),
    tools: [],
    memory: new UnconstrainedMemory(),
  });
  const { report } = await oneTask(async (ctx) => {
    const { result } = await agent.run({ prompt: 'hum' }).middleware(beeMiddleware(ctx));
    return result.text;
  });
  assert.ok(report.usage.inputTokens > 0 && report.usage.unpricedTokens === 0);
  await server.close();
});

test('fifty agents run at once, where a workflow of BeeAI runs one after the other', async () => {
  const one = await OpenAIServer.listen();
  const agentAt = (server: OpenAIServer) =>
    new RequirementAgent({ llm: modelAt(server.url), tools: [], memory: new UnconstrainedMemory() });
  const steps = new Workflow({ schema: z.object({ texts: z.array(z.string()) }) });
  for (let i = 0; i < 5; i++)
    steps.addStep(`s${i}`, async (state) => {
      state.texts.push((await agentAt(one).run({ prompt: `agent ${i} of BeeAI` })).result.text);
    });
  await steps.run({ texts: [] });
  assert.equal([one.stats.requests, one.stats.mostInFlight], [5, 1]);
  await one.close();

  let asked = 0;
  let wake: (() => void) | undefined;
  const all = new Promise<void>((done) => {
    wake = done;
  });
  const server = await OpenAIServer.listen({
    answer: async (request) => {
      asked += 1;
      if (asked === 50) wake?.();
      await all; // no answer before all fifty have asked
      return { toolCalls: [{ name: 'final_answer', arguments: { response: request.prompt } }] };
    },
  });
  const run = fromBeeAgent(agentAt(server));
  const flow = workflow({ name: 'fifty', concurrency: 50 });
  for (let i = 0; i < 50; i++) flow.task(`t${i}`, { run: (_, ctx) => run(`agent <${i}> of fifty`, ctx) });
  const result = await flow.run().result();
  assert.is(result.status, 'succeeded');
  for (const { messages } of server.requests) {
    const numbers = new Set(
      messages.flatMap(({ text }) => [...text.matchAll(/agent <(\d+)>/g)].map(([, n]) => n)),
    );
    assert.is(numbers.size, 1);
  }
  assert.equal([server.stats.requests, server.stats.mostInFlight], [50, 50]);
  await server.close();
});

test('a tool checks its input as BeeAI does, also one with a way of its own and one whose schema changes', async () => {
  const fields = { name: 'echo', description: 'Says it again' };
  const handler = async (input: unknown) => new StringToolOutput(JSON.stringify(input));
  const zod = new DynamicTool({ ...fields, inputSchema: z.object({ n: z.number().default(4) }), handler });
  const json = {
    type: 'object',
    properties: { n: { type: 'number' } } as Record<string, object>,
    required: ['n'],
  };
  const plain = new DynamicTool({ ...fields, inputSchema: json, handler });
  class Careful extends DynamicTool<StringToolOutput, z.ZodObject<{ n: z.ZodNumber }>> {
    protected override validateInput(schema: never, input: unknown): asserts input is never {
      super.validateInput(schema, input);
      if ((input as { n: number }).n > 9) throw new Error('too much');
    }
  }
  const careful = new Careful({ ...fields, inputSchema: z.object({ n: z.number() }), handler });
  const said = async (tool: BeeTool, input: unknown): Promise<string> => {
    const run = fromBeeTool(tool);
    const { results, tasks } = await oneTask((ctx) => run(input, ctx));
    return (results.get('a') as string | undefined) ?? String(tasks.get('a')?.error);
  };
  for (let i = 0; i < 2; i++) {
    // BeeAI makes 3 of the text '3', and fills in defaults.
    assert.is(await said(zod, { n: '3' }), '{"n":3}');
    assert.is(await said(zod, {}), '{"n":4}');
    assert.match(await said(zod, { n: 'x' }), /does not match the expected schema/);
    assert.is(await said(plain, { n: 3 }), '{"n":3}');
    assert.match(await said(plain, {}), /does not match the expected schema/);
    assert.is(await said(careful, { n: 9 }), '{"n":9}');
    assert.match(await said(careful, { n: 10 }), /too much/);
  }
  json.required = ['m'];
  json.properties.m = { type: 'string' };
  assert.match(await said(plain, { n: 3 }), /does not match the expected schema/);
  assert.is(await said(plain, { m: 'now' }), '{"m":"now"}');
});

test('a model with a cache is asked once, also when it gets the cache later', async () => {
  const server = await OpenAIServer.listen({});
  const llm = modelAt(server.url);
  const steps = new Workflow({ schema: z.object({ text: z.string() }) }).addStep('ask', async (state) => {
    const { messages } = await llm.create({ messages: [new UserMessage(state.text)] });
    state.text = messages[0]?.text ?? '';
  });
  const whole = fromBeeWorkflow<unknown, { text: string }>(steps);
  const ask = async (): Promise<number> => {
    const before = server.requests.length;
    for (let i = 0; i < 2; i++) assert.match((await asked((ctx) => whole({ text: 'hum' }, ctx))).text, 'hum');
    return server.requests.length - before;
  };
  assert.is(await ask(), 2);
  llm.config({ cache: new UnconstrainedCache() });
  assert.is(await ask(), 1);
  assert.is(await ask(), 0);
  await server.close();
});

test.run();
