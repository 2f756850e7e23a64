import { callback, typed, workflow } from '../lib/index.js';
import { services } from './support/services.js';

/** An order is paid by a bank that calls back, within two days; the only slot is free for other work meanwhile. */
export const order = workflow({ name: 'order', concurrency: 1 });

const paid = order.task('pay', {
  run: (_, ctx) =>
    ctx.ask(
      callback(typed<{ paid: boolean }>(), {
        key: 'bank',
        url: 'https://shop.example',
        send: ({ url }) => services.call(`charge, and answer to ${url}`, ctx.signal),
        deadline: 48 * 3_600_000,
        default: { paid: false },
      }),
    ),
});
const packed = order.task('pack', { run: (_, { signal }) => services.call('pack', signal) });
export const shipped = order.task('ship', {
  dependencies: { paid, packed },
  run: ({ paid }, { signal }) => (paid.paid ? services.call('ship', signal) : 'kept'),
});
