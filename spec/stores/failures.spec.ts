import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { prune, type RunLog } from '../../lib/entry/stores.js';
import { type CheckpointStore, memory, RxhiveError, workflow } from '../../lib/index.js';
import { postgres } from '../../lib/stores/postgres.js';
import { sqlite } from '../../lib/stores/sqlite.js';
import { openDatabase } from '../../lib/stores/sqlite-driver.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';
import { testServer } from '../support/postgres.js';

const folder = mkdtempSync(join(tmpdir(), 'rxhive-'));
const server = await testServer();
// A module that is being loaded keeps no process alive.
const alive = setInterval(() => undefined, 1_000);
test.after(async () => {
  clearInterval(alive);
  rmSync(folder, { recursive: true, force: true });
  await server?.end();
});

let made = 0;
const newFile = (): string => join(folder, `${made++}.db`);

/** Code and reason of an error. */
function said(error: unknown): string {
  if (!(error instanceof RxhiveError)) return String(error);
  return [error.code, error.details.reason].filter(Boolean).join(' ');
}

/** What becomes of some work: `ok`, or the code and reason of its error. */
async function outcome(work: () => unknown): Promise<string> {
  try {
    await work();
    return 'ok';
  } catch (error) {
    return said(error);
  }
}

function counting(name = 'counting') {
  const flow = workflow({ name, state: { n: 0 } });
  const add = async (_: unknown, ctx: { update(recipe: (s: { n: number }) => void): void }) => {
    ctx.update((s) => {
      s.n += 1;
    });
    return 1;
  };
  const first = flow.task('first', { run: add });
  flow.task('second', { dependencies: [first], run: add });
  return flow;
}

/**
 * Somebody else who holds a file, until the returned function is called. With the driver of the store: two of them in one process
 * do not see each other's locks.
 */
function lock(file: string): () => void {
  const db = openDatabase(file);
  db.exec('begin exclusive');
  return () => {
    db.exec('commit');
    db.close();
  };
}

for (const how of ['sqlite()', 'path'] as const)
  test(`${how}: a file that is busy is asked again, and nothing stands still; after 30 s it is an error`, async () => {
    const file = newFile();
    await counting().run({ store: file, runId: 'before' }).result();
    const store = how === 'path' ? file : sqlite(file);
    for (const durability of ['sync', 'group', 'exit'] as const) {
      const scheduler = new SimulationScheduler();
      let release = lock(file);
      const run = counting().run({ store, runId: durability, durability, scheduler });
      const result = run.result();
      const begun = performance.now();
      await advance(scheduler, 20_000);
      assert.ok(performance.now() - begun < 2_000, 'the event loop stood still');
      release();
      await advance(scheduler);
      assert.equal([(await result).status, (await result).state.n], ['succeeded', 2], durability);

      release = lock(file);
      const late = outcome(() => counting().run({ store, runId: 'late', durability, scheduler }).result());
      await advance(scheduler);
      assert.is(await late, 'STORE_FAILED busy');
      release();
      assert.is(await outcome(() => counting().run({ store, runId: 'late', durability }).result()), 'ok');
      await counting().run({ store, runId: 'late' }).result();
      await prune(store, { keep: 0, of: ({ runId }) => runId === 'late' });
    }
    if (typeof store !== 'string') store.close();
  });

test('a file that is busy in the middle of a run delays it: large results and records come in their order', async () => {
  const file = newFile();
  const store = sqlite(file);
  const scheduler = new SimulationScheduler();
  const flow = workflow({ name: 'middle', memory: { spillAbove: 1_000 } });
  let release = (): void => undefined;
  const large = flow.task('large', {
    run: async (_, ctx) => {
      await ctx.sleep(5);
      release = lock(file);
      return 'x'.repeat(5_000);
    },
  });
  const size = flow.task('size', { dependencies: { large }, run: ({ large }) => large.length });
  const run = flow.run({ store, runId: 'r', scheduler });
  const result = run.result();
  await advance(scheduler, 9_000);
  // What was too much for the busy file is in memory until then.
  assert.equal(
    [...run.snapshot().tasks].map(([, status]) => status),
    ['succeeded', 'succeeded'],
  );
  release();
  await advance(scheduler);
  assert.is((await result).results.get(size), 5_000);
  const past = await flow.history(store, 'r');
  assert.ok(past.records.some((record) => record.kind === 'commit' && record.spilled !== undefined));
  assert.is(past.snapshotAt(past.last).results.get('large'), 'x'.repeat(5_000));
  store.close();
});

test('sqlite: closed, gone and damaged are told apart', async () => {
  const file = newFile();
  const closed = sqlite(file);
  closed.close();
  closed.close();
  for (const use of [
    () => closed.read('r'),
    () => closed.open('r'),
    () => closed.get('k'),
    () => closed.put('k', 'text'),
    () => closed.runs(),
    () => closed.remove('r'),
    () => counting().run({ store: closed, runId: 'r' }).result(),
    () => counting().history(closed, 'r'),
    () => prune(closed, { keep: 0 }),
  ])
    assert.is(await outcome(use), 'STORE_FAILED closed', String(use));

  assert.is(await outcome(() => sqlite(join(folder, 'no', 'such', 'folder.db'))), 'STORE_FAILED gone');
  const cases: [string, (file: string, store: ReturnType<typeof sqlite>) => void][] = [
    ['STORE_FAILED closed', (_, store) => store.close()],
    ['STORE_FAILED gone', (path) => rmSync(path)],
    ['STORE_FAILED gone', (path) => renameSync(path, `${path}.old`)],
    ['STORE_FAILED gone', (path) => tables(path, 'drop table log')],
    ['CHECKPOINT_CORRUPT', (path) => tables(path, 'alter table log rename to lag')],
  ];
  for (const durability of ['sync', 'group', 'exit'] as const)
    for (const [expected, breaks] of cases) {
      const path = newFile();
      const store = sqlite(path);
      const flow = counting();
      flow.task('breaks', {
        dependencies: ['first'].map((id) => flow.task(`${id} again`, { run: () => 1 })),
        run: () => breaks(path, store),
      });
      const { error, tasks } = await flow.run({ store, runId: 'r', durability }).result();
      const errors = [error, ...[...tasks.values()].map((one) => one.error)].filter(Boolean).map(said);
      assert.ok(
        errors.length > 0 && errors.every((one) => one === expected),
        `${durability} ${expected}: ${errors}`,
      );
      store.close();
    }
});

function tables(file: string, sql: string): void {
  const db = openDatabase(file);
  db.exec(sql);
  db.close();
}

test('sqlite: a disk that is full, and a file that may not be written, are told apart', async () => {
  // A limit of the size of files stands for a full disk; a user without rights for a file that is read-only.
  const program = (limit: string, file: string): string => {
    const code = `import { workflow } from './lib/index.js';
      const flow = workflow({ name: 'child' });
      flow.task('t', { run: () => 'x'.repeat(900_000) });
      const told = (error) => console.log(error.code + ' ' + error.details.reason);
      flow.run({ store: ${JSON.stringify(file)}, durability: 'sync' }).result()
        .then(({ tasks, error }) => told(error ?? tasks.get('t').error ?? { code: 'none', details: {} }), told);`;
    const command = `${limit}; exec "$0" --import tsx --input-type=module -e "$1"`;
    const { stdout, stderr } = spawnSync('bash', ['-c', command, process.execPath, code], {
      encoding: 'utf8',
    });
    return stdout.trim() || stderr;
  };
  assert.is(program('ulimit -f 200', newFile()), 'STORE_FAILED full');
});

test('what a store of somebody throws has a code, and a reason where it is known', async () => {
  const system = (code: string): Error => Object.assign(new Error(`${code}: bad luck`), { code });
  const cases: [unknown, string][] = [
    [system('ENOSPC'), 'STORE_FAILED full'],
    [system('EROFS'), 'STORE_FAILED read-only'],
    [system('ECONNREFUSED'), 'STORE_FAILED gone'],
    [new Error('out of luck'), 'STORE_FAILED'],
    ['a text', 'STORE_FAILED'],
    [undefined, 'STORE_FAILED'],
    [
      new RxhiveError('STORE_FAILED', 'closed by me', { details: { reason: 'closed' } }),
      'STORE_FAILED closed',
    ],
  ];
  for (const [thrown, expected] of cases)
    for (const late of [false, true]) {
      const fail = (): never | Promise<never> => {
        if (late) return Promise.reject(thrown);
        throw thrown;
      };
      const broken: CheckpointStore = {
        open: fail,
        read: fail,
        runs: fail,
        remove: fail,
        get: fail,
        put: fail,
      } as never;
      const flow = counting();
      const uses = {
        run: () => flow.run({ store: broken, runId: 'r' }).result(),
        history: () => flow.history(broken, 'r'),
        fork: () => flow.fork(broken, 'r', { runId: 'f', at: 1 }).result(),
        compact: () => flow.compact(broken, 'r'),
        answer: () => flow.answer(broken, 'r', 'q', 1),
        prune: () => prune(broken, { keep: 0 }),
      };
      for (const [name, use] of Object.entries(uses))
        assert.is(await outcome(use), expected, `${name} ${late ? 'later' : 'at once'}`);
    }
});

test('a store of somebody that is busy is asked again, longer and longer, as the run counts time', async () => {
  for (const late of [false, true]) {
    const scheduler = new SimulationScheduler();
    const inner = memory();
    const asked: number[] = [];
    const store = Object.assign(Object.create(inner), {
      open: (runId: string) => {
        const log = inner.open(runId);
        const append: typeof log.append = (entries) => {
          asked.push(scheduler.now());
          if (scheduler.now() >= 10_000) return log.append(entries);
          const busy = new RxhiveError('STORE_FAILED', 'busy', { details: { reason: 'busy' } });
          if (late) return Promise.reject(busy);
          throw busy;
        };
        return { ...log, append };
      },
      ...Object.fromEntries(
        (['read', 'runs', 'remove', 'get', 'put'] as const).map((name) => [
          name,
          (...given: never[]) => (inner[name] as (...all: never[]) => unknown)(...given),
        ]),
      ),
    }) as CheckpointStore;
    const result = counting().run({ store, runId: 'r', durability: 'sync', scheduler }).result();
    await advance(scheduler);
    assert.equal([(await result).status, (await result).state.n], ['succeeded', 2]);
    const waits = asked.filter((at) => at < 10_000);
    assert.ok(waits.length > 8 && waits.length < 40, `${waits.length} tries`);
  }
});

const sides: Record<
  string,
  () => { store(): CheckpointStore & { close(): unknown }; expire(): Promise<void> }
> = {
  sqlite: () => {
    const file = newFile();
    return { store: () => sqlite(file), expire: async () => tables(file, 'update runs set expires = 0') };
  },
  ...(server && {
    postgres: () => {
      const schema = server.schema();
      return {
        store: () => postgres(server.url, { schema }),
        expire: async () => {
          await server.pool.query(`update ${schema}.runs set expires = to_timestamp(0)`);
        },
      };
    },
  }),
};

/** Timers of heartbeats, which beat when the test says so. */
function heartbeats(): { beat(): void; restore(): void } {
  const { setInterval } = globalThis;
  const beats: (() => void)[] = [];
  globalThis.setInterval = ((work: () => void, ms: number, ...more: unknown[]) => {
    if (ms !== 10_000) return setInterval(work, ms, ...(more as []));
    beats.push(work);
    return { unref: () => undefined };
  }) as typeof setInterval;
  return {
    beat: () => {
      for (const beat of beats) beat();
    },
    restore: () => {
      globalThis.setInterval = setInterval;
    },
  };
}

for (const [name, side] of Object.entries(sides))
  test(`${name}: a run whose lease another one took stops at the next heartbeat, before it writes or pays`, async () => {
    const hearts = heartbeats();
    try {
      const { store, expire } = side();
      const [mine, other] = [store(), store()];
      const flow = workflow({ name: 'lost', concurrency: 1 });
      let aborted: unknown;
      let begun = (): void => undefined;
      const running = new Promise<void>((done) => {
        begun = done;
      });
      flow.task('long', {
        run: (_, ctx) =>
          new Promise((_done, fail) => {
            ctx.signal.addEventListener('abort', () => {
              aborted = ctx.signal.reason;
              fail(aborted);
            });
            begun();
          }),
      });
      flow.task('next', { run: () => assert.unreachable('it was paid') });
      const result = flow.run({ store: mine, runId: 'r', durability: 'exit' }).result();
      await running;
      hearts.beat();
      assert.is(aborted, undefined);
      // Until what the first beat wrote is there: it may come behind the end of the lease, and make it longer.
      const taken = async (tries: number): Promise<RunLog> => {
        await expire();
        try {
          return await other.open('r');
        } catch (error) {
          if (tries === 0) throw error;
          return taken(tries - 1);
        }
      };
      const log = await taken(100);
      const records = log.entries.length;
      hearts.beat();
      assert.is(said((await result).error), 'RUN_LEASED');
      assert.is(said(aborted), 'RUN_LEASED');
      assert.is((await other.read('r')).length, records);
      await log.close();
      await mine.close();
      await other.close();
    } finally {
      hearts.restore();
    }
  });

test('runs one after the other leave no file open: good, failed and cancelled ones, and looks at their logs', async () => {
  const open = (): number => readdirSync('/proc/self/fd').length;
  const visit = async (file: string, i: number): Promise<void> => {
    const flow = workflow({ name: 'visit' });
    flow.task('t', {
      run: async (_, ctx) => {
        if (i % 4 === 1) throw new Error('no');
        if (i % 4 === 2) await ctx.sleep(60_000);
        return i;
      },
    });
    const run = flow.run({ store: file, runId: `r${i}`, durability: 'exit' });
    const result = run.result();
    if (i % 4 === 2) setImmediate(() => run.cancel());
    await result;
    await flow.history(file, `r${i}`);
    if (i % 4 === 3) await flow.compact(file, `r${i}`, { keep: 0 });
    if (i % 4 === 0) await flow.fork(file, `r${i}`, { at: 1, runId: `f${i}` }).result();
    assert.is(await outcome(() => flow.answer(file, `r${i}`, 'none', 1)), 'QUESTION_UNKNOWN');
  };
  const [one, before] = [newFile(), open()];
  for (let i = 0; i < 60; i++) await visit(one, i);
  // A driver that cannot close its files keeps a few, for whoever opens them next.
  assert.ok(open() - before < 20, `${open() - before} more files are open`);
  for (let i = 0; i < 60; i++) await visit(newFile(), i);
  assert.ok(open() - before < 100, `${open() - before} more files are open`);
});

if (server !== undefined) {
  test('postgres: connection, pool, rights, locks and tables: each has its reason', async () => {
    const make = async () => {
      const schema = server.schema();
      const store = postgres(server.url, { schema });
      await counting().run({ store, runId: 'r' }).result();
      return { schema, store };
    };
    const { store: closed } = await make();
    await closed.close();
    assert.is(await outcome(() => closed.read('r')), 'STORE_FAILED closed');
    const { schema, store } = await make();
    const with_ = (options: string): CheckpointStore & { close(): unknown } => {
      const url = new URL(server.url);
      url.searchParams.set('options', options);
      return postgres(url.href, { schema });
    };
    const readOnly = with_('-c default_transaction_read_only=on');
    assert.is(await outcome(() => readOnly.read('r')), 'ok');
    assert.is(await outcome(() => readOnly.open('r')), 'STORE_FAILED read-only');
    await readOnly.close();
    const hurried = with_('-c lock_timeout=20');
    const client = await server.pool.connect();
    await client.query(`begin; lock table ${schema}.runs in access exclusive mode`);
    assert.is(await outcome(() => hurried.open('r')), 'STORE_FAILED busy');
    const waiting = counting().run({ store: hurried, runId: 'waits' }).result();
    await client.query('rollback');
    client.release();
    assert.is((await waiting).status, 'succeeded');
    await hurried.close();
    await server.pool.query(`drop table ${schema}.log`);
    assert.is(await outcome(() => store.read('r')), 'STORE_FAILED gone');
    await store.close();
    const elsewhere = new URL(server.url);
    elsewhere.pathname = '/no_such_database';
    const missing = postgres(elsewhere.href);
    assert.is(await outcome(() => missing.read('r')), 'STORE_FAILED gone');
    await missing.close();
  });

  test('postgres: a pool that was ended by its owner is closed', async () => {
    const { default: pg } = await import('pg');
    const pool = new pg.Pool({ connectionString: server.url });
    const store = postgres(pool, { schema: server.schema() });
    await store.read('r');
    await pool.end();
    assert.is(await outcome(() => store.read('r')), 'STORE_FAILED closed');
  });
}

test.run();
