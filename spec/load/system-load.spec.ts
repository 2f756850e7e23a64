import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { firstValueFrom, skip, take, toArray } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { RxhiveError, workflow } from '../../lib/index.js';
import { readCgroup } from '../../lib/load/cgroup.js';
import { type LoadSample, systemLoad } from '../../lib/load/index.js';

/** A folder of control groups with these files. */
function folderOf(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'cgroup-'));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), `${text}\n`);
  }
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const MiB = 1024 * 1024;

test('version 2: the smallest limit from the own group up counts', () => {
  const folder = folderOf({
    'cpu.stat': 'usage_usec 9000000\nuser_usec 1',
    'app/memory.max': `${512 * MiB}`,
    'app/cpu.max': '150000 100000',
    'app/cpu.stat': 'usage_usec 8000000',
    'app/part/memory.max': 'max',
    'app/part/cpu.max': 'max 100000',
    'app/part/cpu.stat': 'usage_usec 2500000\nuser_usec 1',
    self: '0::/app/part',
    elsewhere: '0::/not/mounted/here',
  });
  assert.equal(readCgroup({ folder, self: join(folder, 'self') }), {
    memoryLimit: 512 * MiB,
    cpus: 1.5,
    cpuMs: 2_500,
  });
  const top = { memoryLimit: undefined, cpus: undefined, cpuMs: 9_000 };
  assert.equal(readCgroup({ folder }), top);
  assert.equal(readCgroup({ folder, self: join(folder, 'elsewhere') }), top);
});

test('version 1, and no control groups at all', () => {
  const folder = folderOf({
    'memory/memory.limit_in_bytes': '9223372036854771712',
    'memory/pod/memory.limit_in_bytes': `${256 * MiB}`,
    'cpu/pod/cpu.cfs_quota_us': '50000',
    'cpu/pod/cpu.cfs_period_us': '100000',
    'cpu/cpu.cfs_quota_us': '-1',
    'cpu/cpu.cfs_period_us': '100000',
    'cpuacct/pod/cpuacct.usage': '3000000000',
    self: '4:memory:/pod\n2:cpu,cpuacct:/pod\n1:name=systemd:/x\n0::/',
  });
  assert.equal(readCgroup({ folder, self: join(folder, 'self') }), {
    memoryLimit: 256 * MiB,
    cpus: 0.5,
    cpuMs: 3_000,
  });
  const nothing = { memoryLimit: undefined, cpus: undefined, cpuMs: undefined };
  assert.equal(readCgroup({ folder: '/there/is/no/such', self: '/nor/such' }), nothing);
  const torn = folderOf({ 'cpu.stat': '', 'memory.max': 'lots', 'cpu.max': '0 0' });
  assert.equal(readCgroup({ folder: torn }), nothing);
});

/** The second and third sample with files that change in between. */
async function samples(cgroup: string, change: () => void): Promise<LoadSample[]> {
  const first = firstValueFrom(systemLoad({ interval: 500, cgroup }).pipe(skip(1), take(2), toArray()));
  const timer = setInterval(change, 10);
  const seen = await first;
  clearInterval(timer);
  return seen;
}

test('memory is a share of the container, CPU of its quota', async () => {
  const rss = process.memoryUsage.rss();
  const folder = folderOf({
    'memory.max': `${rss * 2}`,
    'cpu.max': '400000 100000',
    'cpu.stat': 'usage_usec 0',
  });
  const began = performance.now();
  // As if two of the four CPUs allowed were in use.
  const seen = await samples(folder, () => {
    const usage = Math.round((performance.now() - began) * 2_000);
    writeFileSync(join(folder, 'cpu.stat'), `usage_usec ${usage}\n`);
  });
  for (const { memory, cpu } of seen) {
    assert.ok(memory !== undefined && memory > 0.3 && memory < 0.7, `memory ${memory}`);
    assert.ok(cpu !== undefined && cpu > 0.3 && cpu < 0.7, `cpu ${cpu}`);
  }
  const small = folderOf({ 'memory.max': `${rss / 2}`, 'cpu.stat': 'usage_usec 0' });
  assert.is((await firstValueFrom(systemLoad({ cgroup: small }))).memory, 1);
});

test('on this machine all values are in range, also while the loop is kept busy and without control groups', async () => {
  for (const options of [{ interval: 100 }, { interval: 100, cgroup: '/there/is/no/such' }]) {
    const seen: LoadSample[] = [];
    const subscription = systemLoad(options).subscribe((sample) => seen.push(sample));
    assert.is(seen.length, 1, 'one at once');
    assert.ok((seen[0]?.memory ?? 0) > 0 && (seen[0]?.memory ?? 2) < 1);
    while (seen.length < 4) {
      const turn = performance.now() + 40;
      while (performance.now() < turn);
      await new Promise((done) => setTimeout(done, 0));
    }
    subscription.unsubscribe();
    for (const sample of seen)
      for (const [name, value] of Object.entries(sample))
        assert.ok(value >= 0 && (value <= 1 || name === 'delayMs'), `${name} ${value}`);
    const last = seen.at(-1);
    assert.ok((last?.eventLoop ?? 0) > 0.5, `event loop ${last?.eventLoop}`);
    assert.ok((last?.delayMs ?? 0) > 15, `late ${last?.delayMs}`);
    const { length } = seen;
    await new Promise((done) => setTimeout(done, 150));
    assert.is(seen.length, length, 'nobody listens any more');
  }
});

test('one watch for all who listen, who get the newest at once', async () => {
  const stopped: unknown[] = [];
  const { clearInterval: original } = globalThis;
  globalThis.clearInterval = (timer) => {
    stopped.push(timer);
    original(timer);
  };
  const load$ = systemLoad({ interval: 20 });
  const [one, two]: [LoadSample[], LoadSample[]] = [[], []];
  const first = load$.subscribe((sample) => one.push(sample));
  await new Promise((done) => setTimeout(done, 70));
  const second = load$.subscribe((sample) => two.push(sample));
  assert.is(two[0], one.at(-1));
  first.unsubscribe();
  await new Promise((done) => setTimeout(done, 50));
  assert.ok(two.length > 1);
  assert.is(stopped.length, 0, 'somebody still listens');
  second.unsubscribe();
  assert.is(stopped.length, 1);
  globalThis.clearInterval = original;
});

test('it drives a run, and a process that only listens ends by itself', async () => {
  const flow = workflow({
    name: 'real',
    load$: systemLoad({ interval: 10 }),
    memory: { soft: 0.9, hard: 0.95 },
  });
  for (let i = 0; i < 20; i++) flow.task(`t${i}`, { run: async (_, ctx) => ctx.sleep(5) });
  assert.is((await flow.run().result()).status, 'succeeded');
  const program = `import { systemLoad } from './lib/load/index.ts';
    systemLoad({ interval: 10 }).subscribe(() => process.stdout.write('.'));
    setTimeout(() => undefined, 100);`;
  const arguments_ = ['--import', 'tsx', '--input-type=module', '-e', program];
  const { status, stdout, stderr } = spawnSync(process.execPath, arguments_, {
    encoding: 'utf8',
    timeout: 30_000,
  });
  assert.is(status, 0, stderr);
  assert.match(stdout, /^\.{2,}$/);
});

test('an interval that makes no sense is refused', () => {
  for (const interval of [0, -1, 9, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, '100' as never])
    assert.throws(
      () => systemLoad({ interval }),
      (error: unknown) => error instanceof RxhiveError && error.code === 'INVALID_OPTION',
      String(interval),
    );
});

test.run();
