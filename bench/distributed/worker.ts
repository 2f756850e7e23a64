import { createWorker } from '../../dist/executors/bullmq.js';
import { QueueServer } from '../../lib/executors/bullmq-connection.js';
import type { Asked, WorkerSettings } from './worker-processes.js';

// A worker process of the benchmark: a worker of rxhive, and beside it one of BullMQ with as many slots.

const { connection, name, bare, slots } = JSON.parse(process.argv[2] ?? '') as WorkerSettings;
process.once('disconnect', () => process.exit());
process.on('message', (asked: Asked) => {
  if (asked === 'processor time') process.send?.(process.cpuUsage());
});

await createWorker({ agents: { nothing: async () => 1 }, connection, name, concurrency: slots });
const server = new QueueServer(connection);
await server.worker(bare, async () => 1, { concurrency: slots }).waitUntilReady();
process.send?.('ready');
