import { ChatPromptTemplate } from '@langchain/core/prompts';
import { RunnableLambda } from '@langchain/core/runnables';
import { tool } from '@langchain/core/tools';
import {
  Annotation,
  END,
  interrupt,
  MemorySaver,
  MessagesAnnotation,
  START,
  StateGraph,
} from '@langchain/langgraph';
import { createReactAgent } from '@langchain/langgraph/prebuilt';
import { ChatOpenAI } from '@langchain/openai';
import { createAgent } from 'langchain';
import { memory, type TaskContext, typed, type WorkflowEvent, workflow } from 'rxhive';
import { asLangGraphNode, fromRunnable, type NativeRunnable } from 'rxhive/langgraph';
import { OpenAIServer } from 'rxhive/testing';
import { testModel, testTool } from 'rxhive/testing/conformance';
import type { Observable } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { z } from 'zod/v4';
import { conform } from './conform.js';

const modelAt = (baseURL: string) =>
  new ChatOpenAI({ model: testModel, apiKey: 'key', maxRetries: 0, configuration: { baseURL } });
const capital = tool(async () => testTool.answer, {
  name: testTool.name,
  description: testTool.description,
  schema: z.object({ country: z.string() }),
});

conform('createAgent', {
  make: (url, { tools, stream }) =>
    fromRunnable(createAgent({ model: modelAt(url), tools: tools ? [capital] : [] }), { stream }),
});
conform('createReactAgent with a checkpointer', {
  make: (url, { tools, stream }) =>
    fromRunnable(
      createReactAgent({
        llm: modelAt(url),
        tools: tools ? [capital] : [],
        checkpointer: new MemorySaver(),
      }),
      { stream },
    ),
});
conform('a chain', {
  make: (url, { stream }) => {
    const chain = ChatPromptTemplate.fromMessages([
      ['system', 'You keep bees.'],
      ['user', '{question}'],
    ]).pipe(modelAt(url));
    return fromRunnable(RunnableLambda.from((question: string) => ({ question })).pipe(chain), { stream });
  },
  skip: { 'calls tools, and tells the model what they gave': 'a chain has no loop for tools' },
});

/** One task, with all that it says. */
async function one<T>(run: (ctx: TaskContext) => Observable<T>) {
  const flow = workflow({ name: 'one' });
  const task = flow.task('a', { run: (_, ctx) => run(ctx) });
  const going = flow.run();
  const values: T[] = [];
  const logs: string[] = [];
  going.values$(task).subscribe((value) => values.push(value));
  going.events$.subscribe((event) => event.type === 'log' && logs.push(event.message));
  const result = await going.result();
  const { error } = result.tasks.get('a') ?? {};
  return { value: result.results.get(task), values, logs, error };
}

const Steps = Annotation.Root({ sum: Annotation<number>, name: Annotation<string> });
const counter = (checkpointer = new MemorySaver()) =>
  new StateGraph(Steps)
    .addNode('double', ({ sum }) => ({ sum: sum * 2 }))
    .addNode('add', ({ sum }) => ({ sum: sum + 1 }))
    .addEdge(START, 'double')
    .addEdge('double', 'add')
    .addEdge('add', END)
    .compile({ checkpointer });

test('a graph without messages gets the input and gives its state, step by step', async () => {
  const saver = new MemorySaver();
  const run = fromRunnable<unknown, { sum: number }>(counter(saver), { stream: 'states' });
  const said = await one((ctx) => run({ sum: 4 }, ctx));
  assert.equal(
    said.values.map(({ sum }) => sum),
    [4, 8, 9, 9],
  );
  assert.equal(said.value?.sum, 9);
  assert.equal(said.logs, ['node double', 'node add']);
  assert.equal(Object.keys(saver.storage), []); // nothing stays of threads that nobody can name
  const task = { id: 't', agentType: 'counter', data: { sum: 1 }, inputs: {} };
  assert.is((await one((ctx) => run(task, ctx))).value?.sum, 3);
});

test('a thread that is named is kept, and remembers', async () => {
  const server = await OpenAIServer.listen({ latency: 1 });
  const graph = createReactAgent({ llm: modelAt(server.url), tools: [], checkpointer: new MemorySaver() });
  const run = fromRunnable(graph, { thread: () => 'conversation', config: { tags: ['of a spec'] } });
  for (const question of ['one', 'two']) assert.is((await one((ctx) => run(question, ctx))).value, question);
  assert.equal(
    server.requests[1]?.messages.map(({ text }) => text),
    ['one', 'one', 'two'],
  );
  await server.close();
});

test('only nodes that are named are heard', async () => {
  const server = await OpenAIServer.listen({ latency: 1, chunk: 4 });
  const model = modelAt(server.url);
  const speak = (text: string) => async () => ({ messages: [await model.invoke(text)] });
  const graph = new StateGraph(MessagesAnnotation)
    .addNode('draft', speak('a draft of it'))
    .addNode('final', speak('the final text'))
    .addEdge(START, 'draft')
    .addEdge('draft', 'final')
    .addEdge('final', END)
    .compile();
  const said = await one((ctx) => fromRunnable(graph, { stream: true, nodes: ['final'] })('x', ctx));
  assert.equal(said.values, ['the ', 'the fina', 'the final te', 'the final text', 'the final text']);
  assert.equal(said.logs, ['node draft', 'node final']);
  await server.close();
});

const asking = new StateGraph(Annotation.Root({ draft: Annotation<string>, verdict: Annotation<string> }))
  .addNode('write', ({ draft }) => ({ draft: `${draft}!` }))
  .addNode('ask', ({ draft }) => ({ verdict: `${interrupt('Publish?')} ${interrupt({ draft })}` }))
  .addEdge(START, 'write')
  .addEdge('write', 'ask')
  .addEdge('ask', END);

test('interrupts of a graph are questions to people', async () => {
  const run = fromRunnable<unknown, { verdict: string }>(
    asking.compile({ checkpointer: new MemorySaver() }),
    {
      stream: 'states',
    },
  );
  const flow = workflow({ name: 'ask' });
  const task = flow.task('a', { run: (_, ctx) => run({ draft: 'Bees' }, ctx) });
  const going = flow.run();
  const asked: unknown[] = [];
  going.events$.subscribe((event) => {
    if (event.type !== 'question' || event.reason !== 'asked') return;
    asked.push([event.prompt, event.context]);
    going.answer(event.questionId, asked.length === 1 ? 'yes' : 'well');
  });
  const { results, tasks } = await going.result();
  assert.is(results.get(task)?.verdict, 'yes well', String(tasks.get('a')?.error));
  assert.equal(asked, [
    ['Publish?', undefined],
    ['The graph asks.', { draft: 'Bees!' }],
  ]);
});

/** A graph whose nodes are named by data. */
interface Builder {
  addNode(name: string, node: () => object): Builder;
  addEdge(from: string, to: string): Builder;
  compile(options: object): NativeRunnable;
}

test('of nodes that interrupt at the same time each is asked, and gets its own answer', async () => {
  const said = Annotation<string[]>({ reducer: (a, b) => [...a, ...b], default: () => [] });
  const names = ['ann', 'bob', 'cid'] as const;
  const graph = names
    .reduce(
      (built, name) =>
        built
          .addNode(name, () => ({
            said: [`${name}: ${interrupt(`${name}?`)}, ${interrupt(`${name}, sure?`)}`],
          }))
          .addEdge(START, name)
          .addEdge(name, END),
      new StateGraph(Annotation.Root({ said })) as never as Builder,
    )
    .compile({ checkpointer: new MemorySaver() });
  for (const stream of ['states', false] as const) {
    const run = fromRunnable<unknown, { said: string[] }>(graph, {
      stream,
      result: (out) => out as { said: string[] },
    });
    const flow = workflow({ name: 'parallel' });
    const task = flow.task('a', { run: (_, ctx) => run({}, ctx) });
    const going = flow.run();
    going.events$.subscribe((event) => {
      if (event.type === 'question' && event.reason === 'asked')
        going.answer(event.questionId, `yes to ${event.prompt}`);
    });
    const { results, tasks } = await going.result();
    assert.equal(
      [...(results.get(task)?.said ?? [])].sort(),
      names.map((name) => `${name}: yes to ${name}?, yes to ${name}, sure?`),
      `${stream} ${String(tasks.get('a')?.error)}`,
    );
  }
});

test('a thread of a task goes on where it stopped', async () => {
  const saver = new MemorySaver();
  const calls: string[] = [];
  const graph = new StateGraph(Steps)
    .addNode('dear', () => {
      calls.push('dear');
      return { sum: 1 };
    })
    .addNode('weak', ({ sum }) => {
      calls.push('weak');
      if (calls.length < 4) throw new Error('not yet');
      return { sum: sum + 1 };
    })
    .addEdge(START, 'dear')
    .addEdge('dear', 'weak')
    .addEdge('weak', END)
    .compile({ checkpointer: saver });
  const run = fromRunnable<unknown, { sum: number }>(graph, {
    thread: (_, ctx) => ctx.idempotencyKey,
    resume: true,
  });
  const flow = workflow({ name: 'resume' });
  const task = flow.task('a', {
    retry: { count: 3, backoff: { initial: 1, jitter: 'none' } },
    run: (_, ctx) => run({ sum: 0 }, ctx),
  });
  const { results } = await flow.run().result();
  assert.equal(calls, ['dear', 'weak', 'weak', 'weak']);
  assert.is(results.get(task)?.sum, 2);
});

test('a graph that has asked goes on there when the process had exited meanwhile', async () => {
  const saver = new MemorySaver();
  const store = memory();
  let written = 0;
  const make = () => {
    const graph = new StateGraph(Steps)
      .addNode('write', ({ sum }) => {
        written += 1;
        return { sum: sum + 1 };
      })
      .addNode('ask', () => ({ name: String(interrupt('Name?')) }))
      .addEdge(START, 'write')
      .addEdge('write', 'ask')
      .addEdge('ask', END)
      .compile({ checkpointer: saver });
    const run = fromRunnable<unknown, typeof Steps.State>(graph, {
      thread: (_, ctx) => ctx.idempotencyKey,
      resume: true,
    });
    const flow = workflow({ name: 'asks' });
    return { flow, task: flow.task('a', { version: '1', run: (_, ctx) => run({ sum: 1 }, ctx) }) };
  };
  const first = await make().flow.run({ store, runId: 'r', suspend: 'exit' }).result();
  assert.is(first.status, 'suspended');
  const { flow, task } = make();
  await flow.answer(store, 'r', first.questions[0]?.id ?? '', 'Ann');
  const { results } = await flow.run({ store, runId: 'r' }).result();
  assert.equal({ ...results.get(task) }, { sum: 2, name: 'Ann' });
  assert.is(written, 1);
});

test('a workflow is a node of a graph: it ends with it, and its events are streamed', async () => {
  const flow = workflow({ name: 'inner', input: typed<{ sum: number }>() });
  const left = flow.task('left', { run: async (_, ctx) => ctx.input.sum + 10 });
  const right = flow.task('right', { run: async (_, ctx) => ctx.input.sum + 20 });
  flow.task('both', { dependencies: [left, right], run: ([a, b]) => ({ sum: a + b }) });
  const graph = new StateGraph(Steps)
    .addNode('inner', asLangGraphNode<typeof Steps.State>(flow))
    .addEdge(START, 'inner')
    .addEdge('inner', END)
    .compile();
  assert.is((await graph.invoke({ sum: 1 })).sum, 32);
  const types = new Set<string>();
  for await (const event of await graph.stream({ sum: 1 }, { streamMode: 'custom' })) {
    const { type, reason } = event as WorkflowEvent;
    types.add(`${type} ${reason}`);
  }
  assert.ok(types.has('run started') && types.has('task succeeded'), [...types].join());

  const speaking = new StateGraph(MessagesAnnotation)
    .addNode(
      'text',
      asLangGraphNode(() => textFlow('hum')),
    )
    .addEdge(START, 'text')
    .addEdge('text', END)
    .compile();
  const { messages } = await speaking.invoke({ messages: [] });
  assert.equal(
    messages.map((one) => [one.getType(), one.content]),
    [['ai', 'hum']],
  );

  const stop = new AbortController();
  let stopped = false;
  const endless = workflow({ name: 'endless' });
  endless.task('wait', {
    run: (_, ctx) =>
      new Promise((_, fail) => {
        ctx.signal.addEventListener('abort', () => {
          stopped = true;
          fail(new Error('stopped'));
        });
        setTimeout(() => stop.abort(), 5);
      }),
  });
  const waiting = new StateGraph(Steps)
    .addNode('wait', asLangGraphNode<typeof Steps.State>(endless))
    .addEdge(START, 'wait')
    .addEdge('wait', END)
    .compile();
  await waiting.invoke({ sum: 1 }, { signal: stop.signal }).then(
    () => assert.unreachable(),
    () => undefined,
  );
  while (!stopped) await new Promise((done) => setTimeout(done, 1));
});

function textFlow(text: string) {
  const flow = workflow({ name: 'text' });
  flow.task('say', { run: () => text });
  return flow;
}

test('what is no update of a state says so, and failures pass', async () => {
  const number = workflow({ name: 'number' });
  number.task('n', { run: () => 4 });
  await asLangGraphNode(number)({}).then(
    () => assert.unreachable(),
    (error: Error) => assert.match(error.message, /gives 4, which is no update of a state; give output/),
  );
  assert.equal(
    await asLangGraphNode(number, { output: ({ results }, state) => ({ ...state, n: results.get('n') }) })({
      a: 1,
    }),
    { a: 1, n: 4 },
  );
  const failing = workflow({ name: 'failing' });
  failing.task('n', {
    run: () => {
      throw new Error('no honey');
    },
  });
  await asLangGraphNode(failing)({}).then(
    () => assert.unreachable(),
    (error: Error) => assert.match(String(error), /PartialWorkflowError/),
  );
});

test.run();
