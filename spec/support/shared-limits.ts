import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type LimiterSettings, type RxhiveError, workflow } from '../../lib/index.js';
import type { Limiter } from '../../lib/model/limiter.js';
import { lease, type SharedAnswer, type SharedMessage } from '../../lib/model/shared-limits.js';
import { limiterConformance, OpenAIServer } from '../../lib/testing/index.js';
import { fromSources } from './from-sources.js';
import { MemoryLimits } from './memory-limits.js';
import { anyMessages, messagesOf } from './shared-messages.js';

/** The error of a task that waits for a permit of a limiter. */
export async function failureOf(limiter: Limiter): Promise<RxhiveError | undefined> {
  const flow = workflow({ name: 'w', groups: { g: { limiter } } });
  flow.task('t', { group: 'g', run: () => 1 });
  const { tasks } = await flow.run().result();
  return tasks.get('t')?.error as RxhiveError | undefined;
}

/** Nothing starts while the server of a limiter is away, and who waits is told; `open` lets it come back or go. */
export async function waitsForServer(limiter: Limiter, open: (is: boolean) => void): Promise<void> {
  let isOpen = true;
  const set = (is: boolean): void => {
    isOpen = is;
    open(is);
  };
  const flow = workflow({ name: 'w', groups: { g: { limiter, concurrency: 1 } } });
  const a = flow.task('a', { group: 'g', run: () => set(false) });
  flow.task('b', { group: 'g', dependencies: [a], run: () => assert.is(isOpen, true) });
  const run = flow.run();
  let words = '';
  const look = setInterval(() => {
    words ||= /has not answered for/.exec(run.explain('b'))?.[0] ?? '';
    if (words !== '') set(true);
  }, 20);
  const { status } = await run.result();
  clearInterval(look);
  assert.is(status, 'succeeded');
  assert.is(words, 'has not answered for');
}

/** A server, whose clock is given, answers what memory answers, message by message. */
export async function sameAsMemory(
  name: () => string,
  ask: (name: string, message: SharedMessage, now: number) => Promise<string>,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(anyMessages, async (steps) => {
      const shared = name();
      let now = 1_700_000_000_000;
      const memory = new MemoryLimits(() => now);
      for (const [message, ms] of messagesOf(steps)) {
        now += ms;
        const said = JSON.parse(await ask(shared, message, now)) as SharedAnswer;
        assert.equal(said, memory.answer(message), JSON.stringify(message));
      }
    }),
    { numRuns: Number(process.env.RUNS ?? 40) },
  );
}

/** Limiters of one kind over a server. */
export interface SharedSubject {
  readonly url: string;
  /** A name that nobody else uses. */
  name(): string;
  make(settings: LimiterSettings, name?: string): Limiter;
}

/** What limits must do that processes share, on any server. */
export function sharedLimitsSpecs(what: string, { url, make, name }: SharedSubject): void {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

  for (const check of limiterConformance({
    make: (settings) => make(settings, name()),
    time: 'real',
    buckets: false,
    seed,
  })) {
    const title = `${what}: ${check.name} (seed ${seed})`;
    if (check.skip !== undefined) {
      test.skip(`${title}: ${check.skip}`);
      continue;
    }
    // They wait more than they work: all at once.
    const started = check.run();
    started.catch(() => undefined);
    test(title, () => started);
  }

  test(`${what}: three limiters over one ${what} are refused nothing by a provider with the same limit`, async () => {
    const shared = name();
    const provider = await OpenAIServer.listen({ requestsPerSecond: 20, latency: 5 });
    const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'x' }] });
    const sends = [0, 1, 2].map(() => {
      // On a busy machine requests are late on their way.
      const limiter = make({ requestsPerSecond: 20, margin: 300 }, shared);
      const flow = workflow({ name: 'w', concurrency: 100, groups: { g: { limiter } } });
      for (let i = 0; i < 25; i++)
        flow.task(`${i}`, {
          group: 'g',
          run: async () => (await fetch(`${provider.url}/chat/completions`, { method: 'POST', body })).status,
        });
      return flow.run().result();
    });
    await Promise.all(sends);
    const { accepted, violations } = provider.stats;
    await provider.close();
    assert.equal({ accepted, violations }, { accepted: 75, violations: 0 });
  });

  test(`${what}: what a process that is killed had in places is back within 10 s`, async () => {
    const shared = name();
    const file = fileURLToPath(new URL('./limited-process.ts', import.meta.url));
    const child = fork(file, [url, shared], {
      execArgv: [...fromSources],
      stdio: ['pipe', 'ignore', 'ignore', 'ipc'],
    });
    const child$ = once(child, 'message');
    await child$;
    child.kill('SIGKILL');
    const killed = performance.now();
    const limiter = make({ maxConcurrent: 2 }, shared);
    const flow = workflow({ name: 'w', groups: { g: { limiter } } });
    const waited: number[] = [];
    for (const id of ['a', 'b'])
      flow.task(id, { group: 'g', run: () => void waited.push(performance.now() - killed) });
    await flow.run().result();
    assert.is(waited.length, 2);
    for (const ms of waited) assert.ok(ms > 3_000 && ms < lease + 2_000, `${ms} ms`);
  });

  test(`${what}: a 429 that one process gets holds the others`, async () => {
    const shared = name();
    const [one, other] = [make({ requestsPerMinute: 50 }, shared), make({ requestsPerMinute: 50 }, shared)];
    const first = workflow({ name: 'first', groups: { g: { limiter: one } } });
    first.task('t', {
      group: 'g',
      retry: 0,
      run: () => {
        throw Object.assign(new Error('slow down'), { status: 429, headers: { 'retry-after': '1' } });
      },
    });
    const began = performance.now();
    await first.run().result();
    const second = workflow({ name: 'second', groups: { g: { limiter: other } } });
    let waited = 0;
    second.task('t', {
      group: 'g',
      run: () => {
        waited = performance.now() - began;
      },
    });
    await second.run().result();
    assert.ok(waited >= 990, `${waited} ms`);
  });

  test(`${what}: no window is ever too full, whoever starts when (seed ${seed})`, async () => {
    const cases = fc.sample(anyCase, { numRuns: Number(process.env.RUNS ?? 8), seed });
    // They wait more than they work: eight at once.
    while (cases.length > 0)
      await Promise.all(
        cases.splice(0, 8).map(async ({ most, starts }) => {
          const shared = name();
          // On a busy machine a start is seen late.
          const settings = { requestsPerSecond: most, margin: 300 };
          const seen: number[] = [];
          const runs = [0, 1, 2].map((process) => {
            const limiter = make(settings, shared);
            const flow = workflow({ name: 'w', concurrency: 100, groups: { g: { limiter } } });
            starts.forEach((start, i) => {
              if (start.process !== process) return;
              const arrives = flow.task(`after ${i}`, { run: (_, ctx) => ctx.sleep(start.after) });
              flow.task(`${i}`, {
                group: 'g',
                dependencies: [arrives],
                run: () => void seen.push(performance.now()),
              });
            });
            return flow.run().result();
          });
          await Promise.all(runs);
          assert.is(seen.length, starts.length);
          seen.sort((a, b) => a - b);
          for (const [i, at] of seen.entries()) {
            const next = seen[i + most];
            if (next !== undefined)
              assert.ok(next - at >= 1_000, `${most + 1} within ${next - at} ms: ${JSON.stringify(starts)}`);
          }
        }),
      );
  });
}

const anyCase = fc.record({
  most: fc.integer({ min: 1, max: 6 }),
  starts: fc.array(fc.record({ process: fc.nat({ max: 2 }), after: fc.nat({ max: 2_500 }) }), {
    minLength: 1,
    maxLength: 16,
    size: 'max',
  }),
});
