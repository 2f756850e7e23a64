// Started by mcp.spec.ts: uses a server and then waits for ever.
import { workflow } from 'rxhive';
import { fromMcpTool, mcpClient } from 'rxhive/mcp';

const server = mcpClient({ command: process.execPath, args: [process.argv[2]] });
const pids = fromMcpTool(server, 'pids', { result: ({ text }) => text });
const flow = workflow({ name: 'owner' });
const task = flow.task('pids', { run: (_, ctx) => pids({}, ctx) });
console.log((await flow.run().result()).results.get(task));
if (process.argv[3] !== 'ends') setInterval(() => undefined, 1e6);
