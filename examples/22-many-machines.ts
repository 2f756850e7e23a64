// The data sets of 05 on three worker processes over Redis, of which one is killed in the middle: one line is another.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { bullmq } from '../lib/executors/bullmq.js';
import { AgentTask, WorkflowOrchestrator } from '../lib/index.js';
import { dataSets } from './support/data-sets.js';
import { startFileServer } from './support/file-server.js';

if (spawnSync('redis-server', ['--version']).error !== undefined) {
  console.log('Install a Redis server first: apt-get install redis-server, or brew install redis.');
  process.exit();
}
const port = 20_000 + (process.pid % 20_000);
const redis = `redis://127.0.0.1:${port}`;
const processes: ChildProcess[] = [];
const start = (command: string, ...words: string[]): ChildProcess => {
  const child = spawn(command, words, { env: { ...process.env, RXHIVE_REDIS: redis } });
  processes.push(child);
  return child;
};
process.once('exit', () => processes.map((child) => child.kill('SIGKILL')));

start('redis-server', '--port', String(port), '--bind', '127.0.0.1', '--save', '');
const module = new URL('./support/agents.ts', import.meta.url).pathname;
const rxhive = ['--import', 'tsx', new URL('../lib/cli/main.ts', import.meta.url).pathname];
const workers = ['one', 'two', 'three'].map(() =>
  start(process.execPath, ...rxhive, 'worker', module, '--concurrency', '4', '--lost-after', '2000'),
);
await Promise.all(workers.map(({ stderr }) => once(stderr as NodeJS.ReadableStream, 'data')));
console.log('3 workers are ready');

const remote = bullmq({ connection: { redis }, lostAfter: 2_000 });
const { processData, analyze, writeReport } = remote.agents<typeof import('./support/agents.js')>();
const server = await startFileServer('sp500.csv');
const orchestrator = new WorkflowOrchestrator({
  name: 'data-processing',
  agents: { data_processing: processData, analysis: analyze, report: writeReport },
  maxConcurrentTasks: 10,
});
for (const set of dataSets) {
  const data = { url: server.url, set };
  const dependencies = [`process_${set.name}`];
  orchestrator
    .addTask(new AgentTask({ id: `process_${set.name}`, agentType: 'data_processing', data, retry: 2 }))
    .addTask(new AgentTask({ id: `analyze_${set.name}`, agentType: 'analysis', dependencies }));
}
const dependencies = dataSets.map((set) => `analyze_${set.name}`);
orchestrator.addTask(new AgentTask({ id: 'report', agentType: 'report', dependencies }));
orchestrator.onTaskComplete('process_cars', () => void workers[0]?.kill('SIGKILL'));
const { status, tasks, results, report } = await orchestrator.executeWorkflow();

console.log(`${status}: ${tasks.size} tasks, one worker killed, ${report.lost} attempts lost with it`);
console.log(String(results.get('report')).split('\n').slice(0, 7).join('\n'));
await remote.close();
server.close();
process.exit();
