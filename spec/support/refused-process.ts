import { inspect } from 'node:util';
import { bullmq, createWorker, type QueueConnection } from '../../lib/executors/bullmq.js';
import { workflow } from '../../lib/index.js';
import { endWithParent } from './ends-with-parent.js';

// A worker and a controller in a process of their own, whose servers refuse them: their connections come as JSON in
// CONNECTIONS, and what becomes of each is printed in full, as one line of JSON.

endWithParent();

const connections = JSON.parse(process.env.CONNECTIONS as string) as Record<string, QueueConnection>;
const show = (one: unknown): string => inspect(one, { depth: Number.POSITIVE_INFINITY, showHidden: true });
const codeOf = (error: unknown): string => String((error as { code?: string } | undefined)?.code);

// Nobody is told of this one but who reads stderr.
const silent = workflow({ name: 'silent' });
silent.task('one', {
  executor: bullmq({ connection: Object.values(connections)[0] as QueueConnection }).agent('one'),
});
silent.run().subscribe();

await Promise.all(
  Object.entries(connections).map(async ([title, connection]) => {
    const starting = createWorker({ agents: { one: () => 1 }, connection }).catch((error: unknown) => error);
    const told: unknown[] = [];
    const remote = bullmq({ connection, slots: 1, onError: (error) => told.push(error) });
    const flow = workflow({ name: 'refused' });
    const task = flow.task('one', { executor: remote.agent('one') });
    const run = flow.run();
    const events: unknown[] = [];
    run.events$.subscribe((event) => events.push(event));
    const { tasks, report } = await run.result();
    await remote.close();
    const started = await starting;
    const { error } = tasks.get(task) ?? {};
    const all = [show(started), show(error), show(told), show(events), show(report)].join('\n');
    const line = { title, worker: codeOf(started), task: codeOf(error), told: told.map(codeOf), all };
    process.stdout.write(`${JSON.stringify({ ...line, message: String(started) })}\n`);
  }),
);
process.exit(0);
