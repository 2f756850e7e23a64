import { appendFileSync } from 'node:fs';
import { bullmqTables, createWorker, type QueueConnection } from '../../lib/executors/bullmq.js';
import { endWithParent } from './ends-with-parent.js';
import { agents } from './worker-agents.js';

// A worker in a process of its own, for specs that kill it: its settings come as JSON in WORKER.

endWithParent();

const settings = JSON.parse(process.env.WORKER as string) as {
  readonly connection: QueueConnection;
  readonly name: string;
};
if (settings.connection.postgres !== undefined) await bullmqTables(settings.connection);
const onError = ({ message }: Error): void => {
  if (process.env.BEGUN_FILE !== undefined)
    appendFileSync(`${process.env.BEGUN_FILE}.trouble`, `${message}\n`);
};
const worker = await createWorker({ agents, onError, ...settings });
process.once('SIGTERM', () => void worker.drain().then(() => process.exit(0)));
process.stdout.write(`${JSON.stringify(worker.facts)}\n`);
