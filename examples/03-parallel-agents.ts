// Agents by name and tasks by id: five data sets are processed and analysed at once, then one report is written.
import { type Agent, AgentTask, WorkflowOrchestrator } from '../lib/index.js';

const datasets = Array.from({ length: 5 }, (_, id) => ({ id, path: `/data/${id}.csv` }));

/** Pretends to read a file. */
const processData: Agent = async (task, ctx) => {
  await ctx.sleep(200);
  return { file: (task.data as { dataset: string }).dataset, rows: 100 };
};

/** Gets what its dependencies returned, by id. */
const analyze: Agent = async (task, ctx) => {
  await ctx.sleep(100);
  const [processed] = Object.values(task.inputs) as { file: string; rows: number }[];
  return `${(task.data as { analysis_type: string }).analysis_type} in ${processed?.file}`;
};

const report: Agent = (task) =>
  `${Object.keys(task.inputs).length} analyses: ${Object.values(task.inputs).join(', ')}`;

const orchestrator = new WorkflowOrchestrator({
  agents: { data_processing: processData, analysis: analyze, report },
  parallelExecution: true,
  maxConcurrentTasks: 10,
  concurrencyGroups: { data_processing: 4, analysis: 2 },
});

const dataTasks = datasets.map(
  ({ id, path }) =>
    new AgentTask({
      id: `process_data_${id}`,
      agentType: 'data_processing',
      data: { dataset: path },
      dependencies: [],
      concurrencyGroup: 'data_processing',
    }),
);
const analysisTasks = dataTasks.map(
  (task, i) =>
    new AgentTask({
      id: `analyze_data_${i}`,
      agentType: 'analysis',
      data: { analysis_type: 'trend_detection' },
      dependencies: [task.id],
      concurrencyGroup: 'analysis',
    }),
);
const reportTask = new AgentTask({
  id: 'generate_report',
  agentType: 'report',
  data: { report_type: 'executive_summary' },
  dependencies: analysisTasks.map((task) => task.id),
});

for (const task of [...dataTasks, ...analysisTasks, reportTask]) orchestrator.addTask(task);
const { status, results } = await orchestrator.executeWorkflow();
console.log(status, results.get('generate_report'));
