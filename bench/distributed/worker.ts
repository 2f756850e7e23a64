import { createWorker, type WorkerContext } from '../../dist/executors/bullmq.js';
import { QueueServer } from '../../lib/executors/bullmq-connection.js';
import type { Asked, Said, WorkerSettings } from './worker-processes.js';

// A worker process of the benchmark: workers of rxhive, and beside them one of BullMQ with as many slots.

const settings = JSON.parse(process.argv[2] ?? '') as WorkerSettings;
const { connection, name, bare, slots, workers = 1 } = settings;
const say = (said: Said): void => void process.send?.(said);
const now = (): number => performance.timeOrigin + performance.now();
process.once('disconnect', () => process.exit());
process.on('message', (asked: Asked) => {
  const { user, system } = process.cpuUsage();
  if (asked === 'processor time') say({ kind: asked, ms: (user + system) / 1_000 });
});

const agents = {
  nothing: async () => 1,
  hold: async (_: unknown, { runId, signal }: WorkerContext) => {
    say({ kind: 'begun', runId, at: now() });
    await new Promise((done) => signal.addEventListener('abort', done));
    say({ kind: 'aborted', runId, at: now() });
  },
};
for (let i = 0; i < workers; i++) await createWorker({ agents, connection, name, concurrency: slots });
if (bare !== undefined) {
  const server = new QueueServer(connection);
  await server.ready();
  await server.worker(bare, async () => 1, { concurrency: slots }).waitUntilReady();
}
say({ kind: 'ready' });
