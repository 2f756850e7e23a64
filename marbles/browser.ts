import { workflow } from '../lib/index.js';
import { services } from './support/services.js';

/** Agents that think in parallel and share one browser: who waits for it gives its slot to others. */
export const browsing = workflow({ name: 'browsing', concurrency: 2 });

for (const name of ['ann', 'bob', 'eve'])
  browsing.task(name, {
    type: 'agent',
    run: async (_, ctx) => {
      const goal = await services.ask(`What should ${name} look for?`, ctx.signal);
      return ctx.shared('browser').use(() => services.call(`open ${goal}`, ctx.signal));
    },
  });
