import { postgresLimits } from '../../lib/entry/postgres.js';
import { redis } from '../../lib/entry/redis.js';
import { workflow } from '../../lib/index.js';
import { endWithParent } from './ends-with-parent.js';

// A process that holds two places, says so, and goes on for ever. Arguments: where Redis or PostgreSQL is, and the name of the limits.
endWithParent();
const [, , connection = '', name = ''] = process.argv;
const make = connection.startsWith('postgres') ? postgresLimits : redis;
const limiter = make({ maxConcurrent: 2 }, { connection, name });
const flow = workflow({ name: 'holds', groups: { g: { limiter } } });
let started = 0;
for (const id of ['a', 'b'])
  flow.task(id, {
    group: 'g',
    run: (_, ctx) => {
      started += 1;
      if (started === 2) process.send?.('ready');
      return ctx.sleep(1_000_000);
    },
  });
await flow.run().result();
