import { workflow } from '../lib/index.js';
import { services } from './support/services.js';

/** A call that takes longer than most is made a second time beside the first; whoever answers first counts. */
export const hedged = workflow({ name: 'hedged', concurrency: 3 });

export const lookups = ['ann', 'bob', 'eve'].map((name) =>
  hedged.task(name, {
    type: 'lookup',
    hedge: { after: 2_000 },
    run: (_, { signal }) => services.ask(name, signal),
  }),
);
export const merged = hedged.task('merged', { dependencies: lookups, run: (found) => found.join(', ') });
