import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { postgres } from '../../lib/entry/postgres.js';
import {
  type CheckpointStore,
  human,
  memory,
  type RunOptions,
  RxhiveError,
  typed,
  workflow,
} from '../../lib/index.js';
import { newOwner } from '../../lib/stores/lease.js';
import { sqlite } from '../../lib/stores/sqlite.js';
import { testServer } from '../support/postgres.js';

type Kind = 'ok' | 'bad' | 'ask' | 'wait';
const flow = workflow({ name: 'rows', input: typed<Kind>() });
flow.task('free', { run: () => 1 });
flow.task('work', {
  run: async (_, ctx) => {
    if (ctx.input === 'bad') throw new Error('no');
    if (ctx.input === 'ask') return ctx.ask(human(typed<number>(), { prompt: 'How many?' }));
    if (ctx.input === 'wait') await ctx.sleep(60_000);
    return 2;
  },
});

const folder = mkdtempSync(join(tmpdir(), 'rxhive-'));
const server = await testServer();
test.after(async () => {
  rmSync(folder, { recursive: true, force: true });
  await server?.end();
});

/** A place for a store, and what can be done to it behind its back. */
interface Place {
  store(): CheckpointStore & { close(): unknown };
  /** Does what the SQL says to its table of runs. */
  change(sql: (runs: string) => string): unknown;
}
const places: Readonly<Record<string, () => Place>> = {
  sqlite: () => {
    const file = join(folder, `${Math.random()}.db`);
    return {
      store: () => sqlite(file),
      change: (sql) => {
        const db = new Database(file);
        db.exec(sql('runs'));
        db.close();
      },
    };
  },
  ...(server && {
    postgres: () => {
      const schema = server.schema();
      return {
        store: () => postgres(server.url, { schema }),
        change: (sql) => server.pool.query(sql(`${schema}.runs`)),
      };
    },
  }),
};

test('a run says in its row how it began and how it ended', async () => {
  const store = memory();
  const run = (runId: string, input: Kind) =>
    flow.run({ store, runId, input, tags: { kind: input }, suspend: 'exit' });
  await run('one', 'ok').result();
  await run('two', 'bad').result();
  await run('three', 'ask').result();
  const last = run('four', 'wait');
  const ended = last.result();
  while (store.runs({ tag: 'kind=wait' }).length === 0) await new Promise((done) => setImmediate(done));
  const [going] = store.runs({ tag: 'kind=wait' });
  assert.equal([going?.status, going?.isLeased, going?.endedAt], ['running', true, undefined]);
  last.cancel();
  await ended;
  const rows = new Map(store.runs().map((row) => [row.runId, row]));
  const seen = ['one', 'two', 'three', 'four'].map((id) => {
    const { status, workflow: name, counts, error, tags, isLeased } = rows.get(id) ?? {};
    return [status, name, tags?.kind, counts?.succeeded, error !== undefined, isLeased];
  });
  assert.equal(seen, [
    ['succeeded', 'rows', 'ok', 2, false, false],
    ['partial', 'rows', 'bad', 1, false, false],
    ['suspended', 'rows', 'ask', 1, false, false],
    ['cancelled', 'rows', 'wait', 1, true, false],
  ]);
  for (const { startedAt = 0, endedAt = 0 } of rows.values())
    assert.ok(endedAt >= startedAt && startedAt > 0);
  assert.equal(
    store.runs({ status: 'partial' }).map(({ runId }) => runId),
    ['two'],
  );
});

test('a run that goes on runs again, and began when it did', async () => {
  const store = memory();
  await flow.run({ store, runId: 'one', input: 'ask', suspend: 'exit' }).result();
  const before = store.runs()[0];
  const again = flow.run({ store, runId: 'one', input: 'ask' });
  const ended = again.result();
  while (again.questions().length === 0) await new Promise((done) => setImmediate(done));
  again.answer('work?1', 4);
  await ended;
  const [after] = store.runs();
  assert.equal(
    [before?.status, after?.status, after?.startedAt],
    ['suspended', 'succeeded', before?.startedAt],
  );
});

test('tags of a run are for a controller or a store; with neither they are refused', async () => {
  const refusal = (options: Omit<RunOptions<Kind>, 'input'>): string => {
    try {
      flow.run({ ...options, input: 'ok' });
      return '';
    } catch (error) {
      assert.instance(error, RxhiveError);
      return (error as RxhiveError).message;
    }
  };
  assert.match(refusal({ tags: { tenant: 'acme' } }), /no controller and no store .*; give one of them/);
  assert.match(refusal({ priority: 1, store: memory() }), /a priority, but no controller/);
});

for (const [name, make] of Object.entries({ memory: () => ({ store: () => memory() }), ...places })) {
  test(`${name}: a question that makes no sense is refused`, async () => {
    const store = make().store();
    const wrong: readonly (readonly [query: object, message: RegExp])[] = [
      [{ limit: -1 }, /query\.limit is -1; give a whole number from 1/],
      [{ limit: 1.5 }, /query\.limit is 1\.5/],
      [{ status: 'done' }, /query\.status is "done"; use "running"/],
      [{ tag: 'acme' }, /query\.tag is "acme"; give a name and a value/],
      [{ state: 'failed' }, /query\.state is unknown; use status, workflow, tag, after, limit/],
    ];
    for (const [query, message] of wrong) {
      const said = await Promise.resolve()
        .then(() => store.runs(query))
        .then(
          () => 'taken',
          (error) => `${error.code} ${error.message}`,
        );
      assert.match(said, message);
      assert.match(said, /^INVALID_OPTION/);
    }
    await (store as { close?(): unknown }).close?.();
  });
}

for (const [name, make] of Object.entries(places)) {
  test(`${name}: a run whose process was killed is listed as running, without a process`, async () => {
    const { store, change } = make();
    const [mine, other] = [store(), store()];
    const log = await mine.open('r');
    const row = { workflow: 'w', status: 'running', tags: {}, startedAt: 1 } as const;
    await log.append([{ seq: 1, body: 'one' }], row);
    const look = async () => {
      const [run] = await other.runs({ status: 'running' });
      return [run?.runId, run?.isLeased];
    };
    assert.equal(await look(), ['r', true]);
    const dead = spawnSync(process.execPath, ['-e', '']).pid;
    const owner = newOwner().split(' ').with(1, `${dead}`).join(' ');
    await change((runs) => `update ${runs} set owner = '${owner}'`);
    assert.equal(await look(), ['r', false]);
    assert.match((await other.runs())[0]?.owner ?? '', new RegExp(`:${dead}$`));
    await (await other.open('r')).close();
    assert.equal(await look(), ['r', false]);
    await mine.close();
    await other.close();
  });

  test(`${name}: what stands where a row should be is not trusted`, async () => {
    const { store, change } = make();
    const one = store();
    const log = await one.open('r');
    await log.append([{ seq: 1, body: 'one' }]);
    await log.close();
    const wrong = ['7', '{"status":"failed","tags":7,"startedAt":"x"}', '{"tags":[["a"]],"startedAt":{}}'];
    for (const row of [...wrong, ...(name === 'sqlite' ? ['nonsense', '{'] : [])]) {
      await change((runs) => `update ${runs} set row = '${row}'`);
      const [run, ...more] = await one.runs();
      assert.equal([run?.runId, run?.status, run?.tags, more.length], ['r', undefined, undefined, 0], row);
      for (const query of [{ tag: 'a=b' }, { workflow: 'w' }, { after: 'r' }])
        assert.equal(await one.runs(query), [], row);
    }
    await one.close();
  });

  test(`${name}: runs of a version without rows are read, listed and gone on with`, async () => {
    const { store, change } = make();
    const old = store();
    await flow.run({ store: old, runId: 'old', input: 'ask', suspend: 'exit' }).result();
    await old.close();
    await change((runs) => `alter table ${runs} drop column row`);
    await change((runs) => `alter table ${runs} drop column lease`);
    const now = store();
    const [{ runId, status, startedAt, records = 0, isLeased } = {}] = await now.runs();
    assert.equal([runId, status, startedAt, isLeased], ['old', undefined, undefined, false]);
    assert.is((await now.read('old')).length, records);
    assert.equal(await now.runs({ workflow: 'rows' }), []);
    const again = flow.run({ store: now, runId: 'old', input: 'ask' });
    const ended = again.result();
    while (again.questions().length === 0) await new Promise((done) => setImmediate(done));
    again.answer('work?1', 4);
    assert.is((await ended).status, 'succeeded');
    const [after] = await now.runs({ workflow: 'rows' });
    assert.equal([after?.runId, after?.status], ['old', 'succeeded']);
    await now.close();
  });
}

test.run();
