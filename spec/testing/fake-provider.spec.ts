import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { seededRandom } from '../../lib/kernel/random.js';
import { SlidingWindow } from '../../lib/kernel/sliding-window.js';
import { OpenAIServer, SimulationScheduler, VirtualProvider } from '../../lib/testing/index.js';

test('a sliding window agrees with adding everything up', () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000);
  const random = seededRandom(seed);
  for (let round = 0; round < 300; round++) {
    const size = 1 + Math.floor(random() * 50);
    const max = 1 + Math.floor(random() * 12);
    const window = new SlidingWindow(size, max);
    const all: { at: number; amount: number }[] = [];
    const used = (now: number): number =>
      all.reduce((sum, { at, amount }) => (at + size > now ? sum + amount : sum), 0);
    let now = 0;
    for (let i = 0; i < 60; i++) {
      now += Math.floor(random() * size * 0.4);
      const amount = 1 + Math.floor(random() * max);
      let opens = now;
      while (used(opens) + amount > max) opens += 1;
      assert.is(window.opensAt(now, amount), opens, `seed ${seed}`);
      assert.is(window.used(now), used(now), `seed ${seed}`);
      if (opens > now) continue;
      const one = { at: now, amount };
      const taken = window.take(now, amount);
      if (random() < 0.3) {
        one.amount = Math.floor(random() * 3);
        window.change(taken, one.amount - amount);
      }
      all.push(one);
    }
  }
});

test('a window takes over what others have used, and forgets it in time', () => {
  const window = new SlidingWindow(1_000, 10);
  window.take(0, 4);
  window.correct(100, 3, 500);
  assert.is(window.used(100), 7);
  assert.is(window.opensAt(100, 4), 600);
  window.correct(200, 5, 500);
  assert.is(window.used(200), 5, 'less than thought');
  assert.is(window.used(600), 4);
  window.correct(600, 1_000_000, 1);
  assert.is(window.used(600), 4, 'what was taken here is never forgotten');
});

test('the virtual provider refuses above its windows and its capacity, and says when to come back', () => {
  const scheduler = new SimulationScheduler();
  const provider = new VirtualProvider(
    { requestsPerSecond: 3, capacity: 2, latency: 100, retryAfter: 'ms' },
    scheduler,
  );
  const log: string[] = [];
  const call = (): void => {
    provider.call({ inputTokens: 5 }).subscribe({
      next: ({ headers }) => log.push(`${scheduler.now()} ok ${headers['x-ratelimit-remaining-requests']}`),
      error: (error) => log.push(`${scheduler.now()} ${error.status} ${error.headers['retry-after-ms']}`),
    });
  };
  for (const at of [0, 1, 2, 150, 200, 1_000]) scheduler.schedule(call, at);
  scheduler.flush();
  assert.equal(log, ['2 429 100', '100 ok 2', '101 ok 1', '200 429 800', '250 ok 0', '1100 ok 0']);
  const { requests, accepted, refused, violations, tokens, inFlight, mostInFlight } = provider.stats;
  assert.equal(
    [requests, accepted, refused, violations, tokens, inFlight, mostInFlight],
    [6, 4, 2, 1, 20, 0, 2],
  );
  const given = provider.call().subscribe();
  assert.is(provider.stats.inFlight, 1);
  given.unsubscribe();
  assert.is(provider.stats.inFlight, 0);
});

test('the provider over HTTP answers as an OpenAI-compatible one, and with 429 above its limits', async () => {
  const provider = await OpenAIServer.listen({
    requestsPerMinute: 2,
    tokensPerMinute: 1_000,
    latency: [1, 3],
    answer: ({ inputTokens, maxTokens }) => ({ text: 'ok', usage: { inputTokens, outputTokens: maxTokens } }),
  });
  const call = (body: unknown): Promise<Response> =>
    fetch(`${provider.url}/chat/completions`, { method: 'POST', body: JSON.stringify(body) });
  const message = { messages: [{ role: 'user', content: 'x'.repeat(400) }], max_tokens: 7 };
  try {
    const first = await call(message);
    assert.is(first.headers.get('x-ratelimit-remaining-requests'), '1');
    assert.is(first.headers.get('x-ratelimit-remaining-tokens'), '893');
    const { usage } = (await first.json()) as { usage: unknown };
    assert.equal(usage, { prompt_tokens: 100, completion_tokens: 7, total_tokens: 107 });
    assert.is((await call(message)).status, 200);
    const refused = await call(message);
    assert.is(refused.status, 429);
    assert.ok(Number(refused.headers.get('retry-after')) > 30);
    assert.is((await call('nonsense')).status, 400);
    provider.setCapacity(0);
    const { requests, accepted, refused: count, violations, inFlight } = provider.stats;
    assert.equal([requests, accepted, count, violations, inFlight], [3, 2, 1, 1, 0]);
  } finally {
    await provider.close();
  }
});

test.run();
