import { workflow } from '../lib/index.js';
import { services } from './support/services.js';

/** Each document is summarised by its own task as soon as it is listed; the state counts words while they come in. */
export const mapReduce = workflow({
  name: 'map-reduce',
  state: { words: 0 },
  groups: { llm: { concurrency: 3 } },
});

const list = mapReduce.task('list', {
  run: async (_, { signal }) => (await services.call('list documents', signal)).split(','),
});

mapReduce.onTaskComplete(list, (documents, add) => {
  const summaries = documents.map((document) =>
    add(`map ${document}`, {
      group: 'llm',
      type: 'summarise',
      dependencies: { list },
      run: async (_, ctx) => services.ask(`Summarise ${document}`, ctx.signal),
    }),
  );
  const counted = summaries.map((summary, i) =>
    add(`count ${documents[i]}`, {
      dependencies: { summary },
      run: ({ summary }, ctx) => {
        ctx.update((state) => {
          state.words += summary.length;
        });
        return summary.length;
      },
    }),
  );
  add('reduce', { dependencies: counted, run: (lengths) => Math.max(...lengths) });
});
