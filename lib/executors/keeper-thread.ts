import { parentPort, workerData } from 'node:worker_threads';
import type { BullQueue } from './bullmq-classes.js';
import { QueueServer } from './bullmq-connection.js';
import type { KeeperSettings, KeptJob } from './keeper.js';

// Runs in the thread of a Keeper.

const { connection, queues, lockDuration, frozenAfter, ticks } = workerData as KeeperSettings;
const server = new QueueServer(connection, undefined, 0);
const count = new Int32Array(ticks);
const kept = new Map<string, { readonly queue: BullQueue; readonly tokens: Map<string, string> }>();
for (const name of queues) kept.set(name, { queue: server.queue(name), tokens: new Map() });

parentPort?.on('message', ({ queue, job, token }: KeptJob) => {
  const tokens = kept.get(queue)?.tokens;
  if (token === undefined) tokens?.delete(job);
  else tokens?.set(job, token);
});

// Until it can renew locks nobody may rely on it.
server.ready().then(
  () => parentPort?.postMessage('ready'),
  (error: unknown) => {
    throw error;
  },
);

let last = -1;
let since = performance.now();
setInterval(() => {
  const ticked = Atomics.load(count, 0);
  if (ticked !== last) {
    last = ticked;
    since = performance.now();
  }
  if (performance.now() - since > frozenAfter) return;
  for (const { queue, tokens } of kept.values()) if (tokens.size > 0) void extend(queue, new Map(tokens));
}, lockDuration / 4);

async function extend(queue: BullQueue, tokens: ReadonlyMap<string, string>): Promise<void> {
  const gone = await queue
    .getBackend()
    .extendLocks([...tokens.keys()], [...tokens.values()], lockDuration)
    // The server cannot be reached: what it holds is told once it can.
    .catch(() => []);
  if (gone.length > 0) parentPort?.postMessage(gone);
}
