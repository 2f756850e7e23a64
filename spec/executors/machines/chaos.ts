import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bullmq, type QueueConnection } from '../../../lib/executors/bullmq.js';
import { type Task, workflow } from '../../../lib/index.js';
import { endWithParent } from '../../support/ends-with-parent.js';
import { begunFile, freshName, type WorkerProcess, workerProcess } from '../../support/queue-servers.js';
import type { agents } from '../../support/worker-agents.js';
import { lives } from './lives.js';
import { ownServer, sleep } from './own-server.js';

// Workers that are killed each second, a controller that is killed, a server that restarts; the end is as if nothing had
// happened. TASKS, WORKERS, CONTROLLER_KILLS and RESTARTS say how much of it.

const { TASKS = 2_000, WORKERS = 4, CONTROLLER_KILLS = 3, RESTARTS = 2 } = process.env;
const tasks = Number(TASKS);
const lostAfter = 2_000;

/** One life of the controller: goes on with the run, and prints how it ended. */
async function controller(): Promise<void> {
  endWithParent();
  const { CONNECTION = '', NAME = '', STORE = '' } = process.env;
  const remote = bullmq({ connection: JSON.parse(CONNECTION) as QueueConnection, name: NAME, lostAfter });
  const { slow } = remote.agents<typeof agents>();
  const flow = workflow({
    name: 'chaos',
    state: { sum: 0, written: {} as Record<string, number> },
    concurrency: 200,
  });
  const ms = flow.task('ms', { run: () => 50 });
  for (let n = 0; n < tasks; n++) {
    const done: Task<number> = flow.task(`t${n}`, {
      dependencies: { ms },
      executor: slow,
      retry: { count: 0, lost: 100 },
    });
    flow.task(`w${n}`, {
      dependencies: { done },
      run: (_, ctx) =>
        ctx.update((state) => {
          state.sum += 1;
          state.written[n] = (state.written[n] ?? 0) + 1;
        }),
    });
  }
  const { status, state } = await flow.run({ store: STORE, runId: 'chaos' }).result();
  process.stdout.write(
    `${JSON.stringify({ status, sum: state.sum, most: Math.max(...Object.values(state.written)) })}\n`,
  );
  await remote.close();
}

export async function chaos(isPostgres: boolean): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), 'rxhive-chaos-'));
  const server = await ownServer(folder, isPostgres);
  const { connection } = server;
  const name = freshName();
  const begun = begunFile();
  const settings = { connection, name, lostAfter, concurrency: 8 };
  const workers: WorkerProcess[] = await Promise.all(
    Array.from({ length: Number(WORKERS) }, () => workerProcess(settings, begun.file)),
  );
  const started = performance.now();
  const counts = { workers: 0, restarts: 0 };
  let over = false;
  const killing = (async () => {
    while (!over) {
      await sleep(1_000);
      const at = Math.floor(Math.random() * workers.length);
      if (over) break;
      await workers[at]?.kill();
      counts.workers += 1;
      workers[at] = await workerProcess(settings, begun.file);
      if (counts.restarts < Number(RESTARTS) && counts.workers % 4 === 2) {
        await server.restart();
        counts.restarts += 1;
      }
    }
  })();
  const env = { CONNECTION: JSON.stringify(connection), NAME: name, STORE: join(folder, 'run.db') };
  const { said, kills } = await lives(new URL(import.meta.url), env, {
    kills: Number(CONTROLLER_KILLS),
    killAfter: 6_000,
  });
  const seconds = (performance.now() - started) / 1_000;
  over = true;
  await killing;
  for (const worker of workers) await worker.kill();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
  const lines = begun.read();
  const attempts = new Set(lines.map(([task, attempt]) => `${task} ${attempt}`));
  console.log(`${server.title}: ${said} in ${seconds.toFixed(1)} s`);
  console.log(
    `${counts.workers} workers, ${kills} controllers killed, ${counts.restarts} restarts of the server; ` +
      `${lines.length} begins of ${attempts.size} attempts of ${tasks} tasks`,
  );
  const { status, sum, most } = JSON.parse(said) as { status: string; sum: number; most: number };
  return status === 'succeeded' && sum === tasks && most === 1 && lines.length === attempts.size;
}

if (process.env.ROLE === 'controller') await controller();
