import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type CheckpointStore, memory } from '../../lib/index.js';
import { type PostgresStore, postgres } from '../../lib/stores/postgres.js';
import { type SqliteStore, sqlite } from '../../lib/stores/sqlite.js';
import { type StoreSubject, storeConformance } from '../../lib/testing/conformance/index.js';
import { LateStore } from '../support/late-store.js';
import { testServer } from '../support/postgres.js';

const folder = mkdtempSync(join(tmpdir(), 'rxhive-'));
const server = await testServer();
const opened: (SqliteStore | PostgresStore)[] = [];
const keep = <T extends SqliteStore | PostgresStore>(store: T): T => {
  opened.push(store);
  return store;
};
test.after(async () => {
  for (const store of opened) await store.close();
  rmSync(folder, { recursive: true, force: true });
  await server?.end();
});

const places = new WeakMap<CheckpointStore, string>();
let made = 0;
const at = <T extends CheckpointStore>(place: string, store: T): T => {
  places.set(store, place);
  return store;
};
const subjects: Record<string, StoreSubject> = {
  memory: { rows: true, make: () => memory() },
  'memory that answers later': {
    rows: true,
    make: () => {
      const store = new LateStore();
      store.auto = () => 0;
      return store;
    },
  },
  sqlite: {
    rows: true,
    make: () => {
      const file = join(folder, `${made++}.db`);
      return at(file, keep(sqlite(file)));
    },
    reopen: (store) => keep(sqlite(places.get(store) as string)),
  },
  ...(server && {
    postgres: {
      rows: true,
      make: () => {
        const schema = server.schema();
        return at(schema, keep(postgres(server.url, { schema })));
      },
      reopen: (store) => keep(postgres(server.url, { schema: places.get(store) as string })),
    },
    'postgres with a pool that was given': {
      rows: true,
      make: () => postgres(server.pool, { schema: server.schema() }),
    },
  }),
};

for (const [name, subject] of Object.entries(subjects))
  for (const check of storeConformance(subject)) test(`${name}: ${check.name}`, () => check.run());

test('the suite finds a store that does not conform', async () => {
  const broken: [string, (store: CheckpointStore) => Partial<CheckpointStore>, RegExp][] = [
    ['forgets', () => ({ read: () => [] }), /expected \["one","two"\], got \[\]/],
    [
      'lets two in',
      (store) => ({ open: (runId) => store.open(`${runId} ${made++}`) }),
      /RUN_LEASED, got none/,
    ],
    ['keeps nothing', () => ({ get: () => undefined }), /a: expected "newest"/],
    [
      'keeps texts of removed runs',
      (store) => ({ put: (key, text) => store.put(key, text) }),
      /a text that went with old records: expected undefined/,
    ],
  ];
  for (const [what, breaks, message] of broken) {
    const checks = storeConformance({
      make: () => {
        const store = memory();
        const kept: CheckpointStore = {
          open: (runId) => store.open(runId),
          read: (runId) => store.read(runId),
          runs: () => store.runs(),
          remove: (runId) => store.remove(runId),
          get: (key) => store.get(key),
          put: (key, text, runId) => store.put(key, text, runId),
        };
        return { ...kept, ...breaks(store) };
      },
    });
    const faults = await Promise.all(
      checks.map((check) =>
        check.run().then(
          () => '',
          (error: unknown) => String(error),
        ),
      ),
    );
    assert.ok(
      faults.some((fault) => message.test(fault)),
      `${what}: ${faults.join('; ')}`,
    );
  }
});

test.run();
