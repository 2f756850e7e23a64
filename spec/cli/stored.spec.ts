import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { workflow } from '../../lib/index.js';
import type { StoredRun } from '../../lib/model/store.js';
import { SqliteStore } from '../../lib/stores/sqlite.js';
import { called } from '../support/called.js';
import { fromSources } from '../support/from-sources.js';

const folder = mkdtempSync(join(tmpdir(), 'rxhive-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const args = (words: readonly string[]): string[] => [...fromSources, 'lib/cli/main.ts', ...words];

function command(...words: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, args(words), { encoding: 'utf8', timeout: 60_000 });
}

/** A module whose tasks note that they ran. */
function moduleOf(name: string, tasks: string): { module: string; ran: () => string[] } {
  const [module, notes] = [join(folder, `${name}.mts`), join(folder, `${name}.txt`)];
  writeFileSync(notes, '');
  writeFileSync(
    module,
    `import { appendFileSync } from 'node:fs';
import { AgentTask, WorkflowOrchestrator, workflow } from ${JSON.stringify(resolve('lib/index.js').replace(/js$/, 'ts'))};
const note = (id: string) => appendFileSync(${JSON.stringify(notes)}, id + '\\n');
${tasks}`,
  );
  return { module, ran: () => readFileSync(notes, 'utf8').split('\n').filter(Boolean) };
}

const chain = `const flow = workflow({ name: 'chain', state: { sum: 0 }, groups: { llm: { concurrency: 1 } } });
const first = flow.task('first', { run: (_, ctx) => { note('first'); ctx.update((s) => { s.sum += 1; }); return 1; } });
const second = flow.task('second', { group: 'llm', dependencies: { first }, run: (_, ctx) => {
  note('second');
  if (process.env.HOLD === '1') { console.error('holding'); setInterval(() => {}, 1_000); return new Promise<number>(() => {}); }
  if (process.env.BROKEN === '1') throw new Error('no');
  return ctx.read((s) => s.sum) + 1;
} });
flow.task('third', { dependencies: { second }, run: ({ second }) => { note('third'); return second + 1; } });
export default flow;`;

test('resume goes on where a killed process was: what had finished does not run again', async () => {
  const { module, ran } = moduleOf('killed', chain);
  const store = join(folder, 'killed.db');
  const child = spawn(process.execPath, args(['run', module, '--store', store, '--run', 'one', '--quiet']), {
    env: { ...process.env, HOLD: '1' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  await new Promise<void>((done) => {
    let text = '';
    child.stderr.on('data', (chunk: Buffer) => {
      text += chunk;
      if (text.includes('holding')) done();
    });
  });
  const flow = workflow({ name: 'chain', state: { sum: 0 } });
  const isWritten = async (): Promise<boolean> => (await flow.history(store, 'one')).last >= 2;
  while (!(await isWritten())) await new Promise((done) => setTimeout(done, 20));
  child.kill('SIGKILL');
  await new Promise((done) => child.once('exit', done));
  const { status, stdout, stderr } = command('resume', store, '--json', '--quiet');
  assert.is(status, 0, stderr);
  assert.is(JSON.parse(stdout).status, 'succeeded');
  assert.equal(ran(), ['first', 'second', 'second', 'third']);
});

test('failed tasks run again when asked; a fork begins at a record, with another state and limit', async () => {
  const { module, ran } = moduleOf('forked', chain);
  const store = join(folder, 'forked.db');
  process.env.BROKEN = '1';
  assert.is(command('run', module, '--store', store, '--run', 'one', '--quiet').status, 1);
  assert.is(command('resume', store, '--quiet').status, 1);
  delete process.env.BROKEN;
  assert.equal(ran(), ['first', 'second']);
  assert.is(command('resume', store, '--retry-failed', '--quiet').status, 0);
  assert.equal(ran(), ['first', 'second', 'second', 'third']);
  const words = ['--at', '2', '--state', '{"sum":10}', '--set', 'llm.concurrency=2', '--quiet', '--json'];
  const { status, stdout, stderr } = command('fork', store, ...words);
  assert.is(status, 0, stderr);
  assert.match(stderr, 'run one-fork-1, a fork of one');
  assert.equal(
    JSON.parse(stdout).tasks.map((task: { status: string }) => task.status),
    ['restored', 'succeeded', 'succeeded'],
  );
  const past = await workflow({ name: 'chain', state: { sum: 0 } }).history(store, 'one-fork-1');
  const { state, results } = past.snapshotAt(past.last);
  assert.equal([state.sum, results.get('second'), results.get('third')], [10, 11, 12]);
  assert.is(command('resume', store, '--run', 'one-fork-1', '--quiet').status, 0);
});

test('orchestrators go on too', () => {
  const { module, ran } = moduleOf(
    'agents',
    `const orchestrator = new WorkflowOrchestrator({ agents: { step: (task) => {
  note(task.id);
  if (task.id === 'b' && process.env.BROKEN === '1') throw new Error('no');
  return task.id;
} } });
orchestrator.addTask(new AgentTask({ id: 'a', agentType: 'step' }));
orchestrator.addTask(new AgentTask({ id: 'b', agentType: 'step', dependencies: ['a'] }));
export default orchestrator;`,
  );
  const store = join(folder, 'agents.db');
  process.env.BROKEN = '1';
  assert.is(command('run', module, '--store', store, '--quiet').status, 1);
  delete process.env.BROKEN;
  const { status, stderr } = command('resume', store, '--retry-failed', '--quiet');
  assert.is(status, 0, stderr);
  assert.equal(ran(), ['a', 'b', 'b']);
  const refused = command('fork', store, '--quiet');
  assert.is(refused.status, 2);
  assert.match(refused.stderr, 'only runs of workflows can be forked');
});

test('a wrong call is one clear line, and makes no file', async () => {
  const { module } = moduleOf('wrong', chain);
  const [store, log] = [join(folder, 'wrong.db'), join(folder, 'wrong.jsonl')];
  assert.is(command('run', module, '--store', store, '--log', log, '--run', 'one', '--quiet').status, 0);
  const wrong: [string[], RegExp][] = [
    [['resume'], /give the store/],
    [['resume', join(folder, 'none.db')], /there is no .*none\.db/],
    [['resume', log], /is no store of checkpoints; rxhive run MODULE --store FILE keeps one/],
    [['resume', store, '--run', 'two'], /there is no run "two" in the store; the newest are "one"/],
    [['resume', store, '--module', 'nothing.ts'], /cannot load nothing\.ts/],
    [['fork', store, '--at', 'x'], /--at x: give a whole number from 1/],
    [['fork', store, '--state', '{'], /--state is no JSON/],
    [['fork', store, '--set', 'a.priority=3'], /a fork can have other limits only/],
    [['run', module, '--run', 'x'], /give --store too/],
    [['run', module, '--tag', 'a=b'], /--tag is kept with a run of a store; give --store too/],
    [['run', module, '--store', join(folder, 'new.db'), '--tag', 'a'], /--tag a: give a name and a value/],
    [['run', module, '--store', join(folder, 'new.db'), '--run', ''], /--run needs a value/],
    [['fork', store, '--as', ' '], /--as needs a value/],
    [['resume', store, '--run', ''], /--run needs a value/],
  ];
  for (const [words, message] of wrong) {
    const { code, stdout, stderr } = await called(...words);
    assert.equal([code, stdout], [2, ''], words.join(' '));
    assert.match(stderr, message);
    assert.is(stderr.indexOf('\n'), stderr.length - 1);
  }
  const { code, stderr, stdout } = await called('fork', store, '--at', '99');
  assert.is(code, 2);
  assert.match(stderr, /rxhive: --at 99: run one has records 1 to \d+/);
  assert.is(stdout, '');
});

test('a run that is named is read alone; where none is, the store is asked for the last, or for those not done', async () => {
  const { module } = moduleOf(
    'many',
    `import { human } from ${JSON.stringify(resolve('lib/index.ts'))};
import { z } from ${JSON.stringify(import.meta.resolve('zod'))};
const flow = workflow({ name: 'many' });
flow.task('ok', { run: (_, ctx) => ctx.ask(human(z.boolean(), 'Go on?')) });
export default flow;`,
  );
  const store = join(folder, 'many.db');
  const runs = ['done', 'left', 'one'];
  for (const run of runs) {
    const tags = ['--tag', 'tenant=acme', '--tag', `kind=is ${run}=`];
    assert.is((await called('run', module, '--store', store, '--run', run, ...tags, '--quiet')).code, 3);
  }
  assert.is((await called('answer', store, 'ok?1', 'true', '--run', 'done', '--quiet')).code, 0);
  const tagged = async (tag: string): Promise<unknown> => {
    const { runs: found } = JSON.parse((await called('runs', store, '--tag', tag, '--json')).stdout);
    return found.map(({ runId, status }: StoredRun) => [runId, status]);
  };
  // It was answered by a call without tags.
  assert.equal(await tagged('kind=is done='), [['done', 'succeeded']]);
  assert.equal(await tagged('tenant=acme'), [
    ['one', 'suspended'],
    ['left', 'suspended'],
    ['done', 'succeeded'],
  ]);

  const whole = SqliteStore.prototype;
  const real = { read: whole.read, open: whole.open, runs: whole.runs };
  let asked: string[] = [];
  whole.read = function (this: SqliteStore, run) {
    asked.push(run);
    return real.read.call(this, run);
  };
  whole.open = function (this: SqliteStore, run) {
    asked.push(run);
    return real.open.call(this, run);
  };
  whole.runs = function (this: SqliteStore, query = {}) {
    asked.push(JSON.stringify(query));
    return real.runs.call(this, query);
  };
  const asks = async (code: number, ...words: string[]): Promise<string[]> => {
    asked = [];
    const { code: is, stderr } = await called(...words, '--quiet');
    assert.is(is, code, `${words.join(' ')}: ${stderr}`);
    return [...new Set(asked)].sort();
  };
  try {
    assert.equal(await asks(3, 'resume', store, '--run', 'left'), ['left']);
    assert.equal(await asks(0, 'answer', store, '--run', 'left'), ['left']);
    assert.equal(await asks(3, 'fork', store, '--run', 'left'), ['left', 'left-fork-1']);
    assert.equal(await asks(3, 'fork', store, '--run', 'left'), ['left', 'left-fork-2']);
    assert.equal(await asks(3, 'resume', store), ['left-fork-2', '{"limit":1}']);
    assert.equal(await asks(0, 'answer', store, 'ok?1', 'true', '--run', 'left'), ['left']);
    const open = await asks(0, 'answer', store);
    assert.equal(open.slice(0, 3), ['left-fork-1', 'left-fork-2', 'one']);
    assert.ok(
      open.slice(3).every((query) => 'status' in JSON.parse(query)),
      String(open),
    );
  } finally {
    Object.assign(whole, real);
  }
});

test.run();
