import { fileURLToPath } from 'node:url';
import type { McpCommand } from 'rxhive/mcp';

const modules = new URL('node_modules/', import.meta.url);

/** How to start a real server that is installed here. */
export function installed(server: 'everything' | 'sequential-thinking'): McpCommand {
  const file = new URL(`@modelcontextprotocol/server-${server}/dist/index.js`, modules);
  return { command: process.execPath, args: [fileURLToPath(file)] };
}
