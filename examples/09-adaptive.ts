import { adaptive, workflow } from '../lib/index.js';
import { OpenAIServer } from '../lib/testing/index.js';

// A provider on loopback takes 12 calls at once and tells nobody; half way it drops to 6. The limit finds both.
const provider = await OpenAIServer.listen({ capacity: 12, latency: [40, 80], retryAfter: 'none' });

const flow = workflow({
  name: 'adaptive',
  concurrency: 200,
  groups: { llm: { concurrency: adaptive({ min: 1, max: 32 }) } },
});
const calls = 500;
for (let i = 0; i < calls; i++)
  flow.task(`call_${i}`, {
    group: 'llm',
    retry: { count: 20, backoff: { initial: 50, max: 400 } },
    run: async (_, ctx) => {
      const response = await fetch(`${provider.url}/chat/completions`, {
        method: 'POST',
        body: JSON.stringify({ messages: [{ role: 'user', content: `question ${i}` }] }),
        signal: ctx.signal,
      });
      if (!response.ok) throw Object.assign(new Error('refused'), { status: response.status });
      return response.json();
    },
  });

const run = flow.run();
let done = 0;
let limit = 4;
run.events$.subscribe((event) => {
  if (event.type === 'group' && event.reason === 'limit') limit = event.concurrency ?? limit;
  if (event.type !== 'task' || event.reason !== 'succeeded') return;
  done += 1;
  if (done === calls / 2) {
    provider.setCapacity(6);
    console.log('the provider takes 6 at once from now on');
  }
  if (done % 50 === 0) console.log(`${String(done).padStart(4)} done, limit ${limit} ${'#'.repeat(limit)}`);
});
const { status, report } = await run.result();
const { refused } = provider.stats;
console.log(`${status}: ${calls} calls in ${report.wallMs} ms, ${refused} refused and tried again`);
await provider.close();
