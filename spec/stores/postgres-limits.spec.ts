import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import pg from 'pg';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { postgresLimits } from '../../lib/entry/postgres.js';
import { type LimiterSettings, type RxhiveError, workflow } from '../../lib/index.js';
import { exchangeName, limitsSchema } from '../../lib/stores/postgres-script.js';
import { passwordAddress, testServer } from '../support/postgres.js';
import { failureOf, sameAsMemory, sharedLimitsSpecs, waitsForServer } from '../support/shared-limits.js';

const server = await testServer();
test.after(() => server?.end());

/** The error of a task that waits for a permit. */
const failure = (connection: string, schema = 'rxhive') =>
  failureOf(postgresLimits({ requestsPerMinute: 10 }, { connection, name: 'x', schema }));

test('options that make no sense are refused, and no password is shown', () => {
  const good = { connection: 'postgres://me:s3cret@127.0.0.1:1/db', name: 'x' };
  for (const bad of [
    { ...good, connection: 'http://me:s3cret@host' },
    { ...good, name: '' },
    { ...good, schema: '' },
    { ...good, schema: 'x'.repeat(64) },
    { ...good, whenAway: { share: 0 } },
    { ...good, whenaway: 'wait' },
    'postgres://me:s3cret@host',
    undefined,
  ]) {
    try {
      postgresLimits({ requestsPerMinute: 1 }, bad as never);
      assert.unreachable(`accepted ${inspect(bad)}`);
    } catch (error) {
      assert.is((error as RxhiveError).code, 'INVALID_OPTION', inspect(bad));
      assert.not.match(inspect(error, { depth: 9, showHidden: true }), /s3cret/);
    }
  }
});

test('where nobody listens, tasks fail after 5 s and say so, without the password', async () => {
  const error = await failure('postgres://me:s3cret@127.0.0.1:1/db');
  assert.is(error?.code, 'LIMITER_FAILED');
  assert.match(String(error), /PostgreSQL does not answer: .*ECONNREFUSED/);
  assert.not.match(inspect(error, { depth: 9, showHidden: true }), /s3cret/);
});

if (server !== undefined) {
  const { url, pool } = server;
  const schema = server.schema();
  const newName = () => `spec-${randomUUID()}`;
  const make = (settings: LimiterSettings, name = newName()) =>
    postgresLimits(settings, { connection: pool, name, schema });
  // The process that is killed has the schema of everybody.
  const common = (settings: LimiterSettings, name?: string) =>
    settings.maxConcurrent === 2 && name !== undefined
      ? postgresLimits(settings, { connection: url, name })
      : make(settings, name);
  sharedLimitsSpecs('PostgreSQL', { url, make: common, name: newName });

  test('the function answers what memory answers, message by message', async () => {
    const own = server.schema();
    // Its clock, from outside.
    const timed = limitsSchema(`"${own}"`).replace(
      'floor(extract(epoch from clock_timestamp()) * 1000)',
      "(m->>'clock')::float8",
    );
    assert.not.match(timed, 'clock_timestamp');
    await pool.query(timed);
    await sameAsMemory(newName, async (name, message, clock) => {
      const { rows } = await pool.query(`select ${own}.${exchangeName}($1, $2::jsonb) as answer`, [
        name,
        JSON.stringify({ ...message, clock }),
      ]);
      return String((rows[0] as { answer: string }).answer);
    });
  });

  test('tables and functions are made by whoever comes first, of many at once, and again when they are gone', async () => {
    const own = server.schema();
    const flows = Array.from({ length: 6 }, () => {
      const limiter = postgresLimits({ maxConcurrent: 1 }, { connection: url, name: 'x', schema: own });
      const flow = workflow({ name: 'w', groups: { g: { limiter } } });
      flow.task('t', { group: 'g', run: () => 1 });
      return flow;
    });
    for (const { status } of await Promise.all(flows.map((flow) => flow.run().result())))
      assert.is(status, 'succeeded');
    const limiter = postgresLimits({ requestsPerMinute: 5 }, { connection: pool, name: 'y', schema: own });
    assert.is(await failureOf(limiter), undefined);
    await pool.query(`drop schema ${own} cascade`);
    assert.is(await failureOf(limiter), undefined);
  });

  test('a wrong user, password or database and missing rights are said clearly, once', async () => {
    const place = new URL(url);
    const user = `limited_${randomUUID().slice(0, 8)}`;
    const own = server.schema();
    await pool.query(`create role ${user} login password 's3cret'`);
    try {
      const as = Object.assign(new URL(url), { username: user, password: 's3cret' });
      const denied = await failure(as.href, own);
      assert.match(String(denied), /PostgreSQL refuses: permission denied for database/);
      // Who may use what is there needs no right to make it.
      assert.is(await failure(url, own), undefined);
      await pool.query(`grant usage on schema ${own} to ${user};
        grant select, insert, update, delete on all tables in schema ${own} to ${user}`);
      assert.is(await failure(as.href, own), undefined);
    } finally {
      await pool.query(`drop owned by ${user}; drop role ${user}`);
    }
    const addressWith = await passwordAddress(pool);
    for (const [wrong, said] of [
      ...(addressWith === undefined
        ? []
        : ([[new URL(addressWith('s3cret')), /password authentication failed/]] as const)),
      [
        Object.assign(new URL(place), { username: 'nobody_here', password: 's3cret' }),
        /role .* does not exist/,
      ],
      [
        Object.assign(new URL(place), { pathname: '/no_such_database', password: 's3cret' }),
        /does not exist/,
      ],
    ] as const) {
      const error = await failure(wrong.href);
      assert.is(error?.code, 'LIMITER_FAILED');
      assert.match(String(error), /PostgreSQL refuses: /);
      assert.match(String(error), said);
      assert.not.match(inspect(error, { depth: 9, showHidden: true }), /s3cret/);
    }
  });

  test('where the server goes away nothing starts until it is back, and who waits is told', async () => {
    let open = true;
    const connection = {
      query: (text: string, values?: unknown[]) =>
        open ? pool.query(text, values) : Promise.reject(new Error('Connection terminated')),
    };
    const limiter = postgresLimits({ requestsPerMinute: 50 }, { connection, name: newName(), schema });
    await waitsForServer(limiter, (is) => {
      open = is;
    });
  });

  test('a database that reads from one moment on answers too', async () => {
    const own = server.schema();
    const strict = new pg.Pool({
      connectionString: url,
      options: '-c default_transaction_isolation=serializable',
    });
    const name = newName();
    const limiters = [0, 1, 2].map(() =>
      postgresLimits({ requestsPerSecond: 30 }, { connection: strict, name, schema: own }),
    );
    assert.equal(await Promise.all(limiters.map(failureOf)), [undefined, undefined, undefined]);
    await strict.end();
  });
}

test.run();
