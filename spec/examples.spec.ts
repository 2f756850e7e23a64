import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dataSets } from '../examples/support/data-sets.js';
import { fromSources } from './support/from-sources.js';

/** Runs a file as a user would; resolves with its output. */
function run(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((done) => {
    const child = spawn(process.execPath, [...fromSources, ...args]);
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk;
    });
    child.stderr.on('data', (chunk: Buffer) => {
      err += chunk;
    });
    child.on('close', (code) => done({ code, out, err }));
  });
}

const examples = readdirSync('examples').filter((name) => name.endsWith('.ts'));
const outputs: Record<string, string> = {};

/** A text as an expression: `<n>` is any number, a line `...` any lines, `...` at its end any rest; leading blanks do not count. */
function pattern(expected: string): RegExp {
  const lines = expected.trimEnd().split('\n');
  const texts = lines.map((line) =>
    line === '...'
      ? '(?:.*\\n)*?'
      : `[ ]*${line
          .trimStart()
          .replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
          .replace(/(\\\.){3}$/, '.*')
          .replaceAll('<n>', ' *[\\d.,]+')}\\n`,
  );
  return new RegExp(`^${texts.join('')}$`);
}

test('examples are numbered in the order of learning, and short', () => {
  for (const [i, name] of examples.entries()) {
    assert.ok(name.startsWith(`${String(i + 1).padStart(2, '0')}-`), name);
    assert.ok(readFileSync(`examples/${name}`, 'utf8').split('\n').length <= 60, `${name} is long`);
  }
});

const hasRedis = spawnSync('redis-server', ['--version']).error === undefined;
if (!hasRedis) console.log('skipped: no redis-server for examples/22-many-machines.ts');

/** The first draws a picture, 16 is for the command, 17 and 18 need packages of others, and 22 a Redis. */
for (const name of examples.filter(
  (name) => !/^(01|16|17|18)-/.test(name) && (hasRedis || !/^22-/.test(name)),
))
  test(`${name} prints what examples/expected shows`, async () => {
    const { code, out, err } = await run(`examples/${name}`);
    assert.is(code, 0, err);
    outputs[name] = out;
    const expected = readFileSync(`examples/expected/${name.replace('.ts', '.txt')}`, 'utf8');
    assert.ok(pattern(expected).test(out), `${expected}\nis expected, and this was printed:\n\n${out}${err}`);
  });

test('the first example draws the picture of the README, and stands in it', async () => {
  const { out } = await run('examples/01-first-workflow.ts');
  const file = 'docs/marbles/first-workflow.svg';
  assert.is(
    out.trimEnd(),
    readFileSync(file, 'utf8').trimEnd(),
    `npx tsx examples/01-first-workflow.ts > ${file}`,
  );
  const [, ...program] = readFileSync('examples/01-first-workflow.ts', 'utf8').split('\n');
  const shown = program
    .join('\n')
    .replace('../lib/index.js', 'rxhive')
    .replace('../lib/testing/index.js', 'rxhive/testing');
  assert.ok(readFileSync('README.md', 'utf8').includes(shown));
});

test('parallel work is faster, and its summary is of all data', () => {
  const out = outputs['05-data-processing.ts'] ?? '';
  assert.ok(Number(/([\d.]+) times faster/.exec(out)?.[1]) > 1.5, out.slice(-300));
  const summary = readFileSync('examples/output/executive-summary.md', 'utf8');
  for (const { name } of dataSets) assert.match(summary, `## ${name}\n`);
});

test('every call that a provider refused was made again', () => {
  const [, requests, refused] =
    /saw (\d+) requests, refused (\d+)/.exec(outputs['08-rate-limits.ts'] ?? '') ?? [];
  assert.is(Number(requests) - Number(refused), 128);
});

test('commands speak in order', () => {
  for (const topic of ['bees', 'hives'])
    assert.match(
      outputs['15-commands.ts'] ?? '',
      new RegExp(`${topic}, thought 1[^]*${topic}, thought 3[^]*${topic}: thought through`),
    );
});

test('the command runs and draws a module, and refuses wrong calls', async () => {
  const ran = await run('lib/cli/main.ts', 'run', 'examples/16-graph.ts');
  assert.is(ran.code, 0, ran.err);
  assert.match(ran.out, 'review: succeeded');
  const json = await run('lib/cli/main.ts', 'run', 'examples/16-graph.ts', '--json');
  assert.is(JSON.parse(json.out).status, 'succeeded');
  const mermaid = await run('lib/cli/main.ts', 'graph', 'examples/16-graph.ts');
  assert.match(mermaid.out, /^flowchart LR\n/);
  assert.match(mermaid.out, '-. settled .->');
  const dot = await run('lib/cli/main.ts', 'graph', 'examples/16-graph.ts', '--format', 'dot');
  assert.match(dot.out, /^digraph workflow \{/);
  for (const wrong of [
    [],
    ['fly'],
    ['run'],
    ['run', 'nowhere.ts'],
    ['graph', 'examples/16-graph.ts', '--format', 'png'],
    ['--what'],
  ]) {
    const { code, err, out } = await run('lib/cli/main.ts', ...wrong);
    assert.is(code, 2, wrong.join(' '));
    assert.is(err.trim().split('\n').length, 1, err);
    assert.is(out, '');
  }
});

test.run();
