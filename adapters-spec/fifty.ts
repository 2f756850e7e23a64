// 50 RequirementAgents at 300 ms a call: in a workflow of BeeAI, which runs one step at a time, and as tasks of rxhive.
import { OpenAIChatModel } from 'beeai-framework/adapters/openai/backend/chat';
import { RequirementAgent } from 'beeai-framework/agents/requirement/agent';
import { UnconstrainedMemory } from 'beeai-framework/memory/unconstrainedMemory';
import { Workflow } from 'beeai-framework/workflows/workflow';
import { workflow } from 'rxhive';
import { fromBeeAgent } from 'rxhive/beeai';
import { OpenAIServer } from 'rxhive/testing';
import { z } from 'zod';

(globalThis as { AI_SDK_LOG_WARNINGS?: boolean }).AI_SDK_LOG_WARNINGS = false;
const count = 50;
const server = await OpenAIServer.listen({ latency: 300 });
const llm = new OpenAIChatModel('local', {}, { baseURL: server.url, apiKey: 'none' });
const make = () => new RequirementAgent({ llm, tools: [], memory: new UnconstrainedMemory() });
await make().run({ prompt: 'warm up' });

const steps = new Workflow({ schema: z.object({ texts: z.array(z.string()) }) });
for (let i = 0; i < count; i++)
  steps.addStep(`agent ${i}`, async (state) => {
    state.texts.push((await make().run({ prompt: `<${i}> asks` })).result.text);
  });
let began = performance.now();
await steps.run({ texts: [] });
const serial = performance.now() - began;

const run = fromBeeAgent(make());
const before = server.requests.length;
const flow = workflow({ name: 'fifty', concurrency: count });
for (let i = 0; i < count; i++) flow.task(`agent ${i}`, { run: (_, ctx) => run(`<${i}> asks`, ctx) });
began = performance.now();
const { status } = await flow.run().result();
const parallel = performance.now() - began;
const mixed = server.requests
  .slice(before)
  .filter(({ messages }) => new Set(messages.flatMap(({ text }) => text.match(/<\d+>/g) ?? [])).size !== 1);
console.log(
  `workflow of BeeAI ${Math.round(serial)} ms, rxhive ${Math.round(parallel)} ms (${status}), transcripts mixed: ${mixed.length}`,
);
const times = serial / parallel;
const met = times >= 20 && mixed.length === 0;
console.log(`${met ? 'met' : 'NOT MET'}: ${times.toFixed(1)} times faster, at least 20`);
process.exit(met ? 0 : 1);
