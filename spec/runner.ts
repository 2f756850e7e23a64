import { spawn } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fromSources } from './support/from-sources.js';

const killAfterMs = 240_000;

interface FileResult {
  readonly passed: number;
  readonly failed: number;
}

/** Files of many seconds: the first to start, so that none runs alone at the end. */
const longest = [
  'documentation',
  'commit/recovery',
  'testing/explore',
  'cli/stored',
  'executors/bullmq',
  'cli/command-process',
  'suspend-resume',
  'stores/crash',
  'adapters/adapters',
  'spec/examples',
];

/** Spec files under a folder, in order of name. */
function filesUnder(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const all = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return all
    .filter((name) => /\.(spec|marble)\.ts$/.test(name) && !name.includes('node_modules'))
    .sort()
    .map((name) => join(folder, name));
}

/** Runs one file in its own process; a file that executed no test has failed, but where it says what it has skipped. */
function runFile(file: string): Promise<FileResult> {
  return new Promise((done) => {
    const begun = Date.now();
    const child = spawn(process.execPath, [...fromSources, file], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let killed = false;
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk;
    });
    child.stderr.on('data', (chunk: Buffer) => {
      output += chunk;
    });
    const timer = setTimeout(() => {
      killed = true;
      child.kill('SIGKILL');
      // A process that it leaves behind may hold them open.
      child.stdout.destroy();
      child.stderr.destroy();
    }, killAfterMs);
    child.on('close', (code) => {
      clearTimeout(timer);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: colour codes begin with one
      const plain = output.replaceAll(/\u001b\[[0-9;]*m/g, '');
      const sum = (word: string): number =>
        [...plain.matchAll(new RegExp(`^\\s*${word}:\\s+(\\d+)`, 'gm'))].reduce(
          (n, m) => n + Number(m[1]),
          0,
        );
      const total = sum('Total');
      const passed = sum('Passed');
      const skipped = sum('Skipped');
      const problem = killed
        ? `killed after ${killAfterMs} ms`
        : total === 0 && !/^skipped:/m.test(plain)
          ? 'ran no test'
          : code !== 0
            ? `exit code ${code}`
            : passed === total
              ? ''
              : // uvu swallows an error that it cannot print, such as ours with `details` that are no text.
                `${passed} of ${total} passed, then it ended; catch and print what test ${passed + 1} throws`;
      const failed = problem === '' ? 0 : Math.max(1, total - passed - skipped);
      const seconds = ((Date.now() - begun) / 1000).toFixed(1);
      console.log(
        problem === ''
          ? `ok   ${file}  ${passed} passed  ${seconds} s`
          : `FAIL ${file}  ${problem}  ${seconds} s\n${plain}`,
      );
      if (problem === '')
        for (const line of plain.split('\n')) if (line.startsWith('skipped:')) console.log(`     ${line}`);
      done({ passed, failed });
    });
  });
}

// `npm test -- NAME ...` runs the files whose path contains one of the names. A name of a folder says where to look.
const given = process.argv.slice(2);
const folders = given.filter((name) => existsSync(name));
const names = given.filter((name) => !folders.includes(name));
const files = (folders.length === 0 ? ['spec', 'marbles'] : folders)
  .flatMap(filesUnder)
  .filter((file) => names.length === 0 || names.some((name) => file.includes(name)));
const rank = (file: string): number => {
  const found = longest.findIndex((name) => file.includes(name));
  return found < 0 ? longest.length : found;
};
files.sort((a, b) => rank(a) - rank(b));
// What the loader keeps; nobody knows what of it is still in use, and it is soon made again.
const kept = 'node_modules/.cache/rxhive-spec';
const oldest = Date.now() - 7 * 86_400_000;
for (const name of existsSync(kept) ? readdirSync(kept) : []) {
  const path = join(kept, name);
  if ((statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0) < oldest) rmSync(path, { force: true });
}
if (files.length === 0) console.log(`no spec file has ${names.join(' or ')} in its path`);
let passed = 0;
let failed = files.length === 0 ? 1 : 0;
async function worker(): Promise<void> {
  for (let file = files.shift(); file !== undefined; file = files.shift()) {
    const result = await runFile(file);
    passed += result.passed;
    failed += result.failed;
  }
}
// One more than there are cores: there is always a file that waits for a server or a timer.
await Promise.all(Array.from({ length: 1 + Math.max(2, availableParallelism()) }, worker));
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
