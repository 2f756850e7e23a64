import { inspect } from 'node:util';
import pg from 'pg';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { RxhiveError, type Task, workflow } from '../../lib/index.js';
import { type PostgresStore, postgres } from '../../lib/stores/postgres.js';
import { called } from '../support/called.js';
import { LossyProxy } from '../support/lossy-proxy.js';
import { passwordAddress, testServer } from '../support/postgres.js';

const found = await testServer();
const stores: PostgresStore[] = [];
test.after(async () => {
  for (const store of stores) await store.close();
  await found?.end();
});
const codeOf = (error: unknown): string | undefined =>
  error instanceof RxhiveError ? error.code : undefined;

async function rejection(work: () => unknown): Promise<unknown> {
  try {
    await work();
  } catch (error) {
    return error;
  }
  return assert.unreachable('it did not reject');
}

test('a wrong connection is said clearly, without its password', async () => {
  assert.throws(() => postgres('mysql://u:s3cret@host/db'), /takes a connection string/);
  for (const wrong of ['mysql://u:s3cret@host/db', '', 7, {}, undefined])
    assert.is(codeOf(await rejection(() => postgres(wrong as string))), 'INVALID_OPTION');
  assert.is(codeOf(await rejection(() => postgres('postgres://h/d', { schema: '' }))), 'INVALID_OPTION');
  for (const url of [
    'postgres://me:s3cret@127.0.0.1:1/none',
    'postgres://me:s3cret@[bad/none',
    'postgres://127.0.0.1:1/none?user=me&password=s3cret',
    'postgres://me:s%33cret@no-such-host.invalid/none',
  ]) {
    const store = postgres(url);
    const flow = workflow({ name: 'unreachable' });
    flow.task('t', { run: () => assert.unreachable('it ran') });
    for (const use of [() => store.read('r'), () => flow.run({ store, runId: 'r' }).result()]) {
      const error = await rejection(use);
      assert.is(codeOf(error), 'STORE_FAILED', url);
      assert.match(String(error), 'The PostgreSQL store failed: ');
      assert.not.match(inspect(error, { depth: 9, showHidden: true }), /s3cret|s%33cret/);
    }
    await store.close();
  }
});

if (found !== undefined) {
  const server = found;
  const make = (url = server.url, schema = server.schema()): PostgresStore => {
    const store = postgres(url, { schema });
    stores.push(store);
    return store;
  };

  const addressWith = await passwordAddress(server.pool);
  if (addressWith !== undefined)
    test('a wrong password is one error, for stores and for runs, and is shown nowhere', async () => {
      const letIn = await rejection(() => make(addressWith('right')).read('r'));
      assert.match(String(letIn), 'permission denied');
      const address = addressWith('s3cret-w0rd');
      const store = make(address);
      const flow = workflow({ name: 'refused' });
      flow.task('t', { run: () => assert.unreachable('it ran') });
      const run = flow.run({ store, runId: 'r' });
      const events: unknown[] = [];
      run.events$.subscribe({ next: (event) => events.push(event), error: () => undefined });
      for (const use of [() => run.result(), () => store.read('r'), () => store.runs()]) {
        const error = await rejection(use);
        assert.is(codeOf(error), 'STORE_FAILED');
        assert.match(String(error), 'password authentication failed for user "rxhive_password"');
        assert.not.match(inspect(error, { depth: 9, showHidden: true }), 's3cret');
      }
      assert.not.match(inspect(events, { depth: 9, showHidden: true }), 's3cret');
      const { code, stdout, stderr } = await called('runs', address);
      assert.equal([code, stdout, stderr.trim().split('\n').length], [1, '', 1], stderr);
      assert.match(stderr, 'password authentication failed');
      assert.not.match(stderr, 's3cret');
    });

  test('a process that was believed dead is fenced out, and takes nothing away', async () => {
    const schema = server.schema();
    const [first, second] = [make(undefined, schema), make(undefined, schema)];
    const stale = await first.open('r');
    await stale.append([{ seq: 1, body: 'one' }]);
    await server.pool.query(`update ${schema}.runs set expires = to_timestamp(0)`);
    const next = await second.open('r');
    assert.equal(next.entries, [{ seq: 1, body: 'one' }]);
    const refused = await rejection(() => stale.append([{ seq: 2, body: 'stale' }]));
    assert.is(codeOf(refused), 'RUN_LEASED');
    assert.match(String(refused), 'has taken run "r" over');
    await stale.close();
    assert.is(codeOf(await rejection(() => first.open('r'))), 'RUN_LEASED');
    await next.append([{ seq: 2, body: 'two' }]);
    await next.close();
    assert.equal(
      (await first.read('r')).map(({ body }) => body),
      ['one', 'two'],
    );
  });

  test('a run whose lease was taken over ends and says so', async () => {
    const schema = server.schema();
    const store = make(undefined, schema);
    const flow = workflow({ name: 'fenced' });
    const a = flow.task('a', { run: (_, ctx) => ctx.sleep(30) });
    flow.task('b', {
      dependencies: [a],
      run: () => server.pool.query(`update ${schema}.runs set token = token + 1`).then(() => undefined),
    });
    const result = await flow.run({ store, runId: 'r', durability: 'sync' }).result();
    assert.is(codeOf(result.error), 'RUN_LEASED');
    assert.is(result.tasks.get('a')?.status, 'succeeded');
  });

  test('connections that are cut do not end a run', async () => {
    const schema = server.schema();
    const url = new URL(server.url);
    url.searchParams.set('application_name', schema);
    const store = make(url.href, schema);
    const flow = workflow({ name: 'cut', concurrency: 5, state: { n: 0 } });
    for (let i = 0; i < 100; i++)
      flow.task(`t${i}`, {
        run: async (_, ctx) => {
          await ctx.sleep(5);
          ctx.update((s) => {
            s.n += 1;
          });
        },
      });
    let cut = 0;
    const cutAll = async (): Promise<void> => {
      const { rowCount } = await server.pool.query(
        'select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1',
        [schema],
      );
      cut += rowCount ?? 0;
    };
    // Each starts when the one before is in the log, so that there is a connection again.
    let before: Task<unknown>[] = [];
    for (let i = 0; i < 5; i++) before = [flow.task(`cut${i}`, { dependencies: before, run: cutAll })];
    const result = await flow.run({ store, runId: 'r', durability: 'sync' }).result();
    assert.is(result.status, 'succeeded', String(result.error));
    assert.ok(cut >= 5, `${cut} cut`);
    const again = await flow.run({ store, runId: 'r' }).result();
    assert.equal([again.state.n, again.report.counts.restored], [100, 105]);
  });

  test('an append whose answer is lost is found in the log, and not written twice', async () => {
    const { hostname, port, pathname, username } = new URL(server.url);
    const proxy = new LossyProxy(Number(port || 5432), hostname);
    const through = await proxy.listen();
    const schema = server.schema();
    const store = make(`postgres://${username}@127.0.0.1:${through}${pathname}`, schema);
    proxy.losing = false;
    const log = await store.open('r');
    for (let seq = 1; seq <= 5; seq++) {
      proxy.losing = true;
      await log.append([{ seq, body: `record ${seq}` }]);
      assert.is(proxy.lost, seq);
    }
    proxy.losing = true;
    await log.close();
    const next = await make(undefined, schema).open('r');
    assert.equal(
      next.entries.map(({ body }) => body),
      [1, 2, 3, 4, 5].map((n) => `record ${n}`),
    );
    await next.close();
    // A lease whose answer is lost is its own, too.
    proxy.losing = true;
    await (await store.open('r')).close();
    await store.close();
    proxy.close();
  });

  test('a record is on disk when its append returns, even where commits do not wait', async () => {
    const pool = new pg.Pool({ connectionString: server.url, options: '-c synchronous_commit=off', max: 1 });
    const store = postgres(pool, { schema: server.schema() });
    const log = await store.open('r');
    for (let seq = 1; seq <= 20; seq++) {
      const before = await pool.query('select pg_current_wal_insert_lsn() as lsn');
      await log.append([{ seq, body: 'x'.repeat(100) }]);
      const { rows } = await pool.query(
        "select pg_current_wal_flush_lsn() > $1::pg_lsn as flushed, current_setting('synchronous_commit') as mode",
        [before.rows[0].lsn],
      );
      assert.equal(rows[0], { flushed: true, mode: 'off' });
    }
    await log.close();
    await pool.end();
  });

  test('a schema of any name; tables are made once by whoever comes first', async () => {
    const schema = `${server.schema()} "odd"; name`;
    const many = Array.from({ length: 6 }, () => make(undefined, schema));
    await Promise.all(many.map((store, i) => store.put(`key ${i}`, 'text')));
    assert.is(await many[0]?.get('key 5'), 'text');
    await server.pool.query(`drop schema "${schema.replaceAll('"', '""')}" cascade`);
  });

  test('a closed store says so', async () => {
    const store = make();
    await store.read('r');
    await store.close();
    const error = await rejection(() => store.read('r'));
    assert.is(error instanceof RxhiveError && error.details.reason, 'closed');
  });
}

test.run();
