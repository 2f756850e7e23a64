import { workflow } from '../lib/index.js';
import { services } from './support/services.js';

/** A trip is booked in parallel; when one booking fails, the others are taken back, last one first. */
export const trip = workflow({ name: 'trip', state: { cancelled: [] as string[] } });

for (const what of ['flight', 'hotel', 'car'])
  trip.task(what, {
    timeout: 10_000,
    run: (_, { signal, idempotencyKey }) => services.call(`book ${what}, once per ${idempotencyKey}`, signal),
    compensate: async (booking, ctx) => {
      await ctx.sleep(1_000); // asks the provider to cancel
      ctx.update((state) => {
        state.cancelled.push(booking);
      });
    },
  });
