// The next model when one is down (circuit breaker) or its budget is spent. All models are fakes.
import { fallback, type TaskContext, workflow } from '../lib/index.js';

let calls = 0;
const model = (name: string, ms: number, works: () => boolean) => ({
  name,
  group: name,
  timeout: 1_000,
  run: async ({ topic }: { topic: string }, ctx: TaskContext) => {
    calls += 1;
    ctx.usage({ model: name, inputTokens: 1_200, outputTokens: 300 });
    await ctx.sleep(ms);
    if (!works()) throw Object.assign(new Error(`${name} is overloaded`), { status: 503 });
    return `${topic}, by ${name}`;
  },
});

const flow = workflow({
  name: 'fallback',
  prices: {
    large: { input: 5, output: 15 },
    medium: { input: 1, output: 4 },
    small: { input: 0.2, output: 0.8 },
  },
  groups: {
    large: { concurrency: 2, breaker: { failures: 3, openFor: 60_000 } },
    medium: { concurrency: 4, budget: { cost: 0.012 } },
    small: { concurrency: 8 },
  },
});

// The large model is down: after three failures its breaker is open and nobody waits for it any more. The medium one
// has a budget; when it is spent, the small one takes over.
for (const topic of ['bees', 'hives', 'honey', 'wax', 'pollen', 'queens', 'drones', 'swarms']) {
  const subject = flow.task(topic, { run: () => topic });
  flow.task(`draft_${topic}`, {
    dependencies: { topic: subject },
    run: fallback([
      model('large', 20, () => false),
      model('medium', 30, () => true),
      model('small', 10, () => true),
    ]),
  });
}

const run = flow.run();
run.events$.subscribe((event) => {
  if (event.type === 'breaker') console.log(`breaker of ${event.group}: ${event.reason}`);
  if (event.type === 'budget')
    console.log(`budget of ${event.group}: ${event.reason} at ${event.spent.toFixed(4)}`);
});
const result = await run.result();
const by = (name: string): number =>
  [...result.results.values()].filter((value) => String(value).endsWith(`by ${name}`)).length / 2;
console.log(`${result.status}: ${by('medium')} drafts by medium, ${by('small')} by small, ${calls} calls`);
for (const [name, { calls, cost }] of Object.entries(result.report.usage.models))
  console.log(`${name}: ${calls} calls, cost ${cost.toFixed(4)}`);
