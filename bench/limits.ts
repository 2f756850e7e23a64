import Bottleneck from 'bottleneck';
import { bottleneck, type LimiterSettings, type Task, virtual, workflow } from '../dist/index.js';
import { OpenAIServer, type ProviderOptions } from '../dist/testing/index.js';

// How fast limiters start tasks, and how close a fan-out of agents comes to what a provider allows over real HTTP.

let failed = false;
function goal(holds: boolean, text: string): void {
  failed ||= !holds;
  console.log(`${holds ? 'met' : 'NOT MET'}: ${text}`);
}

/** Starts a second of tasks that do nothing in a group under a limiter. */
async function starts(count: number, limiter: ReturnType<typeof virtual> | undefined): Promise<number> {
  const flow = workflow({
    name: 'starts',
    concurrency: 100,
    groups: { llm: limiter === undefined ? {} : { limiter } },
  });
  for (let i = 0; i < count; i++) flow.task(`${i}`, { group: 'llm', tokens: 10, run: async () => undefined });
  const { report, status } = await flow.run().result();
  if (status !== 'succeeded') throw new Error(`the run has ${status}`);
  return (count / report.wallMs) * 1_000;
}

async function bottleneckAlone(count: number): Promise<number> {
  const limiter = new Bottleneck({ maxConcurrent: 100 });
  const began = performance.now();
  await Promise.all(Array.from({ length: count }, () => limiter.schedule(async () => undefined)));
  return (count / (performance.now() - began)) * 1_000;
}

const rate: LimiterSettings = { requestsPerMinute: 1_000_000, tokensPerMinute: 100_000_000 };
console.log('starts a second');
const show = (name: string, perSecond: number): void =>
  console.log(`  ${name.padEnd(46)}${Math.round(perSecond).toLocaleString('en').padStart(10)}`);
await starts(2_000, virtual(rate));
show('no limiter', await starts(50_000, undefined));
const rated = await starts(50_000, virtual(rate));
show('virtual, requests and tokens', rated);
const real = await starts(50_000, bottleneck(rate));
show('bottleneck, requests and tokens', real);
show('bottleneck, maxConcurrent 100', await starts(10_000, bottleneck({ maxConcurrent: 100 })));
show('virtual, maxConcurrent 100', await starts(10_000, virtual({ maxConcurrent: 100 })));
show('Bottleneck by itself, maxConcurrent 100', await bottleneckAlone(1_000));
goal(Math.min(rated, real) >= 5_000, '5,000 starts a second in a group with only a rate limit');

const agents = 64;

/** 64 agents, each a chain of calls; how close to the bound of the sliding windows, and how many refusals. */
async function fanOut(
  name: string,
  steps: number,
  limits: LimiterSettings & ProviderOptions,
  bound: number,
  known = true,
): Promise<void> {
  const provider = await OpenAIServer.listen({
    latency: [20, 120],
    ...limits,
    answer: ({ inputTokens, maxTokens }) => ({ text: 'ok', usage: { inputTokens, outputTokens: maxTokens } }),
  });
  const flow = workflow({
    name: 'agents',
    concurrency: agents,
    groups: { llm: known ? { limiter: virtual(limits) } : {} },
    retry: 20,
  });
  for (let agent = 0; agent < agents; agent++) {
    let before: Task<string>[] = [];
    for (let step = 0; step < steps; step++) {
      const call = flow.task(`agent ${agent}.${step}`, {
        group: 'llm',
        type: 'step',
        dependencies: before,
        run: async (_, ctx) => {
          const answer = await fetch(`${provider.url}/chat/completions`, {
            method: 'POST',
            signal: ctx.signal,
            body: JSON.stringify({ messages: [{ role: 'user', content: 'x'.repeat(600) }], max_tokens: 50 }),
          });
          if (!answer.ok)
            throw Object.assign(new Error('refused'), { status: answer.status, headers: answer.headers });
          ctx.limits(answer.headers);
          const { usage } = (await answer.json()) as {
            usage: { prompt_tokens: number; completion_tokens: number };
          };
          ctx.usage({ inputTokens: usage.prompt_tokens, outputTokens: usage.completion_tokens });
          return 'ok';
        },
      });
      before = [call];
    }
  }
  const { status } = await flow.run().result();
  const { accepted, refused, violations, requests, firstAt, lastAt } = provider.stats;
  await provider.close();
  const reached = (bound / (lastAt - firstAt)) * 100;
  const share = (refused / requests) * 100;
  const text = `${name}: ${accepted} calls, ${status}, ${((lastAt - firstAt) / 1_000).toFixed(1)} s of ${bound / 1_000} possible: ${reached.toFixed(1)} % of the allowed rate, ${share.toFixed(1)} % refused (${violations} violations)`;
  if (known) goal(status === 'succeeded' && accepted === agents * steps && reached >= 95 && share <= 2, text);
  else console.log(`  ${text}`);
}

console.log('\nfan-out of 64 agents over HTTP');
// 1,280 calls, 100 a second: the last of 13 windows begins after 12 s.
await fanOut('100 a second', 20, { requestsPerSecond: 100 }, 12_000);
if (!process.argv.includes('--quick')) {
  // 640 calls, 300 a minute: the third window begins after 120 s.
  await fanOut('300 a minute', 10, { requestsPerMinute: 300 }, 120_000);
  // 200 tokens a call, 30,000 a minute: 150 calls in each; the fourth begins after 180 s. Requests are not the limit.
  await fanOut('30,000 tokens a minute', 8, { requestsPerMinute: 600, tokensPerMinute: 30_000 }, 180_000);
}
process.exitCode = failed ? 1 : 0;
