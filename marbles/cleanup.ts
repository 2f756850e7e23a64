import { settled, workflow } from '../lib/index.js';
import { services } from './support/services.js';

/** A machine is rented and works; it is given back whatever becomes of the work, also when the run is cancelled. */
export const rendering = workflow({ name: 'rendering' });

const machine = rendering.task('rent', { run: (_, { signal }) => services.call('rent a machine', signal) });

const film = rendering.task('render', {
  dependencies: { machine },
  run: ({ machine }, { signal }) => services.call(`render on ${machine}`, signal),
});

rendering.task('publish', {
  dependencies: { film },
  run: ({ film }, { signal }) => services.call(`publish ${film}`, signal),
});

rendering.task('give back', {
  always: true,
  timeout: { total: 60_000 },
  retry: 2,
  dependencies: { machine: settled(machine), film: settled(film) },
  run: async ({ machine }, { signal }) => {
    // Where none was rented there is nothing to give back.
    if (machine.status === 'succeeded') await services.call(`give ${machine.value} back`, signal);
  },
});
