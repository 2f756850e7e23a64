import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { z } from 'zod';
import { type Dashboard, serveDashboard } from '../../lib/dashboard/index.js';
import {
  callback,
  eventLines,
  human,
  memory,
  type Run,
  RxhiveError,
  TaskTimeoutError,
  typed,
  type WorkflowEvent,
  workflow,
} from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';
import { overProcesses } from '../support/over-processes.js';

const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'taken',
    (error: unknown) => (error instanceof RxhiveError ? error.code : error),
  );

/** An order that is paid by a program, and shipped; `tokens`: what the program was sent. */
function shop(tokens: string[], send: (token: string) => unknown = () => undefined) {
  const flow = workflow({ name: 'shop', concurrency: 1 });
  const schema = z.object({ amount: z.number().positive() });
  const paid = flow.task('pay', {
    retry: { count: 1, backoff: () => 5 },
    run: (_, ctx) =>
      ctx.ask(
        callback(schema, (address) => {
          tokens.push(address.token);
          return send(address.token);
        }),
      ),
  });
  flow.task('pack', { run: (_, ctx) => ctx.sleep(10) });
  const ship = flow.task('ship', { dependencies: { paid }, run: ({ paid }) => paid.amount });
  return { flow, ship };
}

/** The only slot is free meanwhile, so that others end. */
async function asking(run: Run): Promise<void> {
  await new Promise<void>((done) => {
    run.events$.subscribe((event) => {
      if (event.type === 'task' && event.taskId === 'pack' && event.reason === 'succeeded') done();
    });
    void run.result();
  });
}

test('a program answers by the token that it was sent; without a slot, checked by the schema, once', async () => {
  const tokens: string[] = [];
  const { flow, ship } = shop(tokens);
  const run = flow.run();
  const events: WorkflowEvent[] = [];
  const lines: string[] = [];
  run.events$.subscribe((event) => events.push(event));
  run.events$.pipe(eventLines()).subscribe((line) => lines.push(line));
  await asking(run as unknown as Run);
  const [token = ''] = tokens;
  assert.match(token, /^rxcb_[0-9a-f]{32}$/);
  const [question] = run.questions();
  assert.equal([question?.id, question?.taskId, question?.callback], ['pay?1', 'pay', true]);
  assert.match(run.explain('pay'), 'waits for a program to answer "pay?1"');
  assert.match(run.stuck().join(), 'Task "pay" waits for a program to answer "pay?1"');
  assert.is(await codeOf(run.answer(token, { amount: 'much' })), 'ANSWER_REFUSED');
  assert.is(await codeOf(run.answer(`rxcb_${'0'.repeat(32)}`, { amount: 1 })), 'QUESTION_UNKNOWN');
  await run.answer(token, { amount: 7 });
  assert.is((await run.result()).results.get(ship), 7);
  assert.is(await codeOf(run.answer(token, { amount: 7 })), 'taken');
  assert.is(await codeOf(run.answer(token, { amount: 8 })), 'ALREADY_ANSWERED');
  assert.is(tokens.length, 1);
  // Who reads along learns that there is one, and not which.
  assert.not.match(JSON.stringify([events, lines]), token);
  const asked = events.find((event) => event.type === 'question' && event.reason === 'asked');
  assert.is((asked as { callback?: true }).callback, true);
});

test('tokens are not made of the seed, which is told in reports, but in virtual time they are', async () => {
  const sent = async (scheduler?: SimulationScheduler): Promise<string> => {
    const tokens: string[] = [];
    const run = shop(tokens).flow.run({ seed: 1, ...(scheduler && { scheduler }) });
    if (scheduler === undefined) await asking(run as unknown as Run);
    else {
      void run.result();
      await advance(scheduler, 100);
    }
    run.cancel();
    return String(tokens[0]);
  };
  assert.is.not(await sent(), await sent());
  assert.is(await sent(new SimulationScheduler()), await sent(new SimulationScheduler()));
});

test('what cannot be sent fails the attempt; the next one sends the same token', async () => {
  const tokens: string[] = [];
  const scheduler = new SimulationScheduler();
  const { flow, ship } = shop(tokens, async () => {
    if (tokens.length === 1) throw new Error('no line');
  });
  const run = flow.run({ scheduler });
  const ended = run.result();
  await advance(scheduler, 50);
  assert.is(tokens.length, 2);
  assert.is(tokens[0], tokens[1]);
  void run.answer(String(tokens[0]), { amount: 3 });
  await advance(scheduler);
  const { results, tasks } = await ended;
  assert.is(results.get(ship), 3);
  assert.match(String(tasks.get('pay')?.attempts[0]?.error), 'Error: no line');
});

test('a run that goes on sends the token again where nobody has answered, and not where somebody has', async () => {
  const tokens: string[] = [];
  const store = memory();
  const first = await shop(tokens).flow.run({ store, runId: 'r', suspend: 'exit' }).result();
  assert.is(first.status, 'suspended');
  const again = await shop(tokens).flow.run({ store, runId: 'r', suspend: 'exit' }).result();
  assert.is(again.status, 'suspended');
  assert.is(tokens.length, 2);
  assert.is(tokens[0], tokens[1]);
  const { flow, ship } = shop(tokens);
  assert.is(await codeOf(flow.answer(store, 'r', `rxcb_${'0'.repeat(32)}`, 1)), 'QUESTION_UNKNOWN');
  const last = await flow.answer(store, 'r', String(tokens[0]), { amount: 5 });
  assert.is(last.results.get(ship), 5);
  assert.is(tokens.length, 2);
});

test('a deadline and a default as for people, and options that make no sense', async () => {
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'w' });
  const ask = (id: string, how: Parameters<typeof callback<number>>[1]) =>
    flow.task(id, { run: (_, ctx) => ctx.ask(callback(typed<number>(), how)) });
  ask('late', { deadline: 20 });
  ask('default', { deadline: 20, default: 1 });
  const ended = flow.run({ scheduler }).result();
  await advance(scheduler);
  const { tasks, results } = await ended;
  assert.instance(tasks.get('late')?.error, TaskTimeoutError);
  assert.is(results.get('default'), 1);
  const told = (how: object): string => {
    try {
      callback(typed<number>(), how as never);
    } catch (error) {
      return (error as Error).message;
    }
    return 'nothing';
  };
  assert.match(told({ send: 1 }), 'callback(): send is 1; give a function');
  assert.match(told({ url: 'hive' }), 'callback(): url is "hive"; give an address');
  assert.match(told({ default: 1 }), 'callback(): default has no effect without deadline');
});

test('asked in one process, answered in another', () => {
  overProcesses('spec/support/callback-run.ts', (life) => {
    const asked = life();
    assert.equal([asked.status, asked.packed], ['suspended', 'packed']);
    const [token = '', url] = asked.sent as string[];
    assert.is(url, `https://shop.example/hive/answers/${token}`);
    assert.not.match(JSON.stringify(asked.questions), token);
    const answered = life(token, '{"amount":9}');
    assert.equal(answered, {
      status: 'succeeded',
      questions: [],
      sent: [],
      shipped: 'shipped for 9',
      packed: 'packed',
    });
  });
});

test('the dashboard takes answers by their token and no other right, and nothing else by it', async () => {
  const tokens: string[] = [];
  const { flow, ship } = shop(tokens);
  flow.task('approve', { run: (_, ctx) => ctx.ask(human(typed<boolean>(), { key: 'ok' })) });
  const run = flow.run();
  const dashboard: Dashboard = await serveDashboard(run as never, { token: 'a right of its own' });
  await asking(run as unknown as Run);
  const [token = ''] = tokens;
  const post = async (
    path: string,
    value: unknown,
    type = 'application/json',
    headers = {},
  ): Promise<number> => {
    const response = await fetch(`http://127.0.0.1:${dashboard.port}${path}`, {
      method: 'POST',
      headers: { 'content-type': type, ...headers },
      body: JSON.stringify(value),
    });
    const text = await response.text();
    assert.not.match(text, token);
    return response.status;
  };
  assert.is(await post(`/answers/rxcb_${'0'.repeat(32)}`, { amount: 1 }), 404);
  assert.is(await post('/answers/approve%3Fok', true), 404);
  assert.is(await post('/answers/approve?ok', true), 404);
  assert.is(await post(`/answers/${token}`, { amount: 1 }, 'text/plain'), 415);
  assert.is(await post(`/answers/${token}`, { amount: -1 }), 400);
  assert.is(await post(`/answers/${token}`, 'x'.repeat(70_000)).catch(() => 413), 413);
  assert.is(
    await post(`/answers/${token}`, { amount: 1 }, 'application/json', { origin: 'http://evil.example' }),
    403,
  );
  assert.is(
    await post('/actions', { action: 'cancel' }, 'application/json', { authorization: `Bearer ${token}` }),
    401,
  );
  assert.is(await post(`/answers/${token}`, { amount: 4 }), 204);
  assert.is(await post(`/answers/${token}`, { amount: 5 }), 409);
  await run.answer('approve?ok', true);
  assert.is((await run.result()).results.get(ship), 4);
  await dashboard.close();
});

test.run();
