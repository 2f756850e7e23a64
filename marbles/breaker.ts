import { workflow } from '../lib/index.js';
import { services } from './support/services.js';

/** After three failures one after the other nobody calls the provider for ten seconds; then one task tries. */
export const guarded = workflow({
  name: 'guarded',
  groups: { api: { concurrency: 1, breaker: { failures: 3, openFor: 10_000 } } },
});

for (let n = 1; n <= 5; n++)
  guarded.task(`call ${n}`, {
    group: 'api',
    type: 'call',
    retry: { count: 1, backoff: () => 2_000 },
    run: (_, { signal }) => services.call(`item ${n}`, signal),
  });
