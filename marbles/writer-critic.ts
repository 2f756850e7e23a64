import { concatMap, filter, from, map, take } from 'rxjs';
import { latest, workflow } from '../lib/index.js';
import { services } from './support/services.js';

/**
 * The writer streams drafts; the critic reads each as it comes and says which is good enough; the editor begins with the
 * first of them, while the writer may still be writing.
 */
export const writerCritic = workflow({ name: 'writer-critic' });

const drafts = writerCritic.task('writer', {
  run: async function* (_, { signal }) {
    for (let n = 1; n <= 4; n++) yield await services.ask(`Draft ${n}`, signal);
  },
});
const critic = writerCritic.task('critic', {
  dependencies: { draft: latest(drafts) },
  run: (inputs$, { signal }) =>
    inputs$.pipe(
      concatMap(({ draft }) => from(rate(draft, signal)).pipe(map((good) => ({ draft, good })))),
      filter(({ good }) => good),
      map(({ draft }) => draft),
      take(1),
    ),
});
export const editor = writerCritic.task('editor', {
  dependencies: { text: critic },
  run: ({ text }) => text.toUpperCase(),
});

/** A rule instead of a model: long enough is good enough. */
async function rate(draft: string, signal: AbortSignal): Promise<boolean> {
  signal.throwIfAborted();
  return draft.length >= 2;
}
