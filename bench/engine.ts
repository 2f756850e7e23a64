import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

// rxhive against its peers in one run: us of processor time and bytes per task, ratios to a hand-written floor, makespans.
// Engines in turns, each time in a process of its own; medians of `--rounds` (3; 9 for the record). Builds differ that much.
const json = process.argv.includes('--json');
const quick = process.argv.includes('--quick');
const only = process.argv[process.argv.indexOf('--only') + 1];
const chosen = process.argv.includes('--only') ? (only ?? '') : '';
const rounds = Number(
  process.argv.includes('--rounds') ? process.argv[process.argv.indexOf('--rounds') + 1] : 3,
);
const cellLimitMs = 60_000;
const say = (line: string): void => {
  if (!json) console.log(line);
};

if (!existsSync(new URL('../dist/index.js', import.meta.url))) {
  spawnSync('npm', ['run', 'build'], { cwd: new URL('..', import.meta.url), stdio: 'ignore' });
}

function cell(kind: string, name: string, shape: string, n: number): Record<string, number> {
  const flags = ['--import', 'tsx', '--expose-gc', '--stack-size=3900', '--max-old-space-size=12000'];
  const options = { cwd: new URL('.', import.meta.url), encoding: 'utf8', timeout: cellLimitMs } as const;
  const child = spawnSync(process.execPath, [...flags, 'cell.ts', kind, name, shape, String(n)], options);
  const line = child.stdout?.trim().split('\n').at(-1) ?? '';
  return child.status === 0 && line.startsWith('{') ? JSON.parse(line) : {};
}

const names = [
  'floor',
  'lean',
  'rxhive',
  'rxhive, everything',
  'p-limit',
  'fastq',
  'p-queue',
  'p-graph',
  'async.auto',
  'Effect',
  'LangGraph',
];
const engines = names.filter((name) => name === 'floor' || name.includes(chosen));
const sizes = quick ? [1_000, 10_000] : [1_000, 10_000, 100_000, 1_000_000];
const shapes = ['fan', 'layered', 'chain'];
/** Peers run up to 100,000; those that need minutes or more memory than there is, less. */
const largest: Record<string, number> = {
  floor: 1e6,
  lean: 1e6,
  rxhive: 1e6,
  'async.auto': 1e4,
  Effect: 1e4,
  LangGraph: 1e3,
};

const us: Record<string, number | undefined> = {};
for (const shape of shapes) {
  say(`\n${shape}, us per task (times the floor)`);
  say(`${''.padEnd(20)}${sizes.map((n) => String(n).padStart(18)).join('')}`);
  const rows = new Map<string, string>(engines.map((name) => [name, name.padEnd(20)]));
  for (const n of sizes) {
    const times: Record<string, number[]> = {};
    for (let round = 0; round < (n > 200_000 ? 1 : rounds); round++)
      for (const name of engines) {
        const time = n > (largest[name] ?? 100_000) ? undefined : cell('speed', name, shape, n).us;
        if (time !== undefined) times[name] = [...(times[name] ?? []), time];
      }
    for (const name of engines) {
      const time = times[name]?.sort((a, b) => a - b)[(times[name]?.length ?? 0) >> 1];
      us[`${name} ${shape} ${n}`] = time;
      const base = us[`floor ${shape} ${n}`];
      const text =
        time === undefined ? '-' : `${time.toFixed(2)} (${(time / (base ?? Number.NaN)).toFixed(1)}x)`;
      rows.set(name, `${rows.get(name)}${text.padStart(18)}`);
    }
  }
  for (const row of rows.values()) say(row);
}

const bytes = cell('memory', 'rxhive', 'layered', quick ? 10_000 : 100_000).bytes ?? Number.NaN;
say(`\nbytes per waiting task, rxhive: ${bytes.toFixed(0)}`);

const phases: Record<string, number | undefined> = {};
say('\ntwo chains, steps of 20 and 200 ms in opposite phase, time over critical path');
for (const name of ['rxhive', 'LangGraph'].filter((one) => one.includes(chosen))) {
  phases[name] = cell('phases', name, '', 0).ratio;
  say(`${name.padEnd(20)}${phases[name]?.toFixed(3) ?? '-'}`);
}

const makespans: Record<string, number> = {};
const seeds = quick ? [1, 2] : [1, 2, 3, 4, 5, 6];
say('\nuneven graphs of 200 tasks, 8 at once, time over the lower bound (mean)');
for (const name of engines.filter((one) => one !== 'rxhive, everything' && one !== 'LangGraph')) {
  const ratios = seeds.map((seed) => cell('makespan', name, '', seed).ratio ?? Number.NaN);
  makespans[name] = ratios.reduce((sum, one) => sum + one, 0) / ratios.length;
  say(`${name.padEnd(20)}${makespans[name]?.toFixed(3)}`);
}

const verdicts: { goal: string; got: number; met: boolean }[] = [];
function judge(goal: string, got: number, most: number): void {
  if (Number.isNaN(got)) return;
  verdicts.push({ goal, got, met: got <= most });
}
const time = (name: string, shape: string, n: number): number => us[`${name} ${shape} ${n}`] ?? Number.NaN;
for (const shape of shapes)
  judge(`${shape} 100k: at most 25 us per task`, time('rxhive', shape, 100_000), 25);
judge('at most 700 bytes per waiting task', bytes, 700);
for (const shape of shapes) {
  judge(
    `${shape}: 1M at most 2.5 x 100k`,
    time('rxhive', shape, 1_000_000) / time('rxhive', shape, 100_000),
    2.5,
  );
}
for (const shape of ['layered', 'fan']) {
  for (const n of [10_000, 100_000]) {
    const [plain, all] = n === 10_000 ? [3, 6] : [2.5, 5];
    const ratio = (name: string): number => time(name, shape, n) / time('floor', shape, n);
    judge(`plain, ${shape} ${n}: at most ${plain} x the floor`, ratio('rxhive'), plain);
    judge(`everything, ${shape} ${n}: at most ${all} x the floor`, ratio('rxhive, everything'), all);
    if (shape === 'layered')
      judge(`plain, layered ${n}: below p-limit`, time('rxhive', shape, n) / time('p-limit', shape, n), 1);
  }
}
for (const shape of shapes) {
  judge(
    `${shape} 1k: at most 1 % of LangGraph`,
    (100 * time('rxhive', shape, 1_000)) / time('LangGraph', shape, 1_000),
    1,
  );
}
judge('opposite phases: at most 1.05 x the critical path', phases.rxhive ?? Number.NaN, 1.05);
judge('uneven graphs: at most 1.04 x the bound', makespans.rxhive ?? Number.NaN, 1.04);
say('');
for (const { goal, got, met } of verdicts) say(`${met ? 'met    ' : 'NOT MET'}  ${goal}: ${got.toFixed(2)}`);
if (json) console.log(JSON.stringify({ us, bytes, phases, makespans, verdicts }));
