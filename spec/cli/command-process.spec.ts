import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { interruptible } from '../../lib/cli/interrupt.js';
import { Output } from '../../lib/cli/output.js';
import type { Called } from '../support/called.js';
import { fromSources } from '../support/from-sources.js';

const folder = mkdtempSync(join(tmpdir(), 'rxhive-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

/** A module of one workflow that is called like its file. */
function flow(name: string, tasks: string): string {
  const file = join(folder, `${name}.mts`);
  writeFileSync(
    file,
    `import { workflow } from ${JSON.stringify(resolve('lib/index.ts'))};
const flow = workflow({ name: '${name}' });
${tasks}
export default flow;`,
  );
  return file;
}

const main = [...fromSources, 'lib/cli/main.ts'];

/** Starts the command, sends a signal as soon as stderr has `text`, and once more at `again`, and tells how it ended. */
function process_(
  words: readonly string[],
  text?: RegExp,
  signal?: NodeJS.Signals,
  again?: RegExp,
): Promise<Called> {
  const child = spawn(process.execPath, [...main, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].on('data', (chunk: Buffer) => {
      texts[name] += chunk;
      if (signal !== undefined && text?.test(texts.stderr) === true) {
        child.kill(signal);
        signal = undefined;
      } else if (again?.test(texts.stderr) === true) {
        // One that comes at once after the one it has told of would count as the same.
        setTimeout(() => child.kill('SIGINT'), 100);
        again = undefined;
      }
    });
  return new Promise((done) => child.once('close', (code) => done({ code: code ?? -1, ...texts })));
}

/** It never ends, and does not listen. */
const deaf = flow(
  'deaf',
  `const a = flow.task('a', { run: () => 1 });
flow.task('b', { dependencies: { a }, run: () => {
  console.log('printed by the module');
  return new Promise((end) => setTimeout(end, 1e9));
} });`,
);

test('Ctrl-C or SIGTERM cancels a run that cannot go on, or the second time: report, the call that resumes, and 130', async () => {
  const store = join(folder, 'deaf.db');
  const words = ['run', deaf, '--store', store, '--run', 'one'];
  const [plain, json] = await Promise.all([
    process_(words, /b running/, 'SIGINT', /draining/),
    process_([...words.slice(0, 2), '--json'], /printed by the module/, 'SIGTERM'),
  ]);
  assert.is(plain.code, 130, plain.stderr);
  assert.match(plain.stdout, /deaf: cancelled in .*\ntasks: 1 succeeded, 1 cancelled\nCancelled: .*Ctrl-C/);
  assert.match(plain.stderr, /rxhive: draining: nothing new begins, what runs may end; once more cancels\n/);
  assert.match(plain.stderr, /rxhive: cancelling; once more ends the process at once\n/);
  assert.ok(plain.stderr.endsWith(`to go on: rxhive resume ${store} --run one\n`), plain.stderr);
  assert.is(json.code, 130, json.stderr);
  assert.is(json.stdout.indexOf('\n'), json.stdout.length - 1);
  const { status, error } = JSON.parse(json.stdout);
  assert.is(status, 'cancelled');
  assert.match(error.message, 'SIGTERM');
});

test('the second one ends the process, but not one that npm has passed on', () => {
  const out = new Output(false, { stdout: { write: () => true }, stderr: { write: () => true } });
  const { exit } = process;
  const { now } = performance;
  const codes: unknown[] = [];
  let time = 0;
  let signal: AbortSignal | undefined;
  Object.assign(process, { exit: (code: unknown) => codes.push(code) });
  performance.now = () => time;
  try {
    const before = process.listenerCount('SIGINT');
    let end: (code: number) => void = () => undefined;
    interruptible(out, (interrupts) => {
      signal = interrupts.signal;
      return new Promise((done) => {
        end = done;
      });
    });
    process.emit('SIGINT');
    assert.is(signal?.aborted, true);
    time = 5;
    process.emit('SIGINT');
    assert.equal(codes, []);
    time = 500;
    process.emit('SIGTERM');
    assert.equal(codes, [130]);
    assert.is(process.listenerCount('SIGINT'), before + 1);
    end(0);
  } finally {
    Object.assign(process, { exit });
    performance.now = now;
  }
});

test('whatever a module does to the process: a code, one line, one document', async () => {
  const rows: [string, RegExp, RegExp][] = [
    ["flow.task('a', { run: () => new Promise(() => {}) });", /it stands still/, /nothing was left/],
    ["flow.task('a', { run: () => process.exit(0) });", /the module ended the process/, /ended the process/],
    [
      "flow.task('a', { run: () => new Promise(() => { setTimeout(() => { throw new TypeError('late'); }); }) });",
      /something that the module has started failed: late \(at .*rude2\.mts:\d+.*\)$/m,
      /started failed: late/,
    ],
  ];
  await Promise.all(
    rows.map(async ([tasks, line, document], i) => {
      const module = flow(`rude${i}`, tasks);
      const [plain, json] = await Promise.all([
        process_(['run', module, '--quiet']),
        process_(['run', module, '--quiet', '--json']),
      ]);
      assert.equal([plain.code, json.code], [1, 1], plain.stderr + json.stderr);
      assert.match(plain.stderr, line);
      assert.not.match(plain.stderr, /\n +at /);
      assert.is(json.stdout.indexOf('\n'), json.stdout.length - 1, json.stdout);
      assert.match(JSON.parse(json.stdout).error.message, document);
    }),
  );
});

test('a reader that leaves changes nothing', () => {
  const wide = flow('wide', "for (let i = 0; i < 5_000; i++) flow.task('task ' + i, { run: () => i });");
  const command = [process.execPath, ...main, 'graph', wide].join(' ');
  const { stdout, stderr } = spawnSync('bash', ['-c', `${command} | head -1; echo "\${PIPESTATUS[0]}"`], {
    encoding: 'utf8',
  });
  assert.equal([stdout, stderr], ['flowchart LR\n0\n', '']);
});

test('documents of any size arrive whole, and what a module keeps open does not keep the process', async () => {
  const wide = flow(
    'open',
    "setInterval(() => {}, 1e6); for (let i = 0; i < 5_000; i++) flow.task('task ' + i, { run: () => i });",
  );
  const { code, stdout, stderr } = await process_(['run', wide, '--quiet', '--json']);
  assert.is(code, 0, stderr);
  assert.is(JSON.parse(stdout).tasks.length, 5_000);
  assert.match(stderr, 'the module keeps the process open');
});

test.run();
