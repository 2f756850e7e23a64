import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Setting, type Simulated, simulateWorkload } from '../../lib/cli/simulate.js';
import { readWorkload } from '../../lib/cli/workload.js';
import { called } from '../support/called.js';
import { fromSources } from '../support/from-sources.js';
import { workloadsOr } from '../support/workloads.js';

interface Row {
  readonly file: string;
  readonly best: number;
  readonly fifo: number;
  readonly [slots: `P${number}`]: { readonly best: number; readonly fifo: number } | undefined;
}

const folder = mkdtempSync(join(tmpdir(), 'rxhive-simulate-'));
const diamond = {
  name: 'diamond',
  tasks: [
    // Out of order on purpose: files list tasks in any order.
    { id: 'end', seconds: 1, deps: ['short', 'long'] },
    { id: 'begin', seconds: 1, deps: [] },
    { id: 'short', seconds: 0.5, deps: ['begin'] },
    { id: 'long', seconds: 3.25, deps: ['begin'] },
  ],
};

function file(content: unknown): string {
  const path = join(folder, 'workload.json');
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

function command(...words: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [...fromSources, 'lib/cli/main.ts', 'simulate', ...words], {
    encoding: 'utf8',
  });
}

async function simulated(content: unknown, setting: Partial<Setting> = {}): Promise<Simulated> {
  return simulateWorkload(readWorkload(file(content)), { slots: 4, policy: 'critical-path', ...setting });
}

function geometricMean(ratios: readonly number[]): number {
  return Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
}

test('prints one JSON document and nothing else', () => {
  const { status, stdout, stderr } = command(file(diamond), '--slots', '2', '--policy', 'fifo', '--json');
  assert.is(status, 0, stderr);
  const { wallMs, ...rest } = JSON.parse(stdout);
  assert.type(wallMs, 'number');
  assert.equal(rest, {
    name: 'diamond',
    tasks: 4,
    slots: 2,
    policy: 'fifo',
    makespanSeconds: 5.25,
    lowerBoundSeconds: 5.25,
    criticalPathSeconds: 5.25,
  });
  assert.is(stderr, '');
  const text = command(file(diamond), '--slots', '1');
  assert.match(text.stdout, 'makespan 5.75 s, 1.000 x the lower bound of 5.75 s (critical path 5.25 s)');
});

test('a wrong call is one line on stderr and exit code 2', async () => {
  const good = file(diamond);
  const calls: string[][] = [
    [],
    [join(folder, 'nowhere.json'), '--slots', '2'],
    [folder, '--slots', '2'],
    [good],
    [good, good, '--slots', '2'],
    [good, '--slots', '0'],
    [good, '--slots', '-1'],
    [good, '--slots', '1.5'],
    [good, '--slots', 'many'],
    [good, '--slots', '2', '--policy', 'lifo'],
    [good, '--slots', '2', '--estimates', join(folder, 'nowhere.json')],
    [good, '--slots', '2', '--wrong'],
  ];
  for (const call of calls) {
    const found = await called('simulate', ...call);
    assert.equal([found.code, found.stdout], [2, ''], call.join(' '));
    assert.is(found.stderr.indexOf('\n'), found.stderr.length - 1);
  }
  const { status, stdout, stderr } = command(good, '--slots', '0');
  assert.is(status, 2);
  assert.is(stdout, '');
  assert.is(stderr, 'rxhive: --slots 0: give a whole number from 1\n');
});

const task = { id: 'a', seconds: 1, deps: [] };
const noWorkloads: readonly [content: unknown, why: RegExp][] = [
  ['{ "name"', /is not JSON/],
  ['', /is not JSON/],
  [[], /it holds an array/],
  [null, /it holds null/],
  [{ tasks: [task] }, /name is undefined/],
  [{ name: 'x' }, /tasks is undefined/],
  [{ name: 'x', tasks: [] }, /at least one task/],
  [{ name: 'x', tasks: ['a'] }, /tasks\[0\] is "a"/],
  [{ name: 'x', tasks: [{ seconds: 1, deps: [] }] }, /tasks\[0\]\.id is undefined/],
  [{ name: 'x', tasks: [{ id: 'a', deps: [] }] }, /task "a": seconds is undefined/],
  [{ name: 'x', tasks: [{ ...task, seconds: Number.NaN }] }, /seconds is null/],
  [{ name: 'x', tasks: [{ ...task, seconds: 'NaN' }] }, /seconds is "NaN"/],
  [{ name: 'x', tasks: [{ ...task, seconds: -1 }] }, /seconds is -1/],
  ['{ "name": "x", "tasks": [{ "id": "a", "seconds": 1e999, "deps": [] }] }', /seconds is Infinity/],
  [{ name: 'x', tasks: [{ id: 'a', seconds: 1 }] }, /deps is undefined/],
  [{ name: 'x', tasks: [{ ...task, deps: ['b'] }] }, /depends on "b", which does not exist/],
  [{ name: 'x', tasks: [{ ...task, deps: ['a'] }] }, /wait for each other: "a" -> "a"/],
  [
    {
      name: 'x',
      tasks: [
        { ...task, deps: ['b'] },
        { id: 'b', seconds: 1, deps: ['a'] },
      ],
    },
    /wait for each other/,
  ],
  [{ name: 'x', tasks: [task, task] }, /two tasks with the id "a"/],
  [{ name: 'x', capacity: [-1], tasks: [task] }, /capacity/],
  [
    { name: 'x', capacity: [2], tasks: [{ ...task, demand: [3] }] },
    /demand\[0\] is 3, more than the capacity/,
  ],
  [{ name: 'x', capacity: [2], tasks: [{ ...task, demand: [1, 1] }] }, /demand is not an array of 1 numbers/],
  [{ name: 'x', tasks: [{ ...task, demand: [1] }] }, /demand is not an array of 0 numbers/],
];

for (const [content, why] of noWorkloads) {
  test(`no workload: ${why.source}`, async () => {
    const found = await simulated(content).then(
      () => 'simulated',
      (error: Error & { faults?: { message: string }[] }) => error.faults?.[0]?.message ?? error.message,
    );
    assert.match(found, why);
    assert.not.match(found, '\n');
  });
}

test('a fault only the workflow can see is one line and exit code 2 too', () => {
  const { status, stdout, stderr } = command(
    file({ name: 'x', tasks: [{ ...task, deps: ['a'] }] }),
    '--slots',
    '1',
  );
  assert.is(status, 2);
  assert.is(stdout, '');
  assert.match(stderr, /^rxhive: [^\n]+ is no workload: Tasks wait for each other: "a" -> "a"[^\n]+\n$/);
});

test('fifo goes by the time of becoming ready, critical-path by what is behind', async () => {
  const content = {
    name: 'late',
    tasks: [
      { id: 'one', seconds: 2, deps: [] },
      { id: 'two', seconds: 2, deps: [] },
      { id: 'head', seconds: 1, deps: [] },
      { id: 'tail', seconds: 5, deps: ['head'] },
    ],
  };
  assert.is((await simulated(content, { slots: 2, policy: 'fifo' })).makespanSeconds, 8);
  assert.is((await simulated(content, { slots: 2 })).makespanSeconds, 6);
});

test('estimates by type, or by id, take the place of exact durations', async () => {
  const content = {
    name: 'wrong',
    tasks: [
      { id: 'short_1', seconds: 2, deps: [] },
      { id: 'short_2', seconds: 2, deps: [] },
      { id: 'other', type: 'odd', seconds: 8, deps: [] },
    ],
  };
  const expected = (estimates: Record<string, number>): Promise<Simulated> =>
    simulated(content, { slots: 2, estimates: new Map(Object.entries(estimates)) });
  assert.is((await simulated(content, { slots: 2 })).makespanSeconds, 8);
  assert.is((await expected({ short: 9, odd: 1 })).makespanSeconds, 10);
  assert.is((await expected({ short: 9, odd: 1, other: 10 })).makespanSeconds, 8);
});

test('resources are held as demanded, and a capacity of 0 is no resource', async () => {
  const content = {
    name: 'demands',
    capacity: [3, 0],
    tasks: ['a', 'b', 'c'].map((id) => ({ id, seconds: 1, deps: [], demand: [2, 0] })),
  };
  const { makespanSeconds, lowerBoundSeconds } = await simulated(content, { slots: 9 });
  assert.is(makespanSeconds, 3);
  assert.is(lowerBoundSeconds, 2);
});

test('recorded workloads: close to the best known, fifo no worse than it should be', async () => {
  const at = workloadsOr('makespans');
  if (at === undefined) return;
  const rows = JSON.parse(readFileSync(`${at}/index.json`, 'utf8')) as Row[];
  const ratios: Record<'dags' | 'rcpsp', number[]> = { dags: [], rcpsp: [] };
  let wallMs = 0;
  for (const row of rows) {
    const kind = row.file.startsWith('dags') ? 'dags' : 'rcpsp';
    const workload = readWorkload(`${at}/${row.file}`);
    for (const slots of kind === 'dags' ? [4, 16, 64] : [1_000]) {
      const known = kind === 'dags' ? row[`P${slots}`] : row;
      if (known === undefined) continue;
      const ranked = await simulateWorkload(workload, { slots, policy: 'critical-path' });
      const fifo = await simulateWorkload(workload, { slots, policy: 'fifo' });
      const where = `${row.file} at ${slots}`;
      assert.ok(ranked.makespanSeconds >= ranked.lowerBoundSeconds - 1e-6, where);
      assert.ok(
        fifo.makespanSeconds <= known.fifo + 1e-3,
        `${where}: ${fifo.makespanSeconds} > ${known.fifo}`,
      );
      ratios[kind].push(ranked.makespanSeconds / known.best);
      wallMs += ranked.wallMs + fifo.wallMs;
    }
  }
  const dags = geometricMean(ratios.dags);
  const rcpsp = geometricMean(ratios.rcpsp);
  console.log(
    `dags ${dags.toFixed(4)} x, rcpsp ${rcpsp.toFixed(4)} x the best known; ${wallMs.toFixed(0)} ms in all`,
  );
  assert.ok(dags <= 1.006, `dags: ${dags}`);
  assert.ok(rcpsp <= 1.046, `rcpsp: ${rcpsp}`);
});

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
