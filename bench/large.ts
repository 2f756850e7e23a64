import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getHeapStatistics } from 'node:v8';
import { workflow } from '../dist/index.js';
import { sqlite } from '../dist/stores/sqlite.js';

// 500 results of 10 MB, each read by a dependent, in a process whose heap may grow to 1 GB.
const results = Number(process.argv[2] ?? 500);
const bytes = 10_000_000;

const folder = mkdtempSync(join(tmpdir(), 'rxhive-large-'));
const store = sqlite(join(folder, 'runs.db'));
try {
  const flow = workflow({ name: 'large' });
  const lengths = Array.from({ length: results }, (_, i) => {
    const page = flow.task(`page_${i}`, {
      run: async () => Buffer.alloc(bytes, 97 + (i % 26)).toString('latin1'),
    });
    return flow.task(`length_${i}`, {
      dependencies: { page },
      run: ({ page }) => (page.charCodeAt(bytes - 1) === 97 + (i % 26) ? page.length : 0),
    });
  });
  const sum = flow.task('sum', { dependencies: lengths, run: (all) => all.reduce((a, b) => a + b, 0) });
  const begun = performance.now();
  const { status, results: kept } = await flow.run({ store, runId: 'large' }).result();
  const seconds = (performance.now() - begun) / 1000;
  const right = kept.get(sum) === results * bytes && String(kept.get('page_77')).length === bytes;
  const peak = Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024;
  const limit = getHeapStatistics().heap_size_limit / 1024 / 1024;
  const disk = statSync(join(folder, 'runs.db')).size / 1e9;
  console.log(
    `${status}: ${results} results of ${bytes / 1e6} MB in ${seconds.toFixed(0)} s, ${disk.toFixed(1)} GB on disk`,
  );
  console.log(
    `${right ? 'met' : 'NOT MET'}: heap limit ${limit.toFixed(0)} MiB, peak RSS ${peak.toFixed(0)} MiB`,
  );
} finally {
  store.close();
  rmSync(folder, { recursive: true, force: true });
}
