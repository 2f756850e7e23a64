import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { redis } from '../dist/entry/redis.js';
import { workflow } from '../dist/index.js';
import { OpenAIServer } from '../dist/testing/index.js';

// How close three processes that share limits in Redis come to what a provider allows, and whether it ever refuses.
// Needs RXHIVE_REDIS: `.ci/redis npm run bench -- shared-limits`. About 2 minutes.

const processes = 3;
/** Fewer than fill the windows: one permit that comes back late would otherwise cost a whole minute. */
const each = 590;
const limits = { requestsPerMinute: 600, tokensPerMinute: 60_000 };
/** Of each request: as many as fill both windows at once. */
const tokens = 100;
/** The first minute's requests may start at once. */
const minutes = Math.ceil((processes * each) / limits.requestsPerMinute) - 1;

/** One of the processes: sends its requests as fast as it may. */
async function send(provider: string, connection: string, name: string): Promise<void> {
  const limiter = redis(limits, { connection, name });
  const flow = workflow({
    name: 'sends',
    concurrency: Number.POSITIVE_INFINITY,
    groups: { llm: { limiter } },
  });
  const body = JSON.stringify({
    model: 'm',
    messages: [{ role: 'user', content: 'x'.repeat(4 * 84) }],
    max_tokens: 16,
  });
  for (let i = 0; i < each; i++)
    flow.task(`${i}`, {
      group: 'llm',
      tokens,
      retry: 20,
      run: async (_, ctx) => {
        const answer = await fetch(`${provider}/chat/completions`, {
          method: 'POST',
          body,
          signal: ctx.signal,
        });
        await answer.json();
        if (!answer.ok)
          throw Object.assign(new Error('refused'), {
            status: answer.status,
            headers: Object.fromEntries(answer.headers),
          });
      },
    });
  const { status, report } = await flow.run().result();
  process.send?.({ status, ms: report.wallMs });
}

const [, , role, ...given] = process.argv;
if (role === 'send') {
  await send(...(given as [string, string, string]));
} else {
  const connection = process.env.RXHIVE_REDIS;
  if (connection === undefined) {
    console.error('no Redis at RXHIVE_REDIS: .ci/redis npm run bench -- shared-limits');
    process.exit(2);
  }
  const provider = await OpenAIServer.listen({ latency: [50, 200], ...limits });
  const name = randomUUID();
  const file = fileURLToPath(import.meta.url);
  const ends = await Promise.all(
    Array.from({ length: processes }, async () => {
      const child = fork(file, ['send', provider.url, connection, name], { execArgv: ['--import', 'tsx'] });
      const [said] = (await once(child, 'message')) as [{ status: string; ms: number }];
      return said;
    }),
  );
  const { accepted, refused, violations, firstAt, lastAt } = provider.stats;
  const share = (minutes * 60_000) / (lastAt - firstAt);
  const seconds = ends.map(({ status, ms }) => `${status} after ${(ms / 1_000).toFixed(1)} s`).join(', ');
  console.log(`${processes} processes: ${seconds}`);
  console.log(
    `${accepted} requests within ${((lastAt - firstAt) / 1_000).toFixed(1)} s, ${minutes * 60} s possible`,
  );
  const goals: readonly (readonly [boolean, string])[] = [
    [share >= 0.97, `97 % of what is possible: ${(100 * share).toFixed(1)} %`],
    [violations === 0, `no window ever too full: ${violations}`],
    [refused === 0, `nothing refused: ${refused}`],
  ];
  for (const [holds, text] of goals) console.log(`${holds ? 'met' : 'NOT MET'}: ${text}`);
  await provider.close();
  if (goals.some(([holds]) => !holds)) process.exitCode = 1;
}
