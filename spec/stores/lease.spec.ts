import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type CheckpointStore, memory, RxhiveError } from '../../lib/index.js';
import { Clock } from '../../lib/kernel/clock.js';
import { LeaseWatch, leaseOf, type SharedLease } from '../../lib/stores/lease.js';
import { PostgresStore } from '../../lib/stores/postgres.js';
import { sqlite } from '../../lib/stores/sqlite.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';
import { testServer } from '../support/postgres.js';

const hour = 3_600_000;
const folder = mkdtempSync(join(tmpdir(), 'rxhive-'));
const server = await testServer();
test.after(async () => {
  rmSync(folder, { recursive: true, force: true });
  await server?.end();
});

/** The clocks of this machine, which `work` may set; they are right again afterwards. */
async function withClocks(work: (clocks: { wall: number; boot: number }) => unknown): Promise<void> {
  const [now, bigint] = [Date.now, process.hrtime.bigint];
  const clocks = { wall: 0, boot: 0 };
  Date.now = () => now() + clocks.wall;
  process.hrtime.bigint = () => bigint() + BigInt(clocks.boot) * 1_000_000n;
  try {
    await work(clocks);
  } finally {
    Date.now = now;
    process.hrtime.bigint = bigint;
  }
}

async function isRefused(work: () => unknown): Promise<boolean> {
  try {
    await work();
    return false;
  } catch (error) {
    if (error instanceof RxhiveError && error.code === 'RUN_LEASED') return true;
    throw error;
  }
}

const local: Readonly<Record<string, () => [CheckpointStore, CheckpointStore]>> = {
  memory: () => {
    const store = memory();
    return [store, store];
  },
  sqlite: () => {
    const file = join(folder, `${Math.random()}.db`);
    return [sqlite(file), sqlite(file)];
  },
};

for (const [name, make] of Object.entries(local))
  for (const jump of [-hour, hour])
    test(`${name}: nobody takes a lease when the clock is set by ${jump / hour} h, before or after it was taken`, () =>
      withClocks(async (clocks) => {
        const [first, second] = make();
        const log = await first.open('r');
        await log.append([{ seq: 1, body: 'one' }]);
        clocks.wall = jump;
        clocks.boot = 29_000;
        assert.ok(await isRefused(() => second.open('r')));
        assert.ok(await isRefused(() => second.remove('r')));
        await log.append([{ seq: 2, body: 'two' }]);
        clocks.wall = 0;
        clocks.boot = 58_000;
        assert.ok(await isRefused(() => second.open('r')));
        await log.append([{ seq: 3, body: 'three' }]);
        await log.close();
        const next = await second.open('r');
        assert.is(next.entries.length, 3);
        await next.close();
      }));

for (const jump of [-hour, 0, hour])
  test(`sqlite: a lease that nobody renews is free after 30 s, when the clock is set by ${jump / hour} h`, () =>
    withClocks(async (clocks) => {
      const file = join(folder, `${Math.random()}.db`);
      const stale = sqlite(file).open('r');
      clocks.wall = jump;
      clocks.boot = 30_000;
      const next = sqlite(file).open('r');
      assert.ok(await isRefused(() => stale.append([{ seq: 1, body: 'one' }])));
      await next.close();
    }));

test('sqlite: a lease holds as long as the store that took it says, and is renewed three times meanwhile', () =>
  withClocks(async (clocks) => {
    const file = join(folder, `${Math.random()}.db`);
    const { setInterval } = globalThis;
    const beats: (number | undefined)[] = [];
    globalThis.setInterval = ((_work: unknown, ms?: number) => {
      beats.push(ms);
      return { unref: () => undefined };
    }) as never;
    try {
      sqlite(file, { lease: 6_000 }).open('r');
      clocks.boot = 5_000;
      assert.ok(await isRefused(() => sqlite(file, { lease: 1_000 }).open('r')));
      clocks.boot = 6_000;
      await sqlite(file, { lease: 60_000 })
        .open('r')
        .append([{ seq: 1, body: 'one' }]);
      clocks.boot = 65_000;
      assert.ok(await isRefused(() => sqlite(file).open('r')), 'an append renews it for as long');
    } finally {
      globalThis.setInterval = setInterval;
    }
    assert.equal(beats, [2_000, 20_000]);
  }));

test('sqlite: the lease of a boot that is over is taken when it has expired, or has more time left than any', () =>
  withClocks(async (clocks) => {
    const Database = (await import('libsql')).default;
    for (const [wall, taken] of [
      [0, false],
      [31_000, true],
      [-hour, true],
    ] as const) {
      const file = join(folder, `${Math.random()}.db`);
      clocks.wall = 0;
      await sqlite(file)
        .open('r')
        .append([{ seq: 1, body: 'one' }]);
      const db = new Database(file);
      db.exec("update runs set owner = 'elsewhere/0/1/1 77 x', renewed = 5");
      db.close();
      clocks.wall = wall;
      assert.is(await isRefused(() => sqlite(file).open('r')), !taken, `${wall}`);
    }
  }));

/** Asks for a lease of a store that says `lease` at each moment; returns when the answer came, and what it was. */
async function watched(
  watch: LeaseWatch,
  scheduler: SimulationScheduler,
  lease: (at: number) => SharedLease | undefined,
) {
  const begun = scheduler.now();
  let answer: [over: boolean, ms: number] | undefined;
  void watch
    .isOver('r', async () => lease(scheduler.now() - begun))
    .then((over) => {
      answer = [over, scheduler.now() - begun];
    });
  await advance(scheduler, begun + 100_000);
  return answer;
}

test('a lease of another machine counts as over once it has stood still, whatever the time of day', async () => {
  const fresh = (): [LeaseWatch, SimulationScheduler] => {
    const scheduler = new SimulationScheduler();
    return [new LeaseWatch(new Clock({ scheduler })), scheduler];
  };
  const renewed = (at: number): string => `${Math.floor((at + 3_000) / 10_000)}`;
  const plain = await watched(...fresh(), () => ({ beat: 'a', left: 20_000, lasts: 30_000 }));
  assert.equal(plain, [false, 0], 'it has time left');
  const dead = await watched(...fresh(), (at) => ({ beat: 'a', left: -at, lasts: 30_000 }));
  assert.equal(dead, [true, 15_000], 'it has expired');
  const short = await watched(...fresh(), (at) => ({ beat: 'a', left: -at, lasts: 10_000 }));
  assert.equal(short, [true, 5_000], 'it was shorter');
  const forward = await watched(...fresh(), (at) => ({
    beat: renewed(at),
    left: at < 7_000 ? -hour : 30_000,
    lasts: 30_000,
  }));
  assert.equal(forward, [false, 7_000], 'its clock was set forward, and it is renewed');
  const back = await watched(...fresh(), (at) => ({
    beat: renewed(at),
    left: at < 7_000 ? hour : 30_000,
    lasts: 30_000,
  }));
  assert.equal(back, [false, 7_000], 'its clock was set back, and it is renewed');
  const backDead = await watched(...fresh(), (at) => ({ beat: 'a', left: hour - at, lasts: 30_000 }));
  assert.equal(backDead, [true, 30_000], 'its clock was set back, and nobody renews it');
  const released = await watched(...fresh(), (at) =>
    at < 5_000 ? { beat: 'a', left: -1, lasts: 30_000 } : undefined,
  );
  assert.equal(released, [true, 5_000], 'it was given back');
  const [watch, scheduler] = fresh();
  assert.equal(await watched(watch, scheduler, () => ({ beat: 'a', left: 10_000, lasts: 30_000 })), [
    false,
    0,
  ]);
  // Asked again 100 s later: it has stood still all the time.
  assert.equal(await watched(watch, scheduler, () => ({ beat: 'a', left: 10_000, lasts: 30_000 })), [
    true,
    0,
  ]);
});

test('a lease holds for ms from 1,000 to 3,600,000', () => {
  assert.is(leaseOf({}), 30_000);
  assert.is(leaseOf({ lease: 1_000 }), 1_000);
  for (const lease of [0, 999, 3_600_001, Number.NaN, '5000' as never])
    assert.throws(() => leaseOf({ lease }), /lease is .*; give ms from 1000 to 3600000/);
});

if (server !== undefined) {
  test('postgres: a lease holds as long as the store that took it says, also when it is renewed', async () => {
    const schema = server.schema();
    const log = await new PostgresStore(server.pool, { schema, lease: 600_000 }).open('r');
    const left = async (): Promise<number> => {
      const { rows } = await server.pool.query(
        `select lease, extract(epoch from expires - updated) * 1000 as left from ${schema}.runs`,
      );
      assert.is(rows[0]?.lease, 600_000);
      return Math.round(Number(rows[0]?.left) / 10_000);
    };
    assert.is(await left(), 60);
    await log.append([{ seq: 1, body: 'one' }]);
    assert.is(await left(), 60);
    await log.close();
  });

  for (const interval of ['1 hour', '-1 hour']) {
    test(`postgres: a lease is not taken when the clock of the server jumps by ${interval}, but when it stands still`, async () => {
      const schema = server.schema();
      const scheduler = new SimulationScheduler();
      const first = new PostgresStore(server.pool, { schema });
      const second = new PostgresStore(server.pool, { schema }, new Clock({ scheduler }));
      const log = await first.open('r');
      const jump = () =>
        server.pool.query(`update ${schema}.runs set expires = expires - interval '${interval}'`);
      /** Whether the second one gets it; `meanwhile` is called after 5 s. */
      const asked = async (meanwhile: () => unknown): Promise<string | number> => {
        let answer: string | number | undefined;
        const begun = scheduler.now();
        const pending = second.open('r').then(
          (next) => {
            answer = scheduler.now() - begun;
            return next.close();
          },
          (error: unknown) => {
            answer = (error as RxhiveError).code;
          },
        );
        while (answer === undefined) {
          // Each look is a round trip to the server.
          await new Promise((done) => setImmediate(done));
          if (scheduler.pending === 0) continue;
          if (scheduler.nextAt - begun === 5_000) await meanwhile();
          scheduler.step();
        }
        await pending;
        return answer;
      };
      await jump();
      assert.is(await asked(() => log.append([{ seq: 1, body: 'one' }])), 'RUN_LEASED');
      await jump();
      assert.is(await asked(() => undefined), interval === '1 hour' ? 15_000 : 30_000);
      assert.ok(await isRefused(() => log.append([{ seq: 2, body: 'two' }])));
    });
  }
}

test.run();
