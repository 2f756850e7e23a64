import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dataSets } from '../examples/support/data-sets.js';

/** Runs a file as a user would; resolves with its output. */
function run(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((done) => {
    const child = spawn(process.execPath, ['--import', 'tsx', ...args]);
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

test('data-processing is faster than one at a time and tells the truth', async () => {
  const { code, out } = await run('examples/data-processing.ts');
  assert.is(code, 0);
  assert.ok(Number(/([\d.]+) times faster/.exec(out)?.[1]) > 1.5, out.slice(-300));
  assert.match(out, /critical path, \d+ ms running: process_/);
  assert.match(out, /process_sp500 +succeeded +2 /);
  assert.match(out, /200 ms latency/);
  const summary = readFileSync('examples/output/executive-summary.md', 'utf8');
  for (const { name } of dataSets) assert.match(summary, `## ${name}\n`);
  assert.match(summary, '406 rows, 9 columns');
  assert.match(summary, 'CO2 rises by 1.577 ppm a year');
});

test('dynamic-plan makes its steps at run time', async () => {
  const { code, out } = await run('examples/dynamic-plan.ts');
  assert.is(code, 0);
  for (const step of [0, 1, 7]) assert.match(out, `execute_step_${step}`);
  assert.match(out, 'status: succeeded');
});

test('the short examples run', async () => {
  const first = await run('examples/first-workflow.ts');
  assert.is(first.code, 0);
  assert.match(first.out, 'skipped "history" because of archive');
  const streaming = await run('examples/streaming.ts');
  assert.match(streaming.out, 'words so far: 1\n');
  assert.match(streaming.out, 'title: a hive holds... (7 words)');
  assert.match(streaming.out, 'words in all: 10');
});

test('adaptive finds what the provider takes', async () => {
  const { out, err } = await run('examples/adaptive.ts');
  assert.match(out, /succeeded: 500 calls in \d+ ms, \d+ refused/, err);
});

test('rate-limits keeps to what the provider allows', async () => {
  const { out, err } = await run('examples/rate-limits.ts');
  assert.match(out, 'succeeded: 128 calls', err);
  const [, requests, refused] = /saw (\d+) requests, refused (\d+)/.exec(out) ?? [];
  assert.is(Number(requests) - Number(refused), 128);
});

test('cpu-heavy computes in a thread and with breath', async () => {
  const { out, err } = await run('examples/cpu-heavy.ts');
  assert.match(out, 'primes below 150000: 13848 in a thread, 13848 with breath', err);
});

test('fallback hands over when a breaker opens and a budget is spent', async () => {
  const { code, out } = await run('examples/fallback.ts');
  assert.is(code, 0);
  assert.match(out, 'breaker of large: open');
  assert.match(out, 'budget of medium: exhausted at 0.0144');
  assert.match(out, 'succeeded: 6 drafts by medium, 2 by small');
  assert.match(out, 'nearest mirror: 15 ms');
});

test('resume kills itself and goes on', async () => {
  const { out, err } = await run('examples/resume.ts');
  assert.match(out, 'killed by SIGKILL', err);
  assert.match(out, 'call_1 restored');
  assert.is(out.split('plan is called').length, 2);
  assert.match(out, 'succeeded: answer 1, answer 2, answer 3, answer 4; paid for 4 calls');
});

test('approval exits while people think, and goes on', async () => {
  const { out, err } = await run('examples/approval.ts');
  assert.match(out, 'open: editor?1 May we print this?', err);
  assert.match(out, 'does not fit its schema at ok');
  assert.match(out, 'succeeded: printed');
  assert.is(out.split('draft is written').length, 2);
});

test('debate: two agents argue one after the other, a judge asks both', async () => {
  const { out, err } = await run('examples/debate.ts');
  const lines = out.trim().split('\n');
  assert.equal(
    lines.slice(0, 7).map((line) => line.split(' says')[0]),
    ['pro', 'con', 'pro', 'con', 'pro', 'con', 'pro'],
    err,
  );
  assert.equal(lines.slice(7), [
    'judge asks @pro: The best point of the other side?',
    'pro replies: Labels do not feed wild bees.',
    'judge asks @con: The best point of the other side?',
    'con replies: Roofs are warm, and free of pesticides.',
    'succeeded: 7 claims; pro gives in to: Labels do not feed wild bees.',
  ]);
});

test('commands speak lines of JSON, and one that hangs is ended', async () => {
  const { out, err } = await run('examples/commands.ts');
  for (const topic of ['bees', 'hives'])
    assert.match(out, new RegExp(`${topic}, thought 3[^]*${topic}: thought through`), err);
  assert.match(out, 'Task "stuck" timed out');
  assert.match(out, '24 tokens');
});

test('the command runs and draws a module, and refuses wrong calls', async () => {
  const ran = await run('lib/cli/main.ts', 'run', 'examples/graph.ts');
  assert.is(ran.code, 0, ran.err);
  assert.match(ran.out, 'review: succeeded');
  const json = await run('lib/cli/main.ts', 'run', 'examples/graph.ts', '--json');
  assert.is(JSON.parse(json.out).status, 'succeeded');
  const mermaid = await run('lib/cli/main.ts', 'graph', 'examples/graph.ts');
  assert.match(mermaid.out, /^flowchart LR\n/);
  assert.match(mermaid.out, '-. settled .->');
  const dot = await run('lib/cli/main.ts', 'graph', 'examples/graph.ts', '--format', 'dot');
  assert.match(dot.out, /^digraph workflow \{/);
  for (const wrong of [
    [],
    ['fly'],
    ['run'],
    ['run', 'nowhere.ts'],
    ['graph', 'examples/graph.ts', '--format', 'png'],
    ['--what'],
  ]) {
    const { code, err, out } = await run('lib/cli/main.ts', ...wrong);
    assert.is(code, 2, wrong.join(' '));
    assert.is(err.trim().split('\n').length, 1, err);
    assert.is(out, '');
  }
});

test.run();
