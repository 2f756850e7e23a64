import { workflow } from '../lib/index.js';
import { services } from './support/services.js';

/** Six pages to translate and 1,000 tokens to spend: when they are gone nothing new starts, and what is done counts. */
export const translate = workflow({
  name: 'translate',
  concurrency: 2,
  budget: { tokens: 1_000 },
});

for (let page = 1; page <= 6; page++)
  translate.task(`page ${page}`, {
    type: 'translate',
    priority: -page,
    run: (_, { signal }) => services.ask(`Translate page ${page}`, signal),
  });
