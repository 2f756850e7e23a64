import { Writable } from 'node:stream';
import { asMcpTool } from '../adapters/as-mcp-tool.js';
import { type McpTransport, mcpSdk } from '../adapters/mcp-sdk.js';
import { mcpServer } from '../adapters/mcp-server.js';
import { RxhiveError } from '../kernel/errors.js';
import { type Command, parse } from './command.js';
import { loadAll, type Runnable } from './load.js';
import { WrongCall } from './wrong-call.js';

/**
 * `rxhive mcp MODULE [--store STORE]`: serves the workflows and orchestrators that a module exports as tools of an MCP server on stdin and
 * stdout, until stdin ends. The default export is called like its workflow, others like their export. With a
 * store, runs that ask people wait there for clients that cannot.
 */
export const mcp: Command = async (words) => {
  const { positionals, values } = parse({
    args: [...words],
    allowPositionals: true,
    options: { store: { type: 'string' } },
  });
  const stdout = ownStdout();
  const found = await loadAll(positionals[0]);
  const tools = await Promise.all([...found].map(([name, one]) => toolOf(name, one, values.store)));
  const server = await mcpServer(tools).catch((error: Error) => {
    throw error instanceof RxhiveError ? new WrongCall(error.message) : error;
  });
  const { StdioServerTransport } = await mcpSdk<{
    readonly StdioServerTransport: new (stdin: NodeJS.ReadStream, stdout: Writable) => McpTransport;
  }>('server/stdio.js');
  await server.connect(new StdioServerTransport(process.stdin, stdout));
  console.error(`rxhive mcp: ${tools.map(({ info }) => info.name).join(', ')}`);
  await new Promise<void>((resolve) => {
    process.stdin.once('end', resolve).once('close', resolve);
  });
  // What still runs is cancelled; what the module keeps open does not keep a server without a client.
  await server.close();
  setTimeout(() => process.exit(0), lastMs).unref();
  return 0;
};

/** Ms that cancelled runs have to tidy up. */
const lastMs = 1_000;

async function toolOf(name: string, one: Runnable, store: string | undefined): ReturnType<typeof asMcpTool> {
  try {
    return await asMcpTool(one, {
      ...(name !== 'default' && { name }),
      ...(store !== undefined && { run: { store } }),
    });
  } catch (error) {
    throw error instanceof RxhiveError ? new WrongCall(error.message) : error;
  }
}

/** The real stdout; what the module prints goes to stderr, or it would be taken for messages. */
function ownStdout(): Writable {
  const write = process.stdout.write.bind(process.stdout);
  process.stdout.write = process.stderr.write.bind(process.stderr) as typeof process.stdout.write;
  return new Writable({ write: (chunk: Buffer, _, done) => void write(chunk, done) });
}
