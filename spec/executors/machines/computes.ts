import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bullmq } from '../../../lib/executors/bullmq.js';
import { workflow } from '../../../lib/index.js';
import { begunFile, freshName, workerProcess } from '../../support/queue-servers.js';
import type { agents } from '../../support/worker-agents.js';
import { ownServer } from './own-server.js';

// An agent that computes for 30 s (COMPUTE, ms) without giving the event loop back is begun once: six times as long as the lock of
// its job lasts.

const { COMPUTE = 30_000 } = process.env;

export async function computes(isPostgres: boolean): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), 'rxhive-computes-'));
  const server = await ownServer(folder, isPostgres);
  const { connection } = server;
  const name = freshName();
  const begun = begunFile();
  // The second one would take the attempt if it were lost.
  const workers = await Promise.all([1, 2].map(() => workerProcess({ connection, name }, begun.file)));
  const remote = bullmq({ connection, name });
  const flow = workflow({ name: 'computes' });
  const ms = flow.task('ms', { run: () => Number(COMPUTE) });
  const { hog } = remote.agents<typeof agents>();
  const done = flow.task('done', { dependencies: { ms }, executor: hog });
  const { results, report, tasks } = await flow.run().result();
  await remote.close();
  for (const worker of workers) await worker.kill();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
  const begins = begun.read().length;
  console.log(
    `${server.title}: ${results.get(done) ?? 'nothing'} after ${Math.round(tasks.get(done)?.runningMs ?? 0)} ms, ` +
      `${begins} begins, ${report.lost} lost`,
  );
  return results.get(done) === 'computed' && begins === 1 && report.lost === 0;
}
