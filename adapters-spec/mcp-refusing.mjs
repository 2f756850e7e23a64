// A server whose tool fails with a JSON-RPC error of its own: the code it is asked for.
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js';

const server = new Server({ name: 'refusing', version: '1' }, { capabilities: { tools: {} } });
server.setRequestHandler(ListToolsRequestSchema, () => ({
  tools: [{ name: 'refuse', inputSchema: { type: 'object' } }],
}));
server.setRequestHandler(CallToolRequestSchema, ({ params }) => {
  const { code } = params.arguments;
  if (code === undefined) return { content: [{ type: 'text', text: 'fine' }] };
  throw Object.assign(new Error('the shop is shut'), { code, data: { until: 'monday' } });
});
await server.connect(new StdioServerTransport());
