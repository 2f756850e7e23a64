import { loadavg } from 'node:os';
import { bullmq, type Remote } from '../../dist/executors/bullmq.js';
import { workflow } from '../../dist/index.js';
import { Bare } from './bare.js';
import type { Server } from './main.js';
import { startWorkers, type WorkerProcess } from './worker-processes.js';

// How many attempts a second workers make, and how long one takes when nothing else is under way, beside BullMQ alone.

const processes = 4;
const slots = 8;
const rounds = 5;
/** Attempts of a round: all at once, and one after the other. */
const sizes = { Redis: { many: 3_000, one: 300 }, PostgreSQL: { many: 240, one: 40 } };
/** Jobs that are under way at once: what rxhive takes for so many workers. */
const window = processes * (slots + 1);

/** What one round took, in ms each attempt. */
interface Took {
  readonly wall: number;
  readonly controller: number;
  readonly workers: number;
}

/** Attempts n at once, and then all of them done. */
type Work = (count: number, atOnce: number) => Promise<void>;

function bareWork(bare: Bare): Work {
  return async (count, atOnce) => {
    let begun = 0;
    const line = async (): Promise<void> => {
      while (begun++ < count) await bare.call();
    };
    await Promise.all(Array.from({ length: atOnce }, line));
  };
}

function remoteWork(remote: Remote): Work {
  const executor = remote.agent('nothing');
  return async (count, atOnce) => {
    const flow = workflow({ name: 'bench', concurrency: atOnce });
    let before: ReturnType<typeof flow.task>[] = [];
    for (let i = 0; i < count; i++) {
      const task = flow.task(`t${i}`, { dependencies: before, executor });
      if (atOnce === 1) before = [task];
    }
    const { status, report } = await flow.run().result();
    if (status !== 'succeeded') throw new Error(String(report));
  };
}

async function processorTime(workers: readonly WorkerProcess[]): Promise<number> {
  return (await Promise.all(workers.map((one) => one.processorTime()))).reduce((sum, one) => sum + one, 0);
}

async function round(
  work: Work,
  count: number,
  atOnce: number,
  workers: readonly WorkerProcess[],
): Promise<Took> {
  const used = await processorTime(workers);
  const own = process.cpuUsage();
  const begun = performance.now();
  await work(count, atOnce);
  const wall = performance.now() - begun;
  const { user, system } = process.cpuUsage(own);
  return {
    wall: wall / count,
    controller: (user + system) / 1_000 / count,
    workers: ((await processorTime(workers)) - used) / count,
  };
}

const median = (all: readonly number[]): number => [...all].sort((a, b) => a - b)[all.length >> 1] as number;
const load = (): string => (loadavg()[0] as number).toFixed(1);

/** Prints it for one server. */
export async function speed({ title, connection }: Server): Promise<void> {
  const id = `b${process.pid}`;
  const workers = await startWorkers(processes, { connection, name: id, bare: `${id}-bare`, slots });
  const bare = await Bare.connect(connection, `${id}-bare`);
  const remote = bullmq({ connection, name: id });
  const both = [bareWork(bare), remoteWork(remote)] as const;
  const before = load();
  for (const work of both) {
    await work(sizes[title].many / 4, window);
    await work(sizes[title].one / 4, 1);
  }
  const { many, one } = sizes[title];
  const took = { many: [[], []] as Took[][], one: [[], []] as Took[][] };
  for (let i = 0; i < rounds; i++)
    // Who goes first takes turns, too.
    for (const which of i % 2 === 0 ? [0, 1] : [1, 0]) {
      took.many[which]?.push(await round(both[which] as Work, many, window, workers));
      took.one[which]?.push(await round(both[which] as Work, one, 1, workers));
    }
  console.log(
    `\n${title}: ${processes} workers of ${slots} slots, medians of ${rounds} rounds in turns, load ${before} before and ${load()} after`,
  );
  console.log(
    `${''.padEnd(44)}${['BullMQ', 'rxhive', 'rxhive/BullMQ'].map((text) => text.padStart(15)).join('')}`,
  );
  const row = (
    text: string,
    [alone = [], with_ = []]: readonly Took[][],
    figure: (one: Took) => number,
    goal?: (ratio: number) => boolean,
  ): void => {
    const [a, b] = [median(alone.map(figure)), median(with_.map(figure))];
    const pairs = alone.map((one, i) => figure(with_[i] as Took) / figure(one));
    const said = goal === undefined ? '' : goal(b / a) ? 'met' : 'NOT MET';
    const span = `${Math.min(...pairs).toFixed(2)} to ${Math.max(...pairs).toFixed(2)}`;
    const cells = [a, b].map((value) => value.toPrecision(3).padStart(15)).join('');
    console.log(
      `${text.padEnd(44)}${cells}${(b / a).toFixed(2).padStart(15)} (rounds ${span})  ${said}`.trimEnd(),
    );
    if (goal !== undefined && !goal(b / a)) process.exitCode = 1;
  };
  const isRedis = title === 'Redis';
  row(
    `attempts a second, ${window} at once${isRedis ? ' (goal 0.8)' : ''}`,
    took.many,
    ({ wall }) => 1_000 / wall,
    isRedis ? (ratio) => ratio >= 0.8 : undefined,
  );
  row('  controller, ms of processor time each', took.many, ({ controller }) => controller);
  row('  workers, ms of processor time each', took.many, ({ workers }) => workers);
  row(
    `ms each, one at a time${isRedis ? ' (goal 1.3)' : ''}`,
    took.one,
    ({ wall }) => wall,
    isRedis ? (ratio) => ratio <= 1.3 : undefined,
  );
  row('  controller, ms of processor time each', took.one, ({ controller }) => controller);
  row('  workers, ms of processor time each', took.one, ({ workers }) => workers);
  console.log(`ends that BullMQ alone found by asking, for no event came: ${bare.found}`);
  await Promise.all([remote.close(), bare.close()]);
  for (const worker of workers) worker.stop();
}
