import { OpenAIChatModel } from 'beeai-framework/adapters/openai/backend/chat';
import { BaseAgent } from 'beeai-framework/agents/base';
import { RequirementAgent } from 'beeai-framework/agents/requirement/agent';
import { ToolCallingAgent } from 'beeai-framework/agents/toolCalling/agent';
import { UserMessage } from 'beeai-framework/backend/message';
import type { FrameworkError } from 'beeai-framework/errors';
import { UnconstrainedMemory } from 'beeai-framework/memory/unconstrainedMemory';
import { Tool } from 'beeai-framework/tools/base';
import { HandoffTool } from 'beeai-framework/tools/handoff';
import { AgentWorkflow } from 'beeai-framework/workflows/agent';
import { Workflow } from 'beeai-framework/workflows/workflow';
import { AgentTask, human, PartialWorkflowError, typed, WorkflowOrchestrator, workflow } from 'rxhive';
import { asBeeAgent, asBeeTool, type BeeCall, fromBeeAgent } from 'rxhive/beeai';
import { OpenAIServer, type OpenAIServerOptions } from 'rxhive/testing';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { z } from 'zod';

/** Two tasks side by side, and one that joins them. */
const define = () => {
  const flow = workflow({ name: 'research', input: typed<{ prompt: string }>() });
  const wiki = flow.task('wiki', { run: (_, { input }) => `wiki on ${input.prompt}` });
  const news = flow.task('news', { run: async (_, { input }) => `news on ${input.prompt}` });
  flow.task('brief', { dependencies: { wiki, news }, run: ({ wiki, news }) => `${wiki}, ${news}` });
  return flow;
};
const texts = (memory: { readonly messages: readonly { readonly text: string }[] }): string[] =>
  memory.messages.map(({ text }) => text);
const withServer = async (
  options: OpenAIServerOptions,
  work: (server: OpenAIServer, llm: OpenAIChatModel) => Promise<void>,
): Promise<void> => {
  const server = await OpenAIServer.listen(options);
  try {
    await work(server, new OpenAIChatModel('local', {}, { baseURL: server.url, apiKey: 'key' }));
  } finally {
    await server.close();
  }
};
const causeOf = (error: unknown): unknown => (error as FrameworkError).getCause();
const failure = (run: PromiseLike<unknown>): Promise<unknown> =>
  Promise.resolve(run).then(
    () => assert.unreachable(),
    (error: unknown) => error,
  );

test('a workflow is an agent: what it is asked is its input, its last task answers, its memory remembers', async () => {
  const agent = await asBeeAgent(define(), { description: 'Finds things out' });
  assert.instance(agent, BaseAgent);
  assert.equal({ ...agent.meta }, { name: 'research', description: 'Finds things out', tools: [] });
  const { result, memory, workflow } = await agent.run({ prompt: 'bees' });
  assert.is(result.text, 'wiki on bees, news on bees');
  assert.is(result.role, 'assistant');
  assert.is(workflow.results.get('wiki'), 'wiki on bees');
  await agent.run({ prompt: 'wax' });
  assert.is(memory, agent.memory);
  assert.equal(texts(agent.memory), [
    'bees',
    'wiki on bees, news on bees',
    'wax',
    'wiki on wax, news on wax',
  ]);
});

test('a function gets the whole call, of several last tasks all results count, output changes the answer', async () => {
  const calls: BeeCall[] = [];
  const memory = new UnconstrainedMemory();
  await memory.add(new UserMessage('be brief'));
  const agent = await asBeeAgent(
    (call) => {
      calls.push(call);
      const flow = workflow({ name: 'two' });
      flow.task('a', { run: () => ({ words: call.prompt.length }) });
      flow.task('b', { run: () => [1] });
      return flow;
    },
    { memory, name: 'two' },
  );
  const { result } = await agent.run({ prompt: 'hum', context: 'hive', expectedOutput: 'a word' });
  assert.equal(JSON.parse(result.text), { a: { words: 3 }, b: [1] });
  assert.equal(calls, [
    {
      prompt: 'hum',
      context: 'hive',
      expectedOutput: 'a word',
      messages: [
        { role: 'user', text: 'be brief' },
        { role: 'user', text: 'hum' },
      ],
    },
  ]);
  const other = await asBeeAgent(define(), {
    input: ({ messages }) => ({ prompt: messages.map(({ text }) => text).join('+') }),
    output: ({ results }) => results.get('news'),
  });
  await other.run({ prompt: 'one' });
  assert.is((await other.run({ prompt: 'two' })).result.text, 'news on one+news on one+two');
});

test('an agent of BeeAI hands over to a workflow; the agent it was made from remembers nothing of that', async () => {
  const rule: OpenAIServerOptions = {
    answer: ({ messages, tools }) => {
      const last = messages.at(-1);
      if (last?.role === 'tool')
        return { toolCalls: [{ name: 'final_answer', arguments: { response: `Found: ${last.text}` } }] };
      assert.ok(
        tools.some(({ name, description }) => name === 'research' && description === 'Finds things out'),
      );
      return { toolCalls: [{ name: 'research', arguments: { task: 'bees' } }] };
    },
  };
  await withServer(rule, async (server, llm) => {
    const research = await asBeeAgent(define(), { description: 'Finds things out' });
    const told: string[] = [];
    research.emitter.on('task', ({ reason, taskId }) => {
      if (reason === 'succeeded') told.push(taskId);
    });
    const agent = new RequirementAgent({
      llm,
      memory: new UnconstrainedMemory(),
      tools: [new HandoffTool(research)],
    });
    const { result } = await agent.run({ prompt: 'what do bees do' });
    assert.is(result.text, 'Found: wiki on bees, news on bees');
    assert.is(server.requests.length, 2);
    assert.equal(texts(research.memory), []);
    assert.equal(told.sort(), ['brief', 'news', 'wiki']);
  });
});

test('a workflow is a step of BeeAI: of its AgentWorkflow beside other agents, and of its Workflow', async () => {
  await withServer({}, async (server, llm) => {
    const steps = new AgentWorkflow();
    await steps.addAgent(await asBeeAgent(define()));
    await steps.addAgent(new ToolCallingAgent({ llm, tools: [], memory: new UnconstrainedMemory() }));
    await steps.addAgent(await asBeeAgent(define(), { name: 'again' }));
    const { result } = await steps.run([{ prompt: 'bees' }, { prompt: 'sum it up' }]);
    // The third has no prompt of its own: the last that was asked counts.
    assert.is(result.finalAnswer, 'wiki on sum it up, news on sum it up');
    assert.match(server.requests[0]?.messages.map(({ text }) => text).join('\n') ?? '', 'wiki on bees');
  });
  const agent = await asBeeAgent(define());
  const plain = new Workflow({ schema: z.object({ text: z.string() }) }).addStep('ask', async (state) => {
    state.text = (await agent.run({ prompt: state.text })).result.text;
  });
  assert.is((await plain.run({ text: 'wax' })).state.text, 'wiki on wax, news on wax');
});

test('several runs of one agent go on at once, and none gets between question and answer of another', async () => {
  const agent = await asBeeAgent(define());
  const runs = await Promise.all([1, 2, 3, 4, 5].map((i) => agent.run({ prompt: `q${i}` })));
  assert.equal(
    runs.map(({ result }) => result.text),
    [1, 2, 3, 4, 5].map((i) => `wiki on q${i}, news on q${i}`),
  );
  const said = texts(agent.memory);
  assert.is(said.length, 10);
  for (let i = 0; i < 10; i += 2) assert.is(said[i + 1], `wiki on ${said[i]}, news on ${said[i]}`);
});

test('a clone shares no memory; who listens to the original hears it', async () => {
  const agent = await asBeeAgent(define());
  await agent.run({ prompt: 'one' });
  let heard = 0;
  agent.emitter.on('run', ({ reason }) => {
    if (reason === 'ended') heard += 1;
  });
  const copy = (await agent.clone()) as typeof agent;
  assert.instance(copy, BaseAgent);
  await copy.run({ prompt: 'two' });
  assert.equal(texts(agent.memory).length, 2);
  assert.equal(texts(copy.memory).length, 4);
  assert.is(heard, 1);
  const quiet = copy.emitter.on('run', () => assert.unreachable());
  copy.memory.reset();
  await agent.run({ prompt: 'three' });
  assert.is(heard, 2);
  assert.equal([texts(agent.memory).length, texts(copy.memory).length], [4, 0]);
  quiet();
  const twice = (await copy.clone()) as typeof agent;
  assert.is((await twice.run({ prompt: 'x' })).result.text, 'wiki on x, news on x');
});

test('aborting the agent cancels the run', async () => {
  const abort = new AbortController();
  let stopped: () => void = () => undefined;
  const hasStopped = new Promise<void>((done) => {
    stopped = done;
  });
  const flow = workflow({ name: 'slow' });
  flow.task('wait', {
    run: (_, { signal }) =>
      new Promise(() => {
        signal.addEventListener('abort', stopped);
        abort.abort(new Error('enough'));
      }),
  });
  const agent = await asBeeAgent(flow);
  const error = await failure(agent.run({ prompt: 'x' }, { signal: abort.signal }));
  assert.match(String(causeOf(error)), 'enough');
  await hasStopped;
  assert.equal(texts(agent.memory), []);
});

test('it fails when a last task has no result, and answers when one in between has failed', async () => {
  const define = (bad: string) => {
    const flow = workflow({ name: 'half' });
    for (const id of ['a', 'b'])
      flow.task(id, {
        run: () => {
          if (id === bad) throw new Error(`${id} is broken`);
          return id;
        },
      });
    const { handles } = flow.definition();
    flow.task('any', {
      dependencies: [handles[0] as never],
      run: (values) => (values as unknown as string[]).join(),
    });
    return flow;
  };
  const error = await failure((await asBeeAgent(define('a'))).run({ prompt: 'x' }));
  assert.instance(causeOf(error), Error);
  assert.match(
    (error as FrameworkError).explain(),
    /Workflow "half" ended partial.*First: "a": a is broken/s,
  );
  const found = [...(error as FrameworkError).traverseErrors()].find(
    (one) => one instanceof PartialWorkflowError,
  );
  assert.is((found as PartialWorkflowError).results.get('b'), 'b');
  const agent = await asBeeAgent(define('b'), { output: ({ results }) => results.get('any') });
  assert.is((await agent.run({ prompt: 'x' })).result.text, 'a');
});

test('questions of the workflow are events that can be answered', async () => {
  const flow = workflow({ name: 'ask' });
  flow.task('review', {
    run: async (_, ctx) =>
      `said ${await ctx.ask(human(typed<string>(), { prompt: 'Print?', context: { page: 1 } }))}`,
  });
  const agent = await asBeeAgent(flow);
  const run = agent.run({ prompt: 'x' }).observe((emitter) => {
    emitter.on('question', ({ reason, prompt, context, answer }) => {
      if (reason === 'asked') void answer?.(`yes to ${prompt} ${JSON.stringify(context)}`);
    });
  });
  assert.is((await run).result.text, 'said yes to Print? {"page":1}');
});

test('a listener that throws ends the run, as with agents of BeeAI', async () => {
  const agent = await asBeeAgent(define());
  const run = agent.run({ prompt: 'x' }).observe((emitter) => {
    emitter.on('task', () => {
      throw new Error('not this one');
    });
  });
  assert.match(String(causeOf(await failure(run))), 'not this one');
});

test('an orchestrator is an agent too, one made for each call or one for all', async () => {
  const make = (prompt: string) =>
    new WorkflowOrchestrator({
      name: 'orchestra',
      agents: { echo: ({ data }: { data: unknown }) => data },
    }).addTask(new AgentTask({ id: 'only', agentType: 'echo', data: prompt }));
  const agent = await asBeeAgent(({ prompt }) => make(prompt), { name: 'echo', events: ['task'] });
  const told: string[] = [];
  agent.emitter.on('task', ({ taskId, reason }) => told.push(`${taskId} ${reason}`));
  const both = await Promise.all([agent.run({ prompt: 'a' }), agent.run({ prompt: 'b' })]);
  assert.equal(
    both.map(({ result }) => result.text),
    ['a', 'b'],
  );
  assert.is(told.filter((line) => line === 'only succeeded').length, 2);
  const one = await asBeeAgent(make('always this'));
  assert.is((await one.run({ prompt: 'x' })).result.text, 'always this');
  assert.is(one.meta.name, 'orchestra');
});

test('a workflow is a tool, called with what its schema says', async () => {
  const flow = workflow({ name: 'prices', input: typed<{ product: string }>() });
  flow.task('price', { run: (_, { input }) => ({ product: input.product, price: 7 }) });
  const tool = await asBeeTool(flow, {
    name: 'price_of',
    description: 'What a product costs',
    schema: z.object({ product: z.string() }),
  });
  assert.instance(tool, Tool);
  const rule: OpenAIServerOptions = {
    answer: ({ messages }) => {
      const last = messages.at(-1);
      if (last?.role !== 'tool') return { toolCalls: [{ name: 'price_of', arguments: { product: 'wax' } }] };
      return { toolCalls: [{ name: 'final_answer', arguments: { response: last.text } }] };
    },
  };
  await withServer(rule, async (_, llm) => {
    const agent = new RequirementAgent({ llm, tools: [tool], memory: new UnconstrainedMemory() });
    assert.equal(JSON.parse((await agent.run({ prompt: 'price of wax?' })).result.text), {
      product: 'wax',
      price: 7,
    });
  });
  const error = await failure(tool.run({} as never));
  assert.match(String(error), /ToolInputValidationError/);
});

test('agents of BeeAI in a workflow that is an agent: inner and outer run count what they use', async () => {
  await withServer({}, async (_, llm) => {
    const inner = workflow({ name: 'inner', input: typed<{ prompt: string }>() });
    const ask = fromBeeAgent(new RequirementAgent({ llm, tools: [], memory: new UnconstrainedMemory() }));
    for (const id of ['a', 'b'])
      inner.task(id, { run: (_, ctx) => ask(`${id} of ${ctx.input.prompt}`, ctx) });
    const agent = await asBeeAgent(inner, {
      output: ({ results }) => `${results.get('a')}|${results.get('b')}`,
    });
    let used = 0;
    const outer = workflow({ name: 'outer' });
    const run = fromBeeAgent(agent);
    const both = [1, 2].map((i) => outer.task(`t${i}`, { run: (_, ctx) => run(`q${i}`, ctx) }));
    const { results, report } = await outer.run().result();
    for (const [i, task] of both.entries()) {
      assert.match(results.get(task) ?? '', `a of q${i + 1}`);
      assert.match(results.get(task) ?? '', `b of q${i + 1}`);
    }
    used = report.usage.inputTokens;
    assert.ok(used > 0);
    const { workflow: alone } = await agent.run({ prompt: 'q1' });
    assert.is(used, 2 * alone.report.usage.inputTokens);
  });
});

test.run();
