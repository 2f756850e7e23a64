// Agents of BeeAI at work side by side: one plans, one researcher for each question, one writes. Needs `npm run adapters` once.
import { OpenAIChatModel } from 'beeai-framework/adapters/openai/backend/chat';
import { RequirementAgent } from 'beeai-framework/agents/requirement/agent';
import { UnconstrainedMemory } from 'beeai-framework/memory/unconstrainedMemory';
import { AgentTask, WorkflowOrchestrator } from 'rxhive';
import type { AgentCall } from 'rxhive/agents';
import { fromBeeAgent } from 'rxhive/beeai';
import { modelAddress } from './support/research-model.js';

console.warn = () => undefined; // the AI SDK warns at each call that BeeAI gives it system messages.
const topic = process.argv[2] ?? 'How do honey bees decide where to live?';
const { name, baseURL, apiKey, described, close } = await modelAddress();
const llm = new OpenAIChatModel(name, {}, { baseURL, apiKey });
console.log(described);

const make = (role: string, instructions: string) =>
  new RequirementAgent({ llm, tools: [], memory: new UnconstrainedMemory(), role, instructions });
const orchestrator = new WorkflowOrchestrator({
  name: 'beeai-research',
  agents: {
    planner: fromBeeAgent<AgentCall>(
      make('a planner', 'Answer with four short questions, one on each line, nothing else.'),
    ),
    researcher: fromBeeAgent<AgentCall>(
      make('a researcher', 'Answer in at most three sentences; say what is not known.'),
    ),
    writer: fromBeeAgent<AgentCall>(
      make('a writer', 'Write one paragraph from the findings, and add nothing to them.'),
      { stream: true },
    ),
  },
  concurrencyGroups: { llm: 8 },
});
const shared = { concurrencyGroup: 'llm', retry: 3, timeout: 120_000 } as const;
orchestrator.addTask(new AgentTask({ id: 'plan', agentType: 'planner', data: topic, ...shared }));
orchestrator.onTaskComplete('plan', (plan, add) => {
  const questions = String(plan)
    .split('\n')
    .map((line) => line.replace(/^[\s\d.*-]+/, ''))
    .filter((line) => line !== '');
  const ids = questions.map((_, i) => `research ${i + 1}`);
  for (const [i, id] of ids.entries())
    add(new AgentTask({ id, agentType: 'researcher', data: questions[i], ...shared }));
  const writing = { data: `Findings on: ${topic}`, dependencies: ids, ...shared };
  add(new AgentTask({ id: 'write', agentType: 'writer', ...writing }));
});
orchestrator.events$.subscribe((event) => {
  if (event.type !== 'task' || !['running', 'succeeded', 'failed'].includes(event.reason)) return;
  console.log(`${String(Math.round(event.at)).padStart(6)} ms  ${event.taskId} ${event.reason}`);
});

const { status, results, report } = await orchestrator.executeWorkflow();
console.log(`\n${results.get('write') ?? String(report)}\n`);
const { wallMs, workMs } = report;
console.log(
  `${status}: ${results.size} agents, ${Math.round(workMs)} ms of work in ${Math.round(wallMs)} ms`,
);
await close();
if (status !== 'succeeded') process.exitCode = 1;
