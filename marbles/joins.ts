import { map } from 'rxjs';
import { latest, merged, paired, sampled, workflow } from '../lib/index.js';
import { services } from './support/services.js';

/** Two streams, read in four ways: the newest of both, pairs, each value, and letters with the newest number. */
export const joins = workflow({ name: 'joins' });

const stream = (id: string) => joins.task(id, { run: (_, { signal }) => services.call(id, signal) });
const letters = stream('letters');
const numbers = stream('numbers');

joins.task('latest', {
  dependencies: { a: latest(letters), b: latest(numbers) },
  run: (inputs$) => inputs$.pipe(map(({ a, b }) => a + b)),
});
joins.task('paired', {
  dependencies: { a: paired(letters), b: paired(numbers) },
  run: (inputs$) => inputs$.pipe(map(({ a, b }) => a + b)),
});
joins.task('merged', {
  dependencies: { a: merged(letters), b: merged(numbers) },
  run: (inputs$) => inputs$.pipe(map(({ value }) => value)),
});
joins.task('sampled', {
  dependencies: { a: latest(letters), b: sampled(numbers) },
  run: (inputs$) => inputs$.pipe(map(({ a, b }) => a + b)),
});
