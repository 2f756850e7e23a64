import { human, typed, workflow } from '../lib/index.js';
import { services } from './support/services.js';

/** A page that a person has to approve. */
export const page = workflow({ name: 'page', input: typed<{ title: string }>() });
const draft = page.task('draft', {
  run: (_, { input, signal }) => services.ask(`Write ${input.title}`, signal),
});
const approved = page.task('approve', {
  dependencies: { draft },
  run: async ({ draft }, ctx) => {
    const yes = await ctx.ask(
      human(typed<boolean>(), { key: 'print', prompt: 'Print this?', context: draft }),
    );
    if (!yes) throw new Error('not this one');
    return draft;
  },
});

/** Two pages are written as tasks of one run, and bound; one question each comes out of the innermost. */
export const magazine = workflow({ name: 'magazine', concurrency: 1 });
const cover = magazine.task('cover', { workflow: page, input: { title: 'the cover' }, output: approved });
const story = magazine.task('story', { workflow: page, input: { title: 'a story' }, output: approved });
export const print = magazine.task('print', {
  dependencies: [cover, story],
  run: (pages) => pages.join('/'),
});
