import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type AdaptedAgent,
  sequentialThinking,
  type ThinkingStep,
  type Thought,
  type ThoughtDraft,
  thinkingModel,
} from '../../lib/entry/agents.js';
import {
  AgentTask,
  fromAsyncIterable,
  memory,
  type RunOptions,
  type RxhiveError,
  type TaskContext,
  typed,
  WorkflowOrchestrator,
  type WorkflowResult,
  workflow,
} from '../../lib/index.js';
import { advance, SimulationScheduler, simulate } from '../../lib/testing/index.js';

const minute = 60_000;

/** A model that says what is on the list, a minute a thought. */
function scripted(drafts: readonly ThoughtDraft[]) {
  const asked: ThinkingStep<unknown>[] = [];
  const think = async (step: ThinkingStep<unknown>, ctx: TaskContext): Promise<ThoughtDraft> => {
    asked.push(step);
    await ctx.sleep(minute);
    return drafts[step.number - 1] as ThoughtDraft;
  };
  return { think, asked };
}

/** Runs one agent for one input in virtual time. */
async function thinks(
  agent: AdaptedAgent<unknown, Thought>,
  options: RunOptions<string> & { readonly input: string } = { input: 'bees' },
): Promise<{ result: WorkflowResult; values: Thought[]; thought: Thought | undefined }> {
  const flow = workflow({ name: 'thinking', input: typed<string>() });
  const plan = flow.task('plan', { run: (_, ctx) => agent(ctx.input, ctx) });
  const scheduler = new SimulationScheduler();
  const run = flow.run({ scheduler, ...options });
  const values: Thought[] = [];
  run.values$(plan).subscribe({ next: (value) => values.push(value), error: () => undefined });
  const ended = run.result();
  await advance(scheduler);
  const result = await ended;
  return { result, values, thought: result.results.get(plan) };
}

test('thoughts with a revision and a branch are values of the stream, the last one has them all', async () => {
  const { think, asked } = scripted([
    { text: 'Bees see the sun.', total: 4 },
    { text: 'They see it behind clouds too.' },
    { text: 'They see polarized light.', revises: 2, total: 5 },
    { text: 'Or they smell.', branch: 'smell', from: 1 },
    { text: 'Not over a kilometre.', branch: 'smell', next: true },
    { text: 'By polarized light.', next: false, total: 2 },
  ]);
  const { values, thought, result } = await thinks(sequentialThinking({ think }));
  assert.equal(
    values.map(({ thoughts: _, text: __, ...one }) => one),
    [
      { number: 1, total: 4, next: true },
      { number: 2, total: 4, next: true },
      { number: 3, total: 5, next: true, revises: 2 },
      { number: 4, total: 5, next: true, branch: 'smell', from: 1 },
      { number: 5, total: 5, next: true, branch: 'smell' },
      { number: 6, total: 6, next: false },
    ],
  );
  assert.is(thought?.text, 'By polarized light.');
  assert.equal(
    thought?.thoughts?.map(({ number }) => number),
    [1, 2, 3, 4, 5, 6],
  );
  assert.equal(
    asked.map(({ number, left, thoughts, input }) => [number, left, thoughts.length, input]),
    [1, 2, 3, 4, 5, 6].map((n) => [n, 31 - n, n - 1, 'bees']),
  );
  assert.is(result.report.wallMs, 6 * minute);
  assert.is(result.tasks.get('plan')?.waits.suspended, 6 * minute);
});

test('many think at once; a place of the group is held for a thought, not for the thinking', async () => {
  const run = async (concurrency: number): Promise<number> => {
    const flow = workflow({ name: 'many', concurrency: 100, groups: { llm: { concurrency } } });
    for (let i = 0; i < 12; i += 1) {
      const drafts = Array.from({ length: 5 }, (_, n) => ({ text: `${i}-${n}`, total: 5 }));
      const agent = sequentialThinking({ think: scripted(drafts).think, task: { group: 'llm' } });
      flow.task(`thinker-${i}`, { group: 'llm', run: (_, ctx) => agent(`question ${i}`, ctx) });
    }
    const { result } = await simulate(flow);
    assert.is(result.status, 'succeeded', String(result.report));
    assert.is((result.results.get('thinker-7') as Thought).text, '7-4');
    return result.report.wallMs;
  };
  assert.is(await run(12), 5 * minute);
  assert.is(await run(4), 15 * minute);
});

const nonsense: [draft: unknown, words: string][] = [
  ['a text', 'it is "a text"; give an object'],
  [null, 'it is null'],
  [{ text: ' ' }, 'it has no text'],
  [{ text: 7 }, 'it has no text'],
  [{ text: 'x'.repeat(100_001) }, 'its text has more than 100000 characters'],
  [{ text: 'a', number: 7 }, 'its number is 7; the next one is 2'],
  [{ text: 'a', total: 0 }, 'total is 0'],
  [{ text: 'a', total: 1.5 }, 'total is 1.5'],
  [{ text: 'a', next: 'yes' }, 'next is "yes"'],
  [{ text: 'a', revises: 2 }, 'revises is 2; give the number of a thought before, 1 to 1'],
  [{ text: 'a', branch: '' }, 'branch is ""'],
  [{ text: 'a', branch: 'b' }, 'branch "b" is new; give from'],
  [{ text: 'a', from: 1 }, 'from without branch'],
  [{ text: 'a', branch: 'b', from: 9 }, 'from is 9'],
];
for (const [draft, words] of nonsense)
  test(`a thought that makes no sense is asked for again, then refused: ${words.slice(0, 60)}`, async () => {
    const problems: (string | undefined)[] = [];
    const think = (heals: boolean) =>
      sequentialThinking({
        think: ({ number, problem }: ThinkingStep<unknown>) => {
          if (number === 1) return { text: 'begin', total: 2 };
          problems.push(problem);
          return (heals && problem !== undefined ? { text: 'end' } : draft) as ThoughtDraft;
        },
      });
    assert.is((await thinks(think(true))).thought?.text, 'end');
    assert.match(problems[1] as string, words);
    problems.length = 0;
    const { result } = await thinks(think(false));
    const error = result.tasks.get('plan')?.error as RxhiveError;
    assert.is(error.code, 'INVALID_RESULT');
    assert.match(error.message, `thought 2 is refused: ${words}`);
    assert.is(problems.length, 3);
  });

test('a failed thought is tried again alone', async () => {
  const calls: number[] = [];
  const agent = sequentialThinking({
    task: { retry: 1 },
    think: async ({ number }: ThinkingStep<unknown>, ctx) => {
      calls.push(number);
      if (number === 3 && ctx.attempt === 1) throw new Error('502');
      return { text: 'a', total: 4 };
    },
  });
  const { thought } = await thinks(agent);
  assert.is(thought?.number, 4);
  assert.equal(calls, [1, 2, 3, 3, 4]);
});

test('at the limit it fails, and with a higher one goes on there; or it is content', async () => {
  const calls: number[] = [];
  const store = memory();
  const agent = (maxThoughts: number, atLimit: 'fail' | 'stop' = 'fail') =>
    sequentialThinking({
      maxThoughts,
      atLimit,
      think: ({ number }: ThinkingStep<unknown>) => {
        calls.push(number);
        return { text: `thought ${number}`, total: 5 };
      },
    });
  const first = await thinks(agent(3), { input: 'bees', store, runId: 'one' });
  const error = first.result.tasks.get('plan')?.error as RxhiveError;
  assert.is(error.code, 'LIMIT_EXCEEDED');
  assert.match(error.message, 'has had 3 thoughts and needs more; raise maxThoughts');
  const again = await thinks(agent(9), { input: 'bees', store, runId: 'one', retry: 'failed' });
  assert.is(again.thought?.thoughts?.length, 5, String(again.result.report));
  assert.equal(calls, [1, 2, 3, 4, 5]);
  const content = await thinks(agent(3, 'stop'));
  assert.is(content.thought?.number, 3);
  assert.is(content.thought?.next, true);
});

test('a run that goes on thinks on where it was; about another input it begins anew', async () => {
  const store = memory();
  const calls: string[] = [];
  const flow = (about: string, stopsAt: number) => {
    const one = workflow({ name: 'stops' });
    const agent = sequentialThinking({
      version: '1',
      think: ({ number, input }: ThinkingStep<unknown>) => {
        calls.push(`${input} ${number}`);
        if (number === stopsAt) return new Promise<never>(() => undefined);
        return { text: `thought ${number}`, total: 4 };
      },
    });
    const plan = one.task('plan', { version: about, run: (_, ctx) => agent(about, ctx) });
    return { one, plan };
  };
  const { one: first } = flow('bees', 3);
  const scheduler = new SimulationScheduler();
  const run = first.run({ scheduler, store, runId: 'one' });
  const ended = run.result();
  await advance(scheduler);
  run.cancel();
  await ended;
  const { one: second, plan } = flow('bees', 0);
  const result = await second.run({ store, runId: 'one', retry: 'failed' }).result();
  assert.is(result.results.get(plan)?.number, 4, String(result.report));
  assert.equal(calls, ['bees 1', 'bees 2', 'bees 3', 'bees 3', 'bees 4']);
  const { one: third } = flow('wasps', 0);
  await third.run({ store, runId: 'one', retry: 'failed' }).result();
  assert.equal(calls.slice(5), ['wasps 1', 'wasps 2', 'wasps 3', 'wasps 4']);
});

test('a recorder gets each thought in order, and is closed whatever happens', async () => {
  const told: unknown[] = [];
  const through = () => ({
    record: async (thought: Thought) => told.push(thought.number),
    close: async () => told.push('closed'),
  });
  const think = ({ number }: ThinkingStep<unknown>): ThoughtDraft => {
    if (number === 4) throw new Error('no');
    return { text: 'a', total: 9, next: true };
  };
  await thinks(sequentialThinking({ think, through }));
  assert.equal(told, [1, 2, 3, 'closed']);
});

test('a model thinks by prompts: it sees all thoughts, the limit, and why one was refused', async () => {
  const prompts: string[] = [];
  const answers = [
    'Well: {"text": "The sun.", "total": 3} That is it.',
    'I do not know.',
    '{"text": "Light.", "revises": 1}',
    '{"text": "By light.", "next": false}',
  ];
  const model = fromAsyncIterable(async function* (prompt: string) {
    prompts.push(prompt);
    yield answers[prompts.length - 1] as string;
  });
  const agent = sequentialThinking({ think: thinkingModel(model), maxThoughts: 3 });
  const orchestrator = new WorkflowOrchestrator({ agents: { thinker: agent } });
  orchestrator.addTask(
    new AgentTask({ id: 'home', agentType: 'thinker', data: { prompt: 'How do bees find home?' } }),
  );
  const { results } = await orchestrator.executeWorkflow();
  assert.is((results.get('home') as Thought).text, 'By light.');
  assert.match(prompts[0] as string, /Task:\nHow do bees find home\?\n\nThought 1 is next\. At most 3/);
  assert.match(prompts[2] as string, 'What you wrote for it was refused: it is "I do not know."');
  assert.match(prompts[3] as string, 'Thought 2/3 (revises 1): Light.');
  assert.match(prompts[3] as string, 'It has to be the last one.');
});

test('bad options are refused at once', () => {
  const think = () => ({ text: 'a' });
  for (const options of [
    {},
    { think: 'model' },
    { think, maxThoughts: 0 },
    { think, corrections: -1 },
    { think, atLimit: 'go' },
  ])
    assert.throws(
      () => sequentialThinking(options as never),
      (error: RxhiveError) => error.code === 'INVALID_OPTION',
    );
});

test.run();
