import { readFileSync } from 'node:fs';
import { workflow } from '../dist/index.js';

// A million small tasks from a generator. Peak of resident memory of the whole process, as the kernel counts it.
const items = Number(process.argv[2] ?? 1_000_000);

function peak(): number {
  const line = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'));
  return Number(line?.[1] ?? process.memoryUsage().rss / 1024) / 1024;
}

const flow = workflow({ name: 'million', concurrency: 64 });
const each = flow.each('items', {
  from: function* () {
    for (let i = 0; i < items; i++) yield i;
  },
  run: async (i) => ({ i, text: `result ${i}` }),
});
const begun = performance.now();
const { results, status } = await flow.run().result();
const ms = performance.now() - begun;
const { succeeded } = results.get(each) ?? { succeeded: 0 };
console.log(
  `${status}: ${succeeded} tasks in ${(ms / 1000).toFixed(1)} s, ${((ms * 1000) / items).toFixed(1)} us each`,
);
const mb = peak();
console.log(
  `${mb < 300 && succeeded === items ? 'met' : 'NOT MET'}: peak RSS ${mb.toFixed(0)} MiB (goal 300)`,
);
