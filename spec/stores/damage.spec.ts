import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CheckpointCorruptError, type CheckpointStore, memory, workflow } from '../../lib/index.js';
import { seededRandom } from '../../lib/kernel/random.js';
import { postgres } from '../../lib/stores/postgres.js';
import { sqlite } from '../../lib/stores/sqlite.js';
import { testServer } from '../support/postgres.js';

const folder = mkdtempSync(join(tmpdir(), 'rxhive-'));
const server = await testServer();
test.after(async () => {
  rmSync(folder, { recursive: true, force: true });
  await server?.end();
});

const seed = Number(process.env.SEED ?? 7);
const random = seededRandom(seed);
const roll = (n: number): number => Math.floor(random() * n);

const make = (name = 'fuzz'): ReturnType<typeof workflow<{ n: number }>> => {
  const flow = workflow({ name, concurrency: 1, state: { n: 0 } });
  for (let i = 0; i < 6; i++)
    flow.task(`t${i}`, {
      version: '1',
      run: (_, ctx) => {
        ctx.update((s) => {
          s.n += i;
        });
        return `value ${i}`;
      },
    });
  return flow as never;
};

/** True: refused with the record's number. False: nothing was wrong with it. Anything else is an error. */
async function isRefused(store: CheckpointStore, where: string): Promise<boolean> {
  try {
    const result = await make().run({ store, runId: 'f' }).result();
    assert.equal(result.state, { n: 15 }, where);
    assert.is(result.results.get('t5'), 'value 5', where);
    assert.is(result.report.counts.restored, 6, `a damaged log was taken for none, ${where}`);
    return false;
  } catch (error) {
    if (!(error instanceof CheckpointCorruptError)) throw new Error(where, { cause: error });
    assert.ok(error.seq >= 0 && error.seq <= 9, `${where}: ${error.message}`);
    return true;
  }
}

test('sqlite: 300 damaged files: an error, or the same result; never another', async () => {
  const file = join(folder, 'fuzz.db');
  const whole = sqlite(file);
  await make().run({ store: whole, runId: 'f' }).result();
  whole.close();
  const bytes = readFileSync(file);
  let refused = 0;
  for (let i = 0; i < 300; i++) {
    const copy = Buffer.from(bytes);
    const kind = roll(3);
    if (kind === 0) for (let k = roll(4); k >= 0; k--) copy[roll(copy.length)] = roll(256);
    if (kind === 1) copy.fill(0, roll(copy.length), copy.length);
    const at = roll(copy.length);
    if (kind === 2) copy[at] = (copy[at] ?? 0) ^ (1 << roll(8));
    const damaged = join(folder, 'damaged.db');
    for (const end of ['', '-wal', '-shm']) rmSync(damaged + end, { force: true });
    writeFileSync(damaged, roll(10) === 0 ? copy.subarray(0, roll(copy.length)) : copy);
    const where = `seed ${seed}, case ${i}`;
    let store: ReturnType<typeof sqlite>;
    try {
      store = sqlite(damaged);
    } catch (error) {
      assert.instance(error, CheckpointCorruptError, where);
      refused += 1;
      continue;
    }
    try {
      if (await isRefused(store, where)) refused += 1;
    } finally {
      store.close();
    }
  }
  assert.ok(refused > 60, `${refused} refused`);
});

/** Damages a list of records in one of many ways; says how. */
function damage(rows: string[], foreign: readonly string[]): string {
  const [i, j] = [roll(rows.length), roll(rows.length)];
  const [one, two] = [rows[i] as string, rows[j] as string];
  const at = roll(one.length);
  switch (roll(9)) {
    case 0:
      [rows[i], rows[j]] = [two, one];
      return `swapped ${i} and ${j}`;
    case 1:
      rows.splice(i, 1);
      return `removed ${i}`;
    case 2:
      rows.splice(j, 0, one);
      return `repeated ${i} at ${j}`;
    case 3:
      rows[i] = foreign[i] as string;
      return `took ${i} from another run`;
    case 4:
      rows.splice(i, rows.length, ...foreign.slice(i));
      return `went on with another run at ${i}`;
    case 5:
      rows[i] = one.replace(
        /"kind":"\w+"/,
        `"kind":"${['run', 'commit', 'failed', 'dropped', 'odd'][roll(5)]}"`,
      );
      return `another kind at ${i}`;
    case 6:
      rows[i] = one.replace(/value \d|"n":\d+|t\d/, `t${roll(6)}`);
      return `another value at ${i}`;
    case 7:
      rows[i] = one.slice(0, at);
      return `cut ${i} at ${at}`;
    default:
      rows[i] =
        one.slice(0, at) + String.fromCharCode(one.charCodeAt(at) ^ (1 << roll(7))) + one.slice(at + 1);
      return `flipped a bit of ${i} at ${at}`;
  }
}

async function logs(): Promise<{ own: readonly string[]; foreign: readonly string[] }> {
  const store = memory();
  await make().run({ store, runId: 'f' }).result();
  await make().run({ store, runId: 'other' }).result();
  const { f: own = [], other: foreign = [] } = store.dump();
  return { own, foreign };
}

test('memory: 1,000 damaged dumps: an error that names the record, or the same result', async () => {
  const { own, foreign } = await logs();
  let refused = 0;
  for (let i = 0; i < 1_000; i++) {
    const rows = [...own];
    let how = damage(rows, foreign);
    if (rows.length > 0 && roll(3) === 0) how += `, ${damage(rows, foreign)}`;
    // All gone is no damage that a dump could show: there is no run.
    const untouched = rows.join('\n') === own.join('\n') || rows.length === 0;
    if (rows.length === 0) continue;
    const where = `seed ${seed}, case ${i}: ${how}`;
    const wrong = await isRefused(memory({ f: rows }), where);
    assert.is(wrong, !untouched, where);
    if (wrong) refused += 1;
  }
  assert.ok(refused > 700, `${refused} refused`);
});

test('records that follow no order are refused even where every sum fits', async () => {
  const { own } = await logs();
  const bodies = own.map((line) => line.slice(line.indexOf(' ') + 1));
  for (const wrong of [
    [bodies[1], bodies[0]],
    [bodies[0], bodies[0]],
    [bodies[0], '{"kind":"odd"}'],
    [bodies[0], '{"kind":"commit"}'],
    [bodies[0], '{'],
    [bodies[0], 'null'],
    [bodies[0], '{"kind":"commit","task":"t0","at":[0,1],"patches":[{"op":"add"}]}'],
    ['{"kind":"run","format":2}'],
  ]) {
    const store = memory();
    const log = await store.open('f');
    log.append(wrong.map((body, i) => ({ seq: i + 1, body: body as string })));
    log.close();
    assert.is(await isRefused(store, String(wrong)), true, String(wrong));
    // It was given back, damaged as it is.
    (await store.open('f')).close();
  }
});

if (server !== undefined)
  test('postgres: 100 damaged tables: an error that names the record, or the same result', async () => {
    const schema = server.schema();
    const store = postgres(server.pool, { schema });
    await make().run({ store, runId: 'f' }).result();
    await make().run({ store, runId: 'other' }).result();
    const table = `${schema}.log`;
    const pick = (): number => 1 + roll(7);
    await server.pool.query(`create table ${schema}.whole as select * from ${table}`);
    await server.pool.query(`create table ${schema}.ends as select * from ${schema}.runs`);
    let refused = 0;
    for (let i = 0; i < 100; i++) {
      const [one, two] = [pick(), pick()];
      const changes = [
        `delete from ${table} where run_id = 'f' and seq = ${one}`,
        `delete from ${table} where run_id = 'f' and seq >= ${one}`,
        `delete from ${schema}.runs where run_id = 'f'`,
        `update ${schema}.runs set last = ${one} where run_id = 'f'`,
        `update ${table} set body = overlay(body placing chr(${33 + roll(90)}) from ${1 + roll(60)}) where run_id = 'f' and seq = ${one}`,
        `update ${table} set sum = 'x' || sum where run_id = 'f' and seq = ${one}`,
        `update ${table} as a set body = b.body, sum = b.sum from ${schema}.whole as b where a.run_id = 'f' and a.seq = ${one} and b.run_id = 'other' and b.seq = ${one}`,
        `update ${table} as a set body = b.body, sum = b.sum from ${schema}.whole as b where a.run_id = 'f' and a.seq = ${one} and b.run_id = 'f' and b.seq = ${two}`,
        `update ${table} set seq = ${one + 7} where run_id = 'f' and seq = ${one}`,
      ];
      const change = changes[roll(changes.length)] as string;
      await server.pool.query(change);
      if (await isRefused(store, `seed ${seed}, case ${i}: ${change}`)) refused += 1;
      await server.pool.query(
        `truncate ${table}, ${schema}.runs; insert into ${table} select * from ${schema}.whole;
         insert into ${schema}.runs select * from ${schema}.ends`,
      );
    }
    assert.ok(refused > 70, `${refused} refused`);
  });

test.run();
