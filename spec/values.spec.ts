import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { channel, human, memory, type RxhiveError, typed, workflow } from '../lib/index.js';

const codeOf = (error: unknown): string | undefined => (error as RxhiveError | undefined)?.code;

const refusal = (promise: Promise<unknown>): Promise<string | undefined> =>
  promise.then(() => undefined, codeOf);

/** The same data twice: the names of objects, and the entries of a Map and a Set, in another order. */
const orders = [
  { id: 1, about: { topic: 'bees', tags: new Set(['a', { x: 1, y: 2 }]) }, by: new Map([['p', 1], ['q', 2]]) }, // biome-ignore format: one beside the other
  { by: new Map([['q', 2], ['p', 1]]), about: { tags: new Set([{ y: 2, x: 1 }, 'a']), topic: 'bees' }, id: 1 }, // biome-ignore format: one beside the other
] as const;
const other = { ...orders[0], about: { ...orders[0].about, tags: new Set(['a']) } };

test('the input of a run that goes on is the same in any order of names and entries', async () => {
  const store = memory();
  const go = (input: unknown): Promise<{ readonly status: string }> => {
    const flow = workflow({ name: 'input', input: typed<unknown>() });
    flow.task('a', { run: () => 1 });
    return flow.run({ store, runId: 'r', input }).result();
  };
  await go(orders[0]);
  assert.is((await go(orders[1])).status, 'succeeded');
  assert.is(await refusal(go(other)), 'INVALID_INPUT');
});

test('a kept result is found by the same inputs in any order of names and entries', async () => {
  const store = memory();
  let calls = 0;
  for (const given of [...orders, other]) {
    const flow = workflow({ name: 'kept' });
    const doc = flow.task('doc', { run: () => given });
    flow.task('dear', { dependencies: { doc }, version: '1', cache: {}, run: () => ++calls });
    await flow.run({ store }).result();
  }
  assert.is(calls, 2);
});

test('what a body that runs again asks and says is known in any order of names and entries', async () => {
  const said = channel<unknown>('said');
  const flow = workflow({ name: 'again' });
  flow.task('asks', {
    retry: { count: 1, backoff: { initial: 1 } },
    run: async (_, ctx) => {
      const context = orders[ctx.attempt - 1];
      await ctx.send(said, context);
      const reply = await ctx.ask('replies', context);
      const answer = await ctx.ask(human(typed<unknown>(), { prompt: 'Pay?', context }));
      if (ctx.attempt === 1) throw new Error('once more');
      await ctx.send(said, other);
      return [reply, answer];
    },
  });
  flow.task('replies', {
    run: async (_, ctx) => {
      for await (const request of ctx.requests$()) {
        await request.reply('yes');
        break;
      }
    },
  });
  const run = flow.run();
  const sent: string[] = [];
  run.events$.subscribe((event) => {
    if (event.type === 'message') sent.push(event.reason);
  });
  const questions: string[] = [];
  const answers: (string | undefined)[] = [];
  run.questions$.subscribe((open) => {
    for (const { id } of open) {
      questions.push(id);
      const answered = run.answer(id, orders[0]);
      // The same answer once more is no other answer.
      void answered.then(async () => {
        answers.push(await refusal(run.answer(id, orders[1])), await refusal(run.answer(id, other)));
      });
    }
  });
  const result = await run.result();
  assert.equal(result.results.get('asks'), ['yes', orders[0]]);
  assert.equal(questions, ['asks?1']);
  assert.equal(answers, [undefined, 'ALREADY_ANSWERED']);
  assert.equal(
    sent.filter((reason) => reason === 'sent' || reason === 'repeated' || reason === 'asked'),
    ['sent', 'asked', 'repeated', 'repeated', 'sent'],
  );
});

test.run();
