import { orElse, workflow } from '../lib/index.js';
import { services } from './support/services.js';

/** An answer within five seconds, with as much as there is by then: who is late is left out. */
export const deadline = workflow({ name: 'deadline' });

const parts = ['weather', 'traffic', 'calendar'].map((name) =>
  deadline.task(name, {
    type: 'lookup',
    retry: { count: 5, backoff: () => 1_000 },
    timeout: { attempt: 2_000, total: 5_000 },
    run: (_, { signal }) => services.call(name, signal),
  }),
);
export const morning = deadline.task('morning', {
  dependencies: parts.map((part) => orElse(part, '?')),
  run: (all) => all.join(''),
});
