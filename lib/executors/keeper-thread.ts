import { parentPort, workerData } from 'node:worker_threads';
import type { BullQueue } from './bullmq-classes.js';
import { QueueServer } from './bullmq-connection.js';
import type { KeeperNews, KeeperSettings } from './keeper.js';
import { KeptJobs } from './kept-jobs.js';

// Runs in the thread of a Keeper.

const settings = workerData as KeeperSettings;
const { lockDuration, frozenAfter } = settings;
const server = new QueueServer(settings.connection, undefined, 0);
const count = new Int32Array(settings.ticks);
const kept = new KeptJobs(settings.kept);
const queues = settings.queues.map((name) => server.queue(name));
const tell = (news: KeeperNews): void => parentPort?.postMessage(news);

// Until it can renew locks nobody may rely on it.
server.ready().then(
  () => tell('ready'),
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
  for (const [at, queue] of queues.entries()) void extend(at, queue);
}, lockDuration / 4);

const extending = new Set<BullQueue>();

async function extend(at: number, queue: BullQueue): Promise<void> {
  if (extending.has(queue)) return;
  extending.add(queue);
  for (let late = true; late; ) {
    const from = performance.now();
    const locks = kept.read().filter((lock) => lock.queue === at);
    if (locks.length === 0) break;
    const gone = await queue
      .getBackend()
      .extendLocks(
        locks.map(({ job }) => job),
        locks.map(({ token }) => token),
        lockDuration,
      )
      // The server cannot be used: what it holds is told once it can.
      .catch((): readonly string[] => []);
    if (gone.length > 0) tell(locks.filter(({ job }) => gone.includes(job)));
    // The server was away: to it the locks ended so long after they were to be renewed.
    late = performance.now() - from > lockDuration / 4;
  }
  extending.delete(queue);
}
