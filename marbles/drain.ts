import { workflow } from '../lib/index.js';
import { services } from './support/services.js';

/** Pages are read two at a time, and summed up. */
export const digest = workflow({ name: 'digest', concurrency: 2 });

const pages = ['news', 'sport', 'weather'].map((page) =>
  digest.task(page, { run: (_, { signal }) => services.call(`read ${page}`, signal) }),
);

digest.task('sum up', {
  dependencies: pages,
  run: (texts, { signal }) => services.ask(`Sum up: ${texts.join(' ')}`, signal),
});
