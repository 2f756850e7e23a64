import { test } from 'uvu';
import { bottleneck, virtual } from '../../lib/index.js';
import { limiterConformance } from '../../lib/testing/index.js';

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

for (const { name, make, time } of [
  { name: 'virtual', make: virtual, time: 'virtual' },
  { name: 'virtual, real time', make: virtual, time: 'real' },
  { name: 'bottleneck', make: bottleneck, time: 'real' },
  { name: 'bottleneck, virtual time', make: bottleneck, time: 'virtual' },
] as const) {
  for (const check of limiterConformance({ make, time, seed })) {
    const title = `${name}: ${check.name} (seed ${seed})`;
    if (check.skip !== undefined) {
      console.log(`skipped: ${title}: ${check.skip}`);
      test.skip(`${title}: ${check.skip}`);
      continue;
    }
    // Those in real time wait more than they work: all at once.
    const started = time === 'real' ? check.run() : undefined;
    started?.catch(() => undefined);
    test(title, () => started ?? check.run());
  }
}

test.run();
