// 64 agents against a provider that takes 40 requests a second and 120,000 tokens a minute. The provider is a fake one
// over real HTTP on this machine: it counts every request that a limiter should not have let through.
import { virtual, workflow } from '../lib/index.js';
import { OpenAIServer } from '../lib/testing/index.js';

const provider = await OpenAIServer.listen({
  requestsPerSecond: 40,
  tokensPerMinute: 120_000,
  latency: [20, 120],
  answer: ({ inputTokens, maxTokens }) => ({ text: 'ok', usage: { inputTokens, outputTokens: maxTokens } }),
});
const key = virtual({ requestsPerSecond: 40, tokensPerMinute: 120_000 });
const flow = workflow({ name: 'fan-out', concurrency: 64, groups: { llm: { limiter: key } } });

for (let agent = 0; agent < 64; agent++) {
  for (let step = 0; step < 2; step++) {
    flow.task(`agent ${agent}, step ${step}`, {
      group: 'llm',
      type: 'step',
      retry: 3,
      run: async (_, ctx) => {
        const answer = await fetch(`${provider.url}/chat/completions`, {
          method: 'POST',
          signal: ctx.signal,
          body: JSON.stringify({
            model: 'fake',
            messages: [{ role: 'user', content: `You are agent ${agent}. `.repeat(40) }],
            max_tokens: 100,
          }),
        });
        if (!answer.ok)
          throw Object.assign(new Error('refused'), { status: answer.status, headers: answer.headers });
        ctx.limits(answer.headers);
        const { usage } = (await answer.json()) as {
          usage: { prompt_tokens: number; completion_tokens: number };
        };
        ctx.usage({ inputTokens: usage.prompt_tokens, outputTokens: usage.completion_tokens });
      },
    });
  }
}

const run = flow.run();
const show = setInterval(() => {
  console.log(run.explain('agent 63, step 1'));
  for (const { name, used, max } of run.limits().find(({ group }) => group === 'llm')?.limiters[0]?.windows ??
    [])
    console.log(`  ${name}: ${Math.round(used)} of ${max}`);
}, 1_000);
const result = await run.result();
clearInterval(show);
const { requests, refused, violations } = provider.stats;
console.log(
  `${result.status}: 128 calls in ${(result.report.wallMs / 1_000).toFixed(1)} s, where 3.0 s are possible`,
);
console.log(`the provider saw ${requests} requests, refused ${refused}, violations ${violations}`);
await provider.close();
