import { loadavg } from 'node:os';
import { bullmq } from '../../dist/executors/bullmq.js';
import { workflow } from '../../dist/index.js';
import { QueueServer } from '../../lib/executors/bullmq-connection.js';
import { workQueue } from '../../lib/executors/bullmq-queues.js';
import { connections } from './connections.js';
import type { Server } from './main.js';
import { startWorkers } from './worker-processes.js';

// 200 workers on one server: how long it takes to ask who is there, how many attempts a second one controller hands out for
// a minute, and how many connections that takes. `--workers N --seconds N` make it smaller.

const option = (name: string, otherwise: number): number => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : Number(process.argv[at + 1]);
};
const processes = 4;
const each = Math.ceil(option('workers', 200) / processes);
const slots = 50;
const seconds = option('seconds', 60);
const goal = 1_000;

/** Prints it for one server. */
export async function scale(server: Server): Promise<void> {
  const { title, connection } = server;
  const name = `s${process.pid}`;
  const before = await connections(server);
  console.log(`\n${title}: ${processes * each} workers of ${slots} slots, load ${loadavg()[0]?.toFixed(1)}`);
  const workers = await startWorkers(processes, { connection, name, slots, workers: each });
  const ofWorkers = ((await connections(server)) - before) / (processes * each);
  const remote = bullmq({ connection, name });
  const executor = remote.agent('nothing');
  await new Promise<void>((done) => {
    remote.workers$.subscribe((there) => {
      if (there.length === processes * each) done();
    });
  });

  const other = new QueueServer(connection);
  await other.ready();
  const queue = other.queue(workQueue(name, { labels: [], version: '1' }));
  const asked: number[] = [];
  const ask = async (): Promise<void> => {
    const at = performance.now();
    await queue.getWorkers();
    asked.push(performance.now() - at);
  };
  for (let i = 0; i < 20; i++) await ask();
  const idle = [...asked].sort((a, b) => a - b)[10] as number;

  const own = process.cpuUsage();
  const at = performance.now();
  let done = 0;
  // As many at once as keep the rate of the goal, where an attempt is back within half a second.
  while (performance.now() - at < seconds * 1_000) {
    const flow = workflow({ name: 'scale', concurrency: goal / 2 });
    for (let i = 0; i < goal * 5; i++) flow.task(`t${i}`, { executor });
    const run = flow.run();
    const stop = setTimeout(() => run.cancel(), at + seconds * 1_000 - performance.now());
    const { report } = await run.result();
    clearTimeout(stop);
    done += report.counts.succeeded;
  }
  const wall = (performance.now() - at) / 1_000;
  const { user, system } = process.cpuUsage(own);
  const rate = done / wall;
  const all = (await connections(server)) - before;
  const lines: readonly (readonly [boolean, string])[] = [
    [idle < 50, `getWorkers: ${idle.toFixed(1)} ms, median of 20 (goal 50)`],
    [rate >= goal, `attempts a second for ${wall.toFixed(0)} s: ${rate.toFixed(0)} (goal ${goal})`],
    [ofWorkers <= 3, `connections of each worker: ${ofWorkers.toFixed(1)} (goal 3)`],
  ];
  for (const [isMet, text] of lines) {
    console.log(`${isMet ? 'met' : 'NOT MET'}: ${text}`);
    if (!isMet) process.exitCode = 1;
  }
  console.log(
    `${all} connections in all; the controller used ${((user + system) / 10_000 / wall).toFixed(0)} % of a core`,
  );
  console.log(`load ${loadavg()[0]?.toFixed(1)} after`);
  await Promise.all([remote.close(), other.close()]);
  for (const worker of workers) worker.stop();
}
