// 50 RequirementAgents at 300 ms a call: in a workflow of BeeAI, which runs one step at a time, and as tasks of rxhive.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { OpenAIChatModel } from 'beeai-framework/adapters/openai/backend/chat';
import { RequirementAgent } from 'beeai-framework/agents/requirement/agent';
import { UnconstrainedMemory } from 'beeai-framework/memory/unconstrainedMemory';
import { Workflow } from 'beeai-framework/workflows/workflow';
import { workflow } from 'rxhive';
import { fromBeeAgent } from 'rxhive/beeai';
import { z } from 'zod';

console.warn = () => undefined; // The AI SDK warns at each call that BeeAI gives it system messages.
const count = 50;
const model = fork(fileURLToPath(new URL('fifty-model.ts', import.meta.url)), {
  execArgv: ['--import', 'tsx'],
});
const [{ url }] = (await once(model, 'message')) as [{ url: string }];
const llm = new OpenAIChatModel('local', {}, { baseURL: url, apiKey: 'none' });
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
// The serial run is long enough to be fair to itself; of the short ones one alone says little on a busy machine.
const walls: number[] = [];
const cpus: number[] = [];
for (let round = 0; round < 5; round++) {
  const flow = workflow({ name: 'fifty', concurrency: count });
  for (let i = 0; i < count; i++) flow.task(`agent ${i}`, { run: (_, ctx) => run(`<${i}> asks`, ctx) });
  const cpu = process.cpuUsage();
  began = performance.now();
  const { status } = await flow.run().result();
  walls.push(performance.now() - began);
  const { user, system } = process.cpuUsage(cpu);
  cpus.push((user + system) / 1_000);
  if (status !== 'succeeded') throw new Error(status);
}
const median = (all: number[]): number => [...all].sort((a, b) => a - b)[2] ?? 0;
const parallel = median(walls);
model.send('report');
const [{ asked, mixed }] = (await once(model, 'message')) as [{ asked: number; mixed: number }];
if (asked !== 6 * count) throw new Error(`${asked} requests`);
console.log(
  `workflow of BeeAI ${Math.round(serial)} ms; rxhive ${Math.round(parallel)} ms (median of ${walls.map(Math.round).join(', ')}), processor time ${Math.round(median(cpus))} ms; transcripts mixed: ${mixed}`,
);
const times = serial / parallel;
const met = times >= 20 && mixed === 0;
console.log(`${met ? 'met' : 'NOT MET'}: ${times.toFixed(1)} times faster, at least 20`);
process.exit(met ? 0 : 1);
