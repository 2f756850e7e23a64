import { workflow } from '../lib/index.js';
import { services } from './support/services.js';

/**
 * Pages are fetched, summarised and stored, each as soon as it is through the step before. The model in the middle is slow: two
 * pages may be on their way to it, so fetching waits for it, and nobody waits for the last page.
 */
export const pipeline = workflow({
  name: 'pipeline',
  groups: { web: { concurrency: 2 }, llm: { concurrency: 1 } },
});

const fetched = pipeline.each('fetch', {
  from: ['one', 'two', 'three', 'four', 'five'],
  key: (page) => page,
  group: 'web',
  run: (page, { signal }) => services.call(page, signal),
});
const summaries = pipeline.each('summarise', {
  from: fetched,
  buffer: 2,
  group: 'llm',
  run: (text, { signal }) => services.ask(text, signal),
});
pipeline.each('store', {
  from: summaries,
  run: (summary, { signal }) => services.call(summary, signal),
});
