import { Pool } from 'pg';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { QueueConnection } from '../../lib/executors/bullmq.js';
import { fakeRedis } from '../support/fake-redis.js';
import { passwordAddress } from '../support/postgres.js';
import { freshName, startFile } from '../support/queue-servers.js';

const password = 'pass-s3cret-w0rd';

interface Case {
  readonly connection: QueueConnection;
  readonly says: string;
}

async function cases(): Promise<Record<string, Case>> {
  const on = (port: number): QueueConnection => ({ redis: `redis://me:${password}@127.0.0.1:${port}` });
  const made: Record<string, Case> = {
    'Redis, wrong password': {
      connection: on((await fakeRedis({ refuses: true })).port),
      says: 'WRONGPASS',
    },
    'Redis, old': {
      connection: on((await fakeRedis({ version: '5.0.7' })).port),
      says: 'The server is Redis 5.0; install 6.2 or newer.',
    },
    'Redis, evicts': {
      connection: on((await fakeRedis({ policy: 'allkeys-lru' })).port),
      says: 'maxmemory-policy allkeys-lru',
    },
    'Redis, not there': { connection: on(1), says: 'ECONNREFUSED' },
    'PostgreSQL, not there': {
      connection: { postgres: `postgres://me:${password}@127.0.0.1:1/none` },
      says: 'ECONNREFUSED',
    },
  };
  const { RXHIVE_POSTGRES } = process.env;
  if (RXHIVE_POSTGRES === undefined) {
    console.log('skipped: no PostgreSQL at RXHIVE_POSTGRES');
    return made;
  }
  const pool = new Pool({ connectionString: RXHIVE_POSTGRES });
  const database = freshName();
  await pool.query(`create database ${database}`);
  const addressWith = await passwordAddress(pool);
  await pool.end();
  const url = new URL(RXHIVE_POSTGRES);
  const reached = (change: (url: URL) => void): QueueConnection => {
    const other = new URL(url);
    other.password = password;
    change(other);
    return { postgres: other.href };
  };
  return {
    ...made,
    ...(addressWith && {
      'PostgreSQL, wrong password': {
        connection: { postgres: addressWith(password) },
        says: 'password authentication failed',
      },
    }),
    'PostgreSQL, no tables': {
      connection: reached((one) => {
        one.pathname = `/${database}`;
      }),
      says: 'PostgreSQL has no tables of BullMQ; make them once',
    },
    'PostgreSQL, unknown role': {
      connection: reached((one) => {
        one.username = freshName();
      }),
      says: 'does not exist',
    },
    'PostgreSQL, no database': {
      connection: reached((one) => {
        one.pathname = '/nowhere';
      }),
      says: 'does not exist',
    },
  };
}

test('a server that refuses is one error with a code for workers, tasks and onError, and no password anywhere', async () => {
  const all = await cases();
  const connections = Object.fromEntries(Object.entries(all).map(([title, one]) => [title, one.connection]));
  const child = startFile(
    new URL('../support/refused-process.ts', import.meta.url),
    { CONNECTIONS: JSON.stringify(connections) },
    'pipe',
  );
  let out = '';
  let err = '';
  child.stdout?.on('data', (text) => {
    out += text;
  });
  child.stderr?.on('data', (text) => {
    err += text;
  });
  // One that waits for ever is found by this.
  const late = setTimeout(() => child.kill('SIGKILL'), 60_000);
  await new Promise((done) => child.once('close', done));
  clearTimeout(late);
  assert.not.ok(child.killed, `only these are refused: ${out}`);
  const lines = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, string>);
  assert.equal(lines.map(({ title }) => title).sort(), Object.keys(all).sort());
  for (const { title = '', worker, task, told, message } of lines) {
    assert.is(worker, 'QUEUE_FAILED', title);
    assert.is(task, 'QUEUE_FAILED', title);
    assert.equal(told, ['QUEUE_FAILED'], title);
    assert.ok(message?.includes(all[title]?.says ?? '?'), `${title}: ${message}`);
  }
  assert.not.match(out, password);
  assert.not.match(err, password);
  // The last remote has no onError.
  assert.is(err.match(/rxhive: The queues in Redis cannot be used: WRONGPASS/g)?.length, 1, err);
});

test.run();
