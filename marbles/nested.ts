import { workflow } from '../lib/index.js';
import { services } from './support/services.js';

/** A workflow in the body of a task, tried again as a whole: it is cancelled with its task, and its failure is the task's failure. */
export const chapter = workflow({ name: 'chapter' });
const outline = chapter.task('outline', {
  run: (_, { signal }) => services.ask('Outline the chapter', signal),
});
const text = chapter.task('text', {
  dependencies: { outline },
  run: ({ outline }, { signal }) => services.ask(`Write ${outline}`, signal),
});

export const book = workflow({ name: 'book', concurrency: 2 });
const chapters = [1, 2, 3].map((n) =>
  book.task(`chapter ${n}`, {
    type: 'chapter',
    retry: { count: 1, backoff: () => 1_000 },
    timeout: 10_000,
    run: async (_, { signal }) => (await chapter.run({ signal }).result()).orThrow().results.get(text),
  }),
);
book.task('bind', { dependencies: chapters, run: (all) => all.join('/') });
