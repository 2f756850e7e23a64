// A server of MCP that does not want to go: it starts a process of its own, and ignores SIGTERM and the end of its stdin.
import { spawn } from 'node:child_process';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';

const stays = 'process.on("SIGTERM", () => {}); console.log("up"); setInterval(() => {}, 1e6)';
const own = spawn(process.execPath, ['-e', stays], { stdio: ['ignore', 'pipe', 'ignore'] });
process.on('SIGTERM', () => undefined);
setInterval(() => undefined, 1e6);

const server = new McpServer({ name: 'stubborn', version: '1.0.0' });
server.registerTool('pids', {}, async () => {
  const content = [{ type: 'text', text: JSON.stringify([process.pid, own.pid]) }];
  return { content };
});
server.registerTool('long', {}, async () => ({ content: [{ type: 'text', text: 'x'.repeat(200_000) }] }));
own.stdout.once('data', () => server.connect(new StdioServerTransport()));
