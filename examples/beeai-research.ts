// Agents of BeeAI at work side by side: one plans, one researcher for each question, one writes. Needs `npm run adapters` once.
// By default against a local server that plays the model. OPENAI_BASE_URL, OPENAI_API_KEY and OPENAI_CHAT_MODEL name a real one.
import { OpenAIChatModel } from 'beeai-framework/adapters/openai/backend/chat';
import { RequirementAgent } from 'beeai-framework/agents/requirement/agent';
import { UnconstrainedMemory } from 'beeai-framework/memory/unconstrainedMemory';
import { AgentTask, WorkflowOrchestrator } from 'rxhive';
import type { AgentCall } from 'rxhive/agents';
import { fromBeeAgent } from 'rxhive/beeai';
import { OpenAIServer } from 'rxhive/testing';
import { researchModel } from './support/research-model.js';

console.warn = () => undefined; // The AI SDK warns at each call that BeeAI gives it system messages.
const topic = process.argv[2] ?? 'How do honey bees decide where to live?';
const { OPENAI_BASE_URL, OPENAI_API_KEY = 'none', OPENAI_CHAT_MODEL = 'gpt-5-mini' } = process.env;
const latency = 300;
const local =
  OPENAI_BASE_URL === undefined ? await OpenAIServer.listen({ latency, answer: researchModel }) : undefined;
const baseURL = local?.url ?? OPENAI_BASE_URL ?? '';
const llm = new OpenAIChatModel(
  local === undefined ? OPENAI_CHAT_MODEL : 'local',
  {},
  { baseURL, apiKey: OPENAI_API_KEY },
);
console.log(
  local === undefined
    ? `${OPENAI_CHAT_MODEL} at ${new URL(baseURL).host}`
    : `a local server plays the model, with ${latency} ms a call; set OPENAI_BASE_URL and OPENAI_API_KEY for a real one`,
);

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
    .filter((line) => line !== '')
    .slice(0, 8);
  const ids = questions.map((_, i) => `research ${i + 1}`);
  for (const [i, data] of questions.entries())
    add(new AgentTask({ id: `research ${i + 1}`, agentType: 'researcher', data, ...shared }));
  const writing = { data: `Findings on: ${topic}`, dependencies: ids, ...shared };
  add(new AgentTask({ id: 'write', agentType: 'writer', ...writing }));
});
orchestrator.events$.subscribe((event) => {
  if (event.type !== 'task' || !['running', 'succeeded', 'failed'].includes(event.reason)) return;
  console.log(`${String(Math.round(event.at)).padStart(6)} ms  ${event.taskId} ${event.reason}`);
});

const { status, results, report } = await orchestrator.executeWorkflow();
console.log(`\n${results.get('write') ?? String(report)}\n`);
const { inputTokens, outputTokens } = report.usage;
console.log(
  `${status}: ${results.size} agents in ${Math.round(report.wallMs)} ms, ${Math.round(report.workMs)} ms of work; ${inputTokens} + ${outputTokens} tokens`,
);
await local?.close();
if (status !== 'succeeded') process.exitCode = 1;
