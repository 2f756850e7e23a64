import { poolClass, redisClass } from '../../lib/executors/bullmq-classes.js';
import type { Server } from './main.js';

/** How many connections the server has, but for the one that asks. */
export async function connections({ connection: { redis, postgres } }: Server): Promise<number> {
  if (redis !== undefined) {
    const client = new (redisClass())(redis);
    const clients = /^connected_clients:(\d+)/m.exec(await client.info('clients'))?.[1];
    client.disconnect();
    return Number(clients) - 1;
  }
  const pool = new (poolClass())({ connectionString: postgres, max: 1 });
  const text = "select count(*) from pg_stat_activity where backend_type = 'client backend'";
  const { rows } = await pool.query(text);
  await pool.end();
  return Number(rows[0]?.count) - 1;
}
