import { lastValueFrom } from 'rxjs';
import type { TaskContext } from '../../model/context.js';
import type { ThoughtRecorder } from '../thinking/sequential-thinking.js';
import type { Thought } from '../thinking/thought.js';
import { McpClient } from './mcp-client.js';
import type { McpClientOptions } from './mcp-connect.js';
import { fromMcpTool } from './mcp-tool.js';

const toolName = 'sequentialthinking';

/**
 * Records the thoughts of `sequentialThinking` with `@modelcontextprotocol/server-sequential-thinking`, or any server with
 * that tool. Given options, each attempt has a server for itself: the server keeps one history. Given a client, all share
 * its history.
 *
 * ```ts
 * const through = mcpThoughts({ command: 'npx', args: ['-y', '@modelcontextprotocol/server-sequential-thinking'] });
 * const plan = sequentialThinking({ think, through });
 * ```
 */
export function mcpThoughts(server: McpClientOptions | McpClient): (ctx: TaskContext) => ThoughtRecorder {
  return (ctx) => {
    const client = server instanceof McpClient ? server : new McpClient(server);
    const tool = fromMcpTool(client, toolName);
    const branches = new Map<string, number>();
    return {
      record: (thought) => {
        const { branch, from } = thought;
        if (branch !== undefined && from !== undefined) branches.set(branch, from);
        // The server takes a thought for one of a branch only when it says where that begins.
        return lastValueFrom(
          tool(argumentsOf(thought, branch === undefined ? undefined : branches.get(branch)), ctx),
        );
      },
      close: () => (client === server ? undefined : client.close()),
    };
  };
}

function argumentsOf(
  { number, total, text, next, revises, branch }: Thought,
  from: number | undefined,
): object {
  return {
    thought: text,
    thoughtNumber: number,
    totalThoughts: total,
    nextThoughtNeeded: next,
    ...(revises !== undefined && { isRevision: true, revisesThought: revises }),
    ...(branch !== undefined && { branchId: branch }),
    ...(from !== undefined && { branchFromThought: from }),
  };
}
