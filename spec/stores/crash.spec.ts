import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { seededRandom } from '../../lib/kernel/random.js';
import { postgres } from '../../lib/stores/postgres.js';
import { sqlite } from '../../lib/stores/sqlite.js';
import { fromSources } from '../support/from-sources.js';
import { testServer } from '../support/postgres.js';

const folder = mkdtempSync(join(tmpdir(), 'rxhive-'));
const server = await testServer();
test.after(async () => {
  rmSync(folder, { recursive: true, force: true });
  await server?.end();
});

/** A place for the log of a run, as an argument of the program and for a look from here. */
interface Place {
  readonly argument: string;
  /** Ids of the tasks whose commit is in the log. */
  committed(): Promise<string[]>;
  /** Lets the lease run out, as if its 30 s were over. */
  expire(): Promise<void>;
}

let made = 0;
const places: Record<string, () => Place> = {
  sqlite: () => {
    const file = join(folder, `crash${made++}.db`);
    return {
      argument: file,
      committed: async () => {
        const store = sqlite(file);
        const entries = store.read('crash');
        store.close();
        return tasksOf(await entries);
      },
      expire: async () => {
        const Database = createRequire(import.meta.url)('libsql');
        const db = new Database(file);
        db.exec('update runs set expires = 0');
        db.close();
      },
    };
  },
  ...(server && {
    postgres: () => {
      const schema = server.schema();
      const store = postgres(server.pool, { schema });
      return {
        argument: `${schema} ${server.url}`,
        committed: async () => tasksOf(await store.read('crash')),
        expire: async () => {
          await server.pool.query(`update ${schema}.runs set expires = to_timestamp(0)`);
        },
      };
    },
  }),
};

function tasksOf(entries: readonly { body: string }[]): string[] {
  const records = entries.map(({ body }) => JSON.parse(body) as { kind: string; task: string });
  return records.flatMap(({ kind, task }) => (kind === 'commit' ? [task] : []));
}

/** One process of the program. */
class Program {
  readonly child: ChildProcess;
  /** It is about to open the store. */
  readonly loaded: Promise<void>;
  readonly begun: Promise<void>;
  /** What it printed last; undefined when it was killed. */
  readonly ended: Promise<string | undefined>;

  constructor(place: Place, notes: string, mode: string, pace = 2) {
    const args = [...fromSources, 'spec/support/crashing-run.ts', place.argument, notes, mode, String(pace)];
    this.child = spawn(process.execPath, args);
    let out = '';
    let [load, begin] = [(): void => undefined, (): void => undefined];
    this.loaded = new Promise((done) => {
      load = done;
    });
    this.begun = new Promise((done) => {
      begin = done;
    });
    const take = (chunk: Buffer): void => {
      out += chunk;
      load();
      if (/^begun/m.test(out)) begin();
    };
    this.child.stdout?.on('data', take);
    this.child.stderr?.on('data', take);
    this.ended = new Promise((done) => {
      this.child.on('close', (code) => {
        load();
        begin();
        done(code === null ? undefined : out.trim().split('\n').at(-1));
      });
    });
  }
}

function noted(notes: string, what: string, from = 0): string[] {
  const lines = readFileSync(notes, 'utf8').slice(from).split('\n');
  return lines.filter((line) => line.startsWith(`${what} `)).map((line) => line.slice(what.length + 1));
}

function emptyNotes(): string {
  const notes = join(folder, `notes${made++}`);
  writeFileSync(notes, '');
  return notes;
}

/** Six layers of three, of which two add two each. */
const tasks = 18 + 24;

function isWhole(out: string | undefined): void {
  const end = JSON.parse(out ?? '{}');
  assert.is(end.status, 'succeeded', out);
  assert.is(end.state.sum, 153 + 24);
  assert.is(Object.keys(end.state.order).length, tasks);
  // Each who listened has each word once, whoever was killed in between.
  assert.equal(Object.values(end.state.heard), Array(12).fill(['one', 'two']));
}

const seed = Number(process.env.SEED ?? 3);
const kills = Number(process.env.KILLS ?? 12);
const modes = ['sync', 'group', 'exit'].flatMap((durability) => [durability, `${durability}+compact`]);

/** Runs the program until it gets through, killed at random moments, `most` times; returns how often it was killed. */
async function outlive(place: Place, mode: string, random: () => number, most: number): Promise<number> {
  const notes = emptyNotes();
  let killed = 0;
  let out: string | undefined;
  for (let ms = 120; out === undefined; ms *= 1.2) {
    const before = new Set(await place.committed());
    const from = readFileSync(notes, 'utf8').length;
    const program = new Program(place, notes, mode);
    await program.loaded;
    if (killed < most) {
      await new Promise((done) => setTimeout(done, random() * ms));
      program.child.kill('SIGKILL');
    }
    out = await program.ended;
    if (out === undefined) killed += 1;
    const at = `${mode}, kill ${killed}`;
    assert.equal(
      noted(notes, 'began', from).filter((id) => before.has(id)),
      [],
      `called again, ${at}`,
    );
    const after = new Set(await place.committed());
    const told = [...before, ...(mode.startsWith('sync') ? noted(notes, 'acknowledged') : [])];
    assert.equal(
      told.filter((id) => !after.has(id)),
      [],
      `lost, ${at}`,
    );
  }
  isWhole(out);
  return killed;
}

for (const [i, [name, make]] of Object.entries(places).entries())
  test(`${name}: killed with -9 in every mode, nothing of the log is lost or called again, words come once, seed ${seed}`, async () => {
    const random = seededRandom(seed + i);
    const share = Math.ceil(kills / Object.keys(places).length / modes.length);
    const counts: Record<string, number> = {};
    for (const mode of modes)
      for (let killed = 0; killed < share; counts[mode] = killed)
        killed += await outlive(make(), mode, random, share - killed);
    if (process.env.KILLS !== undefined) console.log(name, JSON.stringify(counts));
  });

for (const [name, make] of Object.entries(places)) {
  test(`${name}: of two processes that want to continue one run, one does`, async () => {
    const place = make();
    const notes = emptyNotes();
    // It writes at its end alone: stopped within a write it would hold the database, and nobody could see its lease.
    const first = new Program(place, notes, 'exit', 150);
    await first.begun;
    // Held, so that it is there for as long as the second takes.
    first.child.kill('SIGSTOP');
    assert.is(await new Program(place, notes, 'sync').ended, '{"code":"RUN_LEASED"}');
    first.child.kill('SIGCONT');
    isWhole(await first.ended);
    assert.is(noted(notes, 'began').length, tasks);
  });

  test(`${name}: a process that was frozen, and whose run another took over, writes nothing more`, async () => {
    const place = make();
    const notes = emptyNotes();
    const frozen = new Program(place, notes, 'sync', 150);
    await frozen.begun;
    while (noted(notes, 'acknowledged').length < 3) await new Promise((done) => setTimeout(done, 5));
    // Stopped within a write it would hold the database, and nobody could take anything over.
    for (let tries = 1, expired = false; !expired; tries++) {
      frozen.child.kill('SIGSTOP');
      try {
        await place.expire();
        expired = true;
      } catch (error) {
        if (tries === 5) throw error;
        frozen.child.kill('SIGCONT');
        await new Promise((done) => setTimeout(done, 20));
      }
    }
    const other = emptyNotes();
    isWhole(await new Program(place, other, 'sync').ended);
    const log = await place.committed();
    assert.is(new Set(log).size, tasks);
    frozen.child.kill('SIGCONT');
    assert.is(JSON.parse((await frozen.ended) ?? '{}').code, 'RUN_LEASED');
    assert.equal(await place.committed(), log);
    // What the frozen one was told of is there, and was not run again.
    const told = noted(notes, 'acknowledged');
    assert.equal(
      told.filter((id) => !log.includes(id)),
      [],
    );
    assert.equal(
      noted(other, 'began').filter((id) => told.includes(id)),
      [],
    );
  });
}

test.run();
