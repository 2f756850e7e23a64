// Tools of real MCP servers: parallel calls, progress, a question to a person, agents that think. Needs `npm run adapters` once.
import { fileURLToPath } from 'node:url';
import { workflow } from 'rxhive';
import { sequentialThinking } from 'rxhive/agents';
import { fromMcpTool, mcpClient, mcpThoughts } from 'rxhive/mcp';

const modules = fileURLToPath(new URL('node_modules/@modelcontextprotocol/', import.meta.url));
const installed = (name: string) => ({
  command: process.execPath,
  args: [`${modules}server-${name}/dist/index.js`],
});

const server = mcpClient(installed('everything'));
const sum = fromMcpTool(server, 'get-sum', { result: ({ text }) => Number(/is (-?\d+)/.exec(text)?.[1]) });
const long = fromMcpTool(server, 'trigger-long-running-operation');
const order = fromMcpTool(server, 'trigger-elicitation-request', {
  asks: true,
  result: ({ text }) => /Name: (.+)/.exec(text)?.[1] ?? 'nobody',
});

const flow = workflow({ name: 'mcp-tools', concurrency: 16, middleware: [server] });
const sums = Array.from({ length: 32 }, (_, i) =>
  flow.task(`sum-${i}`, { timeout: 10_000, retry: 1, run: (_, ctx) => sum({ a: i, b: 1 }, ctx) }),
);
const total = flow.task('total', { dependencies: sums, run: (all) => all.reduce((a, b) => a + b, 0) });
const slow = ['one', 'two'].map((name) =>
  flow.task(`slow-${name}`, { run: (_, ctx) => long({ duration: 1, steps: 5 }, ctx) }),
);
const asked = flow.task('asked', { run: (_, ctx) => order({}, ctx) });
// A model says these in real life: thinkingModel(fromAiSdk(agent)).
const steps = ['Guess.', 'Doubt the guess.', 'Look again.', 'Be sure.'];
const think = sequentialThinking<string>({
  through: mcpThoughts(installed('sequential-thinking')),
  think: ({ input, number }) => ({
    text: `${input}: ${steps[number - 1]}`,
    total: steps.length,
    ...(number === 3 && { revises: 1 }),
  }),
});
const thinkers = ['bees', 'ants'].map((topic) =>
  flow.task(`think-${topic}`, { run: (_, ctx) => think(topic, ctx) }),
);

const run = flow.run();
for (const task of slow)
  run.values$(task).subscribe(({ progress, text }) => {
    console.log(`${task.id}: ${progress ? `${progress.progress} of ${progress.total}` : text.split('.')[0]}`);
  });
run.questions$.subscribe((open) => {
  for (const { id } of open) void run.answer(id, { name: 'Ann' });
});

const result = await run.result();
console.log(`total of ${sums.length} calls: ${result.results.get(total)}`);
console.log(`answered by ${result.results.get(asked)}`);
for (const task of thinkers)
  for (const { number, text, revises } of result.results.get(task)?.thoughts ?? [])
    console.log(`${number} ${text}${revises === undefined ? '' : ` (revises ${revises})`}`);
console.log(String(result.report));
