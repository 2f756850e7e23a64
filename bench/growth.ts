import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { shapes } from './shapes.js';

// What a task costs as there are more of them: processor time in us, each shape and size in a process of its own. Options:
// `--only TEXT` (shapes whose name has it), `--sizes 1000,10000`, `--json`.
const goal = 2;
/** Shapes that are not made for more. */
const largest: Readonly<Record<string, number>> = {};
const cellLimitMs = 60_000;

/** Medians need more runs where one is short. */
const runsFor = (n: number): number => (n <= 1_000 ? 15 : n <= 10_000 ? 7 : 3);

async function measure(name: string, n: number): Promise<number> {
  const shape = shapes[name];
  if (shape === undefined) throw new Error(`no shape ${name}`);
  const once = async (size: number): Promise<number> => {
    const work = await shape(size);
    const before = process.cpuUsage();
    await work();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / size;
  };
  // Code that is compiled later would be counted with small sizes only.
  for (let i = 0; i < 40; i++) await once(300);
  for (let i = 0; i < 3; i++) await once(1_000);
  const times: number[] = [];
  for (let i = runsFor(n); i > 0; i--) times.push(await once(n));
  return times.sort((a, b) => a - b)[times.length >> 1] as number;
}

function cell(name: string, n: number): number | undefined {
  const flags = ['--single-threaded-gc', '--max-old-space-size=12000', '--import', 'tsx'];
  const child = spawnSync(
    process.execPath,
    [...flags, fileURLToPath(import.meta.url), '--cell', name, String(n)],
    { encoding: 'utf8', timeout: cellLimitMs },
  );
  const us = Number(child.stdout?.trim().split('\n').at(-1));
  if (child.status !== 0 && process.env.SAY_WHY) console.error(child.stderr);
  return child.status === 0 && Number.isFinite(us) ? us : undefined;
}

function option(name: string): string | undefined {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : process.argv[at + 1];
}

function table(): void {
  const sizes = (option('--sizes') ?? '1000,10000,100000').split(',').map(Number);
  const only = option('--only') ?? '';
  const json = process.argv.includes('--json');
  const rows: { name: string; us: (number | undefined)[]; growth: number | undefined }[] = [];
  const say = (line: string): void => {
    if (!json) console.log(line);
  };
  say(`us of processor time a task, goal: grows at most ${goal} x\n`);
  say(`${''.padEnd(36)}${sizes.map((n) => String(n).padStart(9)).join('')}   growth`);
  for (const name of Object.keys(shapes).filter((one) => one.includes(only))) {
    const us = sizes.map((n) => (n <= (largest[name] ?? n) ? cell(name, n) : undefined));
    const [first, last] = [us[0], us.at(-1)];
    const growth = first === undefined || last === undefined ? undefined : last / first;
    rows.push({ name, us, growth });
    const texts = us.map((one) => (one === undefined ? '-' : one.toFixed(1)).padStart(9)).join('');
    const verdict = growth === undefined || growth > goal ? '  NOT MET' : '';
    say(`${name.padEnd(36)}${texts}${(growth?.toFixed(2) ?? '-').padStart(9)}${verdict}`);
  }
  const missed = rows.filter(({ growth }) => growth === undefined || growth > goal).length;
  say(`\n${missed === 0 ? 'met' : 'NOT MET'}: ${rows.length - missed} of ${rows.length} shapes`);
  if (json) console.log(JSON.stringify(rows));
}

const at = process.argv.indexOf('--cell');
if (at < 0) table();
else {
  console.log(await measure(process.argv[at + 1] ?? '', Number(process.argv[at + 2])));
  process.exit(0);
}
