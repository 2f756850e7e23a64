import { channel, type Task, workflow } from '../lib/index.js';
import { services } from './support/services.js';

/** Two agents haggle while both run: each thinks in the only place of the model, and has none while it waits for a word. */
export const haggle = workflow({ name: 'haggle', groups: { llm: { concurrency: 1 } } });

const prices = channel<number>('prices');

const haggler = (side: string, other: string, opening: number, begins: boolean): Task<number> =>
  haggle.task(side, {
    group: 'llm',
    run: async (_, ctx) => {
      let mine = opening;
      if (begins) await ctx.send(prices, mine);
      for await (const { value } of ctx.receive$(prices, { from: other })) {
        if (value === mine) break;
        mine = Number(await services.ask(`As the ${side}: they say ${value}, I said ${mine}.`, ctx.signal));
        await ctx.send(prices, mine);
        if (value === mine) break;
      }
      return mine;
    },
  });

export const seller = haggler('seller', 'buyer', 100, true);
export const buyer = haggler('buyer', 'seller', 60, false);
