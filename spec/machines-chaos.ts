import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bullmq, type QueueConnection } from '../lib/executors/bullmq.js';
import { type Task, workflow } from '../lib/index.js';
import { endWithParent } from './support/ends-with-parent.js';
import { begunFile, freshName, type WorkerProcess, workerProcess } from './support/queue-servers.js';
import type { agents } from './support/worker-agents.js';

// `npm run test:machines`: workers that are killed, a controller that is killed, a server that restarts; the end is as if
// nothing had happened. TASKS, WORKERS, CONTROLLER_KILLS and RESTARTS say how much of it. With RXHIVE_POSTGRES set and
// RXHIVE_REDIS not, PostgreSQL carries the queues and is not restarted; otherwise a Redis of its own does.

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

function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => done(port));
    });
  });
}

async function chaos(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'rxhive-chaos-'));
  const ownRedis = process.env.RXHIVE_POSTGRES === undefined || process.env.RXHIVE_REDIS !== undefined;
  const port = await freePort();
  let redis: ChildProcess | undefined;
  const startRedis = async (): Promise<void> => {
    const options = [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--dir',
      folder,
      '--appendonly',
      'yes',
      '--save',
      '',
    ];
    redis = spawn('redis-server', options, { stdio: 'ignore' });
    for (let up = false; !up; ) {
      await sleep(50);
      try {
        up = execFileSync('redis-cli', ['-p', String(port), 'ping'], { stdio: 'pipe' }).includes('PONG');
      } catch {
        // not yet
      }
    }
  };
  if (ownRedis) await startRedis();
  const connection: QueueConnection = ownRedis
    ? { redis: `redis://127.0.0.1:${port}` }
    : { postgres: process.env.RXHIVE_POSTGRES as string };
  const name = freshName();
  const begun = begunFile();
  const settings = { connection, name, lostAfter, concurrency: 8 };
  const workers: WorkerProcess[] = await Promise.all(
    Array.from({ length: Number(WORKERS) }, () => workerProcess(settings, begun.file)),
  );
  const started = performance.now();
  const counts = { workers: 0, controllers: 0, restarts: 0 };
  let over = false;
  const killing = (async () => {
    while (!over) {
      await sleep(1_000);
      const at = Math.floor(Math.random() * workers.length);
      if (over) break;
      await workers[at]?.kill();
      counts.workers += 1;
      workers[at] = await workerProcess(settings, begun.file);
      if (ownRedis && counts.restarts < Number(RESTARTS) && counts.workers % 4 === 2) {
        const ended = new Promise((done) => redis?.once('exit', done));
        redis?.kill('SIGTERM');
        await ended;
        await startRedis();
        counts.restarts += 1;
      }
    }
  })();
  let last = '';
  for (let ended = false; !ended; ) {
    const env = {
      ...process.env,
      ROLE: 'controller',
      CONNECTION: JSON.stringify(connection),
      NAME: name,
      STORE: join(folder, 'run.db'),
    };
    const child = spawn(process.execPath, ['--import', 'tsx', new URL(import.meta.url).pathname], {
      env,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdout.on('data', (text: Buffer) => {
      last += text;
    });
    const exit = new Promise<void>((done) => child.once('exit', () => done()));
    const kill =
      counts.controllers < Number(CONTROLLER_KILLS)
        ? setTimeout(() => child.kill('SIGKILL'), 6_000)
        : undefined;
    await exit;
    clearTimeout(kill);
    ended = last !== '';
    if (!ended) counts.controllers += 1;
  }
  const seconds = (performance.now() - started) / 1_000;
  over = true;
  await killing;
  for (const worker of workers) await worker.kill();
  redis?.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
  const lines = begun.read();
  const attempts = new Set(lines.map(([task, attempt]) => `${task} ${attempt}`));
  console.log(`${last.trim()} in ${seconds.toFixed(1)} s`);
  console.log(
    `${counts.workers} workers, ${counts.controllers} controllers killed, ${counts.restarts} restarts of the server; ` +
      `${lines.length} begins of ${attempts.size} attempts of ${tasks} tasks`,
  );
  const { status, sum, most } = JSON.parse(last) as { status: string; sum: number; most: number };
  if (status !== 'succeeded' || sum !== tasks || most !== 1 || lines.length !== attempts.size)
    process.exitCode = 1;
}

function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}

await (process.env.ROLE === 'controller' ? controller() : chaos());
