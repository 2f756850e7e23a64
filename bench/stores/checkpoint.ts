import { EventEmitter } from 'node:events';
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CheckpointStore, collection, memory, workflow } from '../../dist/index.js';
import { postgres } from '../../dist/stores/postgres.js';
import { sqlite } from '../../dist/stores/sqlite.js';
import { langGraph, startDbos } from './peers.js';
import { startPostgres } from './postgres.js';

// What a store adds to a task, by shape, mode and store, beside peers; sizes of logs; how long a resume takes.
EventEmitter.defaultMaxListeners = 0; // LangGraph adds one per task.
const folder = mkdtempSync(join(tmpdir(), 'rxhive-'));
const cells = [
  ['fan', 300],
  ['fan', 3_000],
  ['chain', 300],
  ['chain', 1_000],
] as const;
const repeats = 7;
const median = (times: readonly number[]): number =>
  [...times].sort((a, b) => a - b)[times.length >> 1] as number;

function flowOf(shape: string, n: number): ReturnType<typeof workflow> {
  const flow = workflow({ name: 'bench', concurrency: 100 });
  let before: ReturnType<typeof flow.task>[] = [];
  for (let i = 0; i < n; i++) {
    const task = flow.task(`t${i}`, { dependencies: before, run: async () => i });
    if (shape === 'chain') before = [task];
  }
  return flow as ReturnType<typeof workflow>;
}

let runs = 0;
async function us(shape: string, n: number, options: object): Promise<number> {
  const all: number[] = [];
  for (let i = 0; i < repeats; i++) {
    const run = flowOf(shape, n).run({ ...options, runId: `r${runs++}` });
    const begun = performance.now();
    const result = await run.result();
    all.push(((performance.now() - begun) * 1_000) / n);
    if (result.status !== 'succeeded') throw new Error(String(result.report));
  }
  return median(all);
}

const figures = new Map<string, number>();
const wide = 32;
const say = (name: string, values: readonly string[]): void =>
  console.log(`${name.padEnd(wide)}${values.map((one) => one.padStart(16)).join('')}`);

/** One row: us per task over `base`, by shape. */
async function row(
  name: string,
  one: (shape: string, n: number) => Promise<number>,
  base?: string,
): Promise<void> {
  const texts: string[] = [];
  for (const [shape, n] of cells) {
    const time = await one(shape, n);
    figures.set(`${name} ${shape} ${n}`, time);
    const over = time - (figures.get(`${base} ${shape} ${n}`) ?? 0);
    figures.set(`+${name} ${shape} ${n}`, over);
    texts.push(
      base === undefined ? time.toFixed(1) : `${time.toFixed(1)} (${over < 0 ? '' : '+'}${over.toFixed(1)})`,
    );
  }
  say(name, texts);
}

const path = (name: string): string => join(folder, `${name.replaceAll(' ', '-')}.db`);

/** KB of a file per task of `n`. */
const kb = (bytes: number, n: number): number => bytes / 1024 / n;

console.log('us per task, in brackets: over the same engine without a store\n');
say(
  '',
  cells.map((cell) => cell.join(' ')),
);
for (let i = 0; i < 10; i++) await us('fan', 300, {});
await row('rxhive', (shape, n) => us(shape, n, {}));
for (const durability of ['group', 'sync', 'exit'] as const) {
  await row(
    `rxhive, memory, ${durability}`,
    (shape, n) => us(shape, n, { store: memory(), durability }),
    'rxhive',
  );
  await row(
    `rxhive, sqlite, ${durability}`,
    async (shape, n) => {
      const store = sqlite(path(`${durability} ${shape} ${n}`));
      const time = await us(shape, n, { store, durability });
      store.close();
      return time;
    },
    'rxhive',
  );
}
// A second run of the same shape is much quicker than the first; it counts.
const warm = async (shape: string, n: number, file?: string): Promise<number> => {
  await langGraph(shape, Math.min(n, 300));
  return langGraph(shape, n, file);
};
await row('LangGraph', (shape, n) => warm(shape, n));
await row('LangGraph, sqlite', (shape, n) => warm(shape, n, path(`LangGraph ${shape} ${n}`)), 'LangGraph');
const server = await startPostgres();
const dbosKb: string[] = [];
if (typeof server === 'string') console.log(`skipped: DBOS on PostgreSQL: ${server}`);
else {
  for (const durability of ['group', 'sync'] as const) {
    const store = postgres(server.url, { schema: durability });
    const one = (shape: string, n: number): Promise<number> => us(shape, n, { store, durability });
    await row(`rxhive, PostgreSQL, ${durability}`, one, 'rxhive');
    await store.close();
  }
  const dbos = await startDbos(server);
  await dbos.us('fan', 100);
  await row('DBOS, PostgreSQL', async (shape, n) => {
    const before = await dbos.bytes();
    const time = await dbos.us(shape, n);
    dbosKb.push(kb((await dbos.bytes()) - before, n).toFixed(2));
    return time;
  });
  await dbos.stop();
  server.stop();
}

console.log('\nKB of log a task, with the file around it\n');
say(
  '',
  cells.map((cell) => cell.join(' ')),
);
const sizes = cells.map(([shape, n]) => kb(statSync(path(`group ${shape} ${n}`)).size, n * repeats));
say(
  'rxhive, sqlite',
  sizes.map((one) => one.toFixed(2)),
);
const peerFile = (shape: string, n: number): number =>
  ['', '-wal'].reduce((sum, end) => {
    const size = statSync(path(`LangGraph ${shape} ${n}`) + end, { throwIfNoEntry: false })?.size ?? 0;
    return Math.max(sum, size);
  }, 0);
say(
  'LangGraph, sqlite',
  cells.map(([shape, n]) => kb(peerFile(shape, n), n).toFixed(2)),
);
if (dbosKb.length > 0) say('DBOS, PostgreSQL', dbosKb);

/** Bytes of record text per task when each changes one part of a state of about 1 MB. */
async function changes(tasks: number): Promise<number> {
  const docs = collection(
    Array.from({ length: 1_000 }, (_, i) => [`doc${i}`, { n: 0, text: 'x'.repeat(1_000) }] as const),
  );
  const flow = workflow({ name: 'changes', state: { docs } });
  for (let i = 0; i < tasks; i++)
    flow.task(`t${i}`, {
      run: (_, ctx) =>
        ctx.update((s) => {
          const doc = s.docs.get(`doc${i % 1_000}`);
          if (doc !== undefined) doc.n += 1;
        }),
    });
  const store = memory();
  await flow.run({ store, runId: 'r' }).result();
  return (store.dump().r ?? []).reduce((sum, body) => sum + body.length, 0) / tasks;
}
const [few, many] = [await changes(1_000), await changes(10_000)];
console.log(
  `\n1 MB of state, one part changed a task: ${few.toFixed(0)} bytes a task for 1,000, ${many.toFixed(0)} for 10,000`,
);

/** Appends a chain makes in `sync` mode: each is one transaction, synced once. */
async function appends(n: number): Promise<number> {
  const inner = sqlite(path('appends'));
  let count = 0;
  const store: CheckpointStore = {
    read: (id) => inner.read(id),
    runs: () => inner.runs(),
    remove: (id) => inner.remove(id),
    get: (key) => inner.get(key),
    put: (key, text) => inner.put(key, text),
    open: (id) => {
      const log = inner.open(id);
      return {
        entries: log.entries,
        replace: (entries) => log.replace(entries),
        close: () => log.close(),
        append: (entries) => {
          count += 1;
          log.append(entries);
        },
      };
    },
  };
  await flowOf('chain', n).run({ store, runId: 'r', durability: 'sync' }).result();
  inner.close();
  return count;
}
const perTask = (await appends(1_000)) / 1_000;
const probe = openSync(path('probe'), 'w');
const syncs = Array.from({ length: 200 }, () => {
  const begun = performance.now();
  writeSync(probe, 'x'.repeat(300));
  fdatasyncSync(probe);
  return (performance.now() - begun) * 1_000;
});
closeSync(probe);
console.log(`one write and fdatasync of a file here: ${median(syncs).toFixed(0)} us`);

const store = sqlite(path('large'));
await flowOf('fan', 100_000).run({ store, runId: 'large' }).result();
const run = flowOf('fan', 100_000).run({ store, runId: 'large' });
const begun = performance.now();
const { report } = await run.result();
const seconds = (performance.now() - begun) / 1_000;
store.close();
console.log(`${report.counts.restored} tasks come back in ${seconds.toFixed(2)} s\n`);
rmSync(folder, { recursive: true, force: true });

function judge(goal: string, got: number, most: number): void {
  if (!Number.isNaN(got)) console.log(`${got <= most ? 'met    ' : 'NOT MET'}  ${goal}: ${got.toFixed(2)}`);
}
judge(
  'fan 3000, sqlite, group: at most 25 us a commit',
  figures.get('+rxhive, sqlite, group fan 3000') ?? Number.NaN,
  25,
);
judge('chain 1000, sync: at most one fsync a task (records: tasks and the first)', perTask, 1.001);
judge('at most 0.6 KB of log a small task', sizes[1] as number, 0.6);
judge('chain 1000: KB a task over chain 300, linear', (sizes[3] as number) / (sizes[2] as number), 1.2);
judge('1 MB of state: bytes a change for 10,000 tasks over 1,000', many / few, 1.2);
judge('100,000 tasks come back in at most 2 s', seconds, 2);
process.exit(0);
