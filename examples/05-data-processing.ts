// `WorkflowOrchestrator` on 13 real data sets over HTTP: the same work in parallel and one task at a time.
import { mkdir, writeFile } from 'node:fs/promises';
import { AgentTask, exponential, WorkflowOrchestrator, type WorkflowResult } from '../lib/index.js';
import { analyze, processData, writeReport } from './support/agents.js';
import { dataSets } from './support/data-sets.js';
import { latencyMs, startFileServer } from './support/file-server.js';
import { showProgress, showSummary } from './support/show.js';

/** Processes and analyses every data set and writes one report; the same work, in parallel or not. */
async function processAll(parallelExecution: boolean): Promise<WorkflowResult> {
  const server = await startFileServer('sp500.csv');
  const orchestrator = new WorkflowOrchestrator({
    name: 'data-processing',
    agents: { data_processing: processData, analysis: analyze, report: writeReport },
    parallelExecution,
    maxConcurrentTasks: 10,
    concurrencyGroups: { analysis: 4 },
    failurePolicy: 'continue',
  });
  const retry = { count: 2, backoff: exponential({ initial: 100, max: 1_000 }) };
  for (const set of dataSets) {
    const data = { url: server.url, set };
    const processed = `process_${set.name}`;
    const analysing = { dependencies: [processed], concurrencyGroup: 'analysis', priority: 1 } as const;
    orchestrator
      .addTask(new AgentTask({ id: processed, agentType: 'data_processing', data, retry, timeout: 5_000 }))
      .addTask(new AgentTask({ id: `analyze_${set.name}`, agentType: 'analysis', ...analysing }));
  }
  const dependencies = dataSets.map((set) => `analyze_${set.name}`);
  orchestrator.addTask(new AgentTask({ id: 'report', agentType: 'report', dependencies }));
  if (parallelExecution) showProgress(orchestrator.events$);
  try {
    return await orchestrator.executeWorkflow();
  } finally {
    server.close();
  }
}

console.log(
  `${dataSets.length} data sets over HTTP from a local server with ${latencyMs} ms latency, in parallel:\n`,
);
const parallel = await processAll(true);
console.log('\nthe same work again, one task at a time ...');
const sequential = await processAll(false);

const summary = parallel.results.get('report');
if (typeof summary === 'string') {
  const folder = new URL('./output/', import.meta.url);
  await mkdir(folder, { recursive: true });
  await writeFile(new URL('executive-summary.md', folder), summary);
  console.log(`\n${summary}`);
  console.log('written to examples/output/executive-summary.md');
}
showSummary(parallel, sequential);
if (parallel.status !== 'succeeded' || sequential.status !== 'succeeded') process.exitCode = 1;
