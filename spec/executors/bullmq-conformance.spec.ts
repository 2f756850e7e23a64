import { test } from 'uvu';
import { bullmq, createWorker, type Remote, type RxWorker } from '../../lib/executors/bullmq.js';
import * as agents from '../../lib/testing/conformance/executor-agents.js';
import { executorConformance } from '../../lib/testing/conformance/index.js';
import { freshName, queueServers } from '../support/queue-servers.js';

const servers = await queueServers();
const closing: (RxWorker | Remote)[] = [];
test.after(async () => {
  for (const one of closing) await one.close();
});

for (const { title, connection } of servers) {
  const name = freshName();
  // One of each for all checks: to connect takes longer than most of them.
  const worker = await createWorker({ agents, connection, name });
  const remote = bullmq({ connection, name });
  closing.push(remote, worker);
  for (const check of executorConformance(() => ({ agent: (agent) => remote.agent(agent) })))
    test(`${title}: ${check.name}`, check.run);
}

if (servers.length === 0) test('nothing to check', () => undefined);
test.run();
