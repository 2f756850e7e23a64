import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { workflow } from '../dist/index.js';

// Three stages of `flow.each`, and the same with a barrier between them: each waits for the whole list of the one before.
// First many items that cost nothing, for memory and processor time; then few that take their time, beside the slowest stage alone.
const given = process.argv.slice(2);
const many = given.includes('--items') ? Number(given[given.indexOf('--items') + 1]) : 1_000_000;
const mostMemory = 250;
const mostTime = 1.05;
/** Ms of an item in each stage, and how many at once; the middle one is the slowest. */
const times = [8, 20, 4];
const atOnce = [10, 10, 10];
const few = 2_000;

type Work = (place: number) => Promise<void>;

function* upTo(n: number): Generator<number> {
  for (let i = 0; i < n; i++) yield i;
}

const groups = Object.fromEntries(atOnce.map((concurrency, i) => [`g${i}`, { concurrency }]));
const step = (work: Work, place: number) => async (n: number) => {
  await work(place);
  return n + 1;
};
const sum = { seed: 0, step: (all: number, n: number) => all + n };

async function stages(items: number, work: Work): Promise<number | undefined> {
  const flow = workflow({ name: 'stages', groups });
  const a = flow.each('a', { from: () => upTo(items), group: 'g0', run: step(work, 0) });
  const b = flow.each('b', { from: a, group: 'g1', run: step(work, 1) });
  const c = flow.each('c', { from: b, group: 'g2', run: step(work, 2), scan: sum });
  return (await flow.run().result()).results.get(c)?.reduced;
}

async function barriers(items: number, work: Work): Promise<number | undefined> {
  const flow = workflow({ name: 'barriers', groups });
  const a = flow.each('a', { from: () => upTo(items), group: 'g0', keep: true, run: step(work, 0) });
  const b = flow.each('b', {
    dependencies: { a },
    from: ({ a }) => a.values as readonly number[],
    group: 'g1',
    keep: true,
    run: step(work, 1),
  });
  const c = flow.each('c', {
    dependencies: { b },
    from: ({ b }) => b.values as readonly number[],
    group: 'g2',
    run: step(work, 2),
    scan: sum,
  });
  return (await flow.run().result()).results.get(c)?.reduced;
}

/** One stage with so many items. */
async function alone(items: number, work: Work, place: number): Promise<void> {
  const flow = workflow({ name: 'alone', groups });
  flow.each('only', { from: () => upTo(items), group: `g${place}`, run: step(work, place) });
  await flow.run().result();
}

async function cell(name: string, kind: string): Promise<void> {
  const items = kind === 'many' ? many : few;
  const work: Work = kind === 'many' ? async () => undefined : (place) => pause(times[place]);
  const begun = performance.now();
  const { user, system } = process.cpuUsage();
  if (name === 'alone') await alone(items, work, 1);
  else {
    const reduced = await (name === 'stages' ? stages : barriers)(items, work);
    const due = (items * (items - 1)) / 2 + 3 * items;
    if (reduced !== due) throw new Error(`${name}: ${reduced} instead of ${due}`);
  }
  const ms = performance.now() - begun;
  const spent = process.cpuUsage();
  const us = (spent.user + spent.system - user - system) / items;
  const peak = Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024;
  console.log(JSON.stringify({ ms, us, peak }));
}

function measure(name: string, kind: string): { ms: number; us: number; peak: number } {
  const flags = [
    '--import',
    'tsx',
    fileURLToPath(import.meta.url),
    '--cell',
    name,
    kind,
    '--items',
    String(many),
  ];
  const child = spawnSync(process.execPath, flags, { encoding: 'utf8' });
  if (child.status !== 0) throw new Error(child.stderr);
  return JSON.parse(child.stdout) as { ms: number; us: number; peak: number };
}

const at = given.indexOf('--cell');
if (at >= 0) {
  await cell(given[at + 1] ?? '', given[at + 2] ?? '');
  process.exit(0);
}
console.log(`${many} items through three stages, each item done at once:`);
for (const name of ['stages', 'barriers']) {
  const { ms, us, peak } = measure(name, 'many');
  const met = peak < mostMemory ? 'met' : 'NOT MET';
  const verdict = name === 'stages' ? `  ${met} (goal ${mostMemory} MiB)` : '';
  console.log(
    `${(ms / 1000).toFixed(1).padStart(7)} s, ${us.toFixed(1)} us of processor time an item, peak ${peak.toFixed(0)} MiB  ${name}${verdict}`,
  );
}
console.log(`${few} items of ${times.join(', ')} ms, ${atOnce[0]} at once in each stage:`);
const slowest = measure('alone', 'few').ms;
console.log(`${(slowest / 1000).toFixed(2).padStart(7)} s  the slowest stage alone`);
for (const name of ['stages', 'barriers']) {
  const { ms } = measure(name, 'few');
  const ratio = ms / slowest;
  const verdict = name === 'stages' ? (ratio <= mostTime ? '  met' : '  NOT MET') : '';
  const goal = name === 'stages' ? ` (goal ${mostTime}x)` : '';
  console.log(`${(ms / 1000).toFixed(2).padStart(7)} s  ${name}, ${ratio.toFixed(3)}x${verdict}${goal}`);
}
