import { type Task, workflow } from '../lib/index.js';
import { services } from './support/services.js';

/** Two sides answer each other for three rounds, at the same time within a round; a judge reads it all. */
export const debate = workflow({ name: 'debate' });

const said: Task<string>[] = [];
let last: readonly Task<string>[] = [];
for (const round of [1, 2, 3]) {
  last = ['pro', 'con'].map((side) =>
    debate.task(`${side} ${round}`, {
      type: side,
      dependencies: last,
      run: (before, { signal }) => services.ask(`Argue ${side} after: ${before.join(' ')}`, signal),
    }),
  );
  said.push(...last);
}
export const verdict = debate.task('verdict', {
  type: 'judge',
  dependencies: said,
  priority: 1,
  run: (all, { signal }) => services.ask(`Who is right? ${all.join(' ')}`, signal),
});
