import { optional, workflow } from '../lib/index.js';
import { services } from './support/services.js';

/** Four searches at most two at once, whatever is found is synthesised: one dead source does not stop the brief. */
export const research = workflow({
  name: 'research',
  groups: { web: { concurrency: 2 } },
  retry: { count: 2, backoff: { initial: 1_000, jitter: 'none' } },
  timeout: 20_000,
});

const question = research.task('question', {
  type: 'model',
  run: (_, { signal }) => services.ask('Split into four questions', signal),
});
const found = ['papers', 'news', 'code', 'forums'].map((source) =>
  research.task(source, {
    group: 'web',
    dependencies: { question },
    run: ({ question }, { signal }) => services.call(`search ${source} for ${question}`, signal),
  }),
);
export const brief = research.task('brief', {
  dependencies: found.map((one) => optional(one)),
  run: (sources) => sources.filter((one) => one !== undefined).join(' + '),
});
