import { channel, typed, workflow } from '../lib/index.js';

// Two agents argue over a channel while both run; a judge listens, asks each of them, and decides. The models are pretended.
const claims = channel<string>('claims');

const lines = {
  pro: [
    'A city with bees eats better.',
    'Roofs are warm, and free of pesticides.',
    'Then we label the roofs.',
  ],
  con: ['Wild bees lose their food to hives.', 'Neighbours are stung.', 'Labels do not feed wild bees.'],
};

const flow = workflow({ name: 'debate', groups: { llm: { concurrency: 1 } } }); // one at a time, and nobody is locked out
for (const [side, other] of [
  ['pro', 'con'],
  ['con', 'pro'],
] as const)
  flow.task(side, {
    group: 'llm',
    run: async (_, ctx) => {
      const heard: string[] = [];
      if (side === 'pro') await ctx.send(claims, 'Should cities keep bees? Yes.');
      for (const line of lines[side]) {
        const { value } = await ctx.receive(claims, { from: other });
        heard.push(value);
        await ctx.sleep(50); // thinks, in its slot
        await ctx.send(claims, line);
      }
      for await (const question of ctx.requests$<string>({ from: 'judge' }))
        await question.reply(heard.at(-1));
      return heard.length;
    },
  });

const judge = flow.task('judge', {
  run: async (_, ctx) => {
    const all: string[] = [];
    for await (const { from, value } of ctx.receive$(claims)) {
      all.push(`${from}: ${value}`);
      if (all.length === 7) break;
    }
    const ask = (side: string): Promise<string> =>
      ctx.ask(side, 'The best point of the other side?', { timeout: 10_000, schema: typed<string>() });
    return { lines: all.length, pro: await ask('pro'), con: await ask('con') };
  },
});

const run = flow.run();
run.events$.subscribe((event) => {
  if (event.type !== 'message' || event.reason === 'received') return;
  const what = { asked: `asks ${event.channel}`, replied: 'replies' }[event.reason as string] ?? 'says';
  console.log(`${event.taskId} ${what}: ${event.value}`);
});
const { results, status } = await run.result();
console.log(`${status}: ${results.get(judge)?.lines} claims; pro gives in to: ${results.get(judge)?.pro}`);
