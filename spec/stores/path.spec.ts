import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { AgentTask, RxhiveError, WorkflowOrchestrator, workflow } from '../../lib/index.js';
import { testServer } from '../support/postgres.js';

const folder = mkdtempSync(join(tmpdir(), 'rxhive-'));
const server = await testServer();
test.after(async () => {
  rmSync(folder, { recursive: true, force: true });
  await server?.end();
});

async function goesOn(store: string): Promise<void> {
  const undone: number[] = [];
  let calls = 0;
  const flow = workflow({ name: 'path', state: { n: 0 } });
  const a = flow.task('a', {
    run: (_, ctx) => {
      calls += 1;
      ctx.update((s) => {
        s.n += 1;
      });
      return 7;
    },
    compensate: (value) => undone.push(value),
  });
  flow.task('b', { dependencies: { a }, run: ({ a }) => a + 1 });
  const runId = `r${Math.random()}`;
  for (let i = 0; i < 3; i++) {
    const result = await flow.run({ store, runId, durability: i === 0 ? 'sync' : 'group' }).result();
    assert.equal([result.status, result.state.n, result.results.get('b'), calls], ['succeeded', 1, 8, 1]);
  }
  const history = await flow.history(store, runId);
  assert.is(history.records.length, 3);
  assert.is(history.snapshotAt(2).state.n, 1);
  const fork = await flow.fork(store, runId, { at: 2, runId: `${runId} fork` }).result();
  assert.equal([fork.report.counts.restored, fork.results.get('b')], [1, 8]);
  await (await flow.compensate(store, runId)).result();
  assert.equal(undone, [7]);
}

test('a path is a SQLite file, open while it is used', async () => {
  const file = join(folder, 'runs.db');
  await goesOn(file);
  // Closed, as soon as learnt durations are kept: its write-ahead log was moved into it.
  const waits = (): boolean => existsSync(`${file}-wal`) && statSync(`${file}-wal`).size > 0;
  for (let i = 0; i < 100 && waits(); i++) await new Promise((done) => setTimeout(done, 10));
  assert.not.ok(waits());
  const orchestrator = new WorkflowOrchestrator({ agents: { one: () => 1 } });
  orchestrator.addTask(new AgentTask({ id: 't', agentType: 'one' }));
  assert.is((await orchestrator.executeWorkflow({ store: file, runId: 'o' })).status, 'succeeded');
  assert.is((await orchestrator.executeWorkflow({ store: file, runId: 'o' })).report.counts.restored, 1);
});

if (server !== undefined)
  test('an address is a PostgreSQL database; the process ends by itself', async () => {
    await goesOn(server.url);
    const program = `import { workflow } from './lib/index.js';
      const flow = workflow({ name: 'ends' }); flow.task('t', { run: () => 1 });
      console.log((await flow.run({ store: ${JSON.stringify(server.url)} }).result()).status);`;
    const begun = Date.now();
    const args = ['--import', 'tsx', '--input-type=module', '-e', program];
    const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 30_000 });
    assert.is(stdout.trim(), 'succeeded', stderr);
    assert.ok(Date.now() - begun < 30_000);
    await server.pool.query('drop schema rxhive cascade');
  });

test('many runs at once share a path, and identical work', async () => {
  const store = join(folder, 'many.db');
  let calls = 0;
  const flow = workflow({ name: 'many' });
  flow.task('t', {
    cache: {},
    version: '1',
    run: async (_, ctx) => {
      calls += 1;
      await ctx.sleep(20);
      return calls;
    },
  });
  const results = await Promise.all(Array.from({ length: 10 }, () => flow.run({ store }).result()));
  assert.equal(
    results.map(({ results }) => results.get('t')),
    Array(10).fill(1),
  );
});

test('what is no path is refused before anything starts, and addresses are not shown', () => {
  const flow = workflow({ name: 'wrong' });
  flow.task('t', { run: () => 1 });
  for (const store of ['', ':memory:', 7, {}, 'mysql://me:s3cret@host/db'] as unknown as string[])
    for (const call of [() => flow.run({ store }), () => flow.fork(store, 'r', { at: 1, runId: 'f' })])
      assert.throws(
        call,
        (error: unknown) =>
          error instanceof RxhiveError &&
          error.code === 'INVALID_OPTION' &&
          !error.message.includes('s3cret'),
        String(store),
      );
});

test('a folder that is not there is an error of the run', async () => {
  const flow = workflow({ name: 'nowhere' });
  flow.task('t', { run: () => assert.unreachable('it ran') });
  const error = await flow
    .run({ store: join(folder, 'no', 'such', 'folder.db') })
    .result()
    .catch((problem: unknown) => problem);
  assert.ok(error instanceof RxhiveError && error.code === 'STORE_FAILED', String(error));
});

test.run();
