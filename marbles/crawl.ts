import { workflow } from '../lib/index.js';
import { services } from './support/services.js';

/** A site that allows two requests in any second: pages wait for permits, what is found is indexed at once. */
export const crawl = workflow({
  name: 'crawl',
  groups: { site: { concurrency: 4, limiter: { requestsPerSecond: 2 } } },
});

for (let n = 1; n <= 5; n++) {
  const page = crawl.task(`page ${n}`, {
    group: 'site',
    type: 'fetch',
    run: (_, { signal }) => services.call(`/page/${n}`, signal),
  });
  crawl.task(`index ${n}`, { dependencies: { page }, run: ({ page }) => page.length });
}
