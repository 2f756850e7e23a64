import { workflow } from '../lib/index.js';
import { services } from './support/services.js';

/**
 * Six calls meet a provider that says "429, come back in 4 seconds". The first answer holds the whole group, so there
 * is one herd instead of many, and a budget of retries bounds what a bad day may cost.
 */
export const storm = workflow({
  name: 'retry-storm',
  concurrency: 8,
  groups: { api: { concurrency: 4 } },
  retry: 3,
  retryBudget: 6,
});

for (let n = 1; n <= 6; n++)
  storm.task(`call ${n}`, {
    group: 'api',
    type: 'call',
    run: (_, { signal }) => services.call(`item ${n}`, signal),
  });
storm.task('local', { run: (_, ctx) => ctx.sleep(2_000) });
