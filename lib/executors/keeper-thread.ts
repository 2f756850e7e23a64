import { parentPort, workerData } from 'node:worker_threads';
import type { BullQueue } from './bullmq-classes.js';
import { QueueServer } from './bullmq-connection.js';
import type { KeeperSettings, KeptJob } from './keeper.js';

// Runs in the thread of a Keeper.

const { connection, queues, lockDuration, frozenAfter, ticks } = workerData as KeeperSettings;
const server = new QueueServer(connection, undefined, 0);
const count = new Int32Array(ticks);
interface Kept {
  readonly queue: BullQueue;
  readonly tokens: Map<string, string>;
}
const kept = new Map<string, Kept>();
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
  for (const one of kept.values()) void extend(one);
}, lockDuration / 4);

const extending = new Set<Kept>();

async function extend(one: Kept): Promise<void> {
  if (extending.has(one)) return;
  extending.add(one);
  for (let late = true; late && one.tokens.size > 0; ) {
    const from = performance.now();
    const gone = await one.queue
      .getBackend()
      .extendLocks([...one.tokens.keys()], [...one.tokens.values()], lockDuration)
      // The server cannot be used: what it holds is told once it can.
      .catch(() => []);
    if (gone.length > 0) parentPort?.postMessage(gone);
    // The server was away: to it the locks ended so long after they were to be renewed.
    late = performance.now() - from > lockDuration / 4;
  }
  extending.delete(one);
}
