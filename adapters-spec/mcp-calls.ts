// What a call of a tool costs as a task, beside the client of the SDK alone: npm run bench -- mcp. Both call `echo` of the real
// server-everything, in a process of its own, with 32 calls in flight.
// Processor time of this process, which a busy machine changes less than the clock does.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { workflow } from 'rxhive';
import { fromMcpTool, mcpClient } from 'rxhive/mcp';
import { installed } from './mcp-servers.js';

const calls = Number(process.argv[2] ?? 3_000);
const inFlight = 32;
const { command, args = [] } = installed('everything');
const client = new Client({ name: 'plain', version: '1' });
await client.connect(new StdioClientTransport({ command, args: [...args], stderr: 'ignore' }));

async function plain(count: number): Promise<void> {
  let left = count;
  const worker = async (): Promise<void> => {
    while (left-- > 0) await client.callTool({ name: 'echo', arguments: { message: 'hello' } });
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
}

await using server = mcpClient({ command, args });
const echo = fromMcpTool(server, 'echo');

async function tasks(count: number): Promise<void> {
  const flow = workflow({ name: 'calls', concurrency: inFlight });
  for (let i = 0; i < count; i += 1) flow.task(`${i}`, { run: (_, ctx) => echo({ message: 'hello' }, ctx) });
  (await flow.run().result()).orThrow();
}

await plain(500);
await tasks(500);
const us: Record<string, number[]> = { sdk: [], rxhive: [] };
for (let round = 0; round < 5; round += 1)
  for (const [name, run] of [
    ['sdk', plain],
    ['rxhive', tasks],
  ] as const) {
    const begun = process.cpuUsage();
    await run(calls);
    const { user, system } = process.cpuUsage(begun);
    us[name]?.push((user + system) / calls);
  }
for (const [name, all] of Object.entries(us)) {
  const sorted = [...all].sort((a, b) => a - b);
  console.log(
    `${name.padEnd(7)} ${Math.round(sorted[2] ?? 0)} us a call (${sorted.map(Math.round).join(', ')})`,
  );
}
await client.close();
