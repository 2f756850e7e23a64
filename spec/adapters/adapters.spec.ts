import { existsSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { agentError } from '../../lib/adapters/agent-error.js';
import type { AdaptedAgent } from '../../lib/entry/agents.js';
import {
  type AgentError,
  adaptAgent,
  agentPool,
  fromAsyncIterable,
  type TaskContext,
  workflow,
} from '../../lib/index.js';
import {
  type AgentSubject,
  agentConformance,
  testModel,
  testTool,
} from '../../lib/testing/conformance/index.js';
import { OpenAIServer } from '../../lib/testing/index.js';

if (!existsSync('adapters-spec/node_modules'))
  console.log('skipped: specs with the packages of agents: npm run test:adapters installs and runs them');

interface ChatBody {
  readonly choices: readonly {
    readonly message: {
      readonly content: string | null;
      readonly tool_calls?: readonly { readonly id: string }[];
    };
  }[];
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number };
}

/** An agent of no framework: fetch, and a loop for tools. */
function plainAgent(url: string, { tools, stream }: { tools: boolean; stream: boolean }): AdaptedAgent {
  const ask = (messages: unknown, signal: AbortSignal): Promise<Response> =>
    fetch(`${url}/chat/completions`, {
      method: 'POST',
      signal,
      headers: { authorization: 'Bearer key' },
      body: JSON.stringify({
        model: testModel,
        messages,
        stream,
        ...(tools && { tools: [{ type: 'function', function: { name: testTool.name, parameters: {} } }] }),
      }),
    });
  return adaptAgent<unknown, string>(async (input, ctx, signal, tell) => {
    const messages: unknown[] = [
      { role: 'user', content: typeof input === 'string' ? input : JSON.stringify(input) },
    ];
    for (;;) {
      const response = await ask(messages, signal);
      const text = await (stream ? streamed(response, (value) => tell.value(value)) : response.text());
      const { status, headers } = response;
      if (!response.ok) throw Object.assign(new Error(text), { status, headers });
      if (stream) return text;
      const { choices, usage } = JSON.parse(text) as ChatBody;
      ctx.usage({
        inputTokens: usage.prompt_tokens,
        outputTokens: usage.completion_tokens,
        model: testModel,
      });
      const { message } = choices[0] as ChatBody['choices'][number];
      const call = message.tool_calls?.[0];
      if (call === undefined) return message.content ?? '';
      messages.push(message, { role: 'tool', tool_call_id: call.id, content: testTool.answer });
    }
  });
}

async function streamed(response: Response, tell: (text: string) => void): Promise<string> {
  let text = '';
  let rest = '';
  for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const lines = (rest + chunk).split('\n\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === 'data: [DONE]') continue;
      const { choices } = JSON.parse(line.slice(6)) as { choices: { delta: { content?: string } }[] };
      const piece = choices[0]?.delta.content ?? '';
      text += piece;
      if (piece !== '') tell(text);
    }
  }
  return text;
}

/** A context with some things changed. */
function other(ctx: TaskContext, change: Partial<TaskContext>): TaskContext {
  return {
    taskId: ctx.taskId,
    signal: ctx.signal,
    usage: (used) => ctx.usage(used),
    ...change,
  } as TaskContext;
}

const subject: AgentSubject = { make: plainAgent };
for (const check of agentConformance(subject))
  test(`an agent made of fetch: ${check.name}`, () => check.run());

test('the contract finds adapters that do not keep it', async () => {
  const broken: [string, AgentSubject, RegExp][] = [
    [
      'keeps what others said',
      {
        make: (url, options) => {
          let said = '';
          const agent = plainAgent(url, options);
          return (input, ctx) => {
            said += ` ${String(input)}`;
            return agent(said, ctx);
          };
        },
      },
      /questions in one transcript/,
    ],
    [
      'goes on when its task is cancelled',
      {
        make: (url, options) => {
          const agent = plainAgent(url, options);
          const quiet = (ctx: TaskContext) => other(ctx, { signal: new AbortController().signal });
          return (input, ctx) =>
            fromAsyncIterable<unknown, string>(async function* () {
              yield* [
                await new Promise<string>((done, fail) =>
                  agent(input, quiet(ctx)).subscribe({ next: done, error: fail }),
                ),
              ];
            })(input, ctx);
        },
      },
      /no an aborted request/,
    ],
    [
      'says nothing of usage',
      {
        make: (url, options) => {
          const agent = plainAgent(url, options);
          return (input, ctx) => agent(input, other(ctx, { usage: () => undefined }));
        },
      },
      /usage: expected/,
    ],
  ];
  await Promise.all(
    broken.map(async ([what, faulty, message]) => {
      const ended = await Promise.allSettled(agentConformance(faulty).map(({ run }) => run()));
      const faults = ended.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : []));
      assert.ok(
        faults.some((fault) => message.test(fault)),
        `${what}: ${faults.join('; ')}`,
      );
    }),
  );
});

test('a check can be skipped by name', () => {
  const all = agentConformance(subject);
  const fewer = agentConformance({ ...subject, skip: { 'reports usage by model': 'it has none' } });
  assert.is(fewer.length, all.length - 1);
});

test('errors are read through what frameworks wrap around them', () => {
  const kind = (error: unknown): string => {
    const read = agentError('a', error) as AgentError;
    return `${read.kind} ${read.isRetryable} ${read.status ?? '-'} ${read.retryAfter ?? '-'}`;
  };
  const refused = Object.assign(new Error('slow down'), {
    statusCode: 429,
    responseHeaders: { 'retry-after': '7' },
  });
  assert.is(kind(refused), 'rate-limit true 429 7');
  assert.is(
    kind(new AggregateError([new AggregateError([refused], 'inner')], 'outer')),
    'rate-limit true 429 7',
  );
  assert.is(
    kind(Object.assign(new Error('gave up'), { lastError: refused, errors: [refused] })),
    'rate-limit true 429 7',
  );
  assert.is(
    kind(new TypeError('fetch failed', { cause: Object.assign(new Error('x'), { code: 'ECONNREFUSED' }) })),
    'network true - -',
  );
  assert.is(kind(new Error('prompt is too long: 3 tokens > 2 maximum')), 'context-length false - -');
  assert.is(kind(Object.assign(new Error('x'), { isRetryable: false })), 'other false - -');
  assert.is(kind('a text'), 'other true - -');
  const loop = new Error('itself') as Error & { cause: unknown };
  loop.cause = loop;
  assert.is(kind(loop), 'other true - -');
  const secret = agentError('a', Object.assign(new Error('bad key sk-abcdefgh123'), { status: 400 }));
  assert.not.match(secret.message, 'abcdefgh');
  const again = agentError('a', refused);
  assert.is(agentError('b', new Error('wrapped', { cause: again })), again);
});

test('an async iterable is an agent; it is returned when its task is cancelled', async () => {
  const ended: string[] = [];
  const count = fromAsyncIterable(async function* (upTo: number, signal: AbortSignal) {
    try {
      for (let i = 1; i <= upTo; i++) {
        yield i;
        await new Promise((done) => setTimeout(done, 5));
      }
    } finally {
      ended.push(signal.aborted ? 'aborted' : 'finished');
    }
  });
  const flow = workflow({ name: 'count' });
  const three = flow.task('three', { run: (_, ctx) => count(3, ctx) });
  flow.task('endless', { run: (_, ctx) => count(1e9, ctx) });
  const run = flow.run();
  const values: number[] = [];
  run.values$(three).subscribe((value) => {
    values.push(value);
    if (value === 3) run.cancelTask('endless');
  });
  const result = await run.result();
  assert.equal(values, [1, 2, 3]);
  assert.is(result.results.get(three), 3);
  await new Promise((done) => setTimeout(done, 30));
  assert.equal(ended.sort(), ['aborted', 'finished']);
});

test('a pool waits its turn, gives up with the attempt, and replaces what failed', async () => {
  let made = 0;
  const pool = agentPool(() => ({ id: ++made }), 1);
  const live = new AbortController();
  const first = await pool.take(live.signal);
  const leaver = new AbortController();
  const left = pool.take(leaver.signal);
  const second = pool.take(live.signal);
  leaver.abort(new Error('gone'));
  await left.then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, 'gone'),
  );
  pool.give(first);
  assert.is(await second, first);
  const third = pool.take(live.signal);
  pool.drop();
  assert.equal(await third, { id: 2 });
  for (const size of [0, 1.5, Number.NaN]) assert.throws(() => agentPool(() => ({}), size), /size is/);
});

test('the server speaks of its models, refuses wrong keys, and keeps what it was asked', async () => {
  const server = await OpenAIServer.listen({ models: ['m1', 'm2'], apiKey: 'right', latency: 0, chunk: 3 });
  const call = (path: string, key: string, body?: unknown): Promise<Response> =>
    fetch(`${server.url}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${key}` },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  const { data } = (await (await call('/models', 'right')).json()) as { data: { id: string }[] };
  assert.equal(
    data.map(({ id }) => id),
    ['m1', 'm2'],
  );
  assert.is((await call('/models', 'wrong')).status, 401);
  assert.is((await call('/nothing', 'right', {})).status, 400);
  const input = [{ role: 'user', content: [{ type: 'input_text', text: 'hello bees' }] }];
  const text = await (
    await call('/responses', 'right', { model: 'm', instructions: 'hum', input, stream: true })
  ).text();
  const events = [...text.matchAll(/^event: (.*)$/gm)].map(([, name]) => name);
  assert.is(events[0], 'response.created');
  assert.is(events.at(-1), 'response.completed');
  assert.is(events.filter((name) => name === 'response.output_text.delta').length, 4);
  const messages = [{ role: 'user', content: 'hello' }];
  const stream = await (
    await call('/chat/completions', 'right', {
      messages,
      stream: true,
      stream_options: { include_usage: true },
    })
  ).text();
  assert.match(stream, '"usage":{"prompt_tokens":2,"completion_tokens":2,"total_tokens":4}');
  assert.match(stream, /data: \[DONE\]\n\n$/);
  assert.equal(
    server.requests.map(({ api, prompt, status }) => [api, prompt, status]),
    [
      ['responses', 'hello bees', 200],
      ['chat', 'hello', 200],
    ],
  );
  await server.close();
});

test.run();
