import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

// `npm run bench -- NAME [options]`: builds the library, installs what the benchmark compares it with, and runs it.

/** A benchmark: files that run one after the other in a folder, and what has to be there before. */
interface Benchmark {
  readonly files: readonly (readonly string[])[];
  readonly folder: string;
  /** Gets the packages it needs beside those of the library. */
  readonly prepare?: () => void;
}

const call = ([command = '', ...given]: readonly string[], folder = '.'): void => {
  const { status } = spawnSync(command, given, { cwd: folder, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
};
const install = (folder: string) => (): void => {
  if (!existsSync(`${folder}/node_modules`))
    call(['npm', 'ci', '--silent', '--no-audit', '--no-fund'], folder);
};
const peers = (...files: (readonly string[])[]): Benchmark => ({
  files,
  folder: 'bench',
  prepare: install('bench'),
});
const adapters = (file: string): Benchmark => ({
  files: [[`adapters-spec/${file}`]],
  folder: '.',
  prepare: () => call(['npm', 'run', '--silent', 'adapters']),
});

const benchmarks: Readonly<Record<string, Benchmark>> = {
  engine: peers(['engine.ts']),
  growth: { files: [['growth.ts']], folder: 'bench' },
  observe: peers(['--expose-gc', 'observe.ts']),
  memory: peers(['memory.ts'], ['--max-old-space-size=1024', 'large.ts']),
  state: peers(['state.ts']),
  streams: peers(['streams.ts'], ['stages.ts']),
  messages: peers(['messages.ts']),
  limits: peers(['limits.ts']),
  adaptive: peers(['adaptive.ts']),
  'shared-limits': { files: [['shared-limits.ts']], folder: 'bench' },
  distributed: { files: [['distributed/main.ts']], folder: 'bench' },
  timers: peers(['timers.ts']),
  walks: peers(['walks.ts']),
  checkpoint: { files: [['checkpoint.ts']], folder: 'bench/stores', prepare: install('bench/stores') },
  mcp: adapters('mcp-calls.ts'),
  beeai: adapters('fifty.ts'),
};

const [name = '', ...options] = process.argv.slice(2);
const benchmark = benchmarks[name];
if (benchmark === undefined) {
  console.error(`Which one? npm run bench -- NAME, with NAME one of ${Object.keys(benchmarks).join(', ')}.`);
  process.exit(2);
}
call(['npm', 'run', '--silent', 'build']);
benchmark.prepare?.();
for (const file of benchmark.files)
  call([process.execPath, '--import', 'tsx', ...file, ...options], benchmark.folder);
