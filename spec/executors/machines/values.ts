import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bullmq, type QueueConnection } from '../../../lib/executors/bullmq.js';
import { workflow } from '../../../lib/index.js';
import { endWithParent } from '../../support/ends-with-parent.js';
import { begunFile, freshName, workerProcess } from '../../support/queue-servers.js';
import type { agents } from '../../support/worker-agents.js';
import { lives } from './lives.js';
import { ownServer } from './own-server.js';

// Values of many streams reach each controller in order and once, also the one that takes the run over. STREAMS, VALUES, PAUSE
// (ms between two values) and CONTROLLER_KILLS say how much of it.

const { STREAMS = 200, VALUES = 50, PAUSE = 300, CONTROLLER_KILLS = 2 } = process.env;
const streams = Number(STREAMS);
const values = Number(VALUES);

/** One life of the controller: notes each value it sees, and prints how the run ended. */
async function controller(): Promise<void> {
  endWithParent();
  const { CONNECTION = '', NAME = '', STORE = '', SEEN = '', LIFE = '' } = process.env;
  const remote = bullmq({ connection: JSON.parse(CONNECTION) as QueueConnection, name: NAME });
  const { count } = remote.agents<typeof agents>();
  const flow = workflow({ name: 'values', concurrency: streams });
  const to = flow.task('to', { run: () => values });
  const pause = flow.task('pause', { run: () => Number(PAUSE) });
  for (let n = 0; n < streams; n++) flow.task(`s${n}`, { dependencies: { to, pause }, executor: count });
  const run = flow.run({ store: STORE, runId: 'values' });
  let lines = '';
  run.events$.subscribe((event) => {
    if (event.type !== 'value' || !event.taskId.startsWith('s')) return;
    if (lines === '')
      setImmediate(() => {
        appendFileSync(SEEN, lines);
        lines = '';
      });
    lines += `${LIFE} ${event.taskId} ${String(event.value)}\n`;
  });
  const { status } = await run.result();
  process.stdout.write(`${status}\n`);
  await remote.close();
}

export async function valuesOverTakeOvers(isPostgres: boolean): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), 'rxhive-values-'));
  const seen = join(folder, 'seen');
  writeFileSync(seen, '');
  const server = await ownServer(folder, isPostgres);
  const { connection } = server;
  const name = freshName();
  const begun = begunFile();
  const settings = { connection, name, concurrency: Math.ceil(streams / 4) };
  const workers = await Promise.all([1, 2, 3, 4].map(() => workerProcess(settings, begun.file)));
  const env = {
    CONNECTION: JSON.stringify(connection),
    NAME: name,
    STORE: join(folder, 'run.db'),
    SEEN: seen,
  };
  const { said, kills } = await lives(new URL(import.meta.url), env, {
    kills: Number(CONTROLLER_KILLS),
    killAfter: isPostgres ? 10_000 : 5_000,
  });
  for (const worker of workers) await worker.kill();
  await server.stop();
  const byStream = new Map<string, number[]>();
  for (const line of readFileSync(seen, 'utf8').split('\n').slice(0, -1)) {
    const [life, stream, value] = line.split(' ');
    const key = `${life} ${stream}`;
    byStream.set(key, [...(byStream.get(key) ?? []), Number(value)]);
  }
  rmSync(folder, { recursive: true, force: true });
  const wrong = [...byStream].filter(([, all]) => all.some((value, i) => value !== i + 1));
  const whole = [...byStream].filter(([key, all]) => key.startsWith(`${kills} `) && all.length === values);
  for (let life = 0; life <= kills; life++) {
    const own = [...byStream].filter(([key]) => key.startsWith(`${life} `));
    const count = own.reduce((sum, [, all]) => sum + all.length, 0);
    console.log(`controller ${life + 1}: ${count} values of ${own.length} streams`);
  }
  console.log(
    `${server.title}: ${said}, ${kills} controllers killed; ${wrong.length} streams out of order or with gaps or twice, ` +
      `${whole.length} of ${streams} whole in the last; ${begun.read().length} begins`,
  );
  for (const [key, all] of wrong.slice(0, 3)) console.log(`  ${key}: ${all.join(' ')}`);
  return (
    said === 'succeeded' && wrong.length === 0 && whole.length === streams && begun.read().length === streams
  );
}

if (process.env.ROLE === 'controller') await controller();
