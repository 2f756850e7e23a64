import { adaptive, workflow } from '../dist/index.js';
import { OpenAIServer } from '../dist/testing/index.js';

// Adaptive concurrency against a fake provider over HTTP on loopback, in real time: it takes 24 calls at once and says
// so to nobody, and 12 from the half on. Steady state is what comes 5 s after the start and after the drop.
const latency = [150, 250] as const;
const half = 22_000;
const settle = 5_000;

interface Phase {
  readonly capacity: number;
  readonly served: number;
  readonly refused: number;
  readonly ms: number;
}

async function measure(retryAfter: 'seconds' | 'none'): Promise<Phase[]> {
  const provider = await OpenAIServer.listen({ capacity: 24, latency, retryAfter });
  const flow = workflow({
    name: 'bench',
    concurrency: Number.POSITIVE_INFINITY,
    groups: { llm: { concurrency: adaptive({ max: 64 }) } },
  });
  const body = JSON.stringify({ model: 'fake', messages: [{ role: 'user', content: 'hello' }] });
  for (let i = 0; i < (24 * 2 * half) / 200; i++)
    flow.task(`call_${i}`, {
      group: 'llm',
      retry: 1_000,
      run: async (_, ctx) => {
        const response = await fetch(`${provider.url}/chat/completions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body,
          signal: ctx.signal,
        });
        if (!response.ok)
          throw Object.assign(new Error('refused'), { status: response.status, headers: response.headers });
        return (await response.text()).length;
      },
    });
  const run = flow.run({ seed: 1 });
  const ended = run.result();
  const phases: Phase[] = [];
  for (const capacity of [24, 12]) {
    provider.setCapacity(capacity);
    await sleep(settle);
    const before = provider.stats;
    const begun = performance.now();
    await sleep(half - settle);
    const after = provider.stats;
    phases.push({
      capacity,
      served: after.accepted - before.accepted,
      refused: after.refused - before.refused,
      ms: performance.now() - begun,
    });
  }
  run.cancel();
  await ended;
  await provider.close();
  return phases;
}

function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}

const runs = await Promise.all([measure('none'), measure('seconds')]);
console.log('hidden capacity  Retry-After      calls   used  refused');
let met = true;
for (const [i, phases] of runs.entries()) {
  for (const { capacity, served, refused, ms } of phases) {
    const possible = (capacity * ms) / ((latency[0] + latency[1]) / 2);
    const used = (100 * served) / possible;
    const share = (100 * refused) / served;
    met &&= used >= 90 && share <= 10;
    const cells = [capacity, ['none', 'seconds'][i], served, `${used.toFixed(0)} %`, `${share.toFixed(1)} %`];
    console.log(cells.map((cell, at) => String(cell).padStart([15, 13, 11, 7, 9][at] ?? 9)).join(''));
  }
}
console.log(`${met ? 'met' : 'NOT MET'}: at least 90 % of a hidden capacity, at most 10 % refused`);
