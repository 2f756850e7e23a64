import { type AgentError, type TaskContext, type Usage, workflow } from 'rxhive';
import { type A2AMapping, fromA2A } from 'rxhive/a2a';
import { testModel, testTool } from 'rxhive/testing/conformance';
import type { Observable } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { A2AServer, type Turn } from './a2a-server.js';
import { conform } from './conform.js';

/** An agent that asks a model, with a loop for tools, and publishes what it says. */
async function askModel(turn: Turn, url: string, tools: boolean, stream: boolean): Promise<void> {
  const messages: unknown[] = [{ role: 'user', content: turn.text }];
  turn.state('working');
  try {
    for (;;) {
      const offered = { tools: [{ type: 'function', function: { name: testTool.name, parameters: {} } }] };
      const body = JSON.stringify({ model: testModel, messages, stream, ...(tools && offered) });
      const response = await fetch(`${url}/chat/completions`, { method: 'POST', body, signal: turn.signal });
      if (!response.ok) {
        const { message, code } = ((await response.json()) as { error: { message: string; code: string } })
          .error;
        const asked = response.headers.get('retry-after');
        const { status } = response;
        turn.state('failed', message, { status, code, ...(asked !== null && { retryAfter: Number(asked) }) });
        return;
      }
      if (stream) {
        let rest = '';
        for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
          const lines = (rest + chunk).split('\n\n');
          rest = lines.pop() ?? '';
          for (const line of lines.filter((one) => one !== 'data: [DONE]')) {
            const { choices } = JSON.parse(line.slice(6)) as { choices: { delta: { content?: string } }[] };
            const text = choices[0]?.delta.content ?? '';
            if (text !== '') turn.write(text);
          }
        }
        turn.state('completed');
        return;
      }
      const { choices, usage } = (await response.json()) as Answer;
      const { message } = choices[0] as Answer['choices'][number];
      const call = message.tool_calls?.[0];
      if (call === undefined) {
        turn.write(message.content);
        const { prompt_tokens: inputTokens, completion_tokens: outputTokens } = usage;
        turn.state('completed', '', { usage: { inputTokens, outputTokens, model: testModel } });
        return;
      }
      messages.push(message, { role: 'tool', tool_call_id: call.id, content: testTool.answer });
    }
  } catch (error) {
    if (!turn.signal.aborted) turn.state('failed', String(error));
  }
}

interface Answer {
  readonly choices: readonly { readonly message: { content: string; tool_calls?: { id: string }[] } }[];
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number };
}

const usage: NonNullable<A2AMapping['usage']> = ({ task }) => task?.metadata?.usage as Usage | undefined;
for (const transport of ['JSONRPC', 'HTTP+JSON'] as const)
  conform(`an agent over ${transport}`, {
    make: async (url, { tools, stream }) => {
      const { url: agent } = await A2AServer.listen((turn) => askModel(turn, url, tools, stream), {
        transport,
      });
      return fromA2A(agent, { usage });
    },
  });

/** One task, with all that it says. */
async function one<T>(
  run: (ctx: TaskContext) => Observable<T>,
  {
    retry = 0,
    answer,
    seen,
  }: { retry?: number; answer?: (prompt: string) => unknown; seen?: (value: T) => unknown } = {},
) {
  const flow = workflow({ name: 'one' });
  const task = flow.task('a', {
    retry: { count: retry, backoff: { initial: 1, jitter: 'none' } },
    run: (_, ctx) => run(ctx),
  });
  const going = flow.run();
  const values: T[] = [];
  const logs: unknown[] = [];
  going.values$(task).subscribe((value) => {
    values.push(value);
    seen?.(value);
  });
  going.events$.subscribe((event) => {
    if (event.type === 'log')
      logs.push(event.data === undefined ? event.message : [event.message, event.data]);
    if (event.type === 'question' && event.reason === 'asked')
      going.answer(event.questionId, answer?.(event.prompt ?? ''));
  });
  const { results, tasks } = await going.result();
  const { error, attempts = [] } = tasks.get('a') ?? {};
  return { value: results.get(task), values, logs, error: error as AgentError, attempts };
}

test('progress is told, several artifacts are one text, and the task itself can be the result', async () => {
  const server = await A2AServer.listen(async (turn) => {
    turn.state('working', 'looking');
    turn.write('one', 'a');
    turn.write(' and two', 'a');
    turn.write('three', 'b');
    turn.state('completed', 'done');
  });
  const said = await one((ctx) => fromA2A(server.url)('x', ctx));
  assert.equal(said.values, ['one', 'one and two', 'one and two\n\nthree', 'one and two\n\nthree']);
  assert.equal(said.logs, ['submitted', ['working', 'looking'], ['completed', 'done']]);
  const names = fromA2A<unknown, string[]>(server.url, {
    result: ({ task }) => task?.artifacts?.map(({ artifactId }) => artifactId) ?? [],
  });
  assert.equal((await one((ctx) => names('x', ctx))).value, ['a', 'b']);
  await server.close();
});

test('an artifact that is written anew is not doubled, whatever the transport keeps of that', async () => {
  for (const transport of ['JSONRPC', 'HTTP+JSON'] as const) {
    const server = await A2AServer.listen(
      async (turn) => {
        turn.write('a draft');
        turn.write('the final text', undefined, true);
        turn.state('completed');
      },
      { transport },
    );
    assert.is((await one((ctx) => fromA2A(server.url)('x', ctx))).value, 'the final text');
    await server.close();
  }
});

test('a message alone is an answer; agents without streams are waited for', async () => {
  for (const streaming of [true, false]) {
    const server = await A2AServer.listen(async (turn) => turn.message(`heard ${turn.text}`), { streaming });
    assert.is((await one((ctx) => fromA2A(server.url)('bees', ctx))).value, 'heard bees');
    await server.close();
    const slow = await A2AServer.listen(
      async (turn) => {
        turn.state('working');
        await new Promise((done) => setTimeout(done, 20));
        turn.state('completed', `done with ${turn.text}`);
      },
      { streaming },
    );
    for (const stream of [true, false])
      assert.is((await one((ctx) => fromA2A(slow.url, { stream })('bees', ctx))).value, 'done with bees');
    await slow.close();
  }
});

test('a task that needs input asks people, and goes on with the answer', async () => {
  const heard: unknown[] = [];
  const server = await A2AServer.listen(async (turn) => {
    heard.push([turn.text, turn.request.task?.id === turn.request.taskId]);
    if (heard.length === 1) turn.state('input-required', 'Where to?');
    else turn.state('completed', `To ${turn.text}.`);
  });
  const asked: string[] = [];
  const answer = (prompt: string): string => {
    asked.push(prompt);
    return 'Ljubljana';
  };
  for (const stream of [true, false]) {
    heard.length = 0;
    const said = await one((ctx) => fromA2A(server.url, { stream })('A trip', ctx), { answer });
    assert.is(said.value, 'To Ljubljana.', String(said.error));
    assert.equal(heard, [
      ['A trip', false],
      ['Ljubljana', true],
    ]);
  }
  assert.equal(asked, ['Where to?', 'Where to?']);
  await server.close();
});

test('a broken stream is taken up again: the task is not begun twice', async () => {
  let begun = 0;
  let reconnected: (() => void) | undefined;
  const again = new Promise<void>((done) => {
    reconnected = done;
  });
  const server = await A2AServer.listen(async (turn) => {
    begun += 1;
    turn.write('first');
    await again;
    turn.write(' second');
    turn.state('completed');
  });
  let calls = 0;
  let connection: { destroy(): unknown } | null = null;
  server.gate = (request, response, next) => {
    calls += request.method === 'POST' ? 1 : 0;
    if (request.method === 'POST' && calls === 1) connection = response.socket;
    if (request.method === 'POST' && calls === 3) {
      // The SDK says how the task stands, and listens after that.
      const write = response.write.bind(response);
      response.write = (...data: [never]) => {
        setImmediate(() => setImmediate(() => reconnected?.()));
        return write(...data);
      };
    }
    next();
  };
  const said = await one((ctx) => fromA2A(server.url)('x', ctx), { seen: () => connection?.destroy() });
  assert.is(said.value, 'first second', String(said.error));
  assert.is(begun, 1);
  assert.ok(JSON.stringify(said.logs).includes('stream lost'), JSON.stringify(said.logs));
  await server.close();
});

test('a stream that was taken up again, and misses the end, is not waited for', async () => {
  let goOn: (() => void) | undefined;
  const silent = new Promise<void>((done) => {
    goOn = done;
  });
  const server = await A2AServer.listen(async (turn) => {
    turn.write('first');
    await silent;
    turn.write(' second');
    turn.state('completed');
  });
  let calls = 0;
  let connection: { destroy(): unknown } | null = null;
  server.gate = (request, response, next) => {
    calls += request.method === 'POST' ? 1 : 0;
    if (request.method === 'POST' && calls === 1) connection = response.socket;
    if (calls !== 3) return next();
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    goOn?.();
  };
  const said = await one((ctx) => fromA2A(server.url, { poll: 5 })('x', ctx), {
    seen: () => connection?.destroy(),
  });
  assert.is(said.value, 'first second', String(said.error));
  await server.close();
});

test('what gateways and agents refuse is told apart', async () => {
  const server = await A2AServer.listen(async (turn) => {
    if (turn.text === 'reject') turn.state('rejected', 'not my trade');
    else if (turn.text === 'auth') turn.state('auth-required', 'who are you');
    else if (turn.text === 'fail') turn.state('failed', 'no luck');
    else if (turn.text === 'limit') turn.state('failed', 'slow down', { status: 429, retryAfter: 0.01 });
    else turn.state('completed', 'fine');
  });
  const run = fromA2A(server.url, { headers: () => ({ authorization: 'Bearer right' }) });
  const failure = async (prompt: string) => {
    const { error } = await one((ctx) => run(prompt, ctx));
    return [error.kind, error.isRetryable, error.status];
  };
  assert.equal(await failure('reject'), ['other', false, undefined]);
  assert.equal(await failure('auth'), ['auth', false, undefined]);
  assert.equal(await failure('fail'), ['other', true, undefined]);
  assert.equal(await failure('limit'), ['rate-limit', true, 429]);
  server.gate = (request, response, next) =>
    request.headers.authorization === 'Bearer right' ? next() : response.status(401).end();
  assert.is((await one((ctx) => run('x', ctx))).value, 'fine');
  const nobody = await one((ctx) => fromA2A(server.url)('x', ctx), { retry: 1 });
  assert.equal([nobody.error.kind, nobody.attempts.length], ['auth', 1]);
  let refused = 0;
  server.gate = (request, response, next) =>
    request.method === 'POST' && refused++ === 0
      ? response.status(429).set('retry-after', '0.01').end()
      : next();
  const limited = await one((ctx) => run('x', ctx), { retry: 1 });
  assert.is(limited.value, 'fine');
  const first = limited.attempts[0]?.error as AgentError | undefined;
  assert.equal([first?.kind, first?.retryAfter], ['rate-limit', 0.01]);
  server.gate = (_, response) => response.status(404).end();
  const missing = await one((ctx) => fromA2A(server.url)('x', ctx), { retry: 1 });
  assert.equal([missing.error.status, missing.attempts.length], [404, 1]);
  await server.close();
  const gone = await one((ctx) => fromA2A(server.url)('x', ctx));
  assert.equal([gone.error.kind, gone.error.isRetryable], ['network', true]);
});

test('a task is cancelled with its attempt, also one that fails here', async () => {
  const server = await A2AServer.listen(async (turn) => turn.state('working', 'on it'));
  const flow = workflow({ name: 'cancel' });
  const run = fromA2A(server.url);
  flow.task('a', { run: (_, ctx) => run('x', ctx) });
  const going = flow.run();
  going.events$.subscribe(
    (event) => event.type === 'log' && event.message === 'working' && going.cancelTask('a'),
  );
  assert.is((await going.result()).tasks.get('a')?.status, 'cancelled');
  while (server.cancelled.length < 1) await new Promise((done) => setTimeout(done, 1));
  await server.close();
});

test.run();
