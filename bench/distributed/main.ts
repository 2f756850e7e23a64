import { bullmqTables, type QueueConnection } from '../../dist/executors/bullmq.js';

// rxhive over workers on Redis, and on PostgreSQL where there is one:
// `.ci/redis .ci/postgres npm run bench -- distributed [figures | scale]`.

/** A server that carries the queues. */
export interface Server {
  readonly title: 'Redis' | 'PostgreSQL';
  readonly connection: QueueConnection;
}

const { RXHIVE_REDIS: redis, RXHIVE_POSTGRES: postgres } = process.env;
const servers: Server[] = [];
if (redis !== undefined) servers.push({ title: 'Redis', connection: { redis } });
if (postgres !== undefined) {
  await bullmqTables({ postgres });
  servers.push({ title: 'PostgreSQL', connection: { postgres } });
}
if (servers.length === 0) {
  console.error('no server at RXHIVE_REDIS or RXHIVE_POSTGRES: .ci/redis npm run bench -- distributed');
  process.exit(2);
}
const [what = 'speed'] = process.argv.slice(2);
for (const server of servers)
  if (what === 'figures') await (await import('./figures.js')).figures(server);
  else if (what === 'scale') await (await import('./scale.js')).scale(server);
  else await (await import('./speed.js')).speed(server);
process.exit();
