import { test } from 'uvu';
import type { Executor, RemoteContext } from '../../lib/entry/types.js';
import { threads } from '../../lib/executors/threads.js';
import * as agents from '../../lib/testing/conformance/executor-agents.js';
import { type ExecutorSubject, executorConformance } from '../../lib/testing/conformance/index.js';
import { advance, type FakeRemoteOptions, fakeRemote, SimulationScheduler } from '../../lib/testing/index.js';

const byName = agents as Readonly<Record<string, (inputs: never, ctx: never) => unknown>>;

function local(): ExecutorSubject {
  const scheduler = new SimulationScheduler();
  return {
    scheduler,
    settle: (result) => advance(scheduler).then(() => result),
    agent: (name): Executor<unknown> => ({
      version: '1',
      run: (inputs: unknown, ctx: RemoteContext) => byName[name]?.(inputs as never, ctx as never),
    }),
  };
}

function inThreads(): ExecutorSubject {
  const file = new URL('../../lib/testing/conformance/executor-agents.ts', import.meta.url);
  const made = new Map<string, ReturnType<typeof threads>>();
  return {
    agent: (name) => {
      const executor = threads({ file, name, maxThreads: 4 });
      made.set(name, executor);
      return executor as Executor<unknown>;
    },
    close: async () => {
      for (const one of made.values()) await one.close();
    },
  };
}

function fake(way: Omit<FakeRemoteOptions, 'agents' | 'scheduler'>): ExecutorSubject {
  const scheduler = new SimulationScheduler();
  const remote = fakeRemote({ agents: byName, scheduler, ...way });
  return {
    scheduler,
    settle: (result) => advance(scheduler).then(() => result),
    agent: (name) => remote.agent(name) as Executor<unknown>,
    isLossy: (way.lose ?? 0) > 0 || (way.late ?? 0) > 0,
    close: () => remote.close(),
  };
}

for (const { name, run } of executorConformance(local)) test(`in this process: ${name}`, run);
for (const { name, run } of executorConformance(inThreads)) test(`threads: ${name}`, run);
for (const { name, run } of executorConformance(() => fake({}))) test(`a fake remote: ${name}`, run);
for (const { name, run } of executorConformance(() => fake({ latency: 500, duplicate: 0.1, reorder: true })))
  test(`a fake remote that is slow, mixes up and says twice: ${name}`, run);

/** Seeds for each check; `npm run test:remote` takes 1,000. */
const seeds = Number(process.env.REMOTE_SEEDS ?? 25);
let seed = 0;
const poor = (): ExecutorSubject =>
  fake({ seed, latency: 500, duplicate: 0.1, lose: 0.1, late: 0.1, reorder: true });

for (const { name, run } of executorConformance(poor))
  test(`a fake remote that also loses and delays, ${seeds} seeds: ${name}`, async () => {
    for (seed = 1; seed <= seeds; seed++)
      await run().catch((error: unknown) => {
        throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
      });
  });

test.run();
