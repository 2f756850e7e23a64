import { loadavg } from 'node:os';
import { bullmq, type Remote } from '../../dist/executors/bullmq.js';
import { workflow } from '../../dist/index.js';
import { connections } from './connections.js';
import type { Server } from './main.js';
import { type Said, WorkerProcess } from './worker-processes.js';

// How soon an attempt of a killed worker begins elsewhere, how soon a worker hears that an attempt is aborted, and how many
// connections it takes.

const kills = 20;
const aborts = 100;
const workers = 3;
const slots = 4;

const now = (): number => performance.timeOrigin + performance.now();
const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** What is awaited of workers: the attempts `hold` of runs. */
class Holds {
  readonly #awaited = new Map<string, (heard: { readonly at: number; readonly by: WorkerProcess }) => void>();

  hear(said: Said, by: WorkerProcess): void {
    if (said.kind === 'begun' || said.kind === 'aborted')
      this.#awaited.get(`${said.kind} ${said.runId}`)?.({ at: said.at, by });
  }

  said(
    kind: 'begun' | 'aborted',
    runId: string,
  ): Promise<{ readonly at: number; readonly by: WorkerProcess }> {
    return new Promise((done) => this.#awaited.set(`${kind} ${runId}`, done));
  }
}

function held(remote: Remote, runId: string): { cancel(): void; result(): Promise<unknown> } {
  const flow = workflow({ name: 'holds' });
  flow.task('hold', { executor: remote.agent('hold'), retry: { count: 0, lost: kills } });
  const run = flow.run({ runId });
  run.result().catch(() => undefined);
  return run;
}

/** Prints it for one server. */
export async function figures(server: Server): Promise<void> {
  const { title, connection } = server;
  const name = `f${process.pid}`;
  const holds = new Holds();
  const start = (): Promise<WorkerProcess> =>
    WorkerProcess.start({ connection, name, slots }, (said, by) => holds.hear(said, by));
  console.log(`\n${title}, load ${loadavg()[0]?.toFixed(1)}`);

  const before = await connections(server);
  const remote = bullmq({ connection, name });
  remote.agent('hold');
  await pause(2_000);
  const ofController = (await connections(server)) - before;
  const running = await Promise.all(Array.from({ length: workers }, start));
  await pause(1_000);
  const ofWorkers = (await connections(server)) - before - ofController;

  const heard: number[] = [];
  for (let i = 0; i < aborts; i++) {
    const runId = `${name}-abort-${i}`;
    const begun = holds.said('begun', runId);
    const aborted = holds.said('aborted', runId);
    const run = held(remote, runId);
    await begun;
    // As long as an attempt takes to say that it has begun.
    await pause(30);
    const at = now();
    run.cancel();
    heard.push((await aborted).at - at);
  }
  const most = (await connections(server)) - before;

  const again: number[] = [];
  for (let i = 0; i < kills; i++) {
    const runId = `${name}-kill-${i}`;
    let begun = holds.said('begun', runId);
    const run = held(remote, runId);
    const { by } = await begun;
    begun = holds.said('begun', runId);
    await pause(30);
    const at = now();
    by.kill();
    again.push((await begun).at - at);
    run.cancel();
    running.push(await start());
  }
  const sorted = (all: readonly number[]): number[] => [...all].sort((a, b) => a - b);
  const of = (all: readonly number[], share: number): number =>
    sorted(all)[Math.min(all.length - 1, Math.floor(all.length * share))] as number;
  const line = (text: string, ms: number, goal: number): void => {
    const isMet = ms < goal;
    if (!isMet) process.exitCode = 1;
    console.log(
      `${text.padEnd(60)}${ms.toFixed(0).padStart(7)} ms  ${isMet ? 'met' : 'NOT MET'} (goal ${goal})`,
    );
  };
  line(`killed: begun again elsewhere, longest of ${kills}`, of(again, 1), 10_000);
  console.log(`${'  median'.padEnd(60)}${of(again, 0.5).toFixed(0).padStart(7)} ms`);
  line(`aborted: heard by the worker, median of ${aborts}`, of(heard, 0.5), 100);
  line('  99 of 100', of(heard, 0.99), 1_000);
  console.log(
    `connections: ${ofController} of the controller, ${(ofWorkers / workers).toFixed(1)} of each worker, ${most} of 1 controller and ${workers} workers after the aborts`,
  );
  console.log(`load ${loadavg()[0]?.toFixed(1)} after`);
  await remote.close();
  for (const worker of running) worker.stop();
}
