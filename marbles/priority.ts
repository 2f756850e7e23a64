import { workflow } from '../lib/index.js';
import { services } from './support/services.js';

/** A nightly batch fills the only worker; then somebody asks for a report that needs an unimportant import. */
export const office = workflow({ name: 'office', concurrency: 1, aging: false });

for (let n = 1; n <= 3; n++)
  office.task(`batch ${n}`, {
    type: 'batch',
    priority: 2,
    run: (_, { signal }) => services.call(`${n}`, signal),
  });
export const imported = office.task('import', { run: (_, { signal }) => services.call('import', signal) });
office.task('report', {
  priority: 9,
  dependencies: { imported },
  run: ({ imported }, { signal }) => services.ask(`Report on ${imported}`, signal),
});
