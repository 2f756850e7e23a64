import type { AgentFunction } from '../lib/entry/agents.js';
import { AgentTask, WorkflowOrchestrator, type WorkflowResult } from '../lib/index.js';
import { type Analysed, analyze, processData } from './support/agents.js';
import { dataSets } from './support/data-sets.js';
import { latencyMs, startFileServer } from './support/file-server.js';
import { showProgress, showSummary } from './support/show.js';

/** Plans one step for each data set that says how something changed over the years. */
const planner: AgentFunction = () => dataSets.filter((set) => /^(year|date)$/i.test(set.x));

/** Adds one analysed data set to the story so far; needs the step before. */
const storyteller: AgentFunction = (task) => {
  const inputs = Object.entries(task.inputs);
  const before = inputs.find(([id]) => id.startsWith('execute_step_'))?.[1] as string[] | undefined;
  const analysed = inputs.find(([id]) => id.startsWith('analyze_'))?.[1] as Analysed | undefined;
  return [...(before ?? []), `${analysed?.set.name}: ${analysed?.trend.sentence}`];
};

/** The steps follow each other; what they need is fetched and analysed at once. */
async function tell(parallelExecution: boolean): Promise<WorkflowResult> {
  const server = await startFileServer('sp500.csv');
  const orchestrator = new WorkflowOrchestrator({
    name: 'dynamic-plan',
    agents: { planner, data_processing: processData, analysis: analyze, storyteller },
    parallelExecution,
    dynamicTasks: true,
  });
  orchestrator.addTask(new AgentTask({ id: 'create_plan', agentType: 'planner' }));
  orchestrator.onTaskComplete('create_plan', (plan, add) => {
    for (const [i, set] of (plan as typeof dataSets).entries()) {
      const data = { url: server.url, set };
      add(new AgentTask({ id: `fetch_${set.name}`, agentType: 'data_processing', data, retry: 2 }));
      const fetched = [`fetch_${set.name}`];
      add(new AgentTask({ id: `analyze_${set.name}`, agentType: 'analysis', dependencies: fetched }));
      const needed = [`analyze_${set.name}`, ...(i === 0 ? [] : [`execute_step_${i - 1}`])];
      add(new AgentTask({ id: `execute_step_${i}`, agentType: 'storyteller', dependencies: needed }));
    }
  });
  if (parallelExecution) showProgress(orchestrator.events$);
  try {
    return await orchestrator.executeWorkflow();
  } finally {
    server.close();
  }
}

console.log(`a plan made at run time, data over HTTP from a local server with ${latencyMs} ms latency:\n`);
const parallel = await tell(true);
console.log('\nthe same work again, one task at a time ...');
const sequential = await tell(false);
const last = [...parallel.results.keys()].filter((id) => id.startsWith('execute_step_')).at(-1) ?? '';
console.log(`\n${(parallel.results.get(last) as string[]).join('\n')}`);
showSummary(parallel, sequential);
if (parallel.status !== 'succeeded' || sequential.status !== 'succeeded') process.exitCode = 1;
