import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import PQueue from 'p-queue';
import { lastValueFrom, mergeMap, type OperatorFunction, range, reduce } from 'rxjs';
import { controller } from '../dist/index.js';

// What a value of `hive.mergeMap` costs beside `mergeMap` of rxjs over a promise, and beside a p-queue: us of processor time each.
// Each way in processes of its own, in turns; medians of `--rounds` (5), and goals.
const atOnce = 100;
const goal = 2.5;
const sizes = [10_000, 100_000];
const work = async (value: number): Promise<number> => value;

const sumOf = (values: number, operator: OperatorFunction<number, number>): Promise<number> =>
  lastValueFrom(
    range(0, values).pipe(
      operator,
      reduce((sum, one) => sum + one, 0),
    ),
  );
const hive = (options: { readonly ordered?: boolean; readonly retry?: number }) => (values: number) =>
  sumOf(
    values,
    controller({ concurrency: atOnce }).mergeMap('echo', work, {
      ...options,
      capacity: Number.POSITIVE_INFINITY,
    }),
  );

const ways: Readonly<Record<string, (values: number) => Promise<number>>> = {
  'rxjs mergeMap': (values) => sumOf(values, mergeMap(work, atOnce)),
  'rxjs mergeMap, no limit': (values) => sumOf(values, mergeMap(work)),
  'hive.mergeMap': hive({}),
  'hive.mergeMap, ordered, retry: 3': hive({ ordered: true, retry: 3 }),
  'hive.schedule': async (values) => {
    const one = controller({ concurrency: atOnce });
    const all = await Promise.all(Array.from({ length: values }, (_, i) => one.schedule(() => work(i))));
    return all.reduce((sum, value) => sum + value, 0);
  },
  'p-queue': async (values) => {
    const queue = new PQueue({ concurrency: atOnce });
    const all = await Promise.all(Array.from({ length: values }, (_, i) => queue.add(() => work(i))));
    return all.reduce((sum, value) => sum + value, 0);
  },
};

/** Us a value, the first runs left out: they are of code that has not been compiled yet. */
async function cell(name: string, values: number): Promise<number> {
  const run = ways[name];
  if (run === undefined) throw new Error(`no way ${name}`);
  const play = async (count: number): Promise<void> => {
    const sum = await run(count);
    if (sum !== (count * (count - 1)) / 2) throw new Error(`${name}: ${sum} is wrong`);
  };
  for (let i = 0; i < 20; i++) await play(500);
  const times: number[] = [];
  for (let i = values > 20_000 ? 3 : 9; i > 0; i--) {
    const before = process.cpuUsage();
    await play(values);
    const { user, system } = process.cpuUsage(before);
    times.push((user + system) / values);
  }
  return median(times);
}

const median = (list: number[]): number => list.sort((a, b) => a - b)[list.length >> 1] as number;

function compare(values: number, rounds: number): void {
  const times = new Map<string, number[]>();
  for (let round = 0; round < rounds; round++)
    for (const name of Object.keys(ways)) {
      const flags = ['--import', 'tsx', fileURLToPath(import.meta.url), '--cell', name, String(values)];
      const child = spawnSync(process.execPath, flags, { encoding: 'utf8' });
      if (child.status !== 0) throw new Error(child.stderr);
      times.set(name, [...(times.get(name) ?? []), Number(child.stdout)]);
    }
  const base = median(times.get('rxjs mergeMap') ?? []);
  console.log(`${values} values, ${atOnce} at once, us of processor time each (times rxjs; least and most):`);
  for (const [name, list] of times) {
    const us = median(list);
    const ratio = us / base;
    const verdict =
      name !== 'hive.mergeMap' ? '' : ratio <= goal ? `  met (goal ${goal}x)` : `  NOT MET (goal ${goal}x)`;
    const bounds = `${list[0]?.toFixed(2)} to ${list.at(-1)?.toFixed(2)}`;
    console.log(`${us.toFixed(2).padStart(8)} (${ratio.toFixed(1)}x; ${bounds})  ${name}${verdict}`);
  }
}

const given = process.argv.slice(2);
if (given[0] === '--cell') {
  console.log(await cell(given[1] ?? '', Number(given[2])));
  process.exit(0);
}
const rounds = given.includes('--rounds') ? Number(given[given.indexOf('--rounds') + 1]) : 5;
for (const values of sizes) compare(values, rounds);
