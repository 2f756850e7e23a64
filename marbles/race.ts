import { race, workflow } from '../lib/index.js';
import { services } from './support/services.js';

/** Two providers of the same answer: the first one counts, the other is stopped and not paid for to the end. */
export const fastest = workflow({ name: 'fastest', retry: { count: 1, backoff: () => 500 } });

const providers = ['east', 'west'].map((name) =>
  fastest.task(name, { type: 'provider', run: (_, { signal }) => services.ask(`via ${name}`, signal) }),
);
export const reply = fastest.task('reply', {
  dependencies: { first: race(providers) },
  run: ({ first }) => first,
});
