import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memory, workflow } from '../dist/index.js';
import { type SqliteStore, sqlite } from '../dist/stores/sqlite.js';

// What a store adds to a task, by shape, mode and store; the log's size; how long 100,000 tasks take to come back.
const folder = mkdtempSync(join(tmpdir(), 'rxhive-'));

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
  const times: number[] = [];
  for (let i = 0; i < 5; i++) {
    const run = flowOf(shape, n).run({ ...options, runId: `r${runs++}` });
    const begun = performance.now();
    const result = await run.result();
    times.push(((performance.now() - begun) * 1000) / n);
    if (result.status !== 'succeeded') throw new Error(String(result.report));
  }
  return times.sort((a, b) => a - b)[2] as number;
}

console.log('us per task (over a run without a store)');
for (const [shape, n] of [
  ['fan', 3_000],
  ['chain', 1_000],
] as const) {
  const base = await us(shape, n, {});
  console.log(`${shape} ${n}, no store`.padEnd(34), base.toFixed(1).padStart(8));
  for (const durability of ['group', 'sync', 'exit'] as const) {
    for (const kind of ['memory', 'sqlite'] as const) {
      const file = join(folder, `${shape}-${durability}.db`);
      const store = kind === 'memory' ? memory() : sqlite(file);
      const time = await us(shape, n, { store, durability });
      (store as SqliteStore).close?.();
      const kb = kind === 'sqlite' ? `  ${(statSync(file).size / 1024 / n / 5).toFixed(2)} KB a task` : '';
      const name = `${shape} ${n}, ${kind}, ${durability}`;
      console.log(name.padEnd(34), time.toFixed(1).padStart(8), `(+${(time - base).toFixed(1)})${kb}`);
    }
  }
}
const store = sqlite(join(folder, 'large.db'));
await flowOf('fan', 100_000).run({ store, runId: 'large' }).result();
const run = flowOf('fan', 100_000).run({ store, runId: 'large' });
const begun = performance.now();
const { report } = await run.result();
console.log(`${report.counts.restored} tasks come back in ${(performance.now() - begun).toFixed(0)} ms`);
store.close();
rmSync(folder, { recursive: true, force: true });
